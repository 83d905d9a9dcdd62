//! Image archives for the pods of experiments, loaded onto nodes without a registry.
//!
//! The format is that of `docker save`, which `docker load` and `kind load image-archive` accept.
//! Builds are reproducible, and the tag is a digest of the content: a node may keep the old layers
//! of a tag that it already has.

use std::fs;
use std::io::{self, Write};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::digest::hex;

/// An image archive on disk, ready to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodImage {
    /// The name in manifests; the runner adds the tag.
    pub name: &'static str,
    /// Name and tag.
    pub tag: String,
    pub archive: Utf8PathBuf,
}

/// An archive in memory.
pub(super) struct Archive {
    pub(super) tag: String,
    /// First 12 hex digits of the content's digest.
    pub(super) digest: String,
    pub(super) bytes: Vec<u8>,
}

/// Builds an archive from a single layer (a tar file) and the `config` object of the image
/// configuration.
pub(super) fn build(name: &str, layer: &[u8], settings: &Value) -> io::Result<Archive> {
    let layer_digest = digest(layer);
    let config = config(&layer_digest, settings);
    // The configuration contains the layer's digest, so its digest covers the whole image.
    let config_digest = digest(&config);
    let short = config_digest[..12].to_owned();
    let tag = format!("{name}:{short}");
    let manifest = json!([{
        "Config": format!("{config_digest}.json"),
        "RepoTags": [tag],
        "Layers": [format!("{layer_digest}/layer.tar")],
    }]);

    let mut archive = Tar::new();
    archive.file("manifest.json", 0o644, manifest.to_string().as_bytes())?;
    archive.file(&format!("{config_digest}.json"), 0o644, &config)?;
    archive.directory(&layer_digest, 0o755)?;
    archive.file(&format!("{layer_digest}/layer.tar"), 0o644, layer)?;
    Ok(Archive {
        tag,
        digest: short,
        bytes: archive.finish()?,
    })
}

/// Writes an archive unless the file already has this content. Safe to run concurrently: each
/// process writes a temporary file and renames it.
pub(super) fn keep(dir: &Utf8Path, place: &Utf8Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    if fs::read(place).is_ok_and(|kept| kept == bytes) {
        return Ok(());
    }
    let mut draft = tempfile::NamedTempFile::new_in(dir)?;
    draft.write_all(bytes)?;
    draft.as_file().sync_all()?;
    draft.persist(place)?;
    Ok(())
}

fn config(layer_digest: &str, settings: &Value) -> Vec<u8> {
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
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
        "history": [{"created": epoch, "created_by": "hookproof"}],
    })
    .to_string()
    .into_bytes()
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A tar file in memory without timestamps and owners, for reproducible builds.
pub(super) struct Tar(Builder<Vec<u8>>);

impl Tar {
    pub(super) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub(super) fn directory(&mut self, path: &str, mode: u32) -> io::Result<()> {
        let mut header = header(EntryType::Directory, mode, 0);
        self.0
            .append_data(&mut header, format!("{path}/"), io::empty())
    }

    pub(super) fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let mut header = header(EntryType::Regular, mode, bytes.len() as u64);
        self.0.append_data(&mut header, path, bytes)
    }

    pub(super) fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        self.0.append_link(&mut header, path, target)
    }

    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
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

    use super::*;

    fn image(layer: &[u8]) -> Archive {
        build("hookproof/agent", layer, &json!({"Cmd": ["agent"]})).unwrap()
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
    fn manifest_config_and_layer_digests_match() {
        let image = image(b"a layer");
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
        assert_eq!(config["config"]["Cmd"][0], "agent");

        let layer = &files[manifest[0]["Layers"][0].as_str().unwrap()];
        assert_eq!(
            config["rootfs"]["diff_ids"][0],
            format!("sha256:{}", digest(layer))
        );
        assert_eq!(manifest[0]["Layers"].as_array().unwrap().len(), 1);
        assert_eq!(config["history"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn tag_depends_only_on_content() {
        let (one, two) = (image(b"a layer"), image(b"a layer"));
        assert_eq!((&one.tag, &one.bytes), (&two.tag, &two.bytes));
        assert_ne!(image(b"another layer").tag, one.tag);
    }

    #[test]
    fn keep_reuses_intact_and_replaces_truncated_archives() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap().join("new");
        let place = dir.join("x.tar");
        keep(&dir, &place, b"whole").unwrap();
        let written = fs::metadata(&place).unwrap().modified().unwrap();
        keep(&dir, &place, b"whole").unwrap();
        assert_eq!(fs::metadata(&place).unwrap().modified().unwrap(), written);
        fs::write(&place, b"who").unwrap();
        keep(&dir, &place, b"whole").unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"whole");
        assert_eq!(
            fs::read_dir(&dir).unwrap().count(),
            1,
            "temporary files remain"
        );
    }
}
