//! Evidence files: written atomically, one timeline entry per line, so that they are readable and diffable.

use camino::{Utf8Path, Utf8PathBuf};
use itertools::Itertools as _;
use serde_json::json;
use thiserror::Error;

use crate::evidence::{Evidence, SCHEMA};
use crate::file::{self, WriteError, limit, write_private};

#[derive(Debug, Error)]
pub enum StoreError {
    #[error("failed to read {path}: {source}")]
    Read {
        path: Utf8PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("{0}")]
    Invalid(String),
}

fn invalid(path: &Utf8Path, reason: impl std::fmt::Display) -> StoreError {
    StoreError::Invalid(format!("invalid evidence file {path}: {reason}"))
}

/// Writes evidence with one timeline entry per line, replacing an existing file atomically. Creates missing directories.
pub fn write(path: &Utf8Path, evidence: &Evidence) -> Result<(), StoreError> {
    let whole = serde_json::to_value(evidence).map_err(|e| invalid(path, e))?;
    let fields = whole.as_object().into_iter().flatten();
    let mut fields = fields.map(|(name, value)| match value.as_array() {
        Some(entries) if name == "timeline" && !entries.is_empty() => {
            format!("{}: [\n{}\n]", json!(name), entries.iter().join(",\n"))
        }
        _ => format!("{}: {value}", json!(name)),
    });
    let text = format!("{{\n{}\n}}\n", fields.join(",\n"));
    Ok(write_private(path, text.as_bytes())?)
}

/// What the names of files of earlier attempts contain before the attempt's number.
const ATTEMPT: &str = ".attempt-";

/// The path of a scenario's evidence in its column's folder: of an earlier attempt, or of the last one.
pub fn file_name(scenario: &str, earlier: Option<u32>) -> String {
    match earlier {
        Some(attempt) => format!("{scenario}{ATTEMPT}{attempt}.json"),
        None => format!("{scenario}.json"),
    }
}

/// Whether a file has the evidence of an earlier attempt.
pub fn is_earlier(path: &Utf8Path) -> bool {
    path.file_name().is_some_and(|name| name.contains(ATTEMPT))
}

/// Reads an evidence file.
pub fn read(path: &Utf8Path) -> Result<Evidence, StoreError> {
    let bytes = file::read(path, limit::EVIDENCE).map_err(|source| StoreError::Read {
        path: path.to_owned(),
        source,
    })?;
    let head: Head = serde_json::from_slice(&bytes).map_err(|e| invalid(path, e))?;
    match head.schema.as_deref() {
        None => Err(invalid(path, "missing field `schema`")),
        Some(SCHEMA) => serde_json::from_slice(&bytes).map_err(|e| invalid(path, e)),
        Some(found) => Err(StoreError::Invalid(format!(
            "unsupported format {found} of evidence file {path}: expected {SCHEMA}; judge it with the version of \
             hookproof that wrote it, or record it again"
        ))),
    }
}

/// What is read first, so that an unsupported format is not read as a whole.
#[derive(serde::Deserialize)]
struct Head {
    schema: Option<String>,
}

/// The evidence files of a results directory, sorted: all `*.json` files below its `evidence` directory, or
/// below `folder` itself if it has no `evidence`.
pub fn files(folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>, StoreError> {
    let evidence = folder.join("evidence");
    let root = if evidence.is_dir() { &evidence } else { folder };
    let mut found = file::walk(root).map_err(|(path, source)| StoreError::Read { path, source })?;
    found.retain(|path| path.extension() == Some("json"));
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::evidence::ClusterFacts;
    use crate::fixture::{folder, note};

    fn evidence() -> Evidence {
        let note = note("2026-01-02T03:04:05.000000006Z".parse().unwrap(), "apply");
        Evidence {
            schema: SCHEMA.to_owned(),
            scenario: "poststart/slow-hook".to_owned(),
            scenario_digest: "0123456789ab".to_owned(),
            run: "r1".to_owned(),
            cluster: ClusterFacts::default(),
            began: "2026-01-02T03:04:05Z".parse().unwrap(),
            ended: "2026-01-02T03:04:09Z".parse().unwrap(),
            attempt: 1,
            timeline: vec![note.clone(), note],
            problems: Vec::new(),
        }
    }

    #[rstest::rstest]
    #[case("a/b.attempt-1.json", true)]
    #[case("a/b.json", false)]
    #[case("c.attempt-1/b.json", false)]
    fn evidence_of_earlier_attempts_is_known_by_its_name(
        #[case] path: &str,
        #[case] earlier: bool,
    ) {
        assert_eq!(is_earlier(path.into()), earlier);
    }

    #[test]
    fn written_evidence_reads_back() {
        let (_dir, folder) = folder();
        let path = folder.join("evidence/a/b.json");
        write(&path, &evidence()).unwrap();
        write(&path, &evidence()).unwrap();
        assert_eq!(read(&path).unwrap(), evidence());
        assert_eq!(files(&folder).unwrap(), std::slice::from_ref(&path));
        let text = std::fs::read_to_string(&path).unwrap();
        let notes = text.lines().filter(|line| line.contains("\"runner\""));
        assert_eq!(notes.count(), 2);
        let left = std::fs::read_dir(folder.join("evidence/a")).unwrap();
        assert_eq!(left.count(), 1, "no temporary file remains");
    }

    #[test]
    fn invalid_files_are_rejected() {
        let (_dir, folder) = folder();
        let path = folder.join("x.json");
        let error = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err();
            error.to_string().replace(folder.as_str(), "")
        };
        insta::assert_snapshot!(error(r#"{"schema": "hookproof.evidence/7"}"#));
        insta::assert_snapshot!(error("{\"schema\": \"hookproof.evi"));
        insta::assert_snapshot!(error("{}"));
        insta::assert_snapshot!(error(r#"{"schema": "hookproof.evidence/1", "run": 3}"#));
        let absent = read(&folder.join("absent")).unwrap_err();
        assert!(matches!(absent, StoreError::Read { .. }));
        assert!(absent.to_string().contains("No such file"), "{absent}");
    }
}
