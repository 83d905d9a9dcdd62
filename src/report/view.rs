//! The view shared by all reports, so that they agree: a cell per claim and cluster, and counts.

use std::collections::{BTreeSet, HashMap};

use itertools::Itertools as _;

use crate::catalogue::model::{Citation, Verdict};
use crate::evidence::ClusterFacts;
use crate::judge::judgement::Judgement;
use crate::report::results::{
    ClaimInfo, ClusterResults, EarlierAttempt, Phase, Results, ScenarioResults, Shards, Unexpected,
};
use crate::report::text::{one_line, shorten};
use crate::version::version;

/// The result of one claim on one cluster.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    Judged {
        judgement: &'a Judgement,
        /// `None` for claims that are not testable.
        scenario: Option<&'a ScenarioResults>,
    },
    /// Setup or observation of the scenario failed.
    Problem { scenario: &'a ScenarioResults },
    /// The cluster failed in this phase.
    NoCluster { phase: &'a Phase },
    /// The run did not select the claim or has not reached it, or its evidence is missing.
    NotRun {
        /// Whether the run selected the claim: then the run is incomplete.
        selected: bool,
    },
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
    pub fn key(self) -> &'static str {
        self.look().0
    }

    pub fn word(self) -> &'static str {
        self.look().1
    }

    /// Symbol for plain text; symbols differ in shape, not only in colour.
    pub fn mark(self) -> &'static str {
        self.look().2
    }

    /// The state with this identifier.
    pub fn of(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.key() == key)
    }

    /// Whether the claim is wrong, so that its correction is shown.
    pub(crate) fn is_wrong(self) -> bool {
        matches!(self, Self::Verdict(Verdict::Refuted | Verdict::Qualified))
    }

    /// Whether it is a verdict that the evidence decided.
    pub(crate) fn is_decided(self) -> bool {
        matches!(self, Self::Verdict(verdict) if verdict != Verdict::Inconclusive)
    }

    fn look(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Verdict(Verdict::Confirmed) => ("confirmed", "confirmed", "✓"),
            Self::Verdict(Verdict::Refuted) => ("refuted", "refuted", "✗"),
            Self::Verdict(Verdict::Qualified) => ("qualified", "qualified", "◐"),
            Self::Verdict(Verdict::Inconclusive) => ("inconclusive", "inconclusive", "?"),
            Self::Verdict(Verdict::NotApplicable) => ("not-applicable", "not applicable", "–"),
            Self::Verdict(Verdict::NotTestable) => ("not-testable", "not testable", "∅"),
            Self::Error => ("error", "error", "!"),
            Self::NotRun => ("not-run", "not run", "·"),
        }
    }
}

impl Results {
    /// The cells of a claim, one for each column.
    pub fn cells<'a>(&'a self, claim: &'a ClaimInfo) -> impl Iterator<Item = Cell<'a>> {
        self.clusters.iter().map(|column| Cell::of(column, claim))
    }
}

impl<'a> Cell<'a> {
    pub fn of(cluster: &'a ClusterResults, claim: &ClaimInfo) -> Self {
        let mut scenarios = cluster.scenarios.iter().rev();
        let scenario = scenarios.find(|ran| Some(&ran.scenario) == claim.scenario.as_ref());
        let judgement = cluster.judgements.iter().find(|j| j.claim == claim.id);
        let selected = cluster.run.claims.contains(&claim.id);
        let failed = cluster.phases.iter().find(|phase| phase.error.is_some());
        match (judgement, scenario, failed) {
            (Some(judgement), scenario, _) => Self::Judged {
                judgement,
                scenario,
            },
            (None, Some(scenario), _) => Self::Problem { scenario },
            (None, None, Some(phase)) if selected => Self::NoCluster { phase },
            (None, None, _) => Self::NotRun { selected },
        }
    }

    pub fn state(&self) -> State {
        match self {
            Self::Judged { judgement, .. } => State::Verdict(judgement.verdict),
            Self::Problem { .. } | Self::NoCluster { .. } => State::Error,
            Self::NotRun { .. } => State::NotRun,
        }
    }

    pub fn judgement(&self) -> Option<&'a Judgement> {
        match *self {
            Self::Judged { judgement, .. } => Some(judgement),
            _ => None,
        }
    }

    /// The scenario that ran for the claim.
    pub fn scenario(&self) -> Option<&'a ScenarioResults> {
        match *self {
            Self::Judged { scenario, .. } => scenario,
            Self::Problem { scenario } => Some(scenario),
            _ => None,
        }
    }

    /// Path of the evidence, relative to the results folder.
    pub fn evidence(&self) -> Option<&'a str> {
        self.scenario()?.evidence.as_deref()
    }

    /// Whether the run selected the claim, but has neither a verdict nor an error.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::NotRun { selected: true })
    }

    /// Whether the verdict differs from the expected one.
    pub fn changed(&self) -> bool {
        matches!(self, Self::Judged { judgement, .. } if judgement.is_unexpected())
    }

    /// The judge's reason without the verdict it begins with, or the error.
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
            Self::NotRun { selected: true } => "the run did not reach its scenario".to_owned(),
            Self::NotRun { selected: false } => "not selected, or no evidence".to_owned(),
        }
    }
}

