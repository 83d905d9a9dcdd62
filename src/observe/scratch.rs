//! Temporary files of a run. The directory's name contains the process ID, by which a later run finds and
//! removes what a killed run left behind.

use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

const PREFIX: &str = "hookproof-run-";

/// A directory that is removed on drop. Every user may enter it; only the owner may write.
#[derive(Debug)]
pub struct Scratch {
    _folder: tempfile::TempDir,
    pub path: Utf8PathBuf,
}

impl Scratch {
    /// Creates the directory.
    pub fn new() -> std::io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        let path = utf8(folder.path())?;
        Ok(Self {
            _folder: folder,
            path,
        })
    }
}

pub(super) fn utf8(path: &Path) -> std::io::Result<Utf8PathBuf> {
    let utf8 = Utf8Path::from_path(path).map(Utf8Path::to_owned);
    utf8.ok_or_else(|| std::io::Error::other(format!("{} is not UTF-8", path.display())))
}

/// Removes the directories of processes that have exited. Returns their number.
pub fn clean() -> usize {
    let Ok(entries) = std::env::temp_dir().read_dir() else {
        return 0;
    };
    let left = entries.filter_map(Result::ok).filter(|entry| {
        let name = entry.file_name();
        name.to_str().and_then(owner).is_some_and(has_exited)
    });
    left.filter(|entry| std::fs::remove_dir_all(entry.path()).is_ok())
        .count()
}

fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

pub(super) fn has_exited(process: u32) -> bool {
    !Path::new("/proc").join(process.to_string()).exists()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn clean_removes_only_directories_of_exited_processes() {
        let mine = Scratch::new().unwrap();
        // No process has this ID: it exceeds the kernel's maximum.
        let left = std::env::temp_dir().join(format!("{PREFIX}4999999-x"));
        std::fs::create_dir_all(&left).unwrap();
        assert!(clean() >= 1);
        assert!(!left.exists());
        assert!(mine.path.exists());
    }
}
