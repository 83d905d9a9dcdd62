//! `results.json`: the results of a run. Reporters read only this file and the evidence files.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::view::{State, bare_reason};
use crate::catalogue::model::{Citation, Scenario, Verdict};
use crate::evidence::{ClusterFacts, Evidence};
use crate::judge::judgement::Judgement;

/// The value of [`Results::schema`] that this version writes and reads.
pub const SCHEMA: &str = "hookproof.results/1";

/// The results of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Results {
    /// Format version of this file.
    pub schema: String,
    /// Version of hookproof that wrote this file.
    pub hookproof: String,
    /// Id of the run.
    pub run: String,
    #[schemars(with = "String")]
    pub began: Timestamp,
    /// Null while the run is in progress, or if it was interrupted.
    #[schemars(with = "Option<String>")]
    pub ended: Option<Timestamp>,
    /// The claims in catalogue order.
    pub claims: Vec<ClaimInfo>,
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

/// The results of one cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterResults {
    /// Properties of the cluster; only its name and requested version if provisioning failed.
    pub facts: ClusterFacts,
    pub phases: Vec<Phase>,
    pub scenarios: Vec<ScenarioResults>,
    pub judgements: Vec<Judgement>,
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

impl ScenarioResults {
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

    #[must_use]
    pub fn attempts(&self) -> usize {
        self.earlier.len() + 1
    }
}

impl EarlierAttempt {
    /// `judgements` is empty if the attempt failed.
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

    /// The reasons for the retry.
    #[must_use]
    pub fn why(&self) -> Vec<String> {
        if self.problems.is_empty() && self.unexpected.is_empty() {
            return vec!["judged again, it has no error and no unexpected verdict".to_owned()];
        }
        let unexpected = self.unexpected.iter();
        self.problems
            .iter()
            .cloned()
            .chain(unexpected.map(|found| format!("{} is {}", found.claim, found.in_words())))
            .collect()
    }
}

impl Unexpected {
    /// `refuted: …`
    #[must_use]
    pub fn in_words(&self) -> String {
        let word = State::Verdict(self.verdict).word();
        format!("{word}: {}", bare_reason(&self.reason, self.verdict))
    }
}

fn problems(evidence: &Evidence) -> Vec<String> {
    let problems = evidence.problems.iter();
    problems
        .map(|problem| format!("{}: {}", problem.doing, problem.what))
        .collect()
}

/// A claim's verdict on one cluster compared with the expected verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// The expected verdict, or a decided verdict if none was expected.
    AsExpected,
    /// The verdict differs from the expected one.
    Changed,
    /// No verdict: setup or observation failed.
    Error,
    /// Not applicable or not testable.
    Skipped,
}

impl ClusterResults {
    /// A claim without a judgement is an error: it has no usable evidence.
    #[must_use]
    pub fn standing(&self, claim: &str) -> Standing {
        let Some(judgement) = self.judgements.iter().find(|j| j.claim == claim) else {
            return Standing::Error;
        };
        match judgement.verdict {
            _ if judgement.is_unexpected() => Standing::Changed,
            Verdict::NotApplicable | Verdict::NotTestable => Standing::Skipped,
            _ => Standing::AsExpected,
        }
    }
}
