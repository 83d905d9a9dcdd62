//! How results look from a reader's side: a cell per claim and cluster, and their counts.
//! Every report shows the same thing because all of them ask here.

use std::collections::BTreeMap;

use crate::catalogue::model::Verdict;
use crate::judge::judgement::Judgement;
use crate::observe::evidence::ClusterFacts;
use crate::report::results::{
    ClaimInfo, ClusterResults, Phase, Results, ScenarioResults, Standing,
};
use crate::report::text::one_line;

/// What is known about one claim on one cluster.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    /// There is a verdict.
    Judged {
        /// The judge's answer.
        judgement: &'a Judgement,
        /// How that compares with what was expected.
        standing: Standing,
        /// The scenario behind it; none for claims that no experiment decides.
        scenario: Option<&'a ScenarioResults>,
    },
    /// Its scenario could not be set up or observed.
    Problem {
        /// The scenario.
        scenario: &'a ScenarioResults,
    },
    /// The cluster itself failed.
    NoCluster {
        /// The phase that failed.
        phase: &'a Phase,
    },
    /// Its scenario did not come to its turn.
    NotRun,
}

/// What a cell comes down to: the word, the colour and the mark it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// A verdict.
    Verdict(Verdict),
    /// An error of the run.
    Error,
    /// Nothing was tried.
    NotRun,
}

impl State {
    /// Everything a cell can be, in the order in which it is counted out.
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

    /// One word without spaces, for classes and filters.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Verdict(verdict) => verdict.as_str(),
            Self::Error => "error",
            Self::NotRun => "not-run",
        }
    }

    /// The word that people read.
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

    /// A mark that differs in shape, for plain text.
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
    /// The cell of a claim on a cluster.
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

    /// What it comes down to.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Self::Judged { judgement, .. } => State::Verdict(judgement.verdict),
            Self::Problem { .. } | Self::NoCluster { .. } => State::Error,
            Self::NotRun => State::NotRun,
        }
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

    /// Why it is so: the judge's reason, or what went wrong.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Judged { judgement, .. } => judgement.reason.clone(),
            Self::Problem { scenario } if scenario.problems.is_empty() => format!(
                "the scenario {} gave no verdict and no problem; judge its evidence again with \
                 `hookproof judge`",
                scenario.scenario
            ),
            Self::Problem { scenario } => scenario.problems.join("; "),
            Self::NoCluster { phase } => format!(
                "the cluster was not usable ({}): {}",
                phase.name,
                phase.error.as_deref().unwrap_or("no reason given")
            ),
            Self::NotRun => "its scenario did not come to its turn".to_owned(),
        }
    }
}

/// How many claims of a cluster came out how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    by_state: BTreeMap<State, usize>,
    /// Verdicts that differ from the expected ones.
    pub changed: usize,
    /// All claims.
    pub total: usize,
}

impl Counts {
    /// Counts a cluster's cells.
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

    /// How many are in this state.
    #[must_use]
    pub fn get(&self, state: State) -> usize {
        self.by_state.get(&state).copied().unwrap_or_default()
    }

    /// In words, leaving out what did not occur: `24 confirmed, 5 refuted`.
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

/// `1.36` of `v1.36.3`; none where the version is not known.
#[must_use]
pub fn minor(facts: &ClusterFacts) -> Option<String> {
    let version = facts.kubernetes.trim().trim_start_matches('v');
    let mut parts = version.split('.');
    let major = parts
        .next()
        .filter(|part| part.chars().all(|c| c.is_ascii_digit()))?;
    let minor: String = parts
        .next()?
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    (!major.is_empty() && !minor.is_empty()).then(|| format!("{major}.{minor}"))
}

/// How a cluster is called over a column: `1.36`, and its profile where that says something.
#[must_use]
pub fn label(facts: &ClusterFacts) -> String {
    match (minor(facts), one_line(&facts.profile).as_str()) {
        (Some(minor), "" | "default") => minor,
        (Some(minor), profile) => format!("{minor} {profile}"),
        (None, _) => one_line(&facts.name),
    }
}

/// Scenarios with more than one attempt, and the label of their cluster.
#[must_use]
pub fn tried_again<'a>(
    results: &'a Results,
    labels: &'a [String],
) -> Vec<(&'a str, &'a ScenarioResults)> {
    let clusters = results.clusters.iter().zip(labels);
    clusters
        .flat_map(|(cluster, label)| cluster.scenarios.iter().map(move |s| (label.as_str(), s)))
        .filter(|(_, scenario)| !scenario.earlier.is_empty())
        .collect()
}

/// Labels of all clusters, told apart where two would be the same.
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

/// The document's name without its extension.
#[must_use]
pub fn document_stem(document: &str) -> &str {
    document.rsplit_once('.').map_or(
        document,
        |(stem, _)| if stem.is_empty() { document } else { stem },
    )
}

/// Where a claim is said, as people read it: `001_x:174, 184-190`. Empty for the tool's own claims.
#[must_use]
pub fn cited(claim: &ClaimInfo) -> String {
    let places: Vec<_> = claim
        .cites
        .iter()
        .map(|cite| format!("{}:{}", document_stem(&cite.document), cite.lines))
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
    fn finds_the_minor(#[case] version: &str, #[case] expected: Option<&str>) {
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
    fn tells_clusters_apart() {
        let mut results = fixture::results();
        let again = results.clusters.first().unwrap().clone();
        results.clusters.push(again);
        assert_eq!(labels(&results.clusters), ["1.35", "1.36", "1.35 (2)"]);
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
