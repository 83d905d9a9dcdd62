//! `results.json`: the results of one or more runs. Reporters read only this file and the evidence files.

use std::collections::BTreeSet;

use camino::Utf8Path;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::catalogue::model::{Account, Citation, Scenario, Verdict};
use crate::evidence::{ClusterFacts, Evidence};
use crate::file::stays_inside;
use crate::judge::judgement::Judgement;

/// The value of [`Results::schema`] that this version writes and reads.
pub const SCHEMA: &str = "hookproof.results/2";

/// The results of one or more runs. Every run on a cluster has a column of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Results {
    /// Format version of this file.
    pub schema: String,
    /// Version of hookproof that wrote this file.
    pub hookproof: String,
    /// Id of the run; of several runs, separated by commas.
    pub run: String,
    #[schemars(with = "String")]
    pub began: Timestamp,
    /// Null while a run is in progress, or if one was interrupted.
    #[schemars(with = "Option<String>")]
    pub ended: Option<Timestamp>,
    /// The claims of all columns in catalogue order.
    pub claims: Vec<ClaimInfo>,
    /// Lines of documents that no claim of this file cites: those that need no claim, and those that other
    /// claims cite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Account>,
    /// The columns.
    pub clusters: Vec<ClusterResults>,
}

/// A claim without its verdicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimInfo {
    pub id: String,
    /// The claim in one sentence.
    pub says: String,
    /// The correct behaviour, shown if the claim is refuted or qualified.
    pub instead: Option<String>,
    /// The documents that make the claim.
    pub cites: Vec<Citation>,
    /// Id of the scenario that tests the claim.
    pub scenario: Option<String>,
}

/// A column of the reports: the results of one run on one cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterResults {
    /// Unique in this file, and the same in every run: the name of the column's evidence folder and JUnit
    /// file. Letters, digits, `.`, `_` and `-`.
    #[serde(deserialize_with = "safe")]
    pub key: String,
    /// The heading set with `--label`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    pub run: Run,
    /// Properties of the cluster; only its name and requested version if provisioning failed.
    pub facts: ClusterFacts,
    pub phases: Vec<Phase>,
    pub scenarios: Vec<ScenarioResults>,
    pub judgements: Vec<Judgement>,
    /// The run's texts of claims that differ from the texts in the claims of this file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<ClaimInfo>,
}

/// The run of a column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    pub id: String,
    /// Version of hookproof that ran.
    pub hookproof: String,
    #[schemars(with = "String")]
    pub began: Timestamp,
    /// Null while the run is in progress, or if it was interrupted.
    #[schemars(with = "Option<String>")]
    pub ended: Option<Timestamp>,
    /// Number of the repetition, from 1.
    pub round: u32,
    /// Absent if the run is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<Shards>,
    /// Ids of the selected claims. Other claims of this file are not run in this column.
    pub claims: BTreeSet<String>,
}

/// The parts of a run that a column contains, such as 1 and 3 of 4.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shards {
    pub parts: BTreeSet<usize>,
    pub of: usize,
}

/// A phase of a cluster's lifecycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    /// `provision`, `ready`, `teardown`.
    pub name: String,
    #[schemars(with = "String")]
    pub began: Timestamp,
    /// Duration in seconds.
    pub seconds: f64,
    pub error: Option<String>,
    /// Details, such as whether the cluster was created or reused.
    pub note: String,
}

/// The last attempt of a scenario on a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioResults {
    /// Id of the scenario.
    pub scenario: String,
    pub title: String,
    #[schemars(with = "String")]
    pub began: Timestamp,
    /// Duration in seconds.
    pub seconds: f64,
    /// Setup and observation errors. With errors, the scenario's claims have no verdict.
    pub problems: Vec<String>,
    /// Path of the evidence file, relative to the results folder.
    #[serde(default, deserialize_with = "inside")]
    pub evidence: Option<String>,
    /// Earlier attempts: they failed, were inconclusive or had an unexpected verdict. Reports show
    /// them even if the last attempt is as expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierAttempt>,
}

