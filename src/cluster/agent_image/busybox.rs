//! The static busybox of this machine.

use std::{fs, io, process::Command};

/// Paths of a static busybox in common distributions.
const PLACES: &[&str] = &["/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"];

pub(super) struct Busybox {
    pub(super) binary: Vec<u8>,
    /// Applet names, sorted.
    pub(super) applets: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum BusyboxError {
    #[error("not found at {}; install the package busybox-static", PLACES.join(", "))]
    Missing,
    #[error("cannot read {path}: {source}")]
    Read {
        path: &'static str,
        source: io::Error,
    },
    /// It would not start in the image.
    #[error("{path} {problem}; replace it with the package busybox-static")]
    Unfit {
        path: &'static str,
        problem: &'static str,
    },
    #[error("`{path} --list` failed: {reason}; reinstall the package busybox-static")]
    List { path: &'static str, reason: String },
}

pub(super) fn find() -> Result<Busybox, BusyboxError> {
    let path = PLACES
        .iter()
        .copied()
        .find(|path| fs::exists(path).unwrap_or(false))
        .ok_or(BusyboxError::Missing)?;
    let binary = fs::read(path).map_err(|source| BusyboxError::Read { path, source })?;
    check_static(&binary).map_err(|problem| BusyboxError::Unfit { path, problem })?;
    Ok(Busybox {
        binary,
        applets: applets(path)?,
    })
}

fn applets(path: &'static str) -> Result<Vec<String>, BusyboxError> {
    let failed = |reason: String| BusyboxError::List { path, reason };
    let output = Command::new(path)
        .arg("--list")
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    let mut names: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::trim)
        .filter(|name| !name.is_empty() && !name.contains('/'))
        .filter(|name| !matches!(*name, "busybox" | "agent"))
        .map(ToOwned::to_owned)
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Err(failed("it lists no applets".to_owned()));
    }
    Ok(names)
}

/// Checks that a file is a static executable: an ELF file without an interpreter.
pub(super) fn check_static(binary: &[u8]) -> Result<(), &'static str> {
    const INTERPRETER: u64 = 3;
    if !binary.starts_with(b"\x7fELF") {
        return Err("is not an ELF file");
    }
    // Class 2: 64-bit; data 1: little-endian, as on all targets of the agent.
    if binary.get(4..6) != Some(&[2, 1]) {
        return Err("is not a 64-bit little-endian executable");
    }
    let number = |at: usize, size: usize| -> Result<u64, &'static str> {
        let end = at.checked_add(size).ok_or("is truncated")?;
        let bytes = binary.get(at..end).ok_or("is truncated")?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    // Offset, size and number of the program headers.
    let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let at = start
            .checked_add(index * size)
            .and_then(|at| usize::try_from(at).ok());
        if number(at.ok_or("is truncated")?, 4)? == INTERPRETER {
            return Err("is not statically linked");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;

    use super::*;

    /// A 64-bit ELF header followed by one program header of this type.
    fn elf(kind: u32) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file[64..68].copy_from_slice(&kind.to_le_bytes());
        file
    }

    #[test]
    fn accepts_static_files() {
        assert_eq!(check_static(&elf(1)), Ok(()));
    }

    #[rstest]
    #[case::dynamic(elf(3), "is not statically linked")]
    #[case::script(b"#!/bin/sh\n".to_vec(), "is not an ELF file")]
    #[case::empty(Vec::new(), "is not an ELF file")]
    #[case::truncated(elf(1)[..70].to_vec()[..60].to_vec(), "is truncated")]
    #[case::thirty_two_bit(b"\x7fELF\x01\x01".to_vec(), "is not a 64-bit little-endian executable")]
    fn rejects_other_files(#[case] file: Vec<u8>, #[case] problem: &str) {
        assert_eq!(check_static(&file), Err(problem));
    }

    #[test]
    fn rejects_this_test_binary() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(check_static(&own).is_err() || cfg!(target_feature = "crt-static"));
    }
}
