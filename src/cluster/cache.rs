//! The cache between runs, outside the repository: binaries, image archives and the state of clusters.
//! Files are written atomically and guarded by locks, so that interrupted and concurrent runs are safe.

use std::fs::{self, File};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{ClusterError, Result};

#[derive(Debug, Clone)]
pub struct Cache {
    root: Utf8PathBuf,
}

impl Cache {
    /// Opens the user's cache: `HOOKPROOF_CACHE`, else `hookproof` in `XDG_CACHE_HOME` or `~/.cache`.
    ///
    /// # Errors
    /// Fails if no home directory is set or the folder cannot be created.
    pub fn open() -> Result<Self> {
        let from = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let root = from("HOOKPROOF_CACHE")
            .map(Utf8PathBuf::from)
            .or_else(|| {
                from("XDG_CACHE_HOME").map(|path| Utf8PathBuf::from(path).join("hookproof"))
            })
            .or_else(|| from("HOME").map(|path| Utf8PathBuf::from(path).join(".cache/hookproof")))
            .ok_or_else(|| ClusterError::Missing {
                what: "no cache folder: neither HOOKPROOF_CACHE nor HOME is set".into(),
                remedy: "set HOOKPROOF_CACHE to a folder".into(),
            })?;
        Self::at(root)
    }

    /// Opens or creates a cache in the folder `root`.
    ///
    /// # Errors
    /// Fails if the folder cannot be created.
    pub fn at(root: impl Into<Utf8PathBuf>) -> Result<Self> {
        let root = root.into();
        make_folder(&root)?;
        let root = root
            .canonicalize_utf8()
            .map_err(ClusterError::file("cannot open", &root))?;
        Ok(Self { root })
    }

    #[must_use]
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// A path in the cache, whose parent folder is created.
    ///
    /// # Errors
    /// Fails if the folder cannot be created.
    pub fn path(&self, below: impl AsRef<Utf8Path>) -> Result<Utf8PathBuf> {
        let path = self.root.join(below);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        Ok(path)
    }

    /// A folder in the cache, created if necessary.
    ///
    /// # Errors
    /// Fails if it cannot be created.
    pub fn folder(&self, below: impl AsRef<Utf8Path>) -> Result<Utf8PathBuf> {
        let path = self.root.join(below);
        make_folder(&path)?;
        Ok(path)
    }

    /// An empty log file.
    ///
    /// # Errors
    /// Fails if it cannot be created.
    pub fn log(&self, name: &str) -> Result<Utf8PathBuf> {
        let path = self.path(format!("logs/{name}.log"))?;
        File::create(&path).map_err(ClusterError::file("cannot write", &path))?;
        Ok(path)
    }

    /// A temporary folder on the same disk as the cache, removed when dropped.
    ///
    /// # Errors
    /// Fails if it cannot be created.
    pub fn scratch(&self) -> Result<tempfile::TempDir> {
        let folder = self.folder("tmp")?;
        tempfile::tempdir_in(&folder).map_err(ClusterError::file("cannot write in", folder))
    }

    /// # Errors
    /// Fails if the lock file cannot be created.
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

/// A lock between processes, released when dropped or when the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: Utf8PathBuf,
}

impl Lock {
    /// Acquires the lock exclusively; calls `waiting` first if another process holds it.
    ///
    /// # Errors
    /// Fails if the file system does not support locks.
    pub fn exclusive(self, waiting: impl FnOnce()) -> Result<Self> {
        if self.try_take(FlockOperation::NonBlockingLockExclusive)? {
            return Ok(self);
        }
        waiting();
        self.take(FlockOperation::LockExclusive)?;
        Ok(self)
    }

    /// Acquires the lock exclusively unless another process holds it.
    ///
    /// # Errors
    /// Fails if the file system does not support locks.
    pub fn try_exclusive(&self) -> Result<bool> {
        self.try_take(FlockOperation::NonBlockingLockExclusive)
    }

    /// Acquires the lock in shared mode.
    ///
    /// # Errors
    /// Fails if the file system does not support locks.
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

pub(crate) fn make_folder(path: &Utf8Path) -> Result<()> {
    fs::create_dir_all(path).map_err(ClusterError::file("cannot create", path))
}

/// Writes a file atomically.
pub(crate) fn write(path: &Utf8Path, content: &[u8]) -> Result<()> {
    let aside = path.with_extension("part");
    fs::write(&aside, content).map_err(ClusterError::file("cannot write", &aside))?;
    fs::rename(&aside, path).map_err(ClusterError::file("cannot write", path))
}

pub(crate) fn write_record<T: Serialize>(path: &Utf8Path, record: &T) -> Result<()> {
    let text = serde_json::to_vec_pretty(record)
        .map_err(|error| ClusterError::file("cannot write", path)(error.into()))?;
    write(path, &text)
}

/// Reads a JSON record; `None` if it is missing or has another format.
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
    fn records_round_trip_and_invalid_ones_are_ignored() {
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
    fn lock_is_held_until_dropped() {
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
