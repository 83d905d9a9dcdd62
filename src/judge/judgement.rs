//! Judgements: verdicts and the values that decided them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::model::{Claim, Scenario, Verdict};

/// The judgement on one claim on one cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    pub claim: String,
    /// Absent for claims that no experiment can decide.
    pub scenario: Option<String>,
    pub verdict: Verdict,
    /// The known verdict for this cluster, if any.
    pub expected: Option<Verdict>,
    /// One or two sentences with the deciding values.
    pub reason: String,
    pub checks: Vec<CheckJudgement>,
    /// Named values and measures.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measured: BTreeMap<String, Value>,
}

impl Judgement {
    /// A verdict that follows without checks, and is expected.
    pub(super) fn unchecked(
        claim: &Claim,
        scenario: Option<&Scenario>,
        verdict: Verdict,
        reason: String,
    ) -> Self {
        Self {
            claim: claim.id.clone(),
            scenario: scenario.map(|scenario| scenario.id.clone()),
            verdict,
            expected: Some(verdict),
            reason,
            checks: Vec::new(),
            measured: BTreeMap::new(),
        }
    }

    /// Whether the verdict differs from the known one. Without one, every decided verdict is as expected.
    pub fn is_unexpected(&self) -> bool {
        match self.expected {
            Some(expected) => self.verdict != expected,
            None => self.verdict == Verdict::Inconclusive,
        }
    }
}

/// The judgement on a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckJudgement {
    pub name: String,
    pub outcome: Outcome,
    /// The deciding values in one sentence.
    pub reason: String,
    pub control: Evaluation,
    pub holds: Evaluation,
    pub fails: Evaluation,
}

impl CheckJudgement {
    pub fn evaluations(&self) -> [(&'static str, &Evaluation); 3] {
        [
            ("control", &self.control),
            ("holds", &self.holds),
            ("fails", &self.fails),
        ]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The control and `holds` are true, `fails` is false.
    Holds,
    /// The control and `fails` are true, `holds` is false.
    Fails,
    /// Anything else.
    Inconclusive,
    /// The cluster does not meet the check's requirements.
    NotApplicable,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evaluation {
    pub expression: String,
    /// Absent if it could not be evaluated.
    pub value: Option<bool>,
    /// Why it could not be evaluated, such as a moment that never occurred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The parts joined by `&&` at the top level, with the values they read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// A part of an expression with the values that it read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    pub text: String,
    /// Absent if it could not be evaluated.
    pub value: Option<bool>,
    /// Path and short value; for a comparison of two times also the difference.
    pub read: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::catalogue::parse::VERDICTS;
    use Verdict::{Confirmed, Inconclusive, NotApplicable, NotTestable, Qualified, Refuted};

    #[rstest]
    #[case::nothing_known(None, &[Inconclusive])]
    #[case(Some(Confirmed), &[Refuted, Qualified, Inconclusive, NotApplicable, NotTestable])]
    #[case(Some(Refuted), &[Confirmed, Qualified, Inconclusive, NotApplicable, NotTestable])]
    #[case(Some(Qualified), &[Confirmed, Refuted, Inconclusive, NotApplicable, NotTestable])]
    #[case(Some(Inconclusive), &[Confirmed, Refuted, Qualified, NotApplicable, NotTestable])]
    #[case(Some(NotApplicable), &[Confirmed, Refuted, Qualified, Inconclusive, NotTestable])]
    #[case(Some(NotTestable), &[Confirmed, Refuted, Qualified, Inconclusive, NotApplicable])]
    fn unexpected_verdicts(#[case] expected: Option<Verdict>, #[case] unexpected: &[Verdict]) {
        for verdict in VERDICTS {
            let judgement = Judgement {
                claim: "c".to_owned(),
                scenario: None,
                verdict,
                expected,
                reason: String::new(),
                checks: Vec::new(),
                measured: BTreeMap::new(),
            };
            let wanted = unexpected.contains(&verdict);
            assert_eq!(judgement.is_unexpected(), wanted, "{verdict}");
        }
    }
}
