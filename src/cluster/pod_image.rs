//! Images for the pods of experiments, loaded onto nodes without a registry.
//!
//! The tag is a digest of the content: a node may keep the old layers of a tag that it already has.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::command::{answer, feed};
use super::docker::{self, docker};
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
        let kind = name.trim_start_matches("hookproof/");
        let archive = cache.join(format!("{kind}-{digest}.tar"));
        let bytes = write_images([(tag.as_str(), image)], Vec::new())
            .map_err(ClusterError::file("cannot build", &archive))?;
        if !fs::read(&archive).is_ok_and(|kept| kept == bytes) {
            write_atomic(&archive, &bytes)?;
        }
        Ok(Self { name, tag, archive })
    }

    /// Loads the image onto a node that is a container on this machine, unless the node has it.
    pub(crate) fn load_onto(&self, node: &str) -> Result<()> {
        let mut ask = docker(["exec", node, "crictl", "inspecti", "-q", &self.tag]);
        if answer(&mut ask)?.is_some() {
            return Ok(());
        }
        let mut import = docker(["exec", "-i", node, "ctr", "--namespace=k8s.io"]);
        import.args(["images", "import", "-"]);
        let step = format!("loading {} onto {node}", self.tag);
        feed(&step, &mut import, &self.archive)
    }

    /// Pushes the image to a registry by docker. Without a tag, `name` gets this image's. Returns the complete name.
    pub(crate) fn push(&self, name: &str) -> Result<String> {
        let name = with_tag(name, &self.tag);
        docker::load_image(&self.tag, &self.archive)?;
        let step = format!("pushing {name}");
        docker::run(&step, ["tag", &self.tag, &name])?;
        docker::run(&step, ["push", &name])?;
        Ok(name)
    }
}

/// An image name, with the tag of another image if it has none.
fn with_tag(name: &str, other: &str) -> String {
    // A colon before a slash separates a registry's port.
    let tagged = name.rsplit('/').next();
    let tagged = tagged.is_some_and(|last| last.contains(':'));
    match other.rsplit_once(':') {
        Some((_, tag)) if !tagged => format!("{name}:{tag}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("registry.example:5000/agent", "registry.example:5000/agent:1")]
    #[case("agent:2", "agent:2")]
    #[case("agent", "agent:1")]
    fn a_name_without_a_tag_gets_the_tag_of_the_image(#[case] name: &str, #[case] pushed: &str) {
        assert_eq!(with_tag(name, "hookproof/agent:1"), pushed);
    }

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
