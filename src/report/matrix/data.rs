//! Compact results: the verdicts and deciding values of many runs in one small file.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use itertools::Itertools as _;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::file::{limit, read};
use crate::judge::judgement::{Judgement, Outcome};
use crate::report::error::ReportError;
use crate::report::json::parse;
use crate::report::results::{ClusterResults, Results};
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

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Matrix {
    /// Format version of this file.
    schema: String,
    /// Runs on clusters; several runs of a profile are separate columns.
    pub(crate) columns: Vec<Column>,
    /// Results by claim id.
    pub(crate) claims: BTreeMap<String, Claim>,
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

/// The results of a claim: each verdict, value and reason with the columns that have it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Claim {
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
pub(crate) struct Columns(BTreeSet<usize>);

impl From<Columns> for String {
    fn from(Columns(columns): Columns) -> Self {
        let spans = columns.into_iter().map(|at| (at, at));
        let spans = spans.coalesce(|one, next| match next.0 - one.1 {
            1 => Ok((one.0, next.1)),
            _ => Err((one, next)),
        });
        let mut spans = spans.map(|(from, to)| match to - from {
            0 => from.to_string(),
            _ => format!("{from}-{to}"),
        });
        spans.join(",")
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
        let columns = spans.map(|spans| Self(spans.into_iter().flatten().collect()));
        columns.ok_or_else(|| format!("invalid columns `{text}`: expected a value such as `0-3,7`"))
    }
}

impl Column {
    fn of(column: &ClusterResults) -> Self {
        let facts = &column.facts;
        let runtimes = facts.container_runtimes.iter();
        Self {
            kubernetes: one_line(&facts.kubernetes),
            profile: one_line(&facts.profile),
            gates: facts.gates.clone(),
            runtimes: runtimes.map(|runtime| one_line(runtime)).collect(),
            node_image: facts.node_image.as_deref().map(one_line),
            run: one_line(&column.run.id),
            began: column.run.began,
            round: column.run.round,
            hookproof: one_line(&column.run.hookproof),
        }
    }

    /// Whether both are runs of one profile: the same version, gates, runtimes and node image.
    pub(crate) fn same_profile(&self, other: &Self) -> bool {
        (&self.kubernetes, &self.profile, &self.gates)
            == (&other.kubernetes, &other.profile, &other.gates)
            && (&self.runtimes, &self.node_image) == (&other.runtimes, &other.node_image)
    }

    /// Whether the profile sets nothing.
    pub(crate) fn is_default(&self) -> bool {
        self.profile == "default" && self.gates.is_empty()
    }

    /// What the results were observed with: `Kubernetes 1.36.3, containerd 1.6.20, …, 2026-11-25`.
    pub(crate) fn observed(&self) -> String {
        let version = format!("Kubernetes {}", self.kubernetes.trim_start_matches('v'));
        let runtimes = self.runtimes.join(", ").replace("://", " ");
        let gates = self.gates.iter().map(|(gate, on)| format!("{gate}={on}"));
        let image = self.node_image.iter();
        let image = image.map(|image| format!("node image {image}"));
        let date = self.began.strftime("%Y-%m-%d").to_string();
        let by = format!("hookproof {}", self.hookproof);
        let parts = [version, runtimes].into_iter().chain(gates).chain(image);
        let mut parts = parts.chain([date, by]).filter(|part| !part.is_empty());
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
        let mut column = ClusterResults::new(&self.profile);
        column.facts.profile.clone_from(&self.profile);
        column.facts.kubernetes.clone_from(&self.kubernetes);
        column.facts.container_runtimes.clone_from(&self.runtimes);
        column.run.id.clone_from(&self.run);
        (column.run.began, column.run.round) = (self.began, self.round);
        column
    }
}

impl Claim {
    pub(crate) fn entry(&self, column: usize) -> Option<Entry<'_>> {
        let state = State::of(text_of(&self.verdicts, column)?)?;
        Some(Entry {
            state,
            claim: self,
            column,
        })
    }

    fn insert(
        &mut self,
        column: usize,
        state: State,
        values: impl IntoIterator<Item = (String, String)>,
        reason: Option<String>,
    ) {
        let add = |columns: &mut Columns| columns.0.insert(column);
        add(self.verdicts.entry(state.key().to_owned()).or_default());
        for (name, value) in values {
            let values = self.values.entry(name).or_default();
            add(values.entry(value).or_default());
        }
        if let Some(reason) = reason {
            add(self.reasons.entry(reason).or_default());
        }
    }

    /// Without the reasons of decided verdicts that are the same as in the base column.
    fn compact(&self, base: Option<usize>) -> Self {
        let base = base.and_then(|at| self.entry(at)).map(|base| base.state);
        let mut compact = self.clone();
        for Columns(columns) in compact.reasons.values_mut() {
            columns.retain(|at| {
                let state = self.entry(*at).map(|entry| entry.state);
                state != base || !state.is_some_and(State::is_decided)
            });
        }
        compact.reasons.retain(|_, columns| !columns.0.is_empty());
        compact
    }
}

/// A claim's result in a column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// A verdict or an error.
    pub(crate) state: State,
    claim: &'a Claim,
    column: usize,
}

impl<'a> Entry<'a> {
    /// The values that decided the verdict, shortened.
    pub(crate) fn values(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let values = self.claim.values.iter();
        values.filter_map(move |(name, texts)| Some((name.as_str(), text_of(texts, self.column)?)))
    }

