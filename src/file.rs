//! Files: written atomically, read within limits, and paths that stay inside a folder.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::sync::atomic::{AtomicBool, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::OFlags;

/// The largest file of each kind that is read, in bytes. docs/security.md lists them.
pub mod limit {
    /// A suite; the largest built-in one has 14 KB.
    pub(crate) const SUITE: u64 = 256 << 10;
    /// A manifest, or the alterations of a scenario's evidence.
    pub(crate) const MANIFEST: u64 = 1 << 20;
    pub(crate) const DOCUMENT: u64 = 2 << 20;
    /// Evidence of one scenario; the largest recorded has 160 KB.
    pub(crate) const EVIDENCE: u64 = 8 << 20;
    /// `results.json`; a run of all built-in suites writes 1.6 MB.
    pub(crate) const RESULTS: u64 = 32 << 20;
    /// Files in a folder, with those below it.
    pub(crate) const FILES: usize = 10_000;
    /// Nesting of folders.
    pub(crate) const FOLDERS: usize = 16;
}

/// Reads a regular file of at most `limit` bytes. Opening never blocks, and a device is never opened.
pub(crate) fn read(path: &Utf8Path, limit: u64) -> io::Result<Vec<u8>> {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    regular(&fs::metadata(path)?)?;
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)?;
    regular(&file.metadata()?)?;
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        let message = format!("the file has more than {limit} bytes, the limit for its kind");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(content)
}

/// Like [`read`], for text in UTF-8.
pub(crate) fn read_text(path: &Utf8Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("not UTF-8: {error}")))
}

fn regular(found: &fs::Metadata) -> io::Result<()> {
    let kind = found.file_type();
    let kind = match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a FIFO",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    let message = format!("expected a regular file, found {kind}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// Fails if a path leads out of a folder, for example through a symbolic link.
pub(crate) fn inside(folder: &Utf8Path, path: &Utf8Path) -> io::Result<()> {
    if path
        .canonicalize_utf8()?
        .starts_with(folder.canonicalize_utf8()?)
    {
        return Ok(());
    }
    let message = format!("the path leads out of {folder}");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// All files below a folder, sorted, without following symbolic links to folders. Stops at the first error.
pub(crate) fn walk(folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>, (Utf8PathBuf, io::Error)> {
    let mut found = Vec::new();
    let (mut folders, mut entries) = (vec![(folder.to_owned(), 0)], 0);
    while let Some((folder, depth)) = folders.pop() {
        let error = |error| (folder.clone(), error);
        let too_many = |what, limit| error(io::Error::other(format!("more than {limit} {what}")));
        if depth > limit::FOLDERS {
            return Err(too_many("nested folders", limit::FOLDERS));
        }
        for entry in folder.read_dir_utf8().map_err(error)? {
            let entry = entry.map_err(error)?;
            let path = entry.path().to_owned();
            let kind = entry.file_type().map_err(error)?;
            entries += 1;
            if entries > limit::FILES {
                return Err(too_many("files in this folder", limit::FILES));
            }
            if kind.is_symlink() && path.is_dir() {
                let message = "symbolic links to folders are not followed; remove this one";
                return Err((path, io::Error::other(message)));
            }
            if kind.is_dir() {
                folders.push((path, depth + 1));
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[derive(Debug, thiserror::Error)]
#[error("failed to write {path}: {source}; check the folder's permissions and the free disk space")]
pub struct WriteError {
    path: Utf8PathBuf,
    source: std::io::Error,
}

/// Writes a temporary file in the same folder and renames it, so that readers never see a partial file. Creates
/// missing folders.
pub fn write_atomic(path: &Utf8Path, content: &[u8]) -> Result<(), WriteError> {
    write(path, content, 0o777)
}

/// Like [`write_atomic`], readable by the owner only unless [`share`] was called, with the folders it creates.
pub(crate) fn write_private(path: &Utf8Path, content: &[u8]) -> Result<(), WriteError> {
    write(path, content, private_mode())
}

/// Creates missing folders with this mode, and the file with its read and write bits.
fn write(path: &Utf8Path, content: &[u8], mode: u32) -> Result<(), WriteError> {
    let written = || {
        let folder = folder(path);
        create(folder, mode)?;
        let mut file = tempfile::Builder::new()
            .prefix(".hookproof-")
            // Otherwise only the owner could read it.
            .permissions(fs::Permissions::from_mode(mode & 0o666))
            .tempfile_in(folder)?;
        file.write_all(content)?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(|source| WriteError {
        path: path.to_owned(),
        source,
    })
}

/// Whether results may be read by others.
static SHARED: AtomicBool = AtomicBool::new(false);

/// Lets other users read what [`write_private`] writes, as far as the umask permits.
pub(crate) fn share() {
    SHARED.store(true, Ordering::Relaxed);
}

fn private_mode() -> u32 {
    let is_shared = SHARED.load(Ordering::Relaxed);
    if is_shared { 0o777 } else { 0o700 }
}

/// Creates a folder and missing ones above it for [`write_private`].
pub(crate) fn create_private(folder: &Utf8Path) -> io::Result<()> {
    create(folder, private_mode())
}

fn create(folder: &Utf8Path, mode: u32) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(mode).create(folder)
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

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        (folder, path)
    }

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let (_folder, path) = folder();
        let error = |path: &Utf8Path| read(path, 4).unwrap_err().to_string();
        fs::write(path.join("a"), "1234").unwrap();
        assert_eq!(read(&path.join("a"), 4).unwrap(), b"1234");
        fs::write(path.join("b"), "12345").unwrap();
        assert!(error(&path.join("b")).contains("more than 4 bytes"));
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            path.join("fifo").as_std_path(),
            rustix::fs::Mode::RUSR,
        )
        .unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path.join("socket")).unwrap();
        for (name, kind) in [
            ("fifo", "FIFO"),
            ("socket", "socket"),
            (".", "directory"),
            ("/dev/zero", "device"),
        ] {
            assert!(error(&path.join(name)).contains(kind), "{name}");
        }
    }

    #[test]
    fn results_are_readable_by_their_owner_only() {
        let (_folder, path) = folder();
        let file = path.join("results/a.json");
        write_private(&file, b"{}").unwrap();
        let mode = |path: &Utf8Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn links_do_not_lead_out_of_a_folder() {
        let (_folder, path) = folder();
        let inner = path.join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("a"), "").unwrap();
        std::os::unix::fs::symlink("a", inner.join("b")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", inner.join("c")).unwrap();
        assert!(inside(&inner, &inner.join("b")).is_ok());
        let error = inside(&inner, &inner.join("c")).unwrap_err().to_string();
        assert!(error.contains("leads out of"), "{error}");
        assert_eq!(walk(&path).unwrap().len(), 3);
        std::os::unix::fs::symlink("..", inner.join("loop")).unwrap();
        let (at, error) = walk(&path).unwrap_err();
        assert_eq!(at, inner.join("loop"));
        assert!(error.to_string().contains("not followed"), "{error}");
    }

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
