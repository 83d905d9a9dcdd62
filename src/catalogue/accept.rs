//! Edits `expect` of claims in suite files: only those lines change.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Claim, Verdict};
use crate::version::version;

/// What was observed on a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) kubernetes: String,
    /// The gates that its profile sets.
    pub(crate) gates: BTreeMap<String, bool>,
    pub(crate) verdict: Verdict,
    /// Number of the expectation that applies.
    pub(crate) entry: usize,
}

/// A change of a claim's expectations.
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
    let mut edits = Vec::new();
    for (entry, expected) in claim.expect.iter().enumerate().rev() {
        let here: Vec<&Observed> = observed.iter().filter(|one| one.entry == entry).collect();
        let verdicts: BTreeSet<Verdict> = here.iter().map(|one| one.verdict).collect();
        match verdicts.iter().collect::<Vec<_>>().as_slice() {
            [] => {}
            [verdict] if **verdict == expected.verdict => {}
            [verdict] => edits.push(Edit::Verdict {
                entry,
                verdict: **verdict,
            }),
            _ => {
                let new = by_version(&here, expected.verdict);
                edits.push(Edit::Before { entry, new });
            }
        }
    }
    edits
}

fn by_version(here: &[&Observed], expected: Verdict) -> Vec<String> {
    let mut new = Vec::new();
    // Profiles with gates first: the first expectation that applies counts.
    let sets: BTreeSet<&BTreeMap<String, bool>> = here.iter().map(|one| &one.gates).collect();
    for gates in sets.into_iter().rev() {
        let mut versions: Vec<(Option<(u32, u32)>, Verdict)> = here
            .iter()
            .filter(|one| one.gates == *gates)
            .map(|one| (version(&one.kubernetes), one.verdict))
            .collect();
        versions.sort();
        versions.dedup();
        for group in versions.chunk_by(|a, b| a.1 == b.1) {
            let (Some((first, verdict)), Some((last, _))) = (group.first(), group.last()) else {
                continue;
            };
            if *verdict == expected {
                continue;
            }
            let name =
                |of: &Option<(u32, u32)>| of.map(|(major, minor)| format!("{major}.{minor}"));
            let oldest = versions
                .first()
                .is_some_and(|(version, _)| version == first);
            let newest = versions.last().is_some_and(|(version, _)| version == last);
            let (Some(from), Some(to)) = (name(first), name(last)) else {
                continue;
            };
            let mut needs = Vec::new();
            match (oldest, newest) {
                (true, true) => {}
                (true, false) => needs.push(format!("kubernetes: \"<={to}\"")),
                (false, true) => needs.push(format!("kubernetes: \">={from}\"")),
                (false, false) if from == to => needs.push(format!("kubernetes: \"={from}\"")),
                (false, false) => needs.push(format!("kubernetes: \">={from}, <={to}\"")),
            }
            if !gates.is_empty() {
                let gates = gates.iter().map(|(gate, on)| format!("{gate}: {on}"));
                needs.push(format!(
                    "gates: {{{}}}",
                    gates.collect::<Vec<_>>().join(", ")
                ));
            }
            needs.push(format!("verdict: {verdict}"));
            new.push(format!("{{{}}}", needs.join(", ")));
        }
    }
    new
}

/// The text of a suite file with a claim's `expect` edited; `None` if it is written in a way that this cannot
/// edit. `line` is a line of the claim, from 1.
pub(crate) fn edit(text: &str, line: u32, edits: &[Edit]) -> Option<String> {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let indent = |line: &str| line.len() - line.trim_start().len();
    // The claim is an item of a list: its keys are indented as far as what follows the dash.
    let begin = (0..=line)
        .rev()
        .find(|at| lines[*at].trim_start().starts_with("- "))?;
    let keys = indent(&lines[begin]) + 2;
    let is_blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let inside = |line: &str| is_blank(line) || indent(line) >= keys;
    let end = (begin + 1..lines.len())
        .find(|at| !inside(&lines[*at]))
        .unwrap_or(lines.len());
    let is_expect =
        |at: &usize| indent(&lines[*at]) == keys && lines[*at].trim_start().starts_with("expect:");
    let at = (begin + 1..end).find(is_expect)?;
    let value = lines[at].split_once("expect:")?.1.trim().to_owned();
    if value.is_empty() || value.starts_with('#') {
        block(&mut lines, at + 1, end, edits)?;
    } else {
        lines[at] = one_line(&lines[at], edits)?;
    }
    Some(lines.concat())
}

