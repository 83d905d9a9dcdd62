//! Ranges of versions, derived from the results on the tested versions as in browser-compat-data.

use itertools::Itertools as _;

use crate::catalogue::model::Verdict;
use crate::report::view::State;
use crate::version::version;

/// What is known of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tested {
    No,
    /// Runs on the same node image had different verdicts.
    Flaky,
    /// The state, and the texts that decided it.
    Yes(State, String),
}

/// Consecutive tested versions with the same state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) state: State,
    /// The first version tested with the state.
    pub(crate) from: String,
    /// Whether an earlier version may have the state too: the one before was not tested.
    pub(crate) or_earlier: bool,
    /// The last version tested with the state.
    pub(crate) to: String,
    /// Versions in which a text changed, but not the state.
    pub(crate) texts: Vec<String>,
}

/// What is known of a claim in all versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    pub(crate) spans: Vec<Span>,
    pub(crate) untested: Vec<String>,
    pub(crate) flaky: Vec<String>,
}

/// The ranges of versions, given in order with what is known of each.
pub(crate) fn ranges(versions: &[(String, Tested)]) -> Ranges {
    let mut found = Ranges::default();
    let mut or_earlier = true;
    let text_changes = text_changes(versions);
    for (version, tested) in versions {
        match (tested, found.spans.last_mut()) {
            (Tested::No, _) => found.untested.push(version.clone()),
            (Tested::Flaky, _) => found.flaky.push(version.clone()),
            (Tested::Yes(state, _), Some(span)) if span.state == *state => {
                span.to.clone_from(version);
                if text_changes.contains(&version.as_str()) {
                    span.texts.push(version.clone());
                }
            }
            (Tested::Yes(state, _), _) => found.spans.push(Span {
                state: *state,
                from: version.clone(),
                or_earlier,
                to: version.clone(),
                texts: Vec::new(),
            }),
        }
        or_earlier = !matches!(tested, Tested::Yes(..));
    }
    found
}

/// Versions whose text differs from that of the tested version before. A text that differs in every version is
/// no change of a version: it contains what differs between all runs.
fn text_changes(versions: &[(String, Tested)]) -> Vec<&str> {
    let texts = versions.iter().filter_map(|(version, tested)| {
        let Tested::Yes(_, text) = tested else {
            return None;
        };
        Some((version.as_str(), text))
    });
    // The versions at which each text begins, with the number of versions that have it.
    let runs = texts.dedup_by_with_count(|(_, one), (_, next)| one == next);
    let runs = runs.collect_vec();
    let lasting = runs.iter().filter(|(number, _)| *number > 1).count();
    if lasting * 2 < runs.len() || !runs.iter().map(|(_, (_, text))| text).all_unique() {
        return Vec::new();
    }
    let changes = runs.iter().skip(1);
    changes.map(|(_, (version, _))| *version).collect()
}

impl Ranges {
    /// `refuted ≤ 1.29, confirmed since 1.30; untested in 1.32`.
    pub(crate) fn in_words(&self) -> String {
        let last = self.spans.len().saturating_sub(1);
        let spans = self.spans.iter().enumerate();
        let mut spans = spans.map(|(at, span)| span.in_words(at == 0, at == last));
        let parts = [
            spans.join(", "),
            listed("flaky in", &self.flaky),
            listed("untested in", &self.untested),
        ];
        match parts.iter().filter(|part| !part.is_empty()).join("; ") {
            parts if parts.is_empty() => "untested".to_owned(),
            parts => parts,
        }
    }
}

impl Span {
    fn in_words(&self, first: bool, last: bool) -> String {
        let word = self.state.word();
        let from = format!("{}{}", if self.or_earlier { "≤ " } else { "" }, self.from);
        let range = match (first, last) {
            _ if self.state == State::Verdict(Verdict::NotTestable) => word.to_owned(),
            (_, true) => format!("{word} since {from}"),
            (true, false) => format!("{word} ≤ {}", self.to),
            (false, false) if self.from == self.to => format!("{word} in {from}"),
            (false, false) => format!("{word} from {from} to {}", self.to),
        };
        let texts = listed(", text changed in", &self.texts);
        format!("{range}{texts}")
    }
}

