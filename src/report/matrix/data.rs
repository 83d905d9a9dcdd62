//! Compact results: the verdicts and deciding values of many runs in one small file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use camino::Utf8Path;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalogue::model::Verdict;
use crate::evidence::ClusterFacts;
use crate::file::{limit, read_text};
use crate::judge::judgement::{Judgement, Outcome};
use crate::report::error::ReportError;
use crate::report::results::{ClusterResults, Results, Run};
use crate::report::text::{one_line, shorten};
use crate::report::view::{Cell, State};
use crate::version::full_version;

/// The value of `schema` that this version writes and reads.
const SCHEMA: &str = "hookproof.matrix/1";

/// The compact results that hookproof comes with.
const BUILT_IN: &str = include_str!("../../../docs/matrix/results.json");

/// Maximum length of a value, in characters.
const VALUE: usize = 60;
/// Maximum length of a reason, in characters.
const REASON: usize = 240;

/// The results of all claims in all columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matrix {
    pub(crate) columns: Vec<Column>,
    /// By claim id, an entry per column; `None` if the run has no result.
    pub(crate) claims: BTreeMap<String, Vec<Option<Entry>>>,
}

/// A run on a cluster. Columns that differ only in the run are runs of the same profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Column {
    /// Version of Kubernetes, such as `v1.36.3`.
    pub kubernetes: String,
    /// Name of the profile, such as `default`.
    pub profile: String,
    /// Feature gates set by the profile.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gates: BTreeMap<String, bool>,
    /// Container runtimes of the nodes, such as `containerd://1.6.20`.
    pub runtimes: Vec<String>,
    /// Source and digest of the node image.
    pub node_image: Option<String>,
    pub run: String,
    #[schemars(with = "String")]
    pub began: Timestamp,
    /// Number of the repetition, from 1.
    pub round: u32,
    /// Version of hookproof that ran.
    pub hookproof: String,
}

/// A claim's result in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// A verdict or an error.
    pub(crate) state: State,
    /// The values that decided the verdict, shortened.
    pub(crate) values: BTreeMap<String, String>,
    pub(crate) reason: Option<String>,
}

/// The content of the file.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Matrix")]
pub(crate) struct File {
    /// Format version of this file.
    schema: String,
    /// Runs on clusters; several runs of a profile are separate columns.
    columns: Vec<Column>,
    /// Results by claim id.
    claims: BTreeMap<String, Claim>,
}

/// The results of a claim: each verdict, value and reason with the columns that have it.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
struct Claim {
    /// A verdict or `error`.
    verdicts: BTreeMap<String, Columns>,
    /// The values that decided the verdicts, by name. Durations are rounded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    values: BTreeMap<String, BTreeMap<String, Columns>>,
    /// Reasons of verdicts that differ from the default profile's, or that are undecided.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    reasons: BTreeMap<String, Columns>,
}

/// Numbers of columns, from 0, such as `0-3,7`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
struct Columns(BTreeSet<usize>);

impl From<Columns> for String {
    fn from(Columns(columns): Columns) -> Self {
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for at in columns {
            match spans.last_mut() {
                Some((_, end)) if *end + 1 == at => *end = at,
                _ => spans.push((at, at)),
            }
        }
        let spans = spans.iter().map(|(from, to)| {
            if from == to {
                from.to_string()
            } else {
                format!("{from}-{to}")
            }
        });
        spans.collect::<Vec<_>>().join(",")
    }
}

impl TryFrom<String> for Columns {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // More columns are a damaged file.
        let number = |text: &str| text.parse().ok().filter(|at| *at < 10_000);
        let span = |part: &str| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            Some(number(from)?..=number(to)?)
        };
        let spans: Option<Vec<_>> = text.split(',').map(span).collect();
        let spans = spans
            .ok_or_else(|| format!("invalid columns `{text}`: expected a value such as `0-3,7`"))?;
        Ok(Self(spans.into_iter().flatten().collect()))
    }
}

