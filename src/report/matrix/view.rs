//! The matrix as people read it: a column per profile, with its runs together.

use super::data::{Column, Entry, Matrix, is_decided};
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

/// The results of a claim on a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Untested,
    /// All runs agree. The entry is that of the newest run; errors count only if no run has a verdict.
    Same(&'a Entry),
    /// Runs on the same node image have different verdicts.
    Flaky(Vec<&'a Entry>),
}

impl Found<'_> {
    pub(crate) fn states(&self) -> Vec<State> {
        let mut states = match self {
            Self::Untested => vec![State::NotRun],
            Self::Same(entry) => vec![entry.state],
            Self::Flaky(entries) => entries.iter().map(|entry| entry.state).collect(),
        };
        states.sort();
        states.dedup();
        states
    }

    /// `confirmed`, `flaky (confirmed, refuted)`, `untested`.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Untested => "untested".to_owned(),
            Self::Same(entry) => entry.state.word().to_owned(),
            Self::Flaky(_) => {
                let words: Vec<_> = self.states().into_iter().map(State::word).collect();
                format!("flaky ({})", words.join(", "))
            }
        }
    }

    /// Symbol for plain text.
    pub(crate) fn mark(&self) -> &'static str {
        match self {
            Self::Untested => State::NotRun.mark(),
            Self::Same(entry) => entry.state.mark(),
            Self::Flaky(_) => "≈",
        }
    }
}

/// A verdict that differs from the base's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference<'a> {
    pub(crate) claim: &'a ClaimInfo,
    pub(crate) profile: usize,
    pub(crate) entry: &'a Entry,
    pub(crate) base: &'a Entry,
}

impl<'a> View<'a> {
    pub fn new(matrix: &'a Matrix) -> Self {
        let columns: Vec<_> = matrix.columns.iter().map(Column::column).collect();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (at, column) in matrix.columns.iter().enumerate() {
            let same = |group: &&mut Vec<usize>| matrix.columns[group[0]].same_profile(column);
            match groups.iter_mut().find(same) {
                Some(group) => group.push(at),
                None => groups.push(vec![at]),
            }
        }
        for group in &mut groups {
            group.sort_by_key(|at| matrix.columns[*at].began);
        }
        let newest = |group: &Vec<usize>| group.last().copied().unwrap_or_default();
        groups.sort_by_cached_key(|group| {
            let column = &matrix.columns[newest(group)];
            (column.order(), column.began)
        });
        let named: Vec<_> = groups
            .iter()
            .map(|group| columns[newest(group)].clone())
            .collect();
        let base = matrix.base();
        let base = groups
            .iter()
            .position(|group| base.is_some_and(|base| group.contains(&base)));
        let profiles = groups
            .into_iter()
            .zip(labels(&named))
            .map(|(runs, label)| Profile {
                label,
                column: &matrix.columns[newest(&runs)],
                runs,
            });
        Self {
            matrix,
            profiles: profiles.collect(),
            base,
        }
    }

    pub(crate) fn found(&self, claim: &str, profile: usize) -> Found<'a> {
        let runs = self.profiles[profile].runs.iter();
        let entries = self.matrix.claims.get(claim);
        let entry = |at: &usize| entries?.get(*at)?.as_ref();
        let mut entries: Vec<&Entry> = runs.filter_map(entry).collect();
        let newest = entries.last().copied();
        entries.retain(|entry| entry.state != State::Error);
        match (entries.as_slice(), newest) {
            ([], None) => Found::Untested,
            ([], Some(error)) => Found::Same(error),
            ([first, ..], _) if entries.iter().any(|other| other.state != first.state) => {
                Found::Flaky(entries)
            }
            ([.., last], _) => Found::Same(last),
        }
    }

    pub(crate) fn all<'s>(
        &'s self,
        claim: &str,
    ) -> impl Iterator<Item = (&'s Profile<'a>, Found<'a>)> + use<'a, 's> {
        let claim = claim.to_owned();
        let profiles = self.profiles.iter().enumerate();
        profiles.map(move |(at, profile)| (profile, self.found(&claim, at)))
    }

    /// The number of profiles.
    pub fn tested(&self) -> usize {
        self.profiles.len()
    }

    /// Whether profiles have different verdicts.
    pub fn differs(&self, claim: &str) -> bool {
        let mut states = self.all(claim).filter_map(|(_, found)| match found {
            Found::Same(entry) if entry.state != State::Error => Some(entry.state),
            _ => None,
        });
        let first = states.next();
        states.any(|state| Some(state) != first)
    }

    /// Whether runs of a profile have different verdicts.
    pub(crate) fn is_flaky(&self, claim: &str) -> bool {
        self.all(claim)
            .any(|(_, found)| matches!(found, Found::Flaky(_)))
    }

    /// The verdicts that differ from the base's, in the order of the claims.
    pub(crate) fn differences(&self, claims: &'a [ClaimInfo]) -> Vec<Difference<'a>> {
        let mut differences = Vec::new();
        let Some(base) = self.base else {
            return differences;
        };
        for claim in claims {
            let Found::Same(base) = self.found(&claim.id, base) else {
                continue;
            };
            for profile in 0..self.profiles.len() {
                if let Found::Same(entry) = self.found(&claim.id, profile)
                    && entry.state != base.state
                    && entry.state != State::Error
                    && base.state != State::Error
                {
                    differences.push(Difference {
                        claim,
                        profile,
                        entry,
                        base,
                    });
                }
            }
        }
        differences
    }

    /// The ranges of versions with the default profile.
    pub(crate) fn ranges(&self, claim: &str) -> Ranges {
        let mut versions: Vec<(String, Tested)> = Vec::new();
        let mut before = None;
        for (profile, found) in self.all(claim) {
            if !profile.column.is_default() {
                continue;
            }
            let now = version(&profile.column.kubernetes);
            if let (Some((major, from)), Some((same, to))) = (before, now)
                && major == same
            {
                let missing = (from + 1..to).take(100);
                versions.extend(missing.map(|minor| (format!("{major}.{minor}"), Tested::No)));
            }
            before = now;
            let tested = match found {
                Found::Flaky(_) => Tested::Flaky,
                Found::Same(entry) if is_decided(entry.state) => {
                    Tested::Yes(entry.state, texts(entry))
                }
                Found::Same(_) | Found::Untested => Tested::No,
            };
            versions.push((profile.label.clone(), tested));
        }
        ranges(&versions)
    }

    /// The ranges in one line, with the other profiles whose verdict differs from the same version's default.
    pub(crate) fn history(&self, claim: &str) -> String {
        let mut line = self.ranges(claim).in_words();
        let minor = |profile: &Profile<'_>| version(&profile.column.kubernetes);
        for (profile, found) in self.all(claim) {
            let Found::Same(entry) = found else { continue };
            if profile.column.is_default() {
                continue;
            }
            let same = |(other, _): &(&Profile<'_>, _)| {
                other.column.is_default() && minor(other) == minor(profile)
            };
            let default = self.all(claim).filter(same).last();
            let differs = default.is_none_or(|(_, found)| !found.states().contains(&entry.state));
            if differs && entry.state != State::Error {
                line = format!("{line}; {} with {}", entry.state.word(), profile.label);
            }
        }
        line
    }
}

/// The texts that a verdict was decided by, without numbers.
fn texts(entry: &Entry) -> String {
    let texts = entry.values.values().filter(|value| value.contains('"'));
    let texts: Vec<_> = texts
        .map(|text| text.replace(|c: char| c.is_ascii_digit(), ""))
        .collect();
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
