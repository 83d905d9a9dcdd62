//! What the tests of several modules use.

#![allow(clippy::unwrap_used)]

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use crate::catalogue::load::{Source, load};
use crate::catalogue::model::{Catalogue, Citation};
use crate::evidence::{Clock, Entry, Evidence, Note, Seen};
use crate::file::write_atomic;
use crate::observe::store;

/// An empty folder, which is removed with the first value.
pub(crate) fn folder() -> (TempDir, Utf8PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
    (folder, path)
}

/// A folder with suites, manifests, and evidence of `poststart/slow-hook`.
pub(crate) fn sample() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sample")
}

pub(crate) fn sample_catalogue() -> Catalogue {
    load(&[Source::Folder(sample())]).checked().unwrap()
}

pub(crate) fn sample_evidence() -> Evidence {
    store::read(&sample().join("evidence/poststart/slow-hook.json")).unwrap()
}

/// The catalogue of a suite and its manifest.
pub(crate) fn catalogue(id: &str, manifest: &str, suite: &str) -> Catalogue {
    let (_keep, path) = folder();
    for (part, text) in [("manifests", manifest), ("suites", suite)] {
        write_atomic(&path.join(format!("{part}/{id}.yaml")), text.as_bytes()).unwrap();
    }
    load(&[Source::Folder(path)]).checked().unwrap()
}

pub(crate) fn citation(document: &str, lines: &str) -> Citation {
    Citation {
        document: document.to_owned(),
        lines: lines.to_owned(),
        ..Citation::default()
    }
}

/// A note of the runner.
pub(crate) fn note(at: jiff::Timestamp, text: &str) -> Entry {
    Entry {
        n: 0,
        at,
        clock: Clock::Runner,
        seen: Seen::Runner(Note {
            note: "step".to_owned(),
            text: text.to_owned(),
        }),
    }
}

/// Checks that the reference of suites has a row.
#[track_caller]
pub(crate) fn in_reference(row: &str) {
    let reference = include_str!("../docs/suites.md");
    assert!(
        reference.contains(row),
        "docs/suites.md lacks this row:\n{row}"
    );
}
