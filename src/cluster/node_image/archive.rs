//! OCI archives of single-layer images, for `ctr images import`.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};

use camino::{Utf8Path, Utf8PathBuf};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::cluster::error::{ClusterError, Result};
use crate::digest::hex;

pub(super) enum Content {
    /// An executable file and its path in the image.
    Program(Utf8PathBuf, &'static str),
    /// The entries of a tar archive.
    Archive(Utf8PathBuf),
}

pub(super) struct Image {
    /// Full name with tag.
    pub name: String,
    pub contents: Vec<Content>,
    pub entrypoint: Vec<String>,
}

/// A writer that computes the size and digest of the data.
struct Meter<W> {
    inner: W,
    hasher: Sha256,
    size: u64,
}

impl<W> Meter<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            size: 0,
        }
    }

    fn digest(self) -> (W, String, u64) {
        (
            self.inner,
            format!("sha256:{}", hex(&self.hasher.finalize())),
            self.size,
        )
    }
}

impl<W: Write> Write for Meter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes an archive of `images` (an OCI layout in a tar file) to `target`, with temporary files in
/// `scratch`.
pub(super) fn write_images(images: &[Image], scratch: &Utf8Path, target: &Utf8Path) -> Result<()> {
    layout(images, scratch, target).map_err(ClusterError::file("cannot write", target))
}

fn layout(images: &[Image], scratch: &Utf8Path, target: &Utf8Path) -> io::Result<()> {
    let mut archive = tar::Builder::new(BufWriter::new(File::create(target)?));
    let mut manifests = Vec::new();
    for image in images {
        let layer_path = scratch.join("layer");
        let (layer, unpacked) = write_layer(image, &layer_path)?;
        append_file(&mut archive, &blob_path(&layer), &layer_path)?;
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": image.entrypoint,
                "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/"],
            },
            "rootfs": {"type": "layers", "diff_ids": [unpacked]},
        });
        let config = append_json(
            &mut archive,
            &config,
            "application/vnd.oci.image.config.v1+json",
        )?;
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
        let mut manifest = append_json(
            &mut archive,
            &manifest,
            "application/vnd.oci.image.manifest.v1+json",
        )?;
        manifest["annotations"] = json!({"io.containerd.image.name": image.name});
        manifests.push(manifest);
    }
    let index = serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": manifests}))?;
    append_bytes(&mut archive, "index.json", &index)?;
    append_bytes(
        &mut archive,
        "oci-layout",
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    archive.into_inner()?.flush()
}

/// Writes the layer. Returns its descriptor and the digest of the uncompressed data.
fn write_layer(image: &Image, path: &Utf8Path) -> io::Result<(Value, String)> {
    let packed = Meter::new(BufWriter::new(File::create(path)?));
    let unpacked = Meter::new(GzEncoder::new(packed, Compression::fast()));
    let mut layer = tar::Builder::new(unpacked);
    for content in &image.contents {
        match content {
            Content::Program(source, at) => {
                let mut file = File::open(source)?;
                let mut header = header(file.metadata()?.len(), 0o755);
                layer.append_data(&mut header, at, &mut file)?;
            }
            Content::Archive(source) => copy_entries(source, &mut layer)?,
        }
    }
    let (compressor, unpacked, _) = layer.into_inner()?.digest();
    let (mut file, packed, size) = compressor.finish()?.digest();
    file.flush()?;
    let descriptor = json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": packed,
        "size": size,
    });
    Ok((descriptor, unpacked))
}

fn copy_entries<W: Write>(source: &Utf8Path, target: &mut tar::Builder<W>) -> io::Result<()> {
    let mut archive = tar::Archive::new(BufReader::new(File::open(source)?));
    for entry in archive.entries()? {
        let entry = entry?;
        let mut header = entry.header().clone();
        let path = entry.path()?.into_owned();
        match entry.link_name()? {
            Some(link) => target.append_link(&mut header, path, link)?,
            None => target.append_data(&mut header, path, entry)?,
        }
    }
    Ok(())
}

fn blob_path(descriptor: &Value) -> String {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    format!("blobs/{}", digest.replace(':', "/"))
}

fn append_json<W: Write>(
    archive: &mut tar::Builder<W>,
    value: &Value,
    media_type: &str,
) -> io::Result<Value> {
    let bytes = serde_json::to_vec(value)?;
    let digest = format!("sha256:{}", hex(&Sha256::digest(&bytes)));
    let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
    append_bytes(archive, &blob_path(&descriptor), &bytes)?;
    Ok(descriptor)
}

fn append_file<W: Write>(
    archive: &mut tar::Builder<W>,
    at: &str,
    source: &Utf8Path,
) -> io::Result<()> {
    let file = File::open(source)?;
    let size = file.metadata()?.len();
    archive.append_data(&mut header(size, 0o644), at, file.take(size))
}

pub(super) fn append_bytes<W: Write>(
    archive: &mut tar::Builder<W>,
    at: &str,
    bytes: &[u8],
) -> io::Result<()> {
    archive.append_data(&mut header(bytes.len() as u64, 0o644), at, bytes)
}

/// A header for a file owned by root.
pub(super) fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// This machine's architecture in OCI notation.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn archive_digests_match() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let program = folder.join("program");
        std::fs::write(&program, "#!").unwrap();
        let other = folder.join("other.tar");
        let mut builder = tar::Builder::new(File::create(&other).unwrap());
        append_bytes(&mut builder, "etc/services", b"x").unwrap();
        let mut link = header(0, 0o777);
        link.set_entry_type(tar::EntryType::Symlink);
        builder.append_link(&mut link, "bin/sh", "dash").unwrap();
        builder.into_inner().unwrap();
        let image = Image {
            name: "example/one:v1".into(),
            contents: vec![
                Content::Archive(other),
                Content::Program(program, "usr/bin/program"),
            ],
            entrypoint: vec!["/usr/bin/program".into()],
        };
        let target = folder.join("images.tar");
        write_images(&[image], folder, &target).unwrap();

        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(File::open(&target).unwrap())
            .entries()
            .unwrap()
        {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            if let Some(digest) = path.strip_prefix("blobs/sha256/") {
                assert_eq!(digest, hex(&Sha256::digest(&content)));
            }
            files.insert(path, content);
        }
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let manifest = &index["manifests"][0];
        assert_eq!(
            manifest["annotations"]["io.containerd.image.name"],
            "example/one:v1"
        );
        let manifest: Value = serde_json::from_slice(&files[&blob_path(manifest)]).unwrap();
        let config: Value =
            serde_json::from_slice(&files[&blob_path(&manifest["config"])]).unwrap();
        let mut layer = Vec::new();
        flate2::read::GzDecoder::new(&files[&blob_path(&manifest["layers"][0])][..])
            .read_to_end(&mut layer)
            .unwrap();
        let unpacked = format!("sha256:{}", hex(&Sha256::digest(&layer)));
        assert_eq!(config["rootfs"]["diff_ids"][0], unpacked);
        let paths: Vec<_> = tar::Archive::new(&layer[..])
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(paths, ["etc/services", "bin/sh", "usr/bin/program"]);
    }
}
