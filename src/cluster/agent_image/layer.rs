//! The content of the image, as a reproducible tar file: fixed order, no compression.

use std::io;

use super::busybox::Busybox;
use crate::cluster::image_archive::Tar;

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

/// A layer of busybox and executable files by their paths, sorted.
pub(in crate::cluster) fn layer(
    programs: &[(String, Vec<u8>)],
    busybox: &Busybox,
) -> io::Result<Vec<u8>> {
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

    use super::*;

    fn busybox() -> Busybox {
        let applets = ["httpd", "ps", "sh"].map(ToOwned::to_owned).to_vec();
        Busybox {
            binary: b"a busybox".to_vec(),
            applets,
        }
    }

    #[test]
    fn layer_contents() {
        let programs = [("bin/agent".to_owned(), b"an agent".to_vec())];
        let layer = layer(&programs, &busybox()).unwrap();
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
