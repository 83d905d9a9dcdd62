//! Output folders: only folders of hookproof are written to, and results are replaced only with complete ones.

use std::{fs, io};

use camino::{Utf8Path, Utf8PathBuf};

use super::error::ReportError;
use super::json::{Head, RESULTS_FILE};
use crate::file::{create_private, limit, read, stays_inside};

/// The file at a relative path in a results folder.
pub(crate) fn resolve(folder: &Utf8Path, path: &str) -> Result<Utf8PathBuf, ReportError> {
    let real = |path: &Utf8Path| path.canonicalize_utf8().map_err(ReportError::read(path));
    if stays_inside(Utf8Path::new(path)) {
        let file = real(&folder.join(path))?;
        if file.starts_with(real(folder)?) {
            return Ok(file);
        }
    }
    Err(ReportError::Outside {
        path: path.into(),
        folder: folder.to_owned(),
    })
}

/// What hookproof writes into a results folder. The results come last, as they make the folder its own.
const PARTS: [&str; 5] = [EVIDENCE, "junit", "index.html", "summary.md", RESULTS_FILE];

const EVIDENCE: &str = "evidence";

/// File that marks a folder without results as hookproof's.
pub(crate) const MARKER: &str = ".hookproof";

/// Creates an output folder if it is missing.
pub(crate) fn own(folder: &Utf8Path) -> Result<(), ReportError> {
    let error = |source| ReportError::Folder(folder.to_owned(), source);
    create_private(folder).map_err(error)?;
    let head = read(&folder.join(RESULTS_FILE), limit::RESULTS).ok();
    let head = head.and_then(|text| serde_json::from_slice::<Head>(&text).ok());
    let ours = head.is_some_and(|head| head.schema.starts_with("hookproof.results/"))
        || folder.join(MARKER).is_file();
    if !ours && folder.read_dir_utf8().map_err(error)?.next().is_some() {
        return Err(ReportError::Foreign(folder.to_owned()));
    }
    Ok(())
}

/// Removes earlier reports and, unless it is kept, evidence from a results folder. `results.json` stays until it is
/// replaced.
pub(crate) fn clear(folder: &Utf8Path, keep_evidence: bool) -> Result<(), ReportError> {
    let kept = |part: &str| part == RESULTS_FILE || (keep_evidence && part == EVIDENCE);
    for part in PARTS.iter().filter(|part| !kept(part)) {
        let path = folder.join(part);
        let removed = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            _ => fs::remove_file(&path),
        };
        removed.map_err(|source| ReportError::Replace(path, source))?;
    }
    Ok(())
}

/// New results that replace those of a folder when they are complete.
#[derive(Debug)]
pub(crate) struct Output {
    folder: Utf8PathBuf,
    /// Temporary folder in the output folder, so that renaming suffices.
    staging: tempfile::TempDir,
}