/// An attempt that was followed by a retry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EarlierAttempt {
    /// Number of the attempt, starting at 1.
    pub attempt: u32,
    /// Setup and observation errors.
    pub problems: Vec<String>,
    /// Verdicts that differ from the expected ones.
    pub unexpected: Vec<Unexpected>,
    /// Path of the evidence file, relative to the results folder.
    #[serde(default, deserialize_with = "inside")]
    pub evidence: Option<String>,
}

/// A verdict that differs from the expected one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unexpected {
    /// Id of the claim.
    pub claim: String,
    pub verdict: Verdict,
    pub reason: String,
}

impl ClaimInfo {
    /// The part of the id that the claims of a family share.
    pub(crate) fn family(&self) -> &str {
        self.id.split('.').next().unwrap_or_default()
    }
}

impl ScenarioResults {
    pub fn new(
        scenario: &Scenario,
        evidence: &Evidence,
        earlier: Vec<EarlierAttempt>,
        written: Option<String>,
    ) -> Self {
        Self {
            scenario: scenario.id.clone(),
            title: scenario.title.clone(),
            began: evidence.began,
            seconds: evidence.ended.duration_since(evidence.began).as_secs_f64(),
            problems: problems(evidence),
            evidence: written,
            earlier,
        }
    }

    pub fn attempts(&self) -> usize {
        self.earlier.len() + 1
    }
}

impl EarlierAttempt {
    /// `judgements` is empty if the attempt failed.
    pub fn new(evidence: &Evidence, judgements: &[Judgement], written: Option<String>) -> Self {
        let unexpected = judgements.iter().filter(|j| j.is_unexpected());
        let unexpected = unexpected.map(|judgement| Unexpected {
            claim: judgement.claim.clone(),
            verdict: judgement.verdict,
            reason: judgement.reason.clone(),
        });
        Self {
            attempt: evidence.attempt,
            problems: problems(evidence),
            unexpected: unexpected.collect(),
            evidence: written,
        }
    }
}

fn problems(evidence: &Evidence) -> Vec<String> {
    // The judgements say what is forbidden.
    if evidence.forbidden().is_some() {
        return Vec::new();
    }
    evidence.problems.iter().map(ToString::to_string).collect()
}

impl ClusterResults {
    /// An empty column for a cluster, named as in events.
    pub fn new(cluster: &str) -> Self {
        Self {
            key: key(cluster),
            facts: ClusterFacts {
                name: cluster.to_owned(),
                ..ClusterFacts::default()
            },
            run: Run {
                hookproof: env!("CARGO_PKG_VERSION").to_owned(),
                round: 1,
                ..Run::default()
            },
            ..Self::default()
        }
    }

    /// The claim with the text that this column's run tested.
    pub fn text<'a>(&'a self, claim: &'a ClaimInfo) -> &'a ClaimInfo {
        let own = self.texts.iter().find(|own| own.id == claim.id);
        own.unwrap_or(claim)
    }
}

fn is_safe(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn safe<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let key = String::deserialize(from)?;
    if key.is_empty() || key.starts_with('.') || !key.chars().all(is_safe) {
        return Err(D::Error::custom(format!(
            "invalid key `{key}`: expected letters, digits, `.`, `_` and `-`"
        )));
    }
    Ok(key)
}

fn inside<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let path = Option::<String>::deserialize(from)?;
    match &path {
        Some(path) if !stays_inside(Utf8Path::new(path)) => Err(D::Error::custom(format!(
            "invalid path `{path}`: expected a path inside the results folder"
        ))),
        _ => Ok(path),
    }
}

/// The key of a column whose cluster has this name in events: `1.36.3-default-2` for `1.36.3 default #2`.
pub fn key(name: &str) -> String {
    let words = name.split(|c| !is_safe(c)).filter(|word| !word.is_empty());
    let key = words.collect::<Vec<_>>().join("-");
    match key.trim_start_matches('.') {
        "" => "cluster".to_owned(),
        key => key.chars().take(80).collect(),
    }
}
