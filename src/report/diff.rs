//! Differences between two results.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use itertools::Itertools as _;
use serde::Serialize;

use super::essentials::outcome_word;
use super::results::{ClaimInfo, ClusterResults, Results};
use super::terminal::Layout;
use super::text::{count, one_line, shorten, value, wrap};
use super::view::{Cell, State, cited, labels};
use crate::judge::judgement::CheckJudgement;

/// A difference between two results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    pub kind: Kind,
    /// Label of the compared columns; absent for differences between the claims of both files.
    pub column: Option<String>,
    pub claim: String,
    /// What differs: a check, a field of the claim, or the path of a value.
    pub what: String,
    /// Absent if only the second results have it.
    pub a: Option<String>,
    /// Absent if only the first results have it.
    pub b: Option<String>,
}

/// Kinds of differences, in display order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Column,
    Verdict,
    Check,
    Text,
    Claim,
    /// A value that decided a verdict or was measured. Times and durations differ between all runs.
    Value,
}

impl Kind {
    /// The title and the meaning of its section.
    fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::Column => ("COLUMNS", "without a counterpart"),
            Self::Verdict => ("VERDICTS", "that differ, with their reasons"),
            Self::Check => ("CHECKS", "with another outcome but the same verdict"),
            Self::Text => ("TEXTS", "of claims that differ"),
            Self::Claim => ("CLAIMS", "added and removed"),
            Self::Value => ("VALUES", "that differ"),
        }
    }
}

/// What both sides have.
type Sides = (Option<String>, Option<String>);

/// What only one side has.
fn side(text: &str, in_a: bool) -> Sides {
    let text = Some(text.to_owned());
    if in_a { (text, None) } else { (None, text) }
}

/// All differences. Columns are compared by label, and then by key; the only columns of both results are
/// always compared.
pub(crate) fn compare(a: &Results, b: &Results) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut add = |kind, column: Option<&str>, claim: &str, what: &str, (a, b): Sides| {
        changes.push(Change {
            kind,
            column: column.map(str::to_owned),
            claim: claim.to_owned(),
            what: what.to_owned(),
            a,
            b,
        });
    };
    let (pairs, alone) = pair(a, b);
    for sides in alone {
        add(Kind::Column, None, "", "", sides);
    }
    let find = |results: &'_ Results, id: &str| results.claims.iter().position(|c| c.id == id);
    for (label, left, right) in pairs {
        let label = Some(label.as_str());
        for claim in &a.claims {
            let id = &claim.id;
            let Some(other) = find(b, id).map(|at| &b.claims[at]) else {
                continue;
            };
            let sides = [(left, claim), (right, other)];
            let cells = sides.map(|(column, claim)| Cell::of(column, claim));
            if cells[0].state() == cells[1].state() {
                for (name, sides) in differing(cells.map(outcomes)) {
                    add(Kind::Check, label, id, &name, sides);
                }
            } else {
                let [a, b] = cells.map(|cell| {
                    let (word, reason) = (cell.state().word(), cell.reason());
                    Some(format!("{word}: {reason}"))
                });
                add(Kind::Verdict, label, id, "", (a, b));
            }
            for (name, sides) in differing(sides.map(texts)) {
                add(Kind::Text, label, id, &name, sides);
            }
            for (name, sides) in differing(cells.map(values)) {
                add(Kind::Value, label, id, &name, sides);
            }
        }
    }
    for (results, other, in_a) in [(a, b, true), (b, a, false)] {
        for ClaimInfo { id, says, .. } in &results.claims {
            if find(other, id).is_none() {
                add(Kind::Claim, None, id, "", side(says, in_a));
            }
        }
    }
    changes
}

type Pair<'a> = (String, &'a ClusterResults, &'a ClusterResults);

/// The columns to compare, and the labels of the others.
fn pair<'a>(a: &'a Results, b: &'a Results) -> (Vec<Pair<'a>>, Vec<Sides>) {
    let (of_a, of_b) = (labels(&a.clusters), labels(&b.clusters));
    let (mut pairs, mut alone, mut used) = (Vec::new(), Vec::new(), Vec::new());
    for (label, left) in of_a.into_iter().zip(&a.clusters) {
        let only = (a.clusters.len(), b.clusters.len()) == (1, 1);
        let same_label = of_b.iter().position(|other| *other == label);
        let same_key = || b.clusters.iter().position(|right| right.key == left.key);
        let at = only.then_some(0).or(same_label).or_else(same_key);
        match at.filter(|at| !used.contains(at)) {
            Some(at) => {
                used.push(at);
                pairs.push((label, left, &b.clusters[at]));
            }
            None => alone.push(side(&label, true)),
        }
    }
    let others = of_b.iter().enumerate().filter(|(at, _)| !used.contains(at));
    alone.extend(others.map(|(_, label)| side(label, false)));
    (pairs, alone)
}

type Texts = BTreeMap<String, String>;

/// The entries that differ between both sides.
fn differing([a, mut b]: [Texts; 2]) -> Vec<(String, Sides)> {
    let mut both: BTreeMap<String, Sides> = BTreeMap::new();
    for (name, text) in a {
        let other = b.remove(&name);
        both.insert(name, (Some(text), other));
    }
    both.extend(b.into_iter().map(|(name, text)| (name, (None, Some(text)))));
    both.into_iter().filter(|(_, (a, b))| a != b).collect()
}

fn outcomes(cell: Cell<'_>) -> Texts {
    let checks = cell.judgement().into_iter().flat_map(|found| &found.checks);
    let outcomes = checks.map(|check| (check.name.clone(), outcome_word(check.outcome).to_owned()));
    outcomes.collect()
}

