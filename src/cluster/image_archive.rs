//! Image archives in the format of `docker save`, which `docker load` and `ctr images import` accept.
//! They are reproducible: fixed order, no timestamps, no owners.

use std::fs::File;
use std::io::{self, BufReader, Write};

use camino::Utf8Path;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

pub(super) struct Tar<W: Write>(Builder<W>);

impl<W: Write> Tar<W> {
    pub(super) fn new(target: W) -> Self {
        Self(Builder::new(target))
    }

    pub(super) fn directory(&mut self, path: &str, mode: u32) -> io::Result<()> {
        let mut header = header(EntryType::Directory, mode, 0);
        let path = format!("{path}/");
        self.0.append_data(&mut header, path, io::empty())
    }

    pub(super) fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let mut header = header(EntryType::Regular, mode, bytes.len() as u64);
        self.0.append_data(&mut header, path, bytes)
    }

    pub(super) fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        self.0.append_link(&mut header, path, target)
    }

    /// Adds an executable file of this machine.
    pub(super) fn program(&mut self, path: &str, source: &Utf8Path) -> io::Result<()> {
        let mut file = File::open(source)?;
        let mut header = header(EntryType::Regular, 0o755, file.metadata()?.len());
        self.0.append_data(&mut header, path, &mut file)
    }

    /// Adds the entries of another tar file.
    pub(super) fn entries(&mut self, source: &Utf8Path) -> io::Result<()> {
        let mut archive = tar::Archive::new(BufReader::new(File::open(source)?));
        for entry in archive.entries()? {
            let entry = entry?;
            let mut header = entry.header().clone();
            let path = entry.path()?.into_owned();
            match entry.link_name()? {
                Some(link) => self.0.append_link(&mut header, path, link)?,
                None => self.0.append_data(&mut header, path, entry)?,
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<W> {
        let mut target = self.0.into_inner()?;
        target.flush()?;
        Ok(target)
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

/// An image of one layer.
pub(super) struct Image {
    /// Digest of the configuration. It covers the whole image, since the configuration contains the layer's.
    pub(super) digest: String,
    config: Vec<u8>,
    layer: Vec<u8>,
    layer_digest: String,
}

impl Image {
    /// `layer` is a tar file, `settings` is the object `config` of the image's configuration.
    pub(super) fn new(layer: Vec<u8>, settings: &Value) -> Self {
        let layer_digest = format!("{:x}", Sha256::digest(&layer));
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let epoch = "1970-01-01T00:00:00Z";
        let config = json!({
            "created": epoch,
            "architecture": architecture,
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
            "history": [{"created": epoch, "created_by": "hookproof"}],
        });
        let config = config.to_string().into_bytes();
        Self {
            digest: format!("{:x}", Sha256::digest(&config)),
            config,
            layer,
            layer_digest,
        }
    }

    /// With a compressed layer, which docker before version 25 does not load.
    pub(super) fn compressed(mut self) -> io::Result<Self> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&self.layer)?;
        self.layer = packed.finish()?;
        Ok(self)
    }
}

/// Writes an archive of images, each with its name and tag.
pub(super) fn write_images<'a, W: Write>(
    images: impl IntoIterator<Item = (&'a str, Image)>,
    target: W,
) -> io::Result<W> {
    let mut archive = Tar::new(target);
    let mut manifest = Vec::new();
    for (name, image) in images {
        let config = format!("{}.json", image.digest);
        let layer = format!("{}/layer.tar", image.layer_digest);
        archive.file(&config, 0o644, &image.config)?;
        archive.directory(&image.layer_digest, 0o755)?;
        archive.file(&layer, 0o644, &image.layer)?;
        manifest.push(json!({"Config": config, "RepoTags": [name], "Layers": [layer]}));
    }
    let manifest = Value::from(manifest).to_string();
    archive.file("manifest.json", 0o644, manifest.as_bytes())?;
    archive.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::fixture::folder;

    fn files(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(tar).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(path, bytes);
        }
        files
    }

    #[test]
    fn manifest_config_and_layer_digests_match() {
        let image = |layer: &[u8]| Image::new(layer.to_vec(), &json!({"Cmd": ["agent"]}));
        let images = [
            ("one:1", image(b"one")),
            ("two:2", image(b"two").compressed().unwrap()),
        ];
        let digest = |bytes: &[u8]| format!("{:x}", Sha256::digest(bytes));
        let files = files(&write_images(images, Vec::new()).unwrap());
        let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        for (index, name) in ["one:1", "two:2"].into_iter().enumerate() {
            let image = &manifest[index];
            assert_eq!(image["RepoTags"], json!([name]));
            let path = image["Config"].as_str().unwrap();
            assert_eq!(path, format!("{}.json", digest(&files[path])));
            let config: Value = serde_json::from_slice(&files[path]).unwrap();
            assert_eq!(config["os"], "linux");
            assert_eq!(config["config"]["Cmd"][0], "agent");
            assert_eq!(config["history"].as_array().unwrap().len(), 1);
            assert_eq!(image["Layers"].as_array().unwrap().len(), 1);
            let mut layer = files[image["Layers"][0].as_str().unwrap()].clone();
            if index == 1 {
                let packed = std::mem::take(&mut layer);
                GzDecoder::new(&packed[..]).read_to_end(&mut layer).unwrap();
            }
            let layer_digest = format!("sha256:{}", digest(&layer));
            assert_eq!(config["rootfs"]["diff_ids"][0], layer_digest);
        }
    }

    #[test]
    fn digest_depends_only_on_content() {
        let digest = |layer: &[u8], command: &str| {
            Image::new(layer.to_vec(), &json!({"Cmd": [command]})).digest
        };
        assert_eq!(digest(b"a layer", "x"), digest(b"a layer", "x"));
        assert_ne!(digest(b"a layer", "x"), digest(b"another layer", "x"));
        assert_ne!(digest(b"a layer", "x"), digest(b"a layer", "y"));
    }

    #[test]
    fn entries_of_another_archive_keep_their_order_and_kind() {
        let (_keep, folder) = folder();
        let (program, other) = (folder.join("program"), folder.join("other.tar"));
        std::fs::write(&program, "#!").unwrap();
        let mut archive = Tar::new(File::create(&other).unwrap());
        archive.file("etc/services", 0o644, b"x").unwrap();
        archive.link("bin/sh", "dash").unwrap();
        archive.finish().unwrap();
        let mut layer = Tar::new(Vec::new());
        layer.entries(&other).unwrap();
        layer.program("usr/bin/program", &program).unwrap();
        let layer = layer.finish().unwrap();
        let mut archive = tar::Archive::new(&layer[..]);
        let listed = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let link = entry.link_name().unwrap();
            let path = entry.path().unwrap().display().to_string();
            format!("{path} {}", link.unwrap_or_default().display())
        });
        let listed: Vec<_> = listed.collect();
        assert_eq!(listed, ["etc/services ", "bin/sh dash", "usr/bin/program "]);
    }
}
