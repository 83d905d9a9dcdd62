//! `results.json`, and the schemas of all files. Reading checks the format version; writing is atomic.

use std::collections::BTreeSet;

use camino::Utf8Path;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::ReportError;
use super::results::{self, Results};
use super::view::number;
use crate::file::{limit, read, write_private};

pub const RESULTS_FILE: &str = "results.json";

/// The previous format of results.
const V1: &str = "hookproof.results/1";

/// Writes `results.json` into a results folder.
pub fn write_results(results: &Results, folder: &Utf8Path) -> Result<(), ReportError> {
    let mut text = serde_json::to_vec_pretty(results)?;
    text.push(b'\n');
    Ok(write_private(&folder.join(RESULTS_FILE), &text)?)
}

/// Reads `results.json` of a results folder, also of the previous format.
pub fn read_results(folder: &Utf8Path) -> Result<Results, ReportError> {
    let path = folder.join(RESULTS_FILE);
    let text = read(&path, limit::RESULTS).map_err(ReportError::read(&path))?;
    let results: Results = match parse(&text, &path, results::SCHEMA) {
        Err(ReportError::Schema { found, .. }) if found == V1 => {
            let mut whole = parse(&text, &path, V1)?;
            upgrade(&mut whole);
            serde_json::from_value(whole).map_err(ReportError::parse(&path))?
        }
        results => results?,
    };
    let contradiction = |why| ReportError::Contradiction(path.clone(), why);
    if let Some(key) = repeated(&results.clusters, |column| &column.key) {
        return Err(contradiction(format!("two columns have the key {key}")));
    }
    for column in &results.clusters {
        let claim = repeated(&column.judgements, |found| &found.claim);
        let scenario = repeated(&column.scenarios, |ran| &ran.scenario);
        if let Some(twice) = claim.or(scenario) {
            let why = format!("column {} has two results of {twice}", column.key);
            return Err(contradiction(why));
        }
    }
    Ok(results)
}

/// Parses a file of the format `wanted`.
pub(super) fn parse<T: DeserializeOwned>(
    text: &[u8],
    path: &Utf8Path,
    wanted: &'static str,
) -> Result<T, ReportError> {
    let head: Head = serde_json::from_slice(text).map_err(ReportError::parse(path))?;
    if head.schema == wanted {
        return serde_json::from_slice(text).map_err(ReportError::parse(path));
    }
    Err(ReportError::Schema {
        path: path.to_owned(),
        found: head.schema,
        wanted,
        version: head.hookproof.unwrap_or_else(|| "its version".to_owned()),
    })
}

/// The first name that occurs again, whatever its case.
fn repeated<T>(items: &[T], name: impl Fn(&T) -> &String) -> Option<&String> {
    let mut known = BTreeSet::new();
    let mut names = items.iter().map(name);
    names.find(|name| !known.insert(name.to_lowercase()))
}

/// Converts results of format 1, in which the columns of a run share its facts and the number of the
/// repetition is part of the profile.
fn upgrade(whole: &mut Value) {
    let ids = whole["claims"].as_array().into_iter().flatten();
    let claims: Vec<Value> = ids.map(|claim| claim["id"].clone()).collect();
    let [id, hookproof, began, ended] =
        ["run", "hookproof", "began", "ended"].map(|name| whole[name].clone());
    whole["schema"] = results::SCHEMA.into();
    let mut keys = Vec::new();
    for column in whole["clusters"].as_array_mut().into_iter().flatten() {
        let facts = column["facts"].clone();
        let text = |name: &str| facts[name].as_str().unwrap_or_default();
        let profile = text("profile");
        let (profile, round) = profile.split_once(" #").unwrap_or((profile, "1"));
        let key = match text("kubernetes").trim_start_matches('v') {
            "" => text("name").to_owned(),
            version => format!("{version} {profile}"),
        };
        column["run"] = json!({
            "id": id, "hookproof": hookproof, "began": began, "ended": ended, "claims": claims,
            "round": round.parse().unwrap_or(1),
        });
        column["facts"]["profile"] = profile.into();
        keys.push(results::key(&key));
    }
    let columns = whole["clusters"].as_array_mut().into_iter().flatten();
    for (column, key) in columns.zip(number(keys, "-")) {
        column["key"] = key.into();
    }
}

