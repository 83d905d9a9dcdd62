//! The image that every pod of an experiment runs: the agent and a static busybox. It is assembled
//! here and needs neither a registry nor `docker build`.

mod busybox;
mod layer;

use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use super::pod_image::{self, PodImage};
pub use busybox::BusyboxError;

/// Built by build.rs.
const AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent"));

/// Image name without tag.
pub const NAME: &str = "hookproof/agent";

#[derive(Debug, thiserror::Error)]
pub enum AgentImageError {
    #[error("the agent image needs a static busybox: {0}")]
    Busybox(#[from] BusyboxError),
    #[error("failed to build the agent image: {0}")]
    Archive(#[source] io::Error),
    #[error("cannot write the agent image to {dir}: {source}; check disk space and permissions")]
    Write { dir: Utf8PathBuf, source: io::Error },
}

/// Writes the image's archive to the cache directory, unless it is cached.
///
/// # Errors
/// Fails if there is no static busybox or the cache directory is not writable.
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
    fn concurrent_builds_write_one_archive() {
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
            // On a machine without a static busybox the error names the package.
            let message = images[0].as_ref().unwrap_err().to_string();
            assert!(message.contains("busybox-static"), "{message}");
            return;
        };
        assert!(images.iter().all(|image| image.as_ref().unwrap() == first));
        assert_eq!(fs::read_dir(dir).unwrap().count(), 1);
    }
}
