//! Edits `expect` of claims in suite files: only those lines change.

use std::collections::{BTreeMap, BTreeSet};

use itertools::Itertools as _;

use super::model::{Claim, Expectation, Place, Verdict};
use crate::version::version;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) kubernetes: String,
    /// The gates that its profile sets.
    pub(crate) gates: BTreeMap<String, bool>,
    pub(crate) verdict: Verdict,
    /// Number of the expectation that applies.
    pub(crate) entry: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Edit {
    /// The expectation has another verdict.
    Verdict { entry: usize, verdict: Verdict },
    /// Expectations for some clusters come before this one, written as in suites.
    Before { entry: usize, new: Vec<String> },
}

/// The edits after which the observed verdicts are expected, the last expectation first. An expectation whose
/// clusters all had the same other verdict is changed; otherwise expectations by gates and version come before it.
/// The oldest and the newest version stand for those beyond.
pub(crate) fn edits(claim: &Claim, observed: &[Observed]) -> Vec<Edit> {
    let edit = |(entry, expected): (usize, &Expectation)| {
        let here = observed
            .iter()
            .filter(|one| one.entry == entry)
            .collect_vec();
        match here.iter().map(|one| one.verdict).all_equal_value() {
            Ok(verdict) if verdict == expected.verdict => None,
            Ok(verdict) => Some(Edit::Verdict { entry, verdict }),
            Err(None) => None,
            Err(Some(_)) => {
                let new = by_version(&here, expected.verdict);
                Some(Edit::Before { entry, new })
            }
        }
    };
    claim
        .expect
        .iter()
        .enumerate()
        .rev()
        .filter_map(edit)
        .collect()
}

fn by_version(here: &[&Observed], expected: Verdict) -> Vec<String> {
    let mut new = Vec::new();
    // Profiles with gates first: the first expectation that applies counts.
    let sets: BTreeSet<&BTreeMap<String, bool>> = here.iter().map(|one| &one.gates).collect();
    for gates in sets.into_iter().rev() {
        let here = here.iter().filter(|one| one.gates == *gates);
        let versions = here.filter_map(|one| Some((version(&one.kubernetes)?, one.verdict)));
        let versions = versions.sorted().dedup().collect_vec();
        for group in versions.chunk_by(|a, b| a.1 == b.1) {
            let ([(first, verdict), ..], [.., (last, _)]) = (group, group) else {
                continue;
            };
            if *verdict == expected {
                continue;
            }
            let [from, to] = [first, last].map(|(major, minor)| format!("{major}.{minor}"));
            let is_oldest = versions.first() == group.first();
            let is_newest = versions.last() == group.last();
            let range = match (is_oldest, is_newest) {
                (true, true) => None,
                (true, false) => Some(format!("<={to}")),
                (false, true) => Some(format!(">={from}")),
                (false, false) if from == to => Some(format!("={from}")),
                (false, false) => Some(format!(">={from}, <={to}")),
            };
            let set = gates.iter().map(|(gate, on)| format!("{gate}: {on}"));
            let fields = [
                range.map(|range| format!("kubernetes: \"{range}\"")),
                (!gates.is_empty()).then(|| format!("gates: {{{}}}", set.format(", "))),
                Some(format!("verdict: {verdict}")),
            ];
            new.push(format!("{{{}}}", fields.into_iter().flatten().join(", ")));
        }
    }
    new
}

/// The text of a suite file with a claim's `expect` edited; `None` if it is written in a way that this cannot edit. The
/// last edit in the text comes first, so that the places of the others stay valid; this also holds between claims.
pub(crate) fn edit(text: &str, claim: &Claim, edits: &[Edit]) -> Option<String> {
    let mut text = text.to_owned();
    for edit in edits {
        text = match edit {
            Edit::Verdict { entry, verdict } => {
                let expected = claim.expect.get(*entry)?;
                let (before, after) = split(&text, &expected.verdict_place)?;
                let word = after.trim_start_matches(['"', '\'']);
                let quote = &after[..after.len() - word.len()];
                let rest = word.strip_prefix(expected.verdict.as_str())?;
                format!("{before}{quote}{verdict}{rest}")
            }
            Edit::Before { entry, new } => before(&text, &claim.expect.get(*entry)?.place, new)?,
        };
    }
    Some(text)
}

