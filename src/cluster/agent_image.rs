//! The image that every pod of an experiment runs: the agent beside a static busybox, put together
//! here, so that no registry and no docker build is needed.

mod busybox;
mod layer;

use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use super::pod_image::{self, PodImage};
pub use busybox::BusyboxError;

/// Built by build.rs.
const AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent"));

/// Name of the image, without its tag.
pub const NAME: &str = "hookproof/agent";

/// What keeps the image from being put together.
#[derive(Debug, thiserror::Error)]
pub enum AgentImageError {
    /// There is no busybox that would run in the image.
    #[error("the agent image needs a static busybox: {0}")]
    Busybox(#[from] BusyboxError),
    /// The archive could not be put together in memory.
    #[error("the agent image could not be put together: {0}")]
    Archive(#[source] io::Error),
    /// It could not be kept.
    #[error(
        "the agent image could not be written below {dir}: {source}. Is the disk full, or the folder not yours?"
    )]
    Write {
        /// The cache directory.
        dir: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Puts the image's archive into the cache directory, if it is not there yet.
///
/// Two processes may do this at once: each writes a file of its own and renames it.
///
/// # Errors
///
/// There is no static busybox, or the cache directory cannot be written.
pub fn assemble(cache_dir: &Utf8Path) -> Result<PodImage, AgentImageError> {
    let busybox = busybox::find()?;
    let settings = json!({"Env": ["PATH=/bin"], "Cmd": ["agent"], "WorkingDir": "/"});
    let image = layer::layer(AGENT, &busybox)
        .and_then(|layer| pod_image::build(NAME, &layer, &settings))
        .map_err(AgentImageError::Archive)?;
    let place = cache_dir.join(format!("agent-{}.tar", image.digest));
    pod_image::keep(cache_dir, &place, &image.bytes).map_err(|source| AgentImageError::Write {
        dir: cache_dir.to_owned(),
        source,
    })?;
    Ok(PodImage {
        name: NAME,
        tag: image.tag,
        archive: place,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    #[test]
    fn the_embedded_agent_is_static() {
        busybox::check_static(AGENT).unwrap();
    }

    #[test]
    fn several_at_once_give_one_archive() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let images: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| assemble(dir))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let Ok(first) = &images[0] else {
            // A machine without a static busybox is told so, by the name of the package.
            let message = images[0].as_ref().unwrap_err().to_string();
            assert!(message.contains("busybox-static"), "{message}");
            return;
        };
        assert!(images.iter().all(|image| image.as_ref().unwrap() == first));
        assert_eq!(fs::read_dir(dir).unwrap().count(), 1);
    }
}