/// A judge's reason without a leading `inconclusive:` or `not applicable:` that repeats the verdict.
pub fn bare_reason(reason: &str, verdict: Verdict) -> &str {
    without_word(State::Verdict(verdict).word(), reason)
}

/// A reason without the word and the colon that it begins with.
pub(super) fn without_word<'a>(word: &str, reason: &'a str) -> &'a str {
    let rest = reason.strip_prefix(word);
    rest.and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(reason)
}

/// Number of claims of a cluster by state.
#[derive(Debug)]
pub struct Counts {
    by_state: HashMap<State, usize>,
    /// Verdicts that differ from the expected ones.
    pub changed: usize,
}

impl Counts {
    pub fn of(results: &Results, cluster: &ClusterResults) -> Self {
        let cells = || results.claims.iter().map(|claim| Cell::of(cluster, claim));
        Self {
            by_state: cells().map(|cell| cell.state()).counts(),
            changed: cells().filter(Cell::changed).count(),
        }
    }

    /// The counts of each column, after the states that occur in any.
    pub(super) fn all(results: &Results) -> (Vec<State>, Vec<Self>) {
        let columns = results.clusters.iter();
        let counts: Vec<Self> = columns.map(|column| Self::of(results, column)).collect();
        let occurs = |state: &State| counts.iter().any(|counts| counts.get(*state) > 0);
        (State::ALL.into_iter().filter(occurs).collect(), counts)
    }

    pub fn get(&self, state: State) -> usize {
        self.by_state.get(&state).copied().unwrap_or_default()
    }

    /// The counts without zeros: `24 confirmed, 5 refuted`.
    pub fn in_words(&self) -> String {
        in_words(&self.by_state, "no claims")
    }
}

/// States with their numbers: `24 confirmed, 5 refuted`.
pub fn in_words(by_state: &HashMap<State, usize>, none: &str) -> String {
    let states = State::ALL.into_iter();
    let mut words =
        states.filter_map(|state| Some(format!("{} {}", by_state.get(&state)?, state.word())));
    match words.join(", ") {
        words if words.is_empty() => none.to_owned(),
        words => words,
    }
}

/// `1.36` for `v1.36.3`; `None` if the version is unknown.
pub fn minor(facts: &ClusterFacts) -> Option<String> {
    version(facts.kubernetes.trim()).map(|(major, minor)| format!("{major}.{minor}"))
}

/// Column heading of a cluster: `1.36`, followed by the profile unless it is the default.
pub fn label(facts: &ClusterFacts) -> String {
    match (minor(facts), one_line(&facts.profile).as_str()) {
        (Some(minor), "" | "default") => minor,
        (Some(minor), profile) => format!("{minor} {profile}"),
        (None, _) => one_line(&facts.name),
    }
}

/// Scenarios with more than one attempt, with the label of their cluster.
pub fn retried<'a>(
    results: &'a Results,
    labels: &'a [String],
) -> impl Iterator<Item = (&'a String, &'a ScenarioResults)> {
    let clusters = labels.iter().zip(&results.clusters);
    clusters
        .flat_map(|(label, cluster)| cluster.scenarios.iter().map(move |ran| (label, ran)))
        .filter(|(_, ran)| !ran.earlier.is_empty())
}

/// Unique headings of columns, as short as uniqueness permits: the label of the run or the minor version
/// and profile, followed by what distinguishes columns with the same heading.
pub fn labels(columns: &[ClusterResults]) -> Vec<String> {
    let short = |column: &ClusterResults| match &column.label {
        Some(given) => one_line(given),
        None => label(&column.facts),
    };
    let mut labels = columns.iter().map(short).collect_vec();
    distinguish(&mut labels, |at, text| {
        let facts = &columns[at].facts;
        let full = facts.kubernetes.trim_start_matches('v');
        match (&columns[at].label, minor(facts)) {
            (Some(_), _) => format!("{text} {full}"),
            (None, Some(minor)) => text.replacen(&minor, full, 1),
            (None, None) => text.to_owned(),
        }
    });
    let parts: [fn(&ClusterResults) -> String; 8] = [
        |column| column.facts.profile.clone(),
        |column| column.facts.container_runtimes.join(", "),
        |column| format!("round {}", column.run.round),
        |column| shards(column).unwrap_or_default(),
        |column| column.run.began.strftime("%Y-%m-%d").to_string(),
        |column| column.run.began.strftime("%H:%M").to_string(),
        |column| column.run.id.clone(),
        |column| column.facts.name.clone(),
    ];
    for part in parts {
        distinguish(&mut labels, |at, label| {
            one_line(&format!("{label} {}", part(&columns[at])))
        });
    }
    number(labels, " ")
}

/// Replaces equal labels if the longer ones differ.
fn distinguish(labels: &mut [String], longer: impl Fn(usize, &str) -> String) {
    let groups = labels.iter().cloned().enumerate();
    let groups = groups.map(|(at, label)| (label, at)).into_group_map();
    for (label, group) in groups {
        let new = group.iter().map(|at| longer(*at, &label)).collect_vec();
        if !new.iter().all_equal() {
            for (at, text) in group.into_iter().zip(new) {
                labels[at] = text;
            }
        }
    }
}

