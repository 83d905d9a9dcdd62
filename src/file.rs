//! Files: written atomically, and paths that stay inside a folder.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};

#[derive(Debug, thiserror::Error)]
#[error("failed to write {path}: {source}; check the folder's permissions and the free disk space")]
pub struct WriteError {
    path: Utf8PathBuf,
    source: std::io::Error,
}

/// Writes a temporary file in the same folder and renames it, so that readers never see a partial file. Creates
/// missing folders.
pub fn write_atomic(path: &Utf8Path, content: &[u8]) -> Result<(), WriteError> {
    let error = |source| WriteError {
        path: path.to_owned(),
        source,
    };
    let folder = folder(path);
    fs::create_dir_all(folder).map_err(error)?;
    let mut file = tempfile::Builder::new()
        .prefix(".hookproof-")
        // Temporary files are private to their owner; these must be readable by others.
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(error)?;
    file.write_all(content).map_err(error)?;
    file.persist(path).map_err(|e| error(e.error))?;
    Ok(())
}

/// Moves a complete file to its place on the same disk. Creates missing folders.
pub(crate) fn rename(from: &Utf8Path, to: &Utf8Path) -> Result<(), WriteError> {
    let path = to.to_owned();
    fs::create_dir_all(folder(to))
        .and_then(|()| fs::rename(from, to))
        .map_err(|source| WriteError { path, source })
}

fn folder(path: &Utf8Path) -> &Utf8Path {
    match path.parent() {
        Some(folder) if !folder.as_str().is_empty() => folder,
        _ => Utf8Path::new("."),
    }
}

/// Whether a relative path stays inside its base folder.
pub fn stays_inside(path: &Utf8Path) -> bool {
    use camino::Utf8Component::{CurDir, Normal};
    !path.as_str().is_empty()
        && path
            .components()
            .all(|part| matches!(part, Normal(_) | CurDir))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn replaces_the_file_and_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("a/b.txt");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[rstest::rstest]
    #[case("evidence/a/b.json", true)]
    #[case("./evidence/a.json", true)]
    #[case("../a.json", false)]
    #[case("evidence/../../a.json", false)]
    #[case("/etc/passwd", false)]
    #[case("", false)]
    fn detects_paths_outside_the_folder(#[case] path: &str, #[case] inside: bool) {
        assert_eq!(stays_inside(Utf8Path::new(path)), inside);
    }
}