impl Column {
    fn of(column: &ClusterResults) -> Self {
        let ClusterFacts {
            profile,
            kubernetes,
            container_runtimes,
            node_image,
            gates,
            ..
        } = &column.facts;
        Self {
            kubernetes: one_line(kubernetes),
            profile: one_line(profile),
            gates: gates.clone(),
            runtimes: container_runtimes.iter().map(|one| one_line(one)).collect(),
            node_image: node_image.as_deref().map(one_line),
            run: one_line(&column.run.id),
            began: column.run.began,
            round: column.run.round,
            hookproof: one_line(&column.run.hookproof),
        }
    }

    /// Whether both are runs of one profile: the same version, gates, runtimes and node image.
    pub(crate) fn same_profile(&self, other: &Self) -> bool {
        let key = |column: &Self| {
            (
                column.kubernetes.clone(),
                column.profile.clone(),
                column.gates.clone(),
                column.runtimes.clone(),
                column.node_image.clone(),
            )
        };
        key(self) == key(other)
    }

    /// Whether the profile sets nothing.
    pub(crate) fn is_default(&self) -> bool {
        self.profile == "default" && self.gates.is_empty()
    }

    /// What the results were observed with: `Kubernetes 1.36.3, containerd 1.6.20, …, 2026-11-25`.
    pub(crate) fn observed(&self) -> String {
        let mut parts = vec![
            format!("Kubernetes {}", self.kubernetes.trim_start_matches('v')),
            self.runtimes.join(", ").replace("://", " "),
        ];
        let gates = self.gates.iter();
        parts.extend(gates.map(|(gate, on)| format!("{gate}={on}")));
        parts.extend(
            self.node_image
                .as_ref()
                .map(|image| format!("node image {image}")),
        );
        parts.push(self.began.strftime("%Y-%m-%d").to_string());
        parts.push(format!("hookproof {}", self.hookproof));
        parts.retain(|part| !part.is_empty());
        parts.join(", ")
    }

    /// Sorts by version; unknown versions come last.
    pub(crate) fn order(&self) -> impl Ord + use<> {
        let version = full_version(&self.kubernetes);
        let profile = self.profile.clone();
        (version.is_none(), version, !self.is_default(), profile)
    }

    /// As a column of reports, for its label.
    pub(crate) fn column(&self) -> ClusterResults {
        ClusterResults {
            facts: ClusterFacts {
                name: self.profile.clone(),
                profile: self.profile.clone(),
                kubernetes: self.kubernetes.clone(),
                container_runtimes: self.runtimes.clone(),
                ..ClusterFacts::default()
            },
            run: Run {
                id: self.run.clone(),
                began: self.began,
                round: self.round,
                ..Run::default()
            },
            ..ClusterResults::default()
        }
    }
}

impl Matrix {
    /// The compact results that hookproof comes with.
    pub fn built_in() -> Result<Self, ReportError> {
        Self::parse(BUILT_IN, Utf8Path::new("built-in/results.json"))
    }

    /// The results of one or more runs.
    pub fn of(results: &Results) -> Self {
        let mut claims = BTreeMap::new();
        for claim in &results.claims {
            let cells = results
                .clusters
                .iter()
                .map(|column| Cell::of(column, claim));
            claims.insert(claim.id.clone(), cells.map(|cell| entry(&cell)).collect());
        }
        Self {
            columns: results.clusters.iter().map(Column::of).collect(),
            claims,
        }
    }

    /// Adds the columns of another matrix, except those that this one has already.
    pub fn add(&mut self, other: &Self) {
        for (at, column) in other.columns.iter().enumerate() {
            if self.columns.contains(column) {
                continue;
            }
            let width = self.columns.len();
            self.columns.push(column.clone());
            for (id, entries) in &other.claims {
                let own = self.claims.entry(id.clone()).or_default();
                own.resize(width, None);
                own.push(entries.get(at).cloned().flatten());
            }
        }
        for entries in self.claims.values_mut() {
            entries.resize(self.columns.len(), None);
        }
    }

    /// The column of the newest version with the default profile.
    pub(crate) fn base(&self) -> Option<usize> {
        let columns = self.columns.iter().enumerate();
        let columns = columns.filter(|(_, column)| column.is_default());
        let newest =
            columns.max_by_key(|(_, column)| (full_version(&column.kubernetes), column.began));
        newest.map(|(at, _)| at)
    }

