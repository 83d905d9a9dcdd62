//! The cache between runs, outside the repository: binaries, image archives and the state of clusters.
//! Files are written atomically and guarded by locks, so that interrupted and concurrent runs are safe.

use std::fs::{self, File};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, flock};

use super::error::{ClusterError, Result};

#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: Utf8PathBuf,
}

impl Cache {
    /// Opens the user's cache: `HOOKPROOF_CACHE`, else `hookproof` in `XDG_CACHE_HOME` or `~/.cache`.
    pub(crate) fn open() -> Result<Self> {
        let places = [
            ("HOOKPROOF_CACHE", ""),
            ("XDG_CACHE_HOME", "hookproof"),
            ("HOME", ".cache/hookproof"),
        ];
        let root = places
            .into_iter()
            .find_map(|(variable, below)| -> Option<Utf8PathBuf> {
                let base = std::env::var(variable).ok();
                let base = base.filter(|base| !base.is_empty())?;
                // Joining an empty path adds a slash, which `components` removes.
                Some(Utf8Path::new(&base).join(below).components().collect())
            });
        Self::at(root.ok_or_else(|| {
            ClusterError::missing(
                "no cache folder: neither HOOKPROOF_CACHE nor HOME is set",
                "set HOOKPROOF_CACHE to a folder",
            )
        })?)
    }

    /// Opens or creates a cache in the folder `root`.
    pub(crate) fn at(root: impl Into<Utf8PathBuf>) -> Result<Self> {
        let root = root.into();
        make_folder(&root)?;
        let root = root
            .canonicalize_utf8()
            .map_err(ClusterError::file("cannot open", &root))?;
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// A path in the cache, whose parent folder is created.
    pub(crate) fn path(&self, below: impl AsRef<Utf8Path>) -> Result<Utf8PathBuf> {
        let path = self.root.join(below);
        make_folder(path.parent().unwrap_or(&self.root))?;
        Ok(path)
    }

    /// A folder in the cache, created if necessary.
    pub(crate) fn folder(&self, below: impl AsRef<Utf8Path>) -> Result<Utf8PathBuf> {
        let path = self.root.join(below);
        make_folder(&path)?;
        Ok(path)
    }

    /// An empty log file.
    pub(crate) fn log(&self, name: &str) -> Result<Utf8PathBuf> {
        let path = self.path(format!("logs/{name}.log"))?;
        File::create(&path).map_err(ClusterError::file("cannot write", &path))?;
        Ok(path)
    }

    /// A temporary folder on the same disk as the cache, removed when dropped, and its path.
    pub(crate) fn scratch(&self) -> Result<(tempfile::TempDir, Utf8PathBuf)> {
        let folder = self.folder("tmp")?;
        let scratch = tempfile::tempdir_in(&folder)
            .map_err(ClusterError::file("cannot write in", &folder))?;
        let name = scratch.path().file_name().unwrap_or_default();
        let path = folder.join(&*name.to_string_lossy());
        Ok((scratch, path))
    }

    pub(crate) fn lock(&self, name: &str) -> Result<Lock> {
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
pub(crate) struct Lock {
    file: File,
    path: Utf8PathBuf,
}

impl Lock {
    /// Acquires the lock exclusively; calls `waiting` first if another process holds it.
    pub(crate) fn exclusive(self, waiting: impl FnOnce()) -> Result<Self> {
        if !self.try_exclusive()? {
            waiting();
            self.take(FlockOperation::LockExclusive)?;
        }
        Ok(self)
    }

    /// Acquires the lock exclusively unless another process holds it.
    pub(crate) fn try_exclusive(&self) -> Result<bool> {
        self.take(FlockOperation::NonBlockingLockExclusive)
    }

    /// Acquires the lock in shared mode.
    pub(crate) fn share(&self) -> Result<()> {
        self.take(FlockOperation::LockShared).map(drop)
    }

    /// Whether the lock is taken.
    fn take(&self, operation: FlockOperation) -> Result<bool> {
        match rustix::io::retry_on_intr(|| flock(&self.file, operation)) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(ClusterError::file("cannot lock", &self.path)(error.into())),
        }
    }
}

fn make_folder(path: &Utf8Path) -> Result<()> {
    fs::create_dir_all(path).map_err(ClusterError::file("cannot create", path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    impl Cache {
        pub(crate) fn temporary() -> (tempfile::TempDir, Self) {
            let folder = tempfile::tempdir().unwrap();
            let root = Utf8PathBuf::from_path_buf(folder.path().join("deep/er")).unwrap();
            let cache = Self::at(root).unwrap();
            (folder, cache)
        }
    }

    #[test]
    fn lock_is_held_until_dropped() {
        let (_folder, cache) = Cache::temporary();
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
