//! The view shared by all reports, so that they agree: a cell per claim and cluster, and counts.

use std::collections::BTreeMap;

use crate::catalogue::model::Verdict;
use crate::evidence::ClusterFacts;
use crate::judge::judgement::Judgement;
use crate::report::results::{
    ClaimInfo, ClusterResults, Phase, Results, ScenarioResults, Standing,
};
use crate::report::text::one_line;
use crate::version::version;

/// The result of one claim on one cluster.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    Judged {
        judgement: &'a Judgement,
        standing: Standing,
        /// `None` for claims that are not testable.
        scenario: Option<&'a ScenarioResults>,
    },
    /// Setup or observation of the scenario failed.
    Problem { scenario: &'a ScenarioResults },
    /// The cluster failed in this phase.
    NoCluster { phase: &'a Phase },
    /// The run has not reached the scenario.
    NotRun,
}

/// A cell's state, which decides its word, colour and mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    Verdict(Verdict),
    Error,
    NotRun,
}

impl State {
    /// All states in display order.
    pub const ALL: [Self; 8] = [
        Self::Verdict(Verdict::Confirmed),
        Self::Verdict(Verdict::Refuted),
        Self::Verdict(Verdict::Qualified),
        Self::Verdict(Verdict::Inconclusive),
        Self::Verdict(Verdict::NotApplicable),
        Self::Verdict(Verdict::NotTestable),
        Self::Error,
        Self::NotRun,
    ];

    /// Identifier for CSS classes and filters.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Verdict(verdict) => verdict.as_str(),
            Self::Error => "error",
            Self::NotRun => "not-run",
        }
    }

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Verdict(Verdict::NotApplicable) => "not applicable",
            Self::Verdict(Verdict::NotTestable) => "not testable",
            Self::Verdict(verdict) => verdict.as_str(),
            Self::Error => "error",
            Self::NotRun => "not run",
        }
    }

    /// Symbol for plain text; symbols differ in shape, not only in colour.
    #[must_use]
    pub fn mark(self) -> &'static str {
        match self {
            Self::Verdict(Verdict::Confirmed) => "✓",
            Self::Verdict(Verdict::Refuted) => "✗",
            Self::Verdict(Verdict::Qualified) => "◐",
            Self::Verdict(Verdict::Inconclusive) => "?",
            Self::Verdict(Verdict::NotApplicable) => "–",
            Self::Verdict(Verdict::NotTestable) => "∅",
            Self::Error => "!",
            Self::NotRun => "·",
        }
    }
}

impl<'a> Cell<'a> {
    #[must_use]
    pub fn of(cluster: &'a ClusterResults, claim: &ClaimInfo) -> Self {
        let scenario = claim
            .scenario
            .as_deref()
            .and_then(|id| cluster.scenarios.iter().rev().find(|s| s.scenario == id));
        if let Some(judgement) = cluster.judgements.iter().find(|j| j.claim == claim.id) {
            let standing = cluster.standing(&claim.id);
            return Self::Judged {
                judgement,
                standing,
                scenario,
            };
        }
        if let Some(scenario) = scenario {
            return Self::Problem { scenario };
        }
        match cluster.phases.iter().find(|phase| phase.error.is_some()) {
            Some(phase) => Self::NoCluster { phase },
            None => Self::NotRun,
        }
    }

    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Self::Judged { judgement, .. } => State::Verdict(judgement.verdict),
            Self::Problem { .. } | Self::NoCluster { .. } => State::Error,
            Self::NotRun => State::NotRun,
        }
    }

    /// The scenario that ran for the claim.
    #[must_use]
    pub fn scenario(&self) -> Option<&'a ScenarioResults> {
        match *self {
            Self::Judged { scenario, .. } => scenario,
            Self::Problem { scenario } => Some(scenario),
            _ => None,
        }
    }

    /// Path of the evidence, relative to the results folder.
    #[must_use]
    pub fn evidence(&self) -> Option<&'a str> {
        self.scenario()?.evidence.as_deref()
    }

    /// Whether the verdict differs from the expected one.
    #[must_use]
    pub fn changed(&self) -> bool {
        matches!(
            self,
            Self::Judged {
                standing: Standing::Changed,
                ..
            }
        )
    }

    /// The judge's reason without the verdict it begins with, or the error.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Judged { judgement, .. } => {
                bare_reason(&judgement.reason, judgement.verdict).to_owned()
            }
            Self::Problem { scenario } if scenario.problems.is_empty() => format!(
                "scenario {} has neither a verdict nor an error; run `hookproof judge` on its evidence",
                scenario.scenario
            ),
            Self::Problem { scenario } => scenario.problems.join("; "),
            Self::NoCluster { phase } => format!(
                "cluster phase {} failed: {}",
                phase.name,
                phase.error.as_deref().unwrap_or("unknown error")
            ),
            Self::NotRun => "the run did not reach its scenario".to_owned(),
        }
    }
}

/// A judge's reason without a leading `inconclusive:` or `not applicable:` that repeats the verdict.
#[must_use]
pub fn bare_reason(reason: &str, verdict: Verdict) -> &str {
    let rest = reason.strip_prefix(State::Verdict(verdict).word());
    rest.and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(reason)
}

