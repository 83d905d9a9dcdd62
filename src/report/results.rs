//! `results.json`: what a run found, for every reader after it. Reporters read this and the
//! evidence files, nothing else.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalogue::model::{Citation, Scenario, Verdict};
use crate::judge::judgement::Judgement;
use crate::observe::evidence::{ClusterFacts, Evidence};

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
    /// What could not be set up or observed in the last attempt; then its claims have no verdict.
    pub problems: Vec<String>,
    /// Path of the evidence file, relative to the results folder.
    pub evidence: Option<String>,
    /// The attempts before that one. They met a problem, decided nothing or found something else
    /// than what is known; what they found must be seen even where the last one found nothing amiss.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierAttempt>,
}

/// An attempt that was followed by another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EarlierAttempt {
    /// Counted from 1.
    pub attempt: u32,
    /// What could not be set up or observed in it.
    pub problems: Vec<String>,
    /// What it found that was not known.
    pub unexpected: Vec<Unexpected>,
    /// Path of its evidence file, relative to the results folder.
    pub evidence: Option<String>,
}

/// A verdict that was not the expected one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unexpected {
    /// Claim id.
    pub claim: String,
    /// What was found.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

impl ScenarioResults {
    /// How an attempt that was the last one went.
    #[must_use]
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

    /// Attempts made.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.earlier.len() + 1
    }
}

impl EarlierAttempt {
    /// What an attempt found, with the judgements made of it: none where it met a problem.
    #[must_use]
    pub fn new(evidence: &Evidence, judgements: &[Judgement], written: Option<String>) -> Self {
        let unexpected = judgements.iter().filter(|j| j.is_unexpected());
        Self {
            attempt: evidence.attempt,
            problems: problems(evidence),
            unexpected: unexpected
                .map(|judgement| Unexpected {
                    claim: judgement.claim.clone(),
                    verdict: judgement.verdict,
                    reason: judgement.reason.clone(),
                })
                .collect(),
            evidence: written,
        }
    }

    /// Why there was another attempt, a sentence each.
    #[must_use]
    pub fn why(&self) -> Vec<String> {
        if self.problems.is_empty() && self.unexpected.is_empty() {
            return vec!["nothing is amiss with it as it is judged now".to_owned()];
        }
        let unexpected = self.unexpected.iter();
        self.problems
            .iter()
            .cloned()
            .chain(unexpected.map(|found| format!("{} {}", found.claim, found.in_words())))
            .collect()
    }
}

impl Unexpected {
    /// `refuted: …`
    #[must_use]
    pub fn in_words(&self) -> String {
        format!("{}: {}", self.verdict.as_str(), self.reason)
    }
}

fn problems(evidence: &Evidence) -> Vec<String> {
    let problems = evidence.problems.iter();
    problems
        .map(|problem| format!("{}: {}", problem.doing, problem.what))
        .collect()
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
