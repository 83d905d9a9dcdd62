//! Temporary files of a run. The directory's name contains the process ID, by which a later run finds and
//! removes what a killed run left behind.

use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

const PREFIX: &str = "hookproof-run-";

/// A directory that is removed on drop. Every user may enter it; only the owner may write.
#[derive(Debug)]
pub struct Scratch {
    folder: tempfile::TempDir,
    path: Utf8PathBuf,
}

impl Scratch {
    /// Creates the directory.
    pub fn new() -> std::io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned())
            .map_err(|p| std::io::Error::other(format!("{} is not UTF-8", p.display())))?;
        Ok(Self { folder, path })
    }

    pub fn path(&self) -> &Utf8Path {
        debug_assert_eq!(self.folder.path(), self.path.as_std_path());
        &self.path
    }
}

/// Removes the directories of processes that have exited. Returns their number.
pub fn clean() -> usize {
    let Ok(entries) = std::env::temp_dir().read_dir() else {
        return 0;
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .and_then(owner)
                .is_some_and(is_gone)
        })
        .filter(|entry| std::fs::remove_dir_all(entry.path()).is_ok())
        .count()
}

fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn is_gone(pid: u32) -> bool {
    !Path::new("/proc").join(pid.to_string()).exists()
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
        assert!(mine.path().exists());
    }
}
