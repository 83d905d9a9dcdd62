//! The image that every pod of an experiment runs: the agent and a static busybox. It is assembled
//! here and needs neither a registry nor `docker build`.

use camino::Utf8Path;
use serde_json::json;

use super::busybox;
use super::error::Result;
use super::pod_image::PodImage;

/// Built by build.rs.
const AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent"));

/// Image name without tag.
pub(crate) const NAME: &str = "hookproof/agent";

/// Writes the image's archive to the cache directory, unless it is cached.
pub(crate) fn assemble(cache: &Utf8Path) -> Result<PodImage> {
    let programs = [("bin/agent".to_owned(), AGENT.to_vec())].into();
    let settings = json!({"Env": ["PATH=/bin"], "Cmd": ["agent"], "WorkingDir": "/"});
    busybox::image(NAME, &programs, &settings, cache)
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
