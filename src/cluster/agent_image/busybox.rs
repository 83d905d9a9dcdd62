//! The static busybox of this machine.

use std::fs;
use std::process::Command;

use object::LittleEndian;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use crate::cluster::command::capture;
use crate::cluster::error::{ClusterError, Result};

/// Paths of a static busybox in common distributions.
const PLACES: &[&str] = &["/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"];

pub(in crate::cluster) struct Busybox {
    pub(super) binary: Vec<u8>,
    /// Applet names, sorted.
    pub(super) applets: Vec<String>,
}

pub(in crate::cluster) fn find() -> Result<Busybox> {
    const REMEDY: &str = "install the package busybox-static";
    let mut places = PLACES.iter();
    let path = places.find(|path| fs::exists(path).unwrap_or(false));
    let path = *path.ok_or_else(|| {
        let places = PLACES.join(", ");
        ClusterError::missing(format!("no static busybox at {places}"), REMEDY)
    })?;
    let binary = fs::read(path).map_err(ClusterError::file("cannot read", path))?;
    check_static(&binary)
        .map_err(|problem| ClusterError::missing(format!("{path} {problem}"), REMEDY))?;
    let applets = applets(path)?;
    Ok(Busybox { binary, applets })
}

fn applets(path: &str) -> Result<Vec<String>> {
    let step = "listing the applets of busybox";
    let listed = capture(step, Command::new(path).arg("--list"))?;
    let mut names: Vec<String> = listed
        .lines()
        .map(str::trim)
        .filter(|name| !name.is_empty() && !name.contains('/'))
        .filter(|name| !matches!(*name, "busybox" | "agent"))
        .map(ToOwned::to_owned)
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Err(ClusterError::failed(step, "it printed none"));
    }
    Ok(names)
}

/// Checks that a file is a static executable: an ELF file without an interpreter.
pub(in crate::cluster) fn check_static(binary: &[u8]) -> std::result::Result<(), &'static str> {
    let unfit = |_| "is not a 64-bit little-endian ELF file";
    let file = FileHeader64::<LittleEndian>::parse(binary).map_err(unfit)?;
    let endian = file.endian().map_err(unfit)?;
    let headers = file.program_headers(endian, binary);
    let mut headers = headers.map_err(|_| "is truncated")?.iter();
    if headers.any(|header| header.p_type(endian) == PT_INTERP) {
        return Err("is not statically linked");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;

    use super::*;

    /// A 64-bit ELF header followed by one program header of this type.
    fn elf(kind: u8) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        // Class 64-bit, little-endian, version 1.
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        file[20] = 1;
        // Offset, size and number of the program headers.
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file[64] = kind;
        file
    }

    #[test]
    fn accepts_static_files() {
        assert_eq!(check_static(&elf(1)), Ok(()));
    }

    #[rstest]
    #[case::dynamic(elf(3), "is not statically linked")]
    #[case::script(b"#!/bin/sh\n".to_vec(), "is not a 64-bit little-endian ELF file")]
    #[case::empty(Vec::new(), "is not a 64-bit little-endian ELF file")]
    #[case::truncated(elf(1)[..100].to_vec(), "is truncated")]
    #[case::thirty_two_bit(b"\x7fELF\x01\x01\x01".to_vec(), "is not a 64-bit little-endian ELF file")]
    fn rejects_other_files(#[case] file: Vec<u8>, #[case] problem: &str) {
        assert_eq!(check_static(&file), Err(problem));
    }

    #[test]
    fn rejects_this_test_binary() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(check_static(&own).is_err() || cfg!(target_feature = "crt-static"));
    }
}
