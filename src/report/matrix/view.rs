//! The matrix as people read it: a column per profile, with its runs together.

use itertools::Itertools as _;

use super::data::{Column, Entry, Matrix};
use super::ranges::{Ranges, Tested, ranges};
use crate::report::results::ClaimInfo;
use crate::report::view::{State, labels};
use crate::version::version;

/// A matrix with its columns grouped by profile, in the order of versions.
#[derive(Debug)]
pub struct View<'a> {
    pub(crate) matrix: &'a Matrix,
    pub(crate) profiles: Vec<Profile<'a>>,
    /// The profile that the others are compared with: the newest version with default gates.
    pub(crate) base: Option<usize>,
}

/// A profile and its runs.
#[derive(Debug)]
pub(crate) struct Profile<'a> {
    /// Unique, such as `1.36` or `1.30 PodLifecycleSleepAction-off`.
    pub(crate) label: String,
    /// The newest run.
    pub(crate) column: &'a Column,
    /// Numbers of the columns, the newest run last.
    pub(crate) runs: Vec<usize>,
}

/// The results of a claim on a profile: none if it is untested, the newest run's if all runs agree, and those of
/// all runs if it is flaky. Errors count only if no run has a verdict.
#[derive(Debug)]
pub(crate) struct Found<'a>(pub(crate) Vec<Entry<'a>>);

impl<'a> Found<'a> {
    /// Whether runs on the same node image have different verdicts.
    pub(crate) fn is_flaky(&self) -> bool {
        self.0.len() > 1
    }

    /// The state that all runs agree on; `None` if they do not.
    pub(crate) fn state(&self) -> Option<State> {
        match self.0.as_slice() {
            [] => Some(State::NotRun),
            [entry] => Some(entry.state),
            _ => None,
        }
    }

    /// The result that all runs agree on, unless it is an error.
    fn agreed(&self) -> Option<Entry<'a>> {
        let entry = self.0.first().filter(|_| !self.is_flaky());
        entry.copied().filter(|entry| entry.state != State::Error)
    }

    pub(crate) fn states(&self) -> Vec<State> {
        let states = self.0.iter().map(|entry| entry.state);
        let untested = self.0.is_empty().then_some(State::NotRun);
        states.chain(untested).sorted().dedup().collect()
    }

    /// `confirmed`, `flaky (confirmed, refuted)`, `untested`.
    pub(crate) fn in_words(&self) -> String {
        match self.state() {
            Some(State::NotRun) => "untested".to_owned(),
            Some(state) => state.word().to_owned(),
            None => {
                let mut words = self.states().into_iter().map(State::word);
                format!("flaky ({})", words.join(", "))
            }
        }
    }

    /// Symbol for plain text.
    pub(crate) fn mark(&self) -> &'static str {
        self.state().map_or("≈", State::mark)
    }
}

/// A verdict that differs from the base's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference<'a> {
    pub(crate) claim: &'a ClaimInfo,
    pub(crate) profile: usize,
    pub(crate) state: State,
    pub(crate) base: State,
}