/// Appends numbers to repeated names.
pub(crate) fn number(names: Vec<String>, separator: &str) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let unique = |name: String| {
        let numbered = (2..).map(|nth| format!("{name}{separator}{nth}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        let free = names.find(|name| taken.insert(name.to_lowercase()));
        free.unwrap_or(name)
    };
    names.into_iter().map(unique).collect()
}

/// `shard 1 of 3`; `None` if the run is complete.
pub fn shards(column: &ClusterResults) -> Option<String> {
    let Shards { parts, of } = column.run.shards.as_ref()?;
    Some(format!("shard {} of {of}", parts.iter().join(" and ")))
}

/// The lines of a citation, or the quotation if no document was there to find it in.
pub(crate) fn place(cite: &Citation, lines: impl Fn(&str) -> String) -> String {
    match &cite.quote {
        Some(quote) if cite.lines.is_empty() => format!("“{}”", shorten(&one_line(quote), 60)),
        _ => lines(&one_line(&cite.lines)),
    }
}

/// Where a claim is documented: `001_x.txt:174, 184-190`. `None` for hookproof's own claims.
pub fn cited(claim: &ClaimInfo) -> Option<String> {
    let places = claim.cites.iter();
    let mut places = places.map(|cite| format!("{}:{}", cite.document, place(cite, str::to_owned)));
    (!claim.cites.is_empty()).then(|| places.join("; "))
}

impl EarlierAttempt {
    /// The reasons for the retry.
    pub fn why(&self) -> Vec<String> {
        if self.problems.is_empty() && self.unexpected.is_empty() {
            return vec!["judged again, it has no error and no unexpected verdict".to_owned()];
        }
        let unexpected = self.unexpected.iter();
        let unexpected = unexpected.map(|found| format!("{} is {}", found.claim, found.in_words()));
        self.problems.iter().cloned().chain(unexpected).collect()
    }
}

impl Unexpected {
    /// `refuted: …`
    pub fn in_words(&self) -> String {
        let word = State::Verdict(self.verdict).word();
        format!("{word}: {}", bare_reason(&self.reason, self.verdict))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;

    use super::*;
    use crate::report::fixture;

    #[test]
    fn counts_every_claim_once() {
        let results = fixture::results();
        for cluster in &results.clusters {
            let counts = Counts::of(&results, cluster);
            let sum: usize = State::ALL.into_iter().map(|state| counts.get(state)).sum();
            assert_eq!(sum, results.claims.len());
        }
    }

    /// A column is given by version, profile, runtime, round and day.
    #[rstest]
    #[case::short(&["1.36.3 default r 1 1", "1.35.1 default r 1 1"], &["1.36", "1.35"])]
    #[case::profile(&["1.36.3 default r 1 1", "1.36.3 X-off r 1 1"], &["1.36", "1.36 X-off"])]
    #[case::patch(&["1.36.3 default r 1 1", "1.36.4 default r 1 1"], &["1.36.3", "1.36.4"])]
    #[case::runtime(&["1.36.3 default c 1 1", "1.36.3 default d 1 1"], &["1.36 c", "1.36 d"])]
    #[case::round(&["1.36.3 default r 1 1", "1.36.3 default r 2 1"], &["1.36 round 1", "1.36 round 2"])]
    #[case::day(&["1.36.3 default r 1 1", "1.36.3 default r 1 2"], &["1.36 2026-11-01", "1.36 2026-11-02"])]
    #[case::equal(&["1.36.3 default r 1 1", "1.36.3 default r 1 1"], &["1.36", "1.36 2"])]
    fn labels_are_short_and_unique(#[case] columns: &[&str], #[case] expected: &[&str]) {
        let column = |text: &&str| {
            let words: Vec<_> = text.split(' ').collect();
            let mut column = ClusterResults::new("c");
            column.facts.kubernetes = format!("v{}", words[0]);
            column.facts.profile = words[1].to_owned();
            column.facts.container_runtimes = vec![words[2].to_owned()];
            column.run.round = words[3].parse().unwrap();
            column.run.began = format!("2026-11-0{}T09:00:00Z", words[4]).parse().unwrap();
            column
        };
        let columns: Vec<_> = columns.iter().map(column).collect();
        assert_eq!(labels(&columns), expected);
    }

    #[test]
    fn a_label_of_several_clusters_is_extended() {
        let mut results = fixture::results();
        for column in &mut results.clusters {
            column.label = Some("nightly".to_owned());
        }
        let expected = ["nightly 1.35.6", "nightly 1.36.3"];
        assert_eq!(labels(&results.clusters), expected);
    }

    #[test]
    fn reasons_do_not_repeat_the_verdict() {
        let reason = "not applicable: needs the gate Imagined on";
        let bare = bare_reason(reason, Verdict::NotApplicable);
        assert_eq!(bare, "needs the gate Imagined on");
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