#[derive(Deserialize)]
pub(super) struct Head {
    pub(super) schema: String,
    hookproof: Option<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use schemars::schema_for;
    use serde::Serialize;

    use std::fs;

    use super::*;
    use crate::file::write_atomic;
    use crate::fixture::folder;
    use crate::report::fixture;

    /// The error of reading results with this text.
    fn refused(text: &str) -> String {
        let (_keep, path) = folder();
        fs::write(path.join(RESULTS_FILE), text).unwrap();
        let error = read_results(&path).unwrap_err();
        error.to_string().replace(path.as_str(), "RESULTS")
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
        let text = r#"{"schema": "hookproof.results/9", "hookproof": "3.0.0"}"#;
        insta::assert_snapshot!(refused(text));
    }

    /// The fixture in format 1, as its run with `--repeat 2` would have written it.
    #[test]
    fn the_previous_format_is_read() {
        let (_keep, path) = folder();
        let mut expected = fixture::results();
        let mut old = serde_json::to_value(&expected).unwrap();
        old["schema"] = V1.into();
        for column in old["clusters"].as_array_mut().unwrap() {
            for field in ["key", "run"] {
                column.as_object_mut().unwrap().remove(field);
            }
        }
        old["clusters"][1]["facts"]["profile"] = "default #2".into();
        fs::write(path.join(RESULTS_FILE), old.to_string()).unwrap();
        for (n, column) in expected.clusters.iter_mut().enumerate() {
            column.key = ["1.35.6-default", "1.36.3-default"][n].to_owned();
            column.run.round = [1, 2][n];
            (column.run.began, column.run.ended) = (expected.began, expected.ended);
        }
        assert_eq!(read_results(&path).unwrap(), expected);
    }

    #[rstest::rstest]
    #[case("key", "/clusters/0/key", "../x")]
    #[case("evidence", "/clusters/1/scenarios/0/evidence", "../../etc/passwd")]
    #[case("absolute", "/clusters/1/scenarios/0/evidence", "/etc/passwd")]
    #[case("same_key", "/clusters/0/key", "1.36-default")]
    #[case(
        "two_verdicts",
        "/clusters/0/judgements/1/claim",
        "poststart.concurrent-with-entrypoint"
    )]
    #[case("type", "/claims/0/cites", "x")]
    fn damaged_results_are_refused(#[case] name: &str, #[case] place: &str, #[case] value: &str) {
        let mut whole = serde_json::to_value(fixture::results()).unwrap();
        *whole.pointer_mut(place).unwrap() = value.into();
        insta::assert_snapshot!(format!("damaged_{name}"), refused(&format!("{whole:#}")));
    }

    #[test]
    fn a_truncated_file_is_a_parse_error() {
        let text = serde_json::to_string_pretty(&fixture::results()).unwrap();
        let error = refused(&text[..text.len() / 2]);
        assert!(
            error.starts_with("failed to parse RESULTS/results.json"),
            "{error}"
        );
    }

    /// Compares the published schemas with the types. `HOOKPROOF_UPDATE_SCHEMAS=1 cargo test` updates
    /// them.
    #[rstest::rstest]
    #[case("results", schema_for!(Results))]
    #[case("evidence", schema_for!(crate::evidence::Evidence))]
    #[case("event", schema_for!(crate::report::event::Message))]
    #[case("matrix", schema_for!(crate::report::matrix::data::Matrix))]
    #[case("suite", crate::catalogue::suite::suite_schema())]
    fn published_schemas_are_up_to_date(#[case] name: &str, #[case] schema: impl Serialize) {
        let folder = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema");
        let path = folder.join(format!("{name}.schema.json"));
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
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