impl Output {
    /// Prepares a folder for new results.
    pub(crate) fn new(folder: &Utf8Path, inputs: &[Utf8PathBuf]) -> Result<Self, ReportError> {
        if let Ok(real) = folder.canonicalize_utf8() {
            let mut inputs = inputs.iter().cloned();
            let inside = |input: &Utf8PathBuf| {
                let input = input.canonicalize_utf8();
                input.is_ok_and(|input| input.starts_with(&real))
            };
            if let Some(input) = inputs.find(inside) {
                let path = folder.to_owned();
                return Err(ReportError::Input { path, input });
            }
        }
        own(folder)?;
        let error = |source| ReportError::Folder(folder.to_owned(), source);
        let mut builder = tempfile::Builder::new();
        let staging = builder.prefix(".hookproof-").tempdir_in(folder);
        let staging = staging.map_err(error)?;
        for part in ["new", "old"] {
            fs::create_dir(staging.path().join(part)).map_err(error)?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            staging,
        })
    }

    /// The folder to write to.
    pub(crate) fn path(&self) -> Utf8PathBuf {
        self.part("new")
    }

    fn part(&self, name: &str) -> Utf8PathBuf {
        let path = self.staging.path().join(name);
        Utf8PathBuf::from_path_buf(path).unwrap_or_else(|_| self.folder.join(name))
    }

    /// Replaces the earlier results by the new ones. Returns the folder.
    pub(crate) fn commit(self) -> Result<Utf8PathBuf, ReportError> {
        self.replace(&PARTS)
    }

    /// Replaces these files and folders by the new ones. Returns the folder.
    pub(crate) fn replace(self, parts: &[&str]) -> Result<Utf8PathBuf, ReportError> {
        let (new, old) = (self.part("new"), self.part("old"));
        let rename = |from: &Utf8Path, to: &Utf8Path, part: &str| match fs::rename(
            from.join(part),
            to.join(part),
        ) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        };
        let replaced = parts.iter().try_for_each(|part| {
            rename(&self.folder, &old, part)?;
            rename(&new, &self.folder, part)
        });
        replaced.map_err(|source| {
            for part in parts.iter().filter(|part| old.join(part).exists()) {
                let _ = rename(&self.folder, &new, part);
                let _ = rename(&old, &self.folder, part);
            }
            ReportError::Replace(self.folder.clone(), source)
        })?;
        Ok(self.folder)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::file::write_atomic;
    use crate::fixture::folder;

    #[rstest::rstest]
    #[case::empty(&[], true)]
    #[case::results(&[("results.json", r#"{"schema": "hookproof.results/1"}"#), ("a", "")], true)]
    #[case::marked(&[(MARKER, ""), ("a", "")], true)]
    #[case::foreign(&[("a", "")], false)]
    #[case::other_results(&[("results.json", "{}")], false)]
    #[case::damaged(&[("results.json", "{\"sch")], false)]
    fn recognises_its_own_folders(#[case] files: &[(&str, &str)], #[case] ours: bool) {
        let (_keep, path) = folder();
        for (name, text) in files {
            fs::write(path.join(name), text).unwrap();
        }
        assert_eq!(own(&path).is_ok(), ours);
    }

    #[test]
    fn replaces_results_only_when_they_are_complete() {
        let (_keep, path) = folder();
        let text = |name: &str| fs::read_to_string(path.join(name)).unwrap();
        let old = r#"{"schema": "hookproof.results/2"}"#;
        for (name, text) in [
            ("results.json", old),
            ("notes", "mine"),
            ("evidence/a", "old"),
        ] {
            write_atomic(&path.join(name), text.as_bytes()).unwrap();
        }
        for commit in [false, true] {
            let output = Output::new(&path, &[]).unwrap();
            write_atomic(&output.path().join("evidence/b"), b"new").unwrap();
            write_atomic(&output.path().join("results.json"), b"new").unwrap();
            assert_eq!([text("results.json"), text("evidence/a")], [old, "old"]);
            if commit {
                output.commit().unwrap();
            }
        }
        let texts = ["results.json", "evidence/b", "notes"].map(text);
        assert_eq!(texts, ["new", "new", "mine"]);
        assert!(!path.join("evidence/a").exists());
        assert_eq!(fs::read_dir(&path).unwrap().count(), 3);
    }

    #[test]
    fn refuses_to_replace_its_input() {
        let (_keep, path) = folder();
        let inside = path.join("evidence");
        fs::create_dir(&inside).unwrap();
        for input in [&path, &inside] {
            let refused = Output::new(&path, std::slice::from_ref(input));
            assert!(matches!(refused, Err(ReportError::Input { .. })));
        }
    }

    #[test]
    fn refuses_links_out_of_the_folder() {
        let (_keep, path) = folder();
        fs::write(path.join("secret"), "").unwrap();
        fs::create_dir(path.join("results")).unwrap();
        std::os::unix::fs::symlink("../secret", path.join("results/a.json")).unwrap();
        let refused = resolve(&path.join("results"), "a.json");
        assert!(matches!(refused, Err(ReportError::Outside { .. })));
    }
}
