//! The busybox of this machine, if it runs without this machine's libraries.

use std::{fs, io, process::Command};

/// Where distributions put a static busybox.
const PLACES: &[&str] = &["/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"];

/// A static busybox.
pub(super) struct Busybox {
    pub(super) binary: Vec<u8>,
    /// Names that it goes by, in order.
    pub(super) applets: Vec<String>,
}

/// Why no busybox can go into the image.
#[derive(Debug, thiserror::Error)]
pub enum BusyboxError {
    /// There is none.
    #[error("none is at {}; install the package busybox-static", PLACES.join(", "))]
    Missing,
    /// It could not be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// Where it is.
        path: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It would not start in the image.
    #[error("{path} will not do: {problem}; install the package busybox-static in its place")]
    Unfit {
        /// Where it is.
        path: &'static str,
        /// What is wrong with it, as a fragment of a sentence.
        problem: &'static str,
    },
    /// It does not tell what it can do.
    #[error("`{path} --list` failed: {reason}; install the package busybox-static anew")]
    List {
        /// Where it is.
        path: &'static str,
        /// What it said.
        reason: String,
    },
}

/// Finds, reads and checks it.
pub(super) fn find() -> Result<Busybox, BusyboxError> {
    let path = PLACES
        .iter()
        .copied()
        .find(|path| fs::exists(path).unwrap_or(false))
        .ok_or(BusyboxError::Missing)?;
    let binary = fs::read(path).map_err(|source| BusyboxError::Read { path, source })?;
    check_static(&binary).map_err(|problem| BusyboxError::Unfit { path, problem })?;
    Ok(Busybox { binary, applets: applets(path)? })
}

fn applets(path: &'static str) -> Result<Vec<String>, BusyboxError> {
    let failed = |reason: String| BusyboxError::List { path, reason };
    let output =
        Command::new(path).arg("--list").output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
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
        return Err(failed("it named nothing".to_owned()));
    }
    Ok(names)
}

/// Whether the kernel can start it with nothing else at hand: an ELF file that asks for no
/// interpreter.
///
/// # Errors
///
/// What is wrong, as a fragment of a sentence.
pub(super) fn check_static(binary: &[u8]) -> Result<(), &'static str> {
    const INTERPRETER: u64 = 3;
    if !binary.starts_with(b"\x7fELF") {
        return Err("it is no ELF file");
    }
    // Class 2: 64 bit; data 1: little endian, as all machines that the agent is built for.
    if binary.get(4..6) != Some(&[2, 1]) {
        return Err("it is not for a 64-bit little-endian machine");
    }
    let number = |at: usize, size: usize| -> Result<u64, &'static str> {
        let end = at.checked_add(size).ok_or("it is cut short")?;
        let bytes = binary.get(at..end).ok_or("it is cut short")?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    // Place, size and number of the program headers.
    let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let at = start.checked_add(index * size).and_then(|at| usize::try_from(at).ok());
        if number(at.ok_or("it is cut short")?, 4)? == INTERPRETER {
            return Err("it is not static");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;

    use super::*;

    /// A 64-bit header with one program header of this type behind it.
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
    fn static_files_pass() {
        assert_eq!(check_static(&elf(1)), Ok(()));
    }

    #[rstest]
    #[case::dynamic(elf(3), "it is not static")]
    #[case::script(b"#!/bin/sh\n".to_vec(), "it is no ELF file")]
    #[case::empty(Vec::new(), "it is no ELF file")]
    #[case::cut_short(elf(1)[..70].to_vec()[..60].to_vec(), "it is cut short")]
    #[case::thirty_two_bit(b"\x7fELF\x01\x01".to_vec(), "it is not for a 64-bit little-endian machine")]
    fn others_do_not(#[case] file: Vec<u8>, #[case] problem: &str) {
        assert_eq!(check_static(&file), Err(problem));
    }

    #[test]
    fn this_test_is_not_static() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(check_static(&own).is_err() || cfg!(target_feature = "crt-static"));
    }
}
