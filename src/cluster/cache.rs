//! What is kept between runs, outside the repository: binaries, images' records, clusters'
//! states. Everything is written aside and renamed, and guarded by locks, so that runs that
//! are interrupted or go side by side do no harm.

use std::fs::{self, File};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{ClusterError, Result};

/// The folder of everything that is kept.
#[derive(Debug, Clone)]
pub struct Cache {
    root: Utf8PathBuf,
}

impl Cache {
    /// The user's cache: `HOOKPROOF_CACHE`, else `hookproof` in `XDG_CACHE_HOME` or `~/.cache`.
    ///
    /// # Errors
    /// No home is known, or the folder cannot be made.
    pub fn open() -> Result<Self> {
        let from = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let root = from("HOOKPROOF_CACHE")
            .map(Utf8PathBuf::from)
            .or_else(|| {
                from("XDG_CACHE_HOME").map(|path| Utf8PathBuf::from(path).join("hookproof"))
            })
            .or_else(|| from("HOME").map(|path| Utf8PathBuf::from(path).join(".cache/hookproof")))
            .ok_or_else(|| ClusterError::Missing {
                what: "no place to keep node images: neither HOOKPROOF_CACHE nor HOME is set"
                    .into(),
                remedy: "Set HOOKPROOF_CACHE to a folder".into(),
            })?;
        Self::at(root)
    }

    /// A cache in the folder `root`.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn at(root: impl Into<Utf8PathBuf>) -> Result<Self> {
        let root = root.into();
        make_folder(&root)?;
        let root = root
            .canonicalize_utf8()
            .map_err(ClusterError::file("cannot open", &root))?;
        Ok(Self { root })
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// A path below it, whose folder is made.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn path(&self, below: impl AsRef<Utf8Path>) -> Result<Utf8PathBuf> {
        let path = self.root.join(below);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        Ok(path)
    }

    /// A folder below it, made if need be.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder(&self, below: impl AsRef<Utf8Path>) -> Result<Utf8PathBuf> {
        let path = self.root.join(below);
        make_folder(&path)?;
        Ok(path)
    }

    /// A fresh log file for a longer work.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn log(&self, name: &str) -> Result<Utf8PathBuf> {
        let path = self.path(format!("logs/{name}.log"))?;
        File::create(&path).map_err(ClusterError::file("cannot write", &path))?;
        Ok(path)
    }

    /// A folder that disappears when dropped, on the same disk as the cache.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn scratch(&self) -> Result<tempfile::TempDir> {
        let folder = self.folder("tmp")?;
        tempfile::tempdir_in(&folder).map_err(ClusterError::file("cannot write in", folder))
    }

    /// The lock of this name.
    ///
    /// # Errors
    /// Its file cannot be made.
    pub fn lock(&self, name: &str) -> Result<Lock> {
        let path = self.path(format!("locks/{name}"))?;
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(ClusterError::file("cannot open the lock", &path))?;
        Ok(Lock { file, path })
    }
}

/// A lock between processes; given back when dropped, also when the process dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: Utf8PathBuf,
}

impl Lock {
    /// Takes it for this process alone; calls `waiting` first if another has it.
    ///
    /// # Errors
    /// The file system does not lock.
    pub fn exclusive(self, waiting: impl FnOnce()) -> Result<Self> {
        if self.try_take(FlockOperation::NonBlockingLockExclusive)? {
            return Ok(self);
        }
        waiting();
        self.take(FlockOperation::LockExclusive)?;
        Ok(self)
    }

    /// Takes it for this process alone, if nobody has it.
    ///
    /// # Errors
    /// The file system does not lock.
    pub fn try_exclusive(&self) -> Result<bool> {
        self.try_take(FlockOperation::NonBlockingLockExclusive)
    }

    /// Takes it beside others that share it.
    ///
    /// # Errors
    /// The file system does not lock.
    pub fn share(&self) -> Result<()> {
        self.take(FlockOperation::LockShared)
    }

    fn take(&self, operation: FlockOperation) -> Result<()> {
        loop {
            match flock(&self.file, operation) {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    fn try_take(&self, operation: FlockOperation) -> Result<bool> {
        match flock(&self.file, operation) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: rustix::io::Errno) -> ClusterError {
        ClusterError::file("cannot lock", &self.path)(error.into())
    }
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(path: &Utf8Path) -> Result<()> {
    fs::create_dir_all(path).map_err(ClusterError::file("cannot make the folder", path))
}

/// Writes a file whole or not at all.
pub(crate) fn write(path: &Utf8Path, content: &[u8]) -> Result<()> {
    let aside = path.with_extension("part");
    fs::write(&aside, content).map_err(ClusterError::file("cannot write", &aside))?;
    fs::rename(&aside, path).map_err(ClusterError::file("cannot write", path))
}

/// Writes a record as JSON.
pub(crate) fn write_record<T: Serialize>(path: &Utf8Path, record: &T) -> Result<()> {
    let text = serde_json::to_vec_pretty(record)
        .map_err(|error| ClusterError::file("cannot write", path)(error.into()))?;
    write(path, &text)
}

/// Reads a record; one that is missing or from another time counts as none.
pub(crate) fn read_record<T: DeserializeOwned>(path: &Utf8Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().join("deep/er")).unwrap();
        let cache = Cache::at(root).unwrap();
        (folder, cache)
    }

    #[test]
    fn records_come_back_and_broken_ones_count_as_none() {
        let (_folder, cache) = cache();
        let path = cache.path("a/b.json").unwrap();
        assert_eq!(read_record::<Vec<u8>>(&path), None);
        write_record(&path, &vec![1_u8, 2]).unwrap();
        assert_eq!(read_record::<Vec<u8>>(&path), Some(vec![1, 2]));
        write(&path, b"[1,").unwrap();
        assert_eq!(read_record::<Vec<u8>>(&path), None);
        assert!(!path.with_extension("part").exists());
    }

    #[test]
    fn a_lock_keeps_others_out_until_it_is_dropped() {
        let (_folder, cache) = cache();
        let first = cache
            .lock("x")
            .unwrap()
            .exclusive(|| unreachable!())
            .unwrap();
        assert!(!cache.lock("x").unwrap().try_exclusive().unwrap());
        assert!(cache.lock("y").unwrap().try_exclusive().unwrap());
        drop(first);
        let shared = cache.lock("x").unwrap();
        shared.share().unwrap();
        cache.lock("x").unwrap().share().unwrap();
        assert!(!cache.lock("x").unwrap().try_exclusive().unwrap());
    }
}
