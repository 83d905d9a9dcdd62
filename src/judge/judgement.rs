//! What the judge says: a verdict and the values that decided it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::model::Verdict;

/// The judge's answer for one claim on one cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// Claim id.
    pub claim: String,
    /// Scenario id; none for claims that no experiment can decide.
    pub scenario: Option<String>,
    /// What was found.
    pub verdict: Verdict,
    /// What was known to be found here; none where nothing is known yet.
    pub expected: Option<Verdict>,
    /// One or two sentences with the deciding values.
    pub reason: String,
    /// Each check's outcome.
    pub checks: Vec<CheckJudgement>,
    /// Measured values by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measured: BTreeMap<String, Value>,
}

impl Judgement {
    /// Nothing decided, or something else than what is known.
    #[must_use]
    pub fn is_unexpected(&self) -> bool {
        match self.expected {
            Some(expected) => self.verdict != expected,
            None => self.verdict == Verdict::Inconclusive,
        }
    }
}

/// How a check came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckJudgement {
    /// Its name.
    pub name: String,
    /// Outcome.
    pub outcome: Outcome,
    /// Why, in a sentence.
    pub reason: String,
    /// The control as evaluated.
    pub control: Evaluation,
    /// `holds` as evaluated.
    pub holds: Evaluation,
    /// `fails` as evaluated.
    pub fails: Evaluation,
}

/// A check's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// `holds` is true, `fails` is false, the control is met.
    Holds,
    /// The other way round.
    Fails,
    /// Anything else.
    Inconclusive,
    /// Not here.
    NotApplicable,
}

/// An expression and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evaluation {
    /// The expression.
    pub expression: String,
    /// Its value; none where it could not be evaluated.
    pub value: Option<bool>,
    /// Why it could not be evaluated, such as a moment that never came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its conjuncts with the values in them, for people: the parts joined by `&&` at the top.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// A part of an expression with the values that it read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// Text of the part.
    pub text: String,
    /// Its value; none where it could not be evaluated.
    pub value: Option<bool>,
    /// What it read: path and short value; for two times compared, the difference as well.
    pub read: Vec<(String, String)>,
}