fn texts((column, claim): (&ClusterResults, &ClaimInfo)) -> Texts {
    let text = column.text(claim);
    let judgement = Cell::of(column, claim).judgement();
    let expected = judgement.and_then(|found| found.expected);
    let expected = expected.map(|verdict| State::Verdict(verdict).word().to_owned());
    let fields = [
        ("claim", Some(text.says.clone())),
        ("actually", text.instead.clone()),
        ("cites", cited(text)),
        ("scenario", text.scenario.clone()),
        ("expected", expected),
    ];
    let fields = fields.into_iter();
    fields
        .filter_map(|(name, text)| Some((name.to_owned(), text?)))
        .collect()
}

fn values(cell: Cell<'_>) -> Texts {
    let Some(found) = cell.judgement() else {
        return Texts::new();
    };
    let checks = found.checks.iter().flat_map(CheckJudgement::evaluations);
    let parts = checks.flat_map(|(_, found)| &found.parts);
    let read = parts.flat_map(|part| part.read.clone());
    let measured = found.measured.iter();
    let measured = measured.map(|(name, found)| (name.clone(), value(found)));
    read.chain(measured).collect()
}

/// The differences as text. Values are only counted, unless `show_values`.
pub(crate) fn text(changes: &[Change], show_values: bool, layout: Layout) -> String {
    let mut columns = changes.iter().filter_map(|change| change.column.as_ref());
    let several = !columns.all_equal();
    let (hidden, mut shown): (Vec<_>, Vec<_>) = changes
        .iter()
        .partition(|change| change.kind == Kind::Value && !show_values);
    let number = shown.len();
    let mut out = String::new();
    shown.sort_by_key(|change| change.kind);
    for (kind, found) in &shown.into_iter().chunk_by(|change| change.kind) {
        let mut found = found.collect_vec();
        // The same text differs in every column.
        found.dedup_by(|one, other| {
            kind == Kind::Text
                && (&one.claim, &one.what, &one.a, &one.b)
                    == (&other.claim, &other.what, &other.a, &other.b)
        });
        let (title, meaning) = kind.title();
        let title = layout.paint("1", &format!("{title} {}", found.len()));
        let _ = writeln!(out, "{title}  {meaning}");
        let mut before = None;
        for change in found {
            let heading = (&change.column, &change.claim);
            if before != Some(heading) && !change.claim.is_empty() {
                let column = change.column.as_ref().filter(|_| several);
                let on = column.map(|column| format!("  on {column}"));
                let claim = one_line(&change.claim);
                let _ = writeln!(out, "  {claim}{}", on.unwrap_or_default());
            }
            before = Some(heading);
            let colon = if change.what.is_empty() { "" } else { ": " };
            for (mark, colour, side) in [("-", "31", &change.a), ("+", "32", &change.b)] {
                let Some(side) = side else { continue };
                let side = one_line(&format!("{}{colon}{side}", change.what));
                let lines = wrap(&shorten(&side, 300), layout.width.saturating_sub(6), "");
                let mark = layout.paint(colour, mark);
                let blank = layout.paint(colour, " ");
                let _ = writeln!(out, "    {mark} {}", lines.join(&format!("\n    {blank} ")));
            }
        }
        out.push('\n');
    }
    let hint = match hidden.len() {
        0 => String::new(),
        hidden => {
            let hidden = count(hidden, "differing value");
            format!("; {hidden} not shown, pass --values")
        }
    };
    out + &count(number, "difference") + &hint + "\n"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::catalogue::model::Verdict;
    use crate::judge::judgement::Outcome;
    use crate::report::fixture::{self, PLAIN};

    /// The fixture with a difference of every kind.
    fn changed() -> Results {
        let mut results = fixture::results();
        results.claims[1].says =
            "If a postStart hook fails, the kubelet kills the container.".to_owned();
        results.claims[2].id = "poststart.new".to_owned();
        let column = &mut results.clusters[1];
        let judgement = &mut column.judgements[0];
        judgement.verdict = Verdict::Refuted;
        judgement.reason =
            "fails: hook.begun (+3.1s) after entrypoint.ended (+3.0s) by 0.1s".to_owned();
        let mut others = column.judgements.iter_mut().skip(1);
        let other = others
            .find(|judgement| !judgement.checks.is_empty())
            .unwrap();
        other.checks[0].outcome = Outcome::Inconclusive;
        other.expected = Some(Verdict::Qualified);
        other.measured.insert("new".to_owned(), 7.into());
        results.clusters[0].key = "1.34-default".to_owned();
        results.clusters[0].facts.kubernetes = "v1.34.1".to_owned();
        results
    }

    #[test]
    fn equal_results_have_no_differences() {
        let results = fixture::results();
        assert_eq!(compare(&results, &results), []);
        assert_eq!(text(&[], true, PLAIN), "0 differences\n");
    }

    #[rstest::rstest]
    fn shows_differences(#[values(false, true)] values: bool) {
        let changes = compare(&fixture::results(), &changed());
        let text = text(&changes, values, PLAIN);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        insta::assert_snapshot!(format!("differences_values_{values}"), text);
    }

    #[test]
    fn the_only_columns_are_compared_whatever_their_versions() {
        let (mut a, mut b) = (fixture::results(), fixture::results());
        a.clusters.truncate(1);
        b.clusters.remove(0);
        let kinds: Vec<_> = compare(&a, &b).iter().map(|change| change.kind).collect();
        assert!(kinds.contains(&Kind::Verdict) && !kinds.contains(&Kind::Column));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
        #[test]
        fn untrusted_text_has_no_control_characters(words in fixture::nasty_text()) {
            let changes = compare(&fixture::results(), &fixture::poisoned(&words));
            let out = text(&changes, true, PLAIN);
            proptest::prop_assert!(!out.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}
