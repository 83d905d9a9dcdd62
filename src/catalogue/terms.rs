//! What suites and results share: citations and verdicts.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::finding::Place;

/// A passage of a document: lines with a digest so that edits are detected, or a quotation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Citation {
    /// The document's path in the folder of documents.
    pub document: String,
    /// Line ranges as written: `64`, `78-79`, `64,79`. Of a quotation: where it was found, or empty.
    pub lines: String,
    /// First 12 hex digits of the SHA-256 of those lines.
    pub digest: Option<String>,
    /// The words of the passage, in place of a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// Which of several places with those words, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurrence: Option<u32>,
    #[serde(skip)]
    pub(crate) place: Place,
}

impl Citation {
    /// The citation as results contain it.
    pub(crate) fn without_place(&self) -> Self {
        Self {
            place: Place::default(),
            ..self.clone()
        }
    }
}

/// Lines of a document that need no claim, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    #[serde(flatten)]
    pub cites: Citation,
    /// Why, such as `heading`.
    pub because: String,
    /// The lines of the document whose statements these lines repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<String>,
}

/// The result for a claim.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every check that applies holds.
    Confirmed,
    /// Every check that applies fails.
    Refuted,
    /// Some applicable checks hold, some fail: the checks show the condition.
    Qualified,
    /// The evidence decides nothing: a control is not met, a moment is missing, or both or neither prediction is true.
    Inconclusive,
    /// This version, gate, or cluster cannot test it.
    NotApplicable,
    /// No experiment can decide it.
    NotTestable,
}

impl Verdict {
    /// Its name in suites and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Refuted => "refuted",
            Self::Qualified => "qualified",
            Self::Inconclusive => "inconclusive",
            Self::NotApplicable => "not-applicable",
            Self::NotTestable => "not-testable",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
