//! The image that every pod of an experiment runs: the agent beside a static busybox, put together
//! here, so that no registry and no docker build is needed.
//!
//! The archive has the form that `docker save` writes, which both `docker load` and
//! `kind load image-archive` take. The same content gives the same bytes and the same tag; a new
//! tag per content, because a node may keep the older layers of a tag that it knows.

mod archive;
mod busybox;

use std::{fs, io, io::Write};

use camino::{Utf8Path, Utf8PathBuf};

pub use busybox::BusyboxError;

/// Built by build.rs.
const AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent"));

/// Name of the image, without its tag.
const REPOSITORY: &str = "hookproof/agent";

/// An image archive on disk, ready to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentImage {
    /// Name and tag, as manifests name it.
    pub tag: String,
    /// The file that `kind load image-archive` takes.
    pub archive: Utf8PathBuf,
}

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
    #[error("the agent image could not be written below {dir}: {source}. Is the disk full, or the folder not yours?")]
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
pub fn assemble(cache_dir: &Utf8Path) -> Result<AgentImage, AgentImageError> {
    let busybox = busybox::find()?;
    let image =
        archive::build(REPOSITORY, AGENT, &busybox).map_err(AgentImageError::Archive)?;
    let place = cache_dir.join(format!("agent-{}.tar", image.digest));
    keep(cache_dir, &place, &image.bytes)
        .map_err(|source| AgentImageError::Write { dir: cache_dir.to_owned(), source })?;
    Ok(AgentImage { tag: image.tag, archive: place })
}

/// A file that was cut short or changed is written anew.
fn keep(dir: &Utf8Path, place: &Utf8Path, bytes: &[u8]) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_embedded_agent_is_static() {
        busybox::check_static(AGENT).unwrap();
    }

    #[test]
    fn the_cache_is_used_and_mended() {
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
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no drafts are left");
    }
}