impl<'a> View<'a> {
    pub fn new(matrix: &'a Matrix) -> Self {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (at, column) in matrix.columns.iter().enumerate() {
            let same = |group: &&mut Vec<usize>| matrix.columns[group[0]].same_profile(column);
            match groups.iter_mut().find(same) {
                Some(group) => group.push(at),
                None => groups.push(vec![at]),
            }
        }
        for runs in &mut groups {
            runs.sort_by_key(|at| matrix.columns[*at].began);
        }
        let newest = |runs: &Vec<usize>| &matrix.columns[runs.last().copied().unwrap_or_default()];
        groups.sort_by_cached_key(|runs| (newest(runs).order(), newest(runs).began));
        let named = groups.iter().map(|runs| newest(runs).column());
        let labels = labels(&named.collect_vec()).into_iter();
        let profiles = labels.zip(groups).map(|(label, runs)| Profile {
            label,
            column: newest(&runs),
            runs,
        });
        let profiles = profiles.collect_vec();
        let base = matrix.base();
        Self {
            matrix,
            base: base.and_then(|base| profiles.iter().position(|one| one.runs.contains(&base))),
            profiles,
        }
    }

    pub(crate) fn found(&self, claim: &str, profile: &Profile<'_>) -> Found<'a> {
        let claim = self.matrix.claims.get(claim);
        let entries = profile.runs.iter().filter_map(|at| claim?.entry(*at));
        let mut entries = entries.collect_vec();
        let newest = entries.last().copied();
        entries.retain(|entry| entry.state != State::Error);
        if entries.iter().map(|entry| entry.state).all_equal() {
            entries = entries.last().copied().or(newest).into_iter().collect();
        }
        Found(entries)
    }

    pub(crate) fn all(&self, claim: &str) -> impl Iterator<Item = (&Profile<'a>, Found<'a>)> {
        let profiles = self.profiles.iter();
        profiles.map(move |profile| (profile, self.found(claim, profile)))
    }

    /// The number of profiles.
    pub fn tested(&self) -> usize {
        self.profiles.len()
    }

    /// Whether profiles have different verdicts.
    pub fn differs(&self, claim: &str) -> bool {
        let agreed = self.all(claim).filter_map(|(_, found)| found.agreed());
        !agreed.map(|entry| entry.state).all_equal()
    }

    /// Whether runs of a profile have different verdicts.
    pub(crate) fn is_flaky(&self, claim: &str) -> bool {
        self.all(claim).any(|(_, found)| found.is_flaky())
    }

    /// The verdicts that differ from the base's, in the order of the claims.
    pub(crate) fn differences(&self, claims: &'a [ClaimInfo]) -> Vec<Difference<'a>> {
        let mut differences = Vec::new();
        let Some(base) = self.base.map(|at| &self.profiles[at]) else {
            return differences;
        };
        for claim in claims {
            let Some(base) = self.found(&claim.id, base).agreed() else {
                continue;
            };
            let others = self.all(&claim.id).enumerate();
            let others = others.filter_map(|(at, (_, found))| Some((at, found.agreed()?)));
            let others = others.filter(|(_, other)| other.state != base.state);
            differences.extend(others.map(|(profile, other)| Difference {
                claim,
                profile,
                state: other.state,
                base: base.state,
            }));
        }
        differences
    }

    /// The ranges of versions with the default profile.
    pub(crate) fn ranges(&self, claim: &str) -> Ranges {
        let mut versions: Vec<(String, Tested)> = Vec::new();
        let mut before = None;
        let defaults = self.all(claim);
        for (profile, found) in defaults.filter(|(profile, _)| profile.column.is_default()) {
            let now = version(&profile.column.kubernetes);
            if let (Some((major, from)), Some((same, to))) = (before, now)
                && major == same
            {
                let missing = (from + 1..to).take(100);
                versions.extend(missing.map(|minor| (format!("{major}.{minor}"), Tested::No)));
            }
            before = now;
            let tested = match found.agreed() {
                Some(entry) if entry.state.is_decided() => Tested::Yes(entry.state, texts(entry)),
                _ if found.is_flaky() => Tested::Flaky,
                _ => Tested::No,
            };
            versions.push((profile.label.clone(), tested));
        }
        ranges(&versions)
    }

    /// The ranges in one line, with the other profiles whose verdict differs from the same version's default.
    pub(crate) fn history(&self, claim: &str) -> String {
        let mut parts = vec![self.ranges(claim).in_words()];
        let minor = |profile: &Profile<'_>| version(&profile.column.kubernetes);
        let all = self.all(claim);
        let (defaults, others): (Vec<_>, Vec<_>) =
            all.partition(|(profile, _)| profile.column.is_default());
        for (profile, found) in others {
            let Some(state) = found.agreed().map(|entry| entry.state) else {
                continue;
            };
            let same = |(other, _): &&(&Profile<'_>, _)| minor(other) == minor(profile);
            let default = defaults.iter().rfind(same);
            if default.is_none_or(|(_, found)| !found.states().contains(&state)) {
                parts.push(format!("{} with {}", state.word(), profile.label));
            }
        }
        parts.join("; ")
    }
}

/// The texts that a verdict was decided by, without numbers.
fn texts(entry: Entry<'_>) -> String {
    let texts = entry.values().filter(|(_, value)| value.contains('"'));
    let mut texts = texts.map(|(_, text)| text.replace(|c: char| c.is_ascii_digit(), ""));
    texts.join("\n")
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;

    use super::*;
    use crate::evidence::ClusterFacts;
    use crate::judge::judgement::Judgement;
    use crate::report::results::{ClusterResults, Results, Run};

    /// Results of the claim `a.b`: `1.30 c` is confirmed on 1.30; `1.30/X-off r` has the gate X off; `1.30@2 c`
    /// has another node image; `.` stands for a missing result and `!` for an error.
    pub(in crate::report::matrix) fn results(runs: &[&str]) -> Results {
        let mut results = crate::report::fixture::results();
        results.claims.truncate(1);
        results.claims[0].id = "a.b".to_owned();
        results.claims[0].scenario = None;
        results.clusters = runs
            .iter()
            .enumerate()
            .map(|(at, text)| {
                let (place, letter) = text.split_once(' ').unwrap();
                let (place, image) = place.split_once('@').unwrap_or((place, "1"));
                let (version, profile) = place.split_once('/').unwrap_or((place, "default"));
                let gate = profile
                    .strip_suffix("-off")
                    .map(|gate| (gate.to_owned(), false));
                let verdict = match letter {
                    "c" => Some(crate::catalogue::model::Verdict::Confirmed),
                    "r" => Some(crate::catalogue::model::Verdict::Refuted),
                    "i" => Some(crate::catalogue::model::Verdict::Inconclusive),
                    _ => None,
                };
                let judgement = verdict.map(|verdict| Judgement {
                    claim: "a.b".to_owned(),
                    scenario: None,
                    verdict,
                    expected: None,
                    reason: "why".to_owned(),
                    checks: Vec::new(),
                    measured: std::collections::BTreeMap::new(),
                });
                let error = (letter == "!").then(|| crate::report::results::Phase {
                    name: "provision".to_owned(),
                    began: "2026-11-01T00:00:00Z".parse().unwrap(),
                    seconds: 0.0,
                    error: Some("no disk".to_owned()),
                    note: String::new(),
                });
                ClusterResults {
                    key: format!("k{at}"),
                    facts: ClusterFacts {
                        kubernetes: format!("v{version}.4"),
                        profile: profile.to_owned(),
                        gates: gate.into_iter().collect(),
                        node_image: Some(format!("packages sha256:{image}")),
                        ..ClusterFacts::default()
                    },
                    run: Run {
                        id: format!("r{at}"),
                        round: 1,
                        began: format!("2026-11-{:02}T00:00:00Z", at + 1).parse().unwrap(),
                        claims: ["a.b".to_owned()].into(),
                        ..Run::default()
                    },
                    judgements: judgement.into_iter().collect(),
                    phases: error.into_iter().collect(),
                    ..ClusterResults::default()
                }
            })
            .collect();
        results
    }

    #[rstest]
    #[case::versions(&["1.30 r", "1.29 c"], "1.29: confirmed, 1.30: refuted", true, false)]
    #[case::runs(&["1.30 c", "1.30 c"], "1.30: confirmed", false, false)]
    #[case::flake(&["1.30 c", "1.30 r"], "1.30: flaky (confirmed, refuted)", false, true)]
    #[case::other_image(&["1.30 c", "1.30@2 r"], "1.30 2026-11-01: confirmed, 1.30 2026-11-02: refuted", true, false)]
    #[case::gate(&["1.30/X-off r", "1.30 c"], "1.30: confirmed, 1.30 X-off: refuted", true, false)]
    #[case::error_once(&["1.30 c", "1.30 !"], "1.30: confirmed", false, false)]
    #[case::error(&["1.30 !"], "1.30: error", false, false)]
    #[case::error_elsewhere(&["1.29 c", "1.30 !"], "1.29: confirmed, 1.30: error", false, false)]
    #[case::inconclusive(&["1.30 c", "1.30 i"], "1.30: flaky (confirmed, inconclusive)", false, true)]
    #[case::untested(&["1.29 c", "1.30 ."], "1.29: confirmed, 1.30: untested", false, false)]
    fn runs_of_a_profile_are_one_column(
        #[case] runs: &[&str],
        #[case] expected: &str,
        #[case] differs: bool,
        #[case] flaky: bool,
    ) {
        let matrix = Matrix::of(&results(runs));
        let view = View::new(&matrix);
        let found = view
            .all("a.b")
            .map(|(profile, found)| format!("{}: {}", profile.label, found.in_words()));
        assert_eq!(found.collect::<Vec<_>>().join(", "), expected);
        assert_eq!(
            (view.differs("a.b"), view.is_flaky("a.b")),
            (differs, flaky)
        );
    }

    #[rstest]
    #[case::since(&["1.30 c", "1.29 r", "1.31 c"], "refuted ≤ 1.29, confirmed since 1.30")]
    #[case::missing_version(&["1.29 c", "1.31 c"], "confirmed since ≤ 1.29; untested in 1.30")]
    #[case::flake(&["1.29 c", "1.30 c", "1.30 r"], "confirmed since ≤ 1.29; flaky in 1.30")]
    #[case::gate(&["1.30 c", "1.30/X-off r"], "confirmed since ≤ 1.30; refuted with 1.30 X-off")]
    #[case::gate_without_effect(&["1.30 c", "1.30/X-off c"], "confirmed since ≤ 1.30")]
    #[case::only_gate(&["1.30/X-off c"], "untested; confirmed with 1.30 X-off")]
    #[case::error(&["1.29 c", "1.30 !"], "confirmed since ≤ 1.29; untested in 1.30")]
    fn history(#[case] runs: &[&str], #[case] expected: &str) {
        let matrix = Matrix::of(&results(runs));
        assert_eq!(View::new(&matrix).history("a.b"), expected);
    }

    #[test]
    fn differences_are_those_from_the_newest_default() {
        let results = results(&[
            "1.29 c",
            "1.30 r",
            "1.30/X-off c",
            "1.30/Y-off r",
            "1.28 .",
            "1.27 !",
        ]);
        let matrix = Matrix::of(&results);
        let view = View::new(&matrix);
        let differences = view.differences(&results.claims).into_iter();
        let found: Vec<_> = differences
            .map(|one| view.profiles[one.profile].label.as_str())
            .collect();
        assert_eq!(found, ["1.29", "1.30 X-off"]);
    }
}