fn listed(words: &str, versions: &[String]) -> String {
    // Three or more minor versions in a row are a range.
    let next = |a: &String, b: &String| match (version(a), version(b)) {
        (Some((major, minor)), Some(b)) => (major, minor + 1) == b,
        _ => false,
    };
    let rows = versions.chunk_by(next).flat_map(|row| match row {
        [first, _, .., last] => vec![format!("{first}–{last}")],
        few => few.to_vec(),
    });
    match rows.collect_vec().join(", ") {
        rows if rows.is_empty() => rows,
        rows => format!("{words} {rows}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// A letter per version from 1.28 on: c, r, q, n for a verdict, `.` untested, `~` flaky; a digit after a
    /// letter is its text.
    fn given(text: &str) -> Vec<(String, Tested)> {
        let mut found: Vec<(String, Tested)> = Vec::new();
        for c in text.chars() {
            if let (Some(digit), Some((_, Tested::Yes(_, text)))) =
                (c.to_digit(10), found.last_mut())
            {
                *text = digit.to_string();
                continue;
            }
            let yes = |verdict| Tested::Yes(State::Verdict(verdict), String::new());
            let tested = match c {
                'c' => yes(Verdict::Confirmed),
                'r' => yes(Verdict::Refuted),
                'q' => yes(Verdict::Qualified),
                'n' => yes(Verdict::NotApplicable),
                't' => yes(Verdict::NotTestable),
                '~' => Tested::Flaky,
                _ => Tested::No,
            };
            found.push((format!("1.{}", 28 + found.len()), tested));
        }
        found
    }

    #[rstest]
    #[case::always("cccc", "confirmed since ≤ 1.28")]
    #[case::change("rrcc", "refuted ≤ 1.29, confirmed since 1.30")]
    #[case::oldest_only("nccc", "not applicable ≤ 1.28, confirmed since 1.29")]
    #[case::newest_only("cccr", "confirmed ≤ 1.30, refuted since 1.31")]
    #[case::between("ccrcc", "confirmed ≤ 1.29, refuted in 1.30, confirmed since 1.31")]
    #[case::long_between(
        "crrqq",
        "confirmed ≤ 1.28, refuted from 1.29 to 1.30, qualified since 1.31"
    )]
    #[case::gap("cc.cc", "confirmed since ≤ 1.28; untested in 1.30")]
    #[case::change_in_gap(
        "rr..cc",
        "refuted ≤ 1.29, confirmed since ≤ 1.32; untested in 1.30, 1.31"
    )]
    #[case::gap_at_the_start("..cc", "confirmed since ≤ 1.30; untested in 1.28, 1.29")]
    #[case::gap_at_the_end("rc.", "refuted ≤ 1.28, confirmed since 1.29; untested in 1.30")]
    #[case::flake("rr~cc", "refuted ≤ 1.29, confirmed since ≤ 1.31; flaky in 1.30")]
    #[case::only_flakes("~~", "flaky in 1.28, 1.29")]
    #[case::one("c", "confirmed since ≤ 1.28")]
    #[case::none("..", "untested in 1.28, 1.29")]
    #[case::long_gap("c....c", "confirmed since ≤ 1.28; untested in 1.29–1.32")]
    #[case::empty("", "untested")]
    #[case::not_testable("ttt", "not testable")]
    #[case::text("c1c1c2c2", "confirmed since ≤ 1.28, text changed in 1.30")]
    #[case::newest_text("c1c1c1c2", "confirmed since ≤ 1.28, text changed in 1.31")]
    #[case::texts("c1c1c2c2c3", "confirmed since ≤ 1.28, text changed in 1.30, 1.32")]
    #[case::random_text("c1c2c3c4", "confirmed since ≤ 1.28")]
    #[case::mostly_random_text("c1c2c2c3c4", "confirmed since ≤ 1.28")]
    #[case::returning_text("c1c1c2c1c1", "confirmed since ≤ 1.28")]
    #[case::text_of_a_change("r1r1c2c2", "refuted ≤ 1.29, confirmed since 1.30")]
    fn in_words(#[case] versions: &str, #[case] expected: &str) {
        assert_eq!(ranges(&given(versions)).in_words(), expected);
    }

    proptest! {
        /// The ranges say the state of every tested version, and nothing else of the others.
        #[test]
        fn ranges_say_what_was_found(text in "([crqn][12]?|[.~]){0,14}") {
            let versions = given(&text);
            let found = ranges(&versions);
            let at = |name: &String| versions.iter().position(|(known, _)| known == name).unwrap_or(99);
            for (number, (version, tested)) in versions.iter().enumerate() {
                let spans = || found.spans.iter().filter(|s| (at(&s.from)..=at(&s.to)).contains(&number));
                match tested {
                    Tested::Yes(state, _) => {
                        prop_assert_eq!(spans().count(), 1);
                        prop_assert!(spans().all(|span| span.state == *state));
                    }
                    Tested::No => prop_assert!(found.untested.contains(version)),
                    Tested::Flaky => prop_assert!(found.flaky.contains(version)),
                }
            }
            for pair in found.spans.windows(2) {
                prop_assert!(pair[0].state != pair[1].state);
                prop_assert!(at(&pair[0].to) < at(&pair[1].from));
                let adjacent = at(&pair[0].to) + 1 == at(&pair[1].from);
                prop_assert_eq!(pair[1].or_earlier, !adjacent);
            }
            prop_assert!(found.spans.first().is_none_or(|span| span.or_earlier));
        }
    }
}
