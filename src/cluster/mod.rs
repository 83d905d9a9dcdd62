//! Where experiments are made: clusters, node images, the agent image.

pub mod agent_image;
pub mod existing;

use camino::Utf8PathBuf;

/// A program on PATH.
#[must_use]
pub fn on_path(program: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var("PATH").ok()?;
    path.split(':').map(|dir| Utf8PathBuf::from(dir).join(program)).find(|file| file.is_file())
}