    pub(crate) fn reason(self) -> Option<&'a str> {
        text_of(&self.claim.reasons, self.column)
    }
}

/// The text that a column has.
fn text_of(texts: &BTreeMap<String, Columns>, column: usize) -> Option<&str> {
    let mut texts = texts.iter();
    let (text, _) = texts.find(|(_, columns)| columns.0.contains(&column))?;
    Some(text)
}

impl Default for Matrix {
    fn default() -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            columns: Vec::new(),
            claims: BTreeMap::new(),
        }
    }
}

impl Matrix {
    /// The compact results that hookproof comes with.
    pub fn built_in() -> Result<Self, ReportError> {
        let path = Utf8Path::new("built-in/results.json");
        Self::parse(BUILT_IN.as_bytes(), path)
    }

    /// The results of one or more runs.
    pub fn of(results: &Results) -> Self {
        let mut matrix = Self {
            columns: results.clusters.iter().map(Column::of).collect(),
            ..Self::default()
        };
        for claim in &results.claims {
            let own = matrix.claims.entry(claim.id.clone()).or_default();
            for (at, cell) in results.cells(claim).enumerate() {
                if let Cell::NotRun { .. } = cell {
                    continue;
                }
                let values = cell.judgement().map(deciding).unwrap_or_default();
                let reason = shorten(&rounded(&one_line(&cell.reason())), REASON);
                own.insert(at, cell.state(), values, Some(reason));
            }
        }
        matrix
    }

    /// Adds the columns of another matrix, except those that this one has already.
    pub fn add(&mut self, other: &Self) {
        for (at, column) in other.columns.iter().enumerate() {
            if self.columns.contains(column) {
                continue;
            }
            let new = self.columns.len();
            self.columns.push(column.clone());
            for (id, claim) in &other.claims {
                let own = self.claims.entry(id.clone()).or_default();
                if let Some(entry) = claim.entry(at) {
                    let values = entry.values();
                    let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
                    own.insert(new, entry.state, values, entry.reason().map(str::to_owned));
                }
            }
        }
    }

    /// The column of the newest version with the default profile.
    pub(crate) fn base(&self) -> Option<usize> {
        let newest = self.columns.iter().position_max_by_key(|column| {
            let version = full_version(&column.kubernetes);
            (column.is_default(), version, column.began)
        });
        newest.filter(|at| self.columns[*at].is_default())
    }

    /// Reads a file of compact results.
    pub fn read(path: &Utf8Path) -> Result<Self, ReportError> {
        let text = read(path, limit::RESULTS).map_err(ReportError::read(path))?;
        Self::parse(&text, path)
    }

    fn parse(text: &[u8], path: &Utf8Path) -> Result<Self, ReportError> {
        let matrix: Self = parse(text, path, SCHEMA)?;
        let contradiction = |why| ReportError::Contradiction(path.to_owned(), why);
        matrix.check().map_err(contradiction)?;
        Ok(matrix)
    }

    /// Fails if the file contradicts itself.
    fn check(&self) -> Result<(), String> {
        for (id, claim) in &self.claims {
            let mut judged = BTreeSet::new();
            for (key, columns) in &claim.verdicts {
                if State::of(key).is_none() {
                    return Err(format!("claim {id} has the verdict `{key}`"));
                }
                let wrong = |at: &&usize| **at >= self.columns.len() || !judged.insert(**at);
                if let Some(at) = columns.0.iter().find(wrong) {
                    return Err(format!("claim {id} has no or two verdicts in column {at}"));
                }
            }
            let texts = claim.values.values().flatten().chain(&claim.reasons);
            let mut columns = texts.flat_map(|(_, columns)| &columns.0);
            if let Some(at) = columns.find(|at| !judged.contains(at)) {
                return Err(format!("claim {id} has no verdict in column {at}"));
            }
        }
        Ok(())
    }

    /// The file, a line for each column and claim.
    pub fn to_json(&self) -> Result<String, ReportError> {
        let columns = self.columns.iter().map(serde_json::to_string);
        let columns: Vec<String> = columns.try_collect()?;
        let base = self.base();
        let claims = self.claims.iter().map(|(id, claim)| {
            let (id, claim) = (Value::from(id.as_str()), claim.compact(base));
            Ok(format!("{id}:{}", serde_json::to_string(&claim)?))
        });
        let claims: Vec<String> = claims.collect::<Result<_, ReportError>>()?;
        Ok(format!(
            "{{\"schema\":\"{SCHEMA}\",\"columns\":[\n{}\n],\"claims\":{{\n{}\n}}}}\n",
            columns.join(",\n"),
            claims.join(",\n"),
        ))
    }
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
    let is_part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let tokens = text.chars().chunk_by(is_part);
    let tokens = tokens.into_iter().map(|(_, token)| {
        let token: String = token.collect();
        duration(&token).or_else(|| id(&token)).unwrap_or(token)
    });
    tokens.collect()
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
        let added = matrix.claims.values().filter_map(|claim| claim.entry(2));
        assert_eq!(added.count(), 3);
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
        let message = Matrix::parse(text.as_bytes(), Utf8Path::new("m.json"))
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
            let read = Matrix::parse(json.as_bytes(), Utf8Path::new("x")).unwrap();
            prop_assert_eq!(read.to_json().unwrap(), json);
        }
    }
}