    /// Reads a file of compact results.
    pub fn read(path: &Utf8Path) -> Result<Self, ReportError> {
        let text = read_text(path, limit::RESULTS).map_err(|source| ReportError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Utf8Path) -> Result<Self, ReportError> {
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        let parse = |source| ReportError::Parse {
            path: path.to_owned(),
            source,
        };
        let head: Head = serde_json::from_str(text).map_err(parse)?;
        if head.schema != SCHEMA {
            return Err(ReportError::Schema {
                path: path.to_owned(),
                found: head.schema,
                wanted: SCHEMA,
                version: "its version".to_owned(),
            });
        }
        let file: File = serde_json::from_str(text).map_err(parse)?;
        file.expand().map_err(|why| ReportError::Contradiction {
            path: path.to_owned(),
            why,
        })
    }

    /// The file, a line for each column and claim.
    pub fn to_json(&self) -> Result<String, ReportError> {
        let columns = self.columns.iter().map(serde_json::to_string);
        let columns: Vec<String> = columns.collect::<Result<_, _>>()?;
        let mut claims = Vec::new();
        for (id, entries) in &self.claims {
            let id = serde_json::to_string(id)?;
            let claim = serde_json::to_string(&self.compact(entries))?;
            claims.push(format!("{id}:{claim}"));
        }
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{{\"schema\":\"{SCHEMA}\",\"columns\":[\n{}\n],\"claims\":{{\n{}\n}}}}",
            columns.join(",\n"),
            claims.join(",\n"),
        );
        Ok(out)
    }

    fn compact(&self, entries: &[Option<Entry>]) -> Claim {
        let base = self.base().and_then(|at| entries.get(at)?.as_ref());
        let mut claim = Claim::default();
        for (at, entry) in entries.iter().enumerate() {
            let Some(Entry {
                state,
                values,
                reason,
            }) = entry
            else {
                continue;
            };
            let verdicts = &mut claim.verdicts;
            verdicts
                .entry(state.key().to_owned())
                .or_default()
                .0
                .insert(at);
            for (name, value) in values {
                let values = claim.values.entry(name.clone()).or_default();
                values.entry(value.clone()).or_default().0.insert(at);
            }
            let differs = base.is_none_or(|base| base.state != *state);
            if let Some(reason) = reason.as_ref().filter(|_| differs || !is_decided(*state)) {
                claim
                    .reasons
                    .entry(reason.clone())
                    .or_default()
                    .0
                    .insert(at);
            }
        }
        claim
    }
}

impl File {
    /// Fails if the file contradicts itself.
    fn expand(self) -> Result<Matrix, String> {
        let mut claims = BTreeMap::new();
        for (id, claim) in self.claims {
            let mut entries: Vec<Option<Entry>> = vec![None; self.columns.len()];
            for (key, Columns(columns)) in claim.verdicts {
                let state = State::ALL.into_iter().find(|state| state.key() == key);
                let state = state.ok_or_else(|| format!("claim {id} has the verdict `{key}`"))?;
                for at in columns {
                    let entry = entries.get_mut(at);
                    let entry = entry.filter(|entry| entry.is_none());
                    *entry.ok_or_else(|| {
                        format!("claim {id} has no or two verdicts in column {at}")
                    })? = Some(Entry {
                        state,
                        values: BTreeMap::new(),
                        reason: None,
                    });
                }
            }
            let mut at_entry = |at: usize, set: &dyn Fn(&mut Entry)| {
                let entry = entries.get_mut(at).and_then(Option::as_mut);
                entry
                    .map(set)
                    .ok_or_else(|| format!("claim {id} has no verdict in column {at}"))
            };
            for (name, values) in claim.values {
                for (value, Columns(columns)) in values {
                    for at in columns {
                        at_entry(at, &|entry| {
                            entry.values.insert(name.clone(), value.clone());
                        })?;
                    }
                }
            }
            for (reason, Columns(columns)) in claim.reasons {
                for at in columns {
                    at_entry(at, &|entry| entry.reason = Some(reason.clone()))?;
                }
            }
            claims.insert(id, entries);
        }
        Ok(Matrix {
            columns: self.columns,
            claims,
        })
    }
}

pub(crate) fn is_decided(state: State) -> bool {
    use Verdict::{Confirmed, NotApplicable, NotTestable, Qualified, Refuted};
    match state {
        State::Verdict(verdict) => {
            matches!(
                verdict,
                Confirmed | Refuted | Qualified | NotApplicable | NotTestable
            )
        }
        State::Error | State::NotRun => false,
    }
}

fn entry(cell: &Cell<'_>) -> Option<Entry> {
    let values = match cell {
        Cell::NotRun { .. } => return None,
        Cell::Judged { judgement, .. } => deciding(judgement),
        Cell::Problem { .. } | Cell::NoCluster { .. } => BTreeMap::new(),
    };
    Some(Entry {
        state: cell.state(),
        values,
        reason: Some(shorten(&rounded(&one_line(&cell.reason())), REASON)),
    })
}

/// The values that the deciding expressions read. Values that say nothing on their own are left out, such as
/// moments.
fn deciding(judgement: &Judgement) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for check in &judgement.checks {
        let decides = match check.outcome {
            Outcome::Holds => &check.holds,
            Outcome::Fails => &check.fails,
            Outcome::Inconclusive => &check.control,
            Outcome::NotApplicable => continue,
        };
        for (path, value) in decides.parts.iter().flat_map(|part| &part.read) {
            if let Some(value) = short(value) {
                values.insert(shorten(&one_line(path), 2 * VALUE), value);
            }
        }
    }
    values
}

/// A value without what differs between all runs: `None` for a moment or an object.
fn short(value: &str) -> Option<String> {
    let value = one_line(value);
    if value.starts_with(['+', '{']) || value.starts_with("[{") {
        return None;
    }
    // `1 of 2: …` lists the entries with their moments.
    let listed = value.split_once(": ").map(|(before, _)| before);
    let listed = listed.filter(|before| before.contains(" of ") && before.len() < 20);
    Some(shorten(&rounded(listed.unwrap_or(&value)), VALUE))
}

/// The text with durations rounded and generated ids replaced by `…`.
fn rounded(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest
            .find(|c| is_part(c) != is_part(first))
            .unwrap_or(rest.len());
        let (token, after) = rest.split_at(end);
        out.push_str(
            &duration(token)
                .or_else(|| id(token))
                .unwrap_or_else(|| token.to_owned()),
        );
        rest = after;
    }
    out
}

