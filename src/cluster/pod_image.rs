//! Images for the pods of experiments, loaded onto nodes without a registry.
//!
//! The tag is a digest of the content: a node may keep the old layers of a tag that it already has.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::error::{ClusterError, Result};
use super::image_archive::{Image, write_images};
use crate::file::write_atomic;

/// An image archive on disk, ready to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodImage {
    /// The name in manifests; the runner adds the tag.
    pub(crate) name: &'static str,
    /// Name and tag.
    pub(crate) tag: String,
    pub(crate) archive: Utf8PathBuf,
}

impl PodImage {
    /// Writes an image to the cache folder, unless it is there and intact.
    pub(super) fn save(
        name: &'static str,
        layer: Vec<u8>,
        settings: &Value,
        cache: &Utf8Path,
    ) -> Result<Self> {
        let image = Image::new(layer, settings);
        let digest = image.digest[..12].to_owned();
        let tag = format!("{name}:{digest}");
        let kind = name.rsplit('/').next().unwrap_or(name);
        let archive = cache.join(format!("{kind}-{digest}.tar"));
        let bytes = write_images([(tag.as_str(), image)], Vec::new())
            .map_err(ClusterError::file("cannot build", &archive))?;
        if !fs::read(&archive).is_ok_and(|kept| kept == bytes) {
            write_atomic(&archive, &bytes)?;
        }
        Ok(Self { name, tag, archive })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn intact_archives_are_reused_and_truncated_ones_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Utf8Path::from_path(dir.path()).unwrap().join("new");
        let save = || PodImage::save("hookproof/x", b"layer".to_vec(), &json!({}), &cache).unwrap();
        let image = save();
        let written = || fs::metadata(&image.archive).unwrap().modified().unwrap();
        let (before, whole) = (written(), fs::read(&image.archive).unwrap());
        assert_eq!(save(), image);
        assert_eq!(written(), before);
        fs::write(&image.archive, b"trunc").unwrap();
        save();
        assert_eq!(fs::read(&image.archive).unwrap(), whole);
        let left = fs::read_dir(&cache).unwrap().count();
        assert_eq!(left, 1, "temporary files remain");
    }
}