/// The text with new expectations before the one at a place.
fn before(text: &str, place: &Place, new: &[String]) -> Option<String> {
    let (before, after) = split(text, place)?;
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    let key = before[line..].trim_start();
    let indent = " ".repeat(before.len() - line - key.len());
    let items = new.iter().map(|item| format!("{indent}- {item}\n"));
    let items: String = items.collect();
    match key.trim_end() {
        "-" => {
            // Comments above an item belong to it.
            let lines = text[..line].split_inclusive('\n').rev();
            let comments = lines.take_while(|line| line.trim_start().starts_with('#'));
            let (above, item) = text.split_at(line - comments.map(str::len).sum::<usize>());
            Some(format!("{above}{items}{item}"))
        }
        "expect:" => {
            let end = after.find(char::is_whitespace).unwrap_or(after.len());
            let (word, rest) = after.split_at(end);
            let above = &text[..line];
            Some(format!(
                "{above}{indent}expect:\n{items}{indent}- {{verdict: {word}}}{rest}"
            ))
        }
        list if list.ends_with(['[', ',']) => Some(format!("{before}{}, {after}", new.join(", "))),
        _ => None,
    }
}

/// The text before a place and from there on.
fn split<'a>(text: &'a str, place: &Place) -> Option<(&'a str, &'a str)> {
    let lines = text.split_inclusive('\n').map(str::len);
    let above: usize = lines.take((place.line as usize).checked_sub(1)?).sum();
    let mut columns = text[above..].char_indices();
    let (column, _) = columns.nth((place.column as usize).checked_sub(1)?)?;
    Some(text.split_at(above + column))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;

    use super::*;
    use crate::catalogue::load::{Source, load};
    use crate::evidence::ClusterFacts;
    use crate::judge::verdict::expectation;

    /// Results as `1.30 r` or `1.30/X-off c`.
    fn observed(claim: &Claim, runs: &[&str]) -> Vec<(Observed, ClusterFacts)> {
        let one = |text: &&str| {
            let (place, letter) = text.split_once(' ').unwrap();
            let (version, gate) = place.split_once('/').unwrap_or((place, ""));
            let gate = gate
                .strip_suffix("-off")
                .map(|gate| (gate.to_owned(), false));
            let facts = ClusterFacts {
                kubernetes: format!("v{version}.1"),
                gates: gate.into_iter().collect(),
                ..ClusterFacts::default()
            };
            let verdict = match letter {
                "c" => Verdict::Confirmed,
                "q" => Verdict::Qualified,
                _ => Verdict::Refuted,
            };
            let entry = expectation(claim, &facts).unwrap();
            let observed = Observed {
                kubernetes: facts.kubernetes.clone(),
                gates: facts.gates.clone(),
                verdict,
                entry,
            };
            (observed, facts)
        };
        runs.iter().map(one).collect()
    }

    const SUITE: &str = "scenario: s\nmanifest: manifests/m.yaml\nsteps: [apply]\nclaims:\n- id: a.first\n  says: First.\n  control: \"true\"\n  holds: \"true\"\n  fails: \"false\"\n  EXPECT\n# About the second.\n- id: a.second\n  says: Second.\n  control: \"true\"\n  holds: \"true\"\n  fails: \"false\"\n  expect: confirmed\n";
    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: hookproof/agent}]}\n";

    #[rstest]
    #[case::word("expect: confirmed", &["1.30 r"], "expect: refuted")]
    #[case::comment("expect: confirmed  # why", &["1.30 r", "1.31 r"], "expect: refuted  # why")]
    #[case::as_expected("expect: confirmed", &["1.30 c"], "expect: confirmed")]
    #[case::newest(
        "expect: confirmed  # why", &["1.30 c", "1.31 r"],
        "expect:\n  - {kubernetes: \">=1.31\", verdict: refuted}\n  - {verdict: confirmed}  # why"
    )]
    #[case::oldest(
        "expect: confirmed", &["1.28 r", "1.29 r", "1.30 c"],
        "expect:\n  - {kubernetes: \"<=1.29\", verdict: refuted}\n  - {verdict: confirmed}"
    )]
    #[case::both_ends(
        "expect: confirmed", &["1.28 r", "1.29 c", "1.30 q"],
        "expect:\n  - {kubernetes: \"<=1.28\", verdict: refuted}\n  - {kubernetes: \">=1.30\", verdict: qualified}\n  - {verdict: confirmed}"
    )]
    #[case::between(
        "expect: confirmed", &["1.28 c", "1.29 r", "1.30 r", "1.31 c"],
        "expect:\n  - {kubernetes: \">=1.29, <=1.30\", verdict: refuted}\n  - {verdict: confirmed}"
    )]
    #[case::gate(
        "expect: confirmed", &["1.30 c", "1.30/X-off r"],
        "expect:\n  - {gates: {X: false}, verdict: refuted}\n  - {verdict: confirmed}"
    )]
    #[case::entry(
        "expect:\n  # Old.\n  - {kubernetes: \"<1.30\", verdict: confirmed}\n  # New.\n  - {verdict: refuted}", &["1.29 r", "1.30 r"],
        "expect:\n  # Old.\n  - {kubernetes: \"<1.30\", verdict: refuted}\n  # New.\n  - {verdict: refuted}"
    )]
    #[case::before_an_entry(
        "expect:\n  # Old.\n  - {kubernetes: \"<1.30\", verdict: confirmed}\n  # New.\n  - {verdict: refuted}", &["1.29 c", "1.30 r", "1.31 c"],
        "expect:\n  # Old.\n  - {kubernetes: \"<1.30\", verdict: confirmed}\n  - {kubernetes: \">=1.31\", verdict: confirmed}\n  # New.\n  - {verdict: refuted}"
    )]
    #[case::flow(
        "expect: [{kubernetes: \">=1.30\", verdict: refuted}]", &["1.30 r", "1.31 c"],
        "expect: [{kubernetes: \">=1.31\", verdict: confirmed}, {kubernetes: \">=1.30\", verdict: refuted}]"
    )]
    #[case::quoted("expect: \"confirmed\"", &["1.30 r"], "expect: \"refuted\"")]
    #[case::flow_of_several_lines(
        "expect: [{kubernetes: \"<1.30\", verdict: refuted},\n    {verdict: refuted}]", &["1.31 c"],
        "expect: [{kubernetes: \"<1.30\", verdict: refuted},\n    {verdict: confirmed}]"
    )]
    #[case::flow_verdict(
        "expect: [{gates: {X: true}, verdict: refuted}, {verdict: refuted}]", &["1.31 c"],
        "expect: [{gates: {X: true}, verdict: refuted}, {verdict: confirmed}]"
    )]
    fn only_the_expectation_changes(
        #[case] before: &str,
        #[case] runs: &[&str],
        #[case] after: &str,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = camino::Utf8Path::from_path(folder.path()).unwrap();
        let write = |file: &str, text: &str| {
            crate::file::write_atomic(&path.join(file), text.as_bytes()).unwrap();
        };
        let claim = || {
            let loaded = load(&[Source::Folder(path.to_owned())]);
            loaded.catalogue.scenarios["s/s"].claims[0].clone()
        };
        let text = SUITE.replace("EXPECT", before);
        write("suites/s/s.yaml", &text);
        write("manifests/m.yaml", POD);
        let old = claim();
        let found = observed(&old, runs);
        let seen: Vec<Observed> = found.iter().map(|(one, _)| one.clone()).collect();
        let edited = edit(&text, &old, &edits(&old, &seen)).unwrap();
        assert_eq!(edited, SUITE.replace("EXPECT", after));
        write("suites/s/s.yaml", &edited);
        let new = claim();
        for (observed, facts) in found {
            let entry = expectation(&new, &facts).unwrap();
            assert_eq!(new.expect[entry].verdict, observed.verdict);
        }
    }

    #[test]
    fn the_last_line_needs_no_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = camino::Utf8Path::from_path(folder.path()).unwrap();
        let text = SUITE.replace("EXPECT", "expect: confirmed");
        let text = text.trim_end();
        crate::file::write_atomic(&path.join("suites/s/s.yaml"), text.as_bytes()).unwrap();
        crate::file::write_atomic(&path.join("manifests/m.yaml"), POD.as_bytes()).unwrap();
        let loaded = load(&[Source::Folder(path.to_owned())]);
        let claim = &loaded.catalogue.scenarios["s/s"].claims[1];
        let (entry, new) = (
            0,
            vec!["{kubernetes: \"<=1.30\", verdict: refuted}".to_owned()],
        );
        let edited = edit(text, claim, &[Edit::Before { entry, new }]).unwrap();
        let last =
            "  expect:\n  - {kubernetes: \"<=1.30\", verdict: refuted}\n  - {verdict: confirmed}";
        assert!(edited.ends_with(last), "{edited}");
    }
}