/// Edits a list with an item per line.
fn block(lines: &mut Vec<String>, begin: usize, end: usize, edits: &[Edit]) -> Option<()> {
    let dash = |line: &str| line.trim_start().starts_with("- ");
    let indent = |line: &str| line.len() - line.trim_start().len();
    let first = (begin..end).find(|at| dash(&lines[*at]))?;
    let depth = indent(&lines[first]);
    let items: Vec<usize> = (first..end)
        .take_while(|at| lines[*at].trim_start().starts_with('#') || indent(&lines[*at]) >= depth)
        .filter(|at| dash(&lines[*at]) && indent(&lines[*at]) == depth)
        .collect();
    for edit in edits {
        match edit {
            Edit::Verdict { entry, verdict } => {
                let at = *items.get(*entry)?;
                let next = items.get(entry + 1).copied().unwrap_or(end);
                let at = (at..next).find(|at| lines[*at].contains("verdict:"))?;
                lines[at] = with_verdict(&lines[at], 0, *verdict)?;
            }
            Edit::Before { entry, new } => {
                let mut at = *items.get(*entry)?;
                // Comments above an item belong to it.
                while at > begin && lines[at - 1].trim_start().starts_with('#') {
                    at -= 1;
                }
                let new = new.iter().map(|item| format!("{:depth$}- {item}\n", ""));
                lines.splice(at..at, new.collect::<Vec<_>>());
            }
        }
    }
    Some(())
}

/// Edits `expect: confirmed` or `expect: [{…}]`.
fn one_line(line: &str, edits: &[Edit]) -> Option<String> {
    let indent = line.len() - line.trim_start().len();
    let (before, value) = line.split_once("expect:")?;
    let is_list = value.trim_start().starts_with('[');
    if is_list && !value.contains(']') {
        return None;
    }
    let mut line = line.to_owned();
    for edit in edits {
        line = match edit {
            Edit::Verdict { entry, verdict } if is_list => with_verdict(&line, *entry, *verdict)?,
            Edit::Verdict { verdict, .. } => {
                let old = value.split_whitespace().next()?;
                format!(
                    "{before}expect:{}",
                    value.replacen(old, verdict.as_str(), 1)
                )
            }
            Edit::Before { entry, new } if is_list => {
                let (at, _) = line
                    .match_indices('{')
                    .filter(|(at, _)| line[..*at].trim_end().ends_with(['[', ',']))
                    .nth(*entry)?;
                format!("{}{}, {}", &line[..at], new.join(", "), &line[at..])
            }
            Edit::Before { new, .. } => {
                let value = value.trim();
                let (word, rest) = value.split_at(value.find(' ').unwrap_or(value.len()));
                let last = format!("{{verdict: {word}}}{rest}");
                let items = new.iter().chain(std::iter::once(&last));
                let items = items.map(|item| format!("{:indent$}- {item}\n", ""));
                format!("{:indent$}expect:\n{}", "", items.collect::<String>())
            }
        };
    }
    Some(line)
}

/// The line with its n-th verdict replaced.
fn with_verdict(line: &str, nth: usize, verdict: Verdict) -> Option<String> {
    let (at, key) = line.match_indices("verdict:").nth(nth)?;
    let (before, after) = line.split_at(at + key.len());
    let is_word = |c: char| c.is_ascii_alphabetic() || c == '-';
    let begin = after.find(is_word)?;
    let word: String = after[begin..].chars().take_while(|c| is_word(*c)).collect();
    Some(format!(
        "{before}{}",
        after.replacen(&word, verdict.as_str(), 1)
    ))
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
        let edited = edit(&text, old.place.line, &edits(&old, &seen)).unwrap();
        assert_eq!(edited, SUITE.replace("EXPECT", after));
        write("suites/s/s.yaml", &edited);
        let new = claim();
        for (observed, facts) in found {
            let entry = expectation(&new, &facts).unwrap();
            assert_eq!(new.expect[entry].verdict, observed.verdict);
        }
    }
}
