//! An image archive of one layer, the same bytes for the same content: no times, no owners, a
//! fixed order, no compression.

use std::io;

use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::busybox::Busybox;

/// An archive in memory.
pub(super) struct Archive {
    pub(super) tag: String,
    /// First 12 digits of the digest of the image's content.
    pub(super) digest: String,
    pub(super) bytes: Vec<u8>,
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/tmp:/bin/sh\n";
const GROUP: &str = "root:x:0:\napp:x:1000:\n";

/// Directories with their modes, parents first.
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

/// Where manifests may look for programs, all of which are in /bin.
const LINKS: &[(&str, &str)] = &[("sbin", "bin"), ("usr/bin", "../bin"), ("usr/sbin", "../bin")];

/// Puts the whole archive together.
pub(super) fn build(repository: &str, agent: &[u8], busybox: &Busybox) -> io::Result<Archive> {
    let layer = layer(agent, busybox)?;
    let layer_digest = digest(&layer);
    let config = config(&layer_digest);
    // The configuration names the layer by digest, so its own digest stands for everything.
    let config_digest = digest(&config);
    let short = config_digest[..12].to_owned();
    let tag = format!("{repository}:{short}");
    let manifest = json!([{
        "Config": format!("{config_digest}.json"),
        "RepoTags": [tag],
        "Layers": [format!("{layer_digest}/layer.tar")],
    }]);

    let mut archive = Tar::new();
    archive.file("manifest.json", 0o644, manifest.to_string().as_bytes())?;
    archive.file(&format!("{config_digest}.json"), 0o644, &config)?;
    archive.directory(&layer_digest, 0o755)?;
    archive.file(&format!("{layer_digest}/layer.tar"), 0o644, &layer)?;
    Ok(Archive { tag, digest: short, bytes: archive.finish()? })
}

fn layer(agent: &[u8], busybox: &Busybox) -> io::Result<Vec<u8>> {
    let mut layer = Tar::new();
    for (path, mode) in DIRECTORIES {
        layer.directory(path, *mode)?;
    }
    for (path, target) in LINKS {
        layer.link(path, target)?;
    }
    layer.file("etc/group", 0o644, GROUP.as_bytes())?;
    layer.file("etc/passwd", 0o644, PASSWD.as_bytes())?;
    layer.file("bin/agent", 0o755, agent)?;
    layer.file("bin/busybox", 0o755, &busybox.binary)?;
    for applet in &busybox.applets {
        layer.link(&format!("bin/{applet}"), "busybox")?;
    }
    layer.finish()
}

fn config(layer_digest: &str) -> Vec<u8> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let epoch = "1970-01-01T00:00:00Z";
    json!({
        "created": epoch,
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["agent"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
        "history": [{"created": epoch, "created_by": "hookproof"}],
    })
    .to_string()
    .into_bytes()
}

fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// A tar file in memory whose entries tell nothing of when and by whom they were made.
struct Tar(Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn directory(&mut self, path: &str, mode: u32) -> io::Result<()> {
        let mut header = header(EntryType::Directory, mode, 0);
        self.0.append_data(&mut header, format!("{path}/"), io::empty())
    }

    fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let mut header = header(EntryType::Regular, mode, bytes.len() as u64);
        self.0.append_data(&mut header, path, bytes)
    }

    fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        self.0.append_link(&mut header, path, target)
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        self.0.into_inner()
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{collections::BTreeMap, io::Read};

    use serde_json::Value;

    use super::*;

    fn busybox() -> Busybox {
        let applets = ["httpd", "ps", "sh"].map(ToOwned::to_owned).to_vec();
        Busybox { binary: b"a busybox".to_vec(), applets }
    }

    fn image() -> Archive {
        build("hookproof/agent", b"an agent", &busybox()).unwrap()
    }

    fn files(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(tar);
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(path, bytes);
        }
        files
    }

    #[test]
    fn manifest_configuration_and_layer_agree() {
        let image = image();
        let files = files(&image.bytes);
        let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], image.tag);
        assert_eq!(image.tag, format!("hookproof/agent:{}", image.digest));
        assert_eq!(image.digest.len(), 12);

        let config_name = manifest[0]["Config"].as_str().unwrap();
        let config_bytes = &files[config_name];
        assert_eq!(config_name, format!("{}.json", digest(config_bytes)));
        assert!(config_name.starts_with(&image.digest));
        let config: Value = serde_json::from_slice(config_bytes).unwrap();
        assert_eq!(config["os"], "linux");

        let layer = &files[manifest[0]["Layers"][0].as_str().unwrap()];
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", digest(layer)));
        assert_eq!(manifest[0]["Layers"].as_array().unwrap().len(), 1);
        assert_eq!(config["history"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn the_layer_holds_what_pods_need() {
        let layer = layer(b"an agent", &busybox()).unwrap();
        let mut archive = tar::Archive::new(&layer[..]);
        let listing: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.mtime().unwrap(), header.uid().unwrap()), (0, 0));
                let link = entry.link_name().unwrap();
                let link = link.map(|to| format!(" -> {}", to.display())).unwrap_or_default();
                let path = entry.path().unwrap();
                format!("{:04o} {}{link}", header.mode().unwrap(), path.display())
            })
            .collect();
        insta::assert_snapshot!(listing.join("\n"), @r"
        0755 bin/
        ");
    }

    #[test]
    fn the_same_content_gives_the_same_bytes_and_other_content_another_tag() {
        let (one, two) = (image(), image());
        assert_eq!((&one.tag, &one.bytes), (&two.tag, &two.bytes));
        let other = build("hookproof/agent", b"another agent", &busybox()).unwrap();
        assert_ne!(other.tag, one.tag);
    }
}