/// `14.2s` for `14.183s`.
fn duration(token: &str) -> Option<String> {
    let number = token.strip_suffix('s')?;
    let (_, decimals) = number.split_once('.')?;
    let seconds: f64 = number.parse().ok().filter(|_| decimals.len() == 3)?;
    let decimals = if seconds.abs() < 0.95 { 2 } else { 1 };
    Some(format!("{seconds:.decimals$}s"))
}

/// `…` for a UUID, a digest or a container's id.
fn id(token: &str) -> Option<String> {
    let hex = token.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    let long = token.len() >= 12 && token.contains(|c: char| c.is_ascii_digit());
    (hex && long).then(|| "…".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::report::fixture;

    #[rstest]
    #[case("14.183s", Some("14.2s"))]
    #[case("-0.044s", Some("-0.04s"))]
    #[case("+14.183s", None)]
    #[case("{argv, begin, end}", None)]
    #[case("[{at, container}]", None)]
    #[case("2 of 3: main hook ended code=1 (+3.238s)", Some("2 of 3"))]
    #[case("\"note: 577a0138-100c-404a-b077-5ccd1556fa63\"", Some("\"note: …\""))]
    #[case("\"facade decade\"", Some("\"facade decade\""))]
    #[case("137", Some("137"))]
    #[case("1.36.3", Some("1.36.3"))]
    fn values_are_short(#[case] value: &str, #[case] expected: Option<&str>) {
        assert_eq!(short(value).as_deref(), expected);
    }

    #[test]
    fn the_built_in_results_are_small_and_canonical() {
        let matrix = Matrix::built_in().unwrap();
        assert!(matrix.columns.len() >= 4 && matrix.claims.len() >= 200);
        assert!(BUILT_IN.len() < 150_000, "{} bytes", BUILT_IN.len());
        assert_eq!(matrix.to_json().unwrap(), BUILT_IN);
    }

    #[test]
    fn results_become_columns() {
        let matrix = Matrix::of(&fixture::results());
        insta::assert_snapshot!(matrix.to_json().unwrap());
    }

    /// Reasons of the default verdict are left out.
    #[test]
    fn a_file_is_read_as_it_was_written() {
        let text = Matrix::of(&fixture::results()).to_json().unwrap();
        let read = Matrix::parse(&text, Utf8Path::new("x")).unwrap();
        assert_eq!(read.to_json().unwrap(), text);
    }

    #[test]
    fn adding_a_run_again_changes_nothing() {
        let results = fixture::results();
        let mut matrix = Matrix::of(&results);
        matrix.add(&Matrix::of(&results));
        assert_eq!(matrix, Matrix::of(&results));
        let mut later = results;
        later.clusters.truncate(1);
        later.claims.truncate(3);
        later.clusters[0].run.id = "later".to_owned();
        matrix.add(&Matrix::of(&later));
        assert_eq!(matrix.columns.len(), 3);
        assert!(matrix.claims.values().all(|entries| entries.len() == 3));
        assert_eq!(
            matrix
                .claims
                .values()
                .filter(|entries| entries[2].is_some())
                .count(),
            3
        );
    }

    #[rstest]
    #[case::format(r#"{"schema":"hookproof.matrix/2"}"#, "unsupported format")]
    #[case::json("{", "failed to parse")]
    #[case::verdict(r#"{"x":{"verdicts":{"maybe":"0"}}}"#, "has the verdict `maybe`")]
    #[case::column(r#"{"x":{"verdicts":{"refuted":"1"}}}"#, "in column 1")]
    #[case::twice(r#"{"x":{"verdicts":{"refuted":"0","confirmed":"0"}}}"#, "in column 0")]
    #[case::value(
        r#"{"x":{"verdicts":{},"values":{"a":{"b":"0"}}}}"#,
        "no verdict in column 0"
    )]
    #[case::columns(r#"{"x":{"verdicts":{"refuted":"0-"}}}"#, "invalid columns `0-`")]
    #[case::many(r#"{"x":{"verdicts":{"refuted":"0-99999999999"}}}"#, "invalid columns")]
    fn damaged_files_are_refused(#[case] text: &str, #[case] expected: &str) {
        let column = r#"{"kubernetes":"v1.36.3","profile":"default","runtimes":[],"node_image":null,"run":"r","began":"2026-01-02T03:04:05Z","round":1,"hookproof":"1"}"#;
        let whole = format!(r#"{{"schema":"{SCHEMA}","columns":[{column}],"claims":{text}}}"#);
        let text = if text.starts_with(r#"{"x"#) {
            &whole
        } else {
            text
        };
        let message = Matrix::parse(text, Utf8Path::new("m.json"))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(expected) && message.contains("m.json"),
            "{message}"
        );
    }

    proptest! {
        #[test]
        fn column_numbers_are_read_as_written(numbers in proptest::collection::btree_set(0_usize..40, 1..20)) {
            let columns = Columns(numbers);
            let text = serde_json::to_string(&columns).unwrap();
            prop_assert_eq!(serde_json::from_str::<Columns>(&text).unwrap(), columns);
        }

        #[test]
        fn untrusted_text_is_kept_on_a_line(text in fixture::nasty_text()) {
            let matrix = Matrix::of(&fixture::poisoned(&text));
            let json = matrix.to_json().unwrap();
            let lines = 3 + matrix.columns.len() + matrix.claims.len();
            prop_assert_eq!(json.lines().count(), lines);
            let read = Matrix::parse(&json, Utf8Path::new("x")).unwrap();
            prop_assert_eq!(read.to_json().unwrap(), json);
        }
    }
}