/// Number of claims of a cluster by state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    by_state: BTreeMap<State, usize>,
    /// Verdicts that differ from the expected ones.
    pub changed: usize,
    pub total: usize,
}

impl Counts {
    #[must_use]
    pub fn of(results: &Results, cluster: &ClusterResults) -> Self {
        let mut counts = Self::default();
        for claim in &results.claims {
            let cell = Cell::of(cluster, claim);
            *counts.by_state.entry(cell.state()).or_default() += 1;
            counts.changed += usize::from(cell.changed());
            counts.total += 1;
        }
        counts
    }

    #[must_use]
    pub fn get(&self, state: State) -> usize {
        self.by_state.get(&state).copied().unwrap_or_default()
    }

    /// The counts without zeros: `24 confirmed, 5 refuted`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let words: Vec<_> = State::ALL
            .into_iter()
            .filter(|state| self.get(*state) > 0)
            .map(|state| format!("{} {}", self.get(state), state.word()))
            .collect();
        if words.is_empty() {
            "no claims".to_owned()
        } else {
            words.join(", ")
        }
    }
}

/// `1.36` for `v1.36.3`; `None` if the version is unknown.
#[must_use]
pub fn minor(facts: &ClusterFacts) -> Option<String> {
    version(facts.kubernetes.trim()).map(|(major, minor)| format!("{major}.{minor}"))
}

/// Column heading of a cluster: `1.36`, followed by the profile unless it is the default.
#[must_use]
pub fn label(facts: &ClusterFacts) -> String {
    match (minor(facts), one_line(&facts.profile).as_str()) {
        (Some(minor), "" | "default") => minor,
        (Some(minor), profile) => format!("{minor} {profile}"),
        (None, _) => one_line(&facts.name),
    }
}

/// Scenarios with more than one attempt, with the label of their cluster.
#[must_use]
pub fn retried<'a>(
    results: &'a Results,
    labels: &'a [String],
) -> Vec<(&'a str, &'a ScenarioResults)> {
    let clusters = results.clusters.iter().zip(labels);
    clusters
        .flat_map(|(cluster, label)| cluster.scenarios.iter().map(move |s| (label.as_str(), s)))
        .filter(|(_, scenario)| !scenario.earlier.is_empty())
        .collect()
}

/// Unique labels of all clusters: a repeated label gets a number.
#[must_use]
pub fn labels(clusters: &[ClusterResults]) -> Vec<String> {
    let plain: Vec<_> = clusters
        .iter()
        .map(|cluster| label(&cluster.facts))
        .collect();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    plain
        .iter()
        .map(|text| {
            let nth = seen.entry(text).or_default();
            *nth += 1;
            if *nth == 1 {
                text.clone()
            } else {
                format!("{text} ({nth})")
            }
        })
        .collect()
}

/// A document's name without its extension.
#[must_use]
pub fn document_stem(document: &str) -> &str {
    document.rsplit_once('.').map_or(
        document,
        |(stem, _)| if stem.is_empty() { document } else { stem },
    )
}

/// Where a claim is documented: `001_x.txt:174, 184-190`. Empty for hookproof's own claims.
#[must_use]
pub fn cited(claim: &ClaimInfo) -> String {
    let places: Vec<_> = claim
        .cites
        .iter()
        .map(|cite| format!("{}:{}", cite.document, cite.lines))
        .collect();
    places.join("; ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;

    use super::*;
    use crate::report::fixture;

    #[rstest]
    #[case("v1.36.3", Some("1.36"))]
    #[case("v1.34.1-rc.0+abc", Some("1.34"))]
    #[case("1.30", Some("1.30"))]
    #[case("", None)]
    #[case("latest", None)]
    fn parses_the_minor_version(#[case] version: &str, #[case] expected: Option<&str>) {
        let facts = ClusterFacts {
            kubernetes: version.to_owned(),
            ..ClusterFacts::default()
        };
        assert_eq!(minor(&facts).as_deref(), expected);
    }

    #[test]
    fn counts_every_claim_once() {
        let results = fixture::results();
        for cluster in &results.clusters {
            let counts = Counts::of(&results, cluster);
            let sum: usize = State::ALL.into_iter().map(|state| counts.get(state)).sum();
            assert_eq!(sum, results.claims.len());
        }
    }

    #[test]
    fn labels_are_unique() {
        let mut results = fixture::results();
        let again = results.clusters.first().unwrap().clone();
        results.clusters.push(again);
        assert_eq!(labels(&results.clusters), ["1.35", "1.36", "1.35 (2)"]);
    }

    #[test]
    fn reasons_do_not_repeat_the_verdict() {
        let reason = "not applicable: needs the gate Imagined on";
        assert_eq!(
            bare_reason(reason, Verdict::NotApplicable),
            "needs the gate Imagined on"
        );
        assert_eq!(bare_reason(reason, Verdict::Qualified), reason);
    }

    #[test]
    fn a_failed_cluster_is_an_error_for_every_claim() {
        let mut results = fixture::results();
        let cluster = results.clusters.first_mut().unwrap();
        cluster.judgements.clear();
        cluster.scenarios.clear();
        cluster.phases.first_mut().unwrap().error = Some("no space left".to_owned());
        let cluster = results.clusters.first().unwrap();
        let counts = Counts::of(&results, cluster);
        assert_eq!(counts.get(State::Error), results.claims.len());
    }
}
