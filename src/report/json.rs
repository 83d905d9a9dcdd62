//! `results.json`, and the schemas of all files. Reading checks the format version; writing is atomic.

use std::fs;

use camino::Utf8Path;
use schemars::{Schema, schema_for};
use serde::Deserialize;

use super::error::ReportError;
use super::results::{self, Results};
use crate::evidence::Evidence;
use crate::file::write_atomic;

pub const RESULTS_FILE: &str = "results.json";

/// Writes `results.json` into a results folder.
///
/// # Errors
/// The file cannot be written.
pub fn write_results(results: &Results, folder: &Utf8Path) -> Result<(), ReportError> {
    let mut text = serde_json::to_vec_pretty(results).map_err(|source| ReportError::Json {
        what: "the results",
        source,
    })?;
    text.push(b'\n');
    Ok(write_atomic(&folder.join(RESULTS_FILE), &text)?)
}

/// Reads `results.json` of a results folder.
///
/// # Errors
/// The file is missing, damaged, or has another format version.
pub fn read_results(folder: &Utf8Path) -> Result<Results, ReportError> {
    let path = folder.join(RESULTS_FILE);
    let path_owned = || path.clone();
    let text = fs::read(&path).map_err(|source| ReportError::Read {
        path: path_owned(),
        source,
    })?;
    let parse = |source| ReportError::Parse {
        path: path_owned(),
        source,
    };
    let head: Head = serde_json::from_slice(&text).map_err(parse)?;
    if head.schema != results::SCHEMA {
        return Err(ReportError::Schema {
            path: path_owned(),
            found: head.schema,
            wanted: results::SCHEMA,
        });
    }
    serde_json::from_slice(&text).map_err(parse)
}

#[must_use]
pub fn results_schema() -> Schema {
    schema_for!(Results)
}

#[must_use]
pub fn evidence_schema() -> Schema {
    schema_for!(Evidence)
}

#[derive(Deserialize)]
struct Head {
    schema: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde::Serialize;

    use super::*;
    use crate::report::fixture;

    fn folder() -> (tempfile::TempDir, camino::Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        (folder, path)
    }

    #[test]
    fn results_survive_a_round_trip() {
        let (_keep, path) = folder();
        let results = fixture::results();
        write_results(&results, &path).unwrap();
        assert_eq!(read_results(&path).unwrap(), results);
    }

    #[test]
    fn an_unknown_format_is_named() {
        let (_keep, path) = folder();
        fs::write(
            path.join(RESULTS_FILE),
            r#"{"schema": "hookproof.results/9"}"#,
        )
        .unwrap();
        let message = read_results(&path).unwrap_err().to_string();
        assert!(message.contains("hookproof.results/9"), "{message}");
        assert!(message.contains(results::SCHEMA), "{message}");
    }

    #[test]
    fn a_truncated_file_is_a_parse_error() {
        let (_keep, path) = folder();
        write_results(&fixture::results(), &path).unwrap();
        let text = fs::read(path.join(RESULTS_FILE)).unwrap();
        fs::write(path.join(RESULTS_FILE), text.get(..text.len() / 2).unwrap()).unwrap();
        assert!(matches!(
            read_results(&path),
            Err(ReportError::Parse { .. })
        ));
    }

    /// Compares the published schemas with the types. `HOOKPROOF_UPDATE_SCHEMAS=1 cargo test` updates
    /// them.
    #[rstest::rstest]
    #[case("results", results_schema())]
    #[case("evidence", evidence_schema())]
    #[case("event", schema_for!(crate::report::event::Message))]
    #[case("suite", crate::catalogue::suite::suite_schema())]
    fn published_schemas_are_up_to_date(#[case] name: &str, #[case] schema: impl Serialize) {
        let path = Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs/schema")
            .join(format!("{name}.schema.json"));
        let mut text = serde_json::to_string_pretty(&schema).unwrap();
        text.push('\n');
        if std::env::var_os("HOOKPROOF_UPDATE_SCHEMAS").is_some() {
            write_atomic(&path, text.as_bytes()).unwrap();
        }
        let published = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            published, text,
            "update it: HOOKPROOF_UPDATE_SCHEMAS=1 cargo test published_schemas"
        );
    }
}
