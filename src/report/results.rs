//! `results.json`: what a run found, for every reader after it. Reporters read this and the
//! evidence files, nothing else.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalogue::model::{Citation, Verdict};
use crate::judge::judgement::Judgement;
use crate::observe::evidence::ClusterFacts;

/// The value of [`Results::schema`] that this version writes and reads.
pub const SCHEMA: &str = "hookproof.results/1";

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Results {
    /// Format of this file.
    pub schema: String,
    /// Version of hookproof that wrote it.
    pub hookproof: String,
    /// The run's id.
    pub run: String,
    /// When it began.
    #[schemars(with = "String")]
    pub began: Timestamp,
    /// When it ended; none while it is under way or after it was cut off.
    #[schemars(with = "Option<String>")]
    pub ended: Option<Timestamp>,
    /// The claims, in the catalogue's order.
    pub claims: Vec<ClaimInfo>,
    /// What was found on each cluster.
    pub clusters: Vec<ClusterResults>,
}

/// What a report says about a claim apart from its verdicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimInfo {
    /// Id.
    pub id: String,
    /// The statement.
    pub says: String,
    /// What is true instead, where it's not so.
    pub instead: Option<String>,
    /// Who says it.
    pub cites: Vec<Citation>,
    /// The scenario that decides it.
    pub scenario: Option<String>,
}

/// What was found on one cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterResults {
    /// What the cluster was; its name and wanted version only, where it could not be provisioned.
    pub facts: ClusterFacts,
    /// Creation, readiness, teardown.
    pub phases: Vec<Phase>,
    /// The scenarios.
    pub scenarios: Vec<ScenarioResults>,
    /// The verdicts.
    pub judgements: Vec<Judgement>,
}

/// A phase of provisioning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    /// `provision`, `ready`, `teardown`.
    pub name: String,
    /// When it began.
    #[schemars(with = "String")]
    pub began: Timestamp,
    /// Seconds it took.
    pub seconds: f64,
    /// What went wrong.
    pub error: Option<String>,
    /// In words: created, reused …
    pub note: String,
}

/// How a scenario went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioResults {
    /// Id.
    pub scenario: String,
    /// Title.
    pub title: String,
    /// When it began.
    #[schemars(with = "String")]
    pub began: Timestamp,
    /// Seconds it took.
    pub seconds: f64,
    /// Attempts made, each of the earlier ones having met a problem.
    pub attempts: u32,
    /// What could not be set up or observed in the last attempt; then its claims have no verdict.
    pub problems: Vec<String>,
    /// Path of the evidence file, relative to the results folder.
    pub evidence: Option<String>,
}

/// How a claim stands on one cluster, for counting and colouring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// The verdict is the expected one, or none was expected yet and one was found.
    AsExpected,
    /// It differs from the expected one.
    Changed,
    /// Its scenario could not be set up or observed.
    Error,
    /// Not applicable or not testable.
    Skipped,
}

impl ClusterResults {
    /// How a claim stands here. A claim without a judgement had no usable evidence.
    #[must_use]
    pub fn standing(&self, claim: &str) -> Standing {
        let Some(judgement) = self.judgements.iter().find(|j| j.claim == claim) else {
            return Standing::Error;
        };
        match (judgement.verdict, judgement.expected) {
            (verdict, Some(expected)) if verdict != expected => Standing::Changed,
            (Verdict::NotApplicable | Verdict::NotTestable, _) => Standing::Skipped,
            (Verdict::Inconclusive, None) => Standing::Changed,
            _ => Standing::AsExpected,
        }
    }
}
