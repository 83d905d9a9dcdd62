//! Images of the machine's static busybox and a few more programs.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::process::Command;

use camino::Utf8Path;
use itertools::Itertools as _;
use object::LittleEndian;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use serde_json::Value;

use super::command::capture;
use super::error::{ClusterError, Result};
use super::image_archive::Tar;
use super::pod_image::PodImage;

/// Paths of a static busybox in common distributions.
const PLACES: [&str; 3] = ["/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"];

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/tmp:/bin/sh\n";
const GROUP: &str = "root:x:0:\napp:x:1000:\n";

/// Directories and modes, parents first.
const DIRECTORIES: &[(&str, u32)] = &[
    ("bin", 0o755),
    ("etc", 0o755),
    ("root", 0o700),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("var", 0o755),
    ("var/log", 0o1777),
    ("var/run", 0o1777),
    ("var/tmp", 0o1777),
];

/// Links from the usual program directories to /bin, which contains all programs.
const LINKS: &[(&str, &str)] = &[
    ("sbin", "bin"),
    ("usr/bin", "../bin"),
    ("usr/sbin", "../bin"),
];

/// Executable files by their paths in an image.
pub(super) type Programs = BTreeMap<String, Vec<u8>>;

struct Busybox {
    binary: Vec<u8>,
    /// Applet names, sorted.
    applets: Vec<String>,
}

/// Writes the archive of an image of busybox and these programs to the cache folder, unless it is cached.
pub(super) fn image(
    name: &'static str,
    programs: &Programs,
    settings: &Value,
    cache: &Utf8Path,
) -> Result<PodImage> {
    let kind = name.trim_start_matches("hookproof/");
    let layer = layer(programs, &find()?)
        .map_err(|error| ClusterError::failed(format!("building the {kind} image"), error))?;
    PodImage::save(name, layer, settings, cache)
}

fn find() -> Result<Busybox> {
    let missing = |what| ClusterError::missing(what, "install the package busybox-static");
    let mut places = PLACES.into_iter();
    let path = places.find(|path| fs::exists(path).unwrap_or(false));
    let path =
        path.ok_or_else(|| missing(format!("no static busybox at {}", PLACES.join(", "))))?;
    let binary = fs::read(path).map_err(ClusterError::file("cannot read", path))?;
    check_static(&binary).map_err(|problem| missing(format!("{path} {problem}")))?;
    let step = "listing the applets of busybox";
    let listed = capture(step, Command::new(path).arg("--list"))?;
    let names = listed.lines().map(|line| line.trim().to_owned());
    let applets: Vec<String> = names
        .filter(|name| !name.is_empty() && !name.contains('/'))
        .filter(|name| !matches!(name.as_str(), "busybox" | "agent"))
        .sorted_unstable()
        .dedup()
        .collect();
    if applets.is_empty() {
        return Err(ClusterError::failed(step, "it printed none"));
    }
    Ok(Busybox { binary, applets })
}

/// Checks that a file is a static executable: an ELF file without an interpreter.
pub(super) fn check_static(binary: &[u8]) -> std::result::Result<(), &'static str> {
    match interpreter(binary)? {
        Some(_) => Err("is not statically linked"),
        None => Ok(()),
    }
}

/// The path of a dynamic executable's linker.
pub(super) fn interpreter(binary: &[u8]) -> std::result::Result<Option<String>, &'static str> {
    let unfit = |_| "is not a 64-bit little-endian ELF file";
    let file = FileHeader64::<LittleEndian>::parse(binary).map_err(unfit)?;
    let endian = file.endian().map_err(unfit)?;
    let headers = file.program_headers(endian, binary);
    let mut headers = headers.map_err(|_| "is truncated")?.iter();
    let Some(header) = headers.find(|header| header.p_type(endian) == PT_INTERP) else {
        return Ok(None);
    };
    let path = header.data(endian, binary).map_err(|()| "is truncated")?;
    let path = String::from_utf8_lossy(path);
    Ok(Some(path.trim_end_matches('\0').to_owned()))
}

/// The content of an image, as a reproducible tar file: fixed order, no compression.
fn layer(programs: &Programs, busybox: &Busybox) -> io::Result<Vec<u8>> {
    let mut layer = Tar::new(Vec::new());
    for (path, mode) in DIRECTORIES {
        layer.directory(path, *mode)?;
    }
    for (path, target) in LINKS {
        layer.link(path, target)?;
    }
    layer.file("etc/group", 0o644, GROUP.as_bytes())?;
    layer.file("etc/passwd", 0o644, PASSWD.as_bytes())?;
    layer.file("bin/busybox", 0o755, &busybox.binary)?;
    for applet in &busybox.applets {
        layer.link(&format!("bin/{applet}"), "busybox")?;
    }
    for (path, program) in programs {
        layer.file(path, 0o755, program)?;
    }
    layer.finish()
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
    fn this_test_names_its_linker() {
        let own = fs::read("/proc/self/exe").unwrap();
        let linker = interpreter(&own).unwrap();
        assert!(linker.is_some() || cfg!(target_feature = "crt-static"));
        assert!(linker.is_none_or(|path| fs::exists(path).unwrap()));
    }

    #[test]
    fn layer_contents() {
        let programs = [("bin/agent".to_owned(), b"an agent".to_vec())].into();
        let busybox = Busybox {
            binary: b"a busybox".to_vec(),
            applets: ["httpd", "ps", "sh"].map(str::to_owned).to_vec(),
        };
        let layer = layer(&programs, &busybox).unwrap();
        let mut archive = tar::Archive::new(&layer[..]);
        let listing: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.mtime().unwrap(), header.uid().unwrap()), (0, 0));
                let link = entry.link_name().unwrap();
                let link = link
                    .map(|to| format!(" -> {}", to.display()))
                    .unwrap_or_default();
                let path = entry.path().unwrap();
                format!("{:04o} {}{link}", header.mode().unwrap(), path.display())
            })
            .collect();
        insta::assert_snapshot!(listing.join("\n"), @r"
        0755 bin/
        0755 etc/
        0700 root/
        1777 tmp/
        0755 usr/
        0755 var/
        1777 var/log/
        1777 var/run/
        1777 var/tmp/
        0777 sbin -> bin
        0777 usr/bin -> ../bin
        0777 usr/sbin -> ../bin
        0644 etc/group
        0644 etc/passwd
        0755 bin/busybox
        0777 bin/httpd -> busybox
        0777 bin/ps -> busybox
        0777 bin/sh -> busybox
        0755 bin/agent
        ");
    }
}
