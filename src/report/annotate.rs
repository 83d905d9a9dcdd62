//! A document as an HTML page in which every cited passage is marked with the verdict.

use minijinja::{AutoEscape, Environment, Value};
use serde::Serialize;

use super::error::ReportError;
use super::passage::{self, Passage, written};
use super::results::{ClaimInfo, Results};
use super::text::{clean, count, line_numbers, one_line};
use super::view::{Cell, State, document_stem, labels};
use crate::catalogue::model::Verdict;

/// The combined verdict of a claim over all clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Overall {
    /// Confirmed on every cluster that decided it.
    Holds,
    /// True only on some clusters, or under a condition.
    Depends,
    /// Refuted on every cluster that decided it.
    Wrong,
    /// Not decided on any cluster.
    Open,
    /// The cited text has changed since it was tested.
    Changed,
}

impl Overall {
    fn of(states: &[State]) -> Self {
        let any = |verdict| states.contains(&State::Verdict(verdict));
        match (
            any(Verdict::Confirmed),
            any(Verdict::Refuted),
            any(Verdict::Qualified),
        ) {
            (false, false, false) => Self::Open,
            (true, false, false) => Self::Holds,
            (false, true, false) => Self::Wrong,
            _ => Self::Depends,
        }
    }

    /// The state whose mark and colour are used.
    fn state(self) -> State {
        match self {
            Self::Holds => State::Verdict(Verdict::Confirmed),
            Self::Depends => State::Verdict(Verdict::Qualified),
            Self::Wrong => State::Verdict(Verdict::Refuted),
            Self::Open | Self::Changed => State::NotRun,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Depends => "holds under a condition",
            Self::Wrong => "is wrong",
            Self::Open => "not decided",
            Self::Changed => "text has changed since it was tested",
        }
    }

    /// The word after a number of claims: `1 is wrong`, `3 are wrong`.
    fn counted(self, number: usize) -> &'static str {
        match self {
            Self::Holds if number != 1 => "hold",
            Self::Depends if number != 1 => "hold under a condition",
            Self::Wrong if number != 1 => "are wrong",
            _ => self.word(),
        }
    }
}

#[derive(Serialize)]
struct Note {
    key: &'static str,
    word: &'static str,
    says: String,
    id: String,
    lines: String,
    instead: Option<String>,
    found: Vec<Found>,
}

#[derive(Serialize)]
struct Found {
    labels: String,
    key: &'static str,
    word: &'static str,
    reason: String,
}

/// Consecutive lines cited by the same claims, and their notes.
#[derive(Serialize)]
struct Block {
    key: &'static str,
    word: &'static str,
    lines: Vec<Line>,
    notes: Vec<Note>,
}

#[derive(Serialize)]
struct Line {
    number: usize,
    text: String,
}

#[derive(Serialize)]
struct Tally {
    key: &'static str,
    number: usize,
    word: &'static str,
}

/// A claim that cites the document, the cited lines, and the combined verdict.
struct Cited<'a> {
    claim: &'a ClaimInfo,
    ranges: Vec<(usize, usize)>,
    overall: Overall,
}

/// Renders the document as HTML with its cited passages marked. Each has notes with the claim, the
/// verdict per version, and the correction. `document` is the name used in citations.
///
/// # Errors
/// The template fails.
pub fn annotate(document: &str, text: &str, results: &Results) -> Result<String, ReportError> {
    let labels = labels(&results.clusters);
    let cited = cited(document, text, results);
    let every = [
        Overall::Holds,
        Overall::Depends,
        Overall::Wrong,
        Overall::Open,
        Overall::Changed,
    ];
    let tallies: Vec<Tally> = every
        .into_iter()
        .map(|overall| {
            let matching = cited.iter().filter(|cited| cited.overall == overall);
            let number = matching.count();
            Tally {
                key: overall.state().key(),
                number,
                word: overall.counted(number),
            }
        })
        .filter(|tally| tally.number > 0)
        .collect();
    let clusters = count(results.clusters.len(), "cluster");
    let page = minijinja::context! {
        style => Value::from_safe_string(include_str!("templates/style.css").to_owned()),
        own_style => Value::from_safe_string(include_str!("templates/annotate.css").to_owned()),
        document => clean(document_stem(document)),
        claims => count(cited.len(), "claim"),
        tested_on => format!("{clusters}: Kubernetes {}", labels.join(", ")),
        tallies => Value::from(minijinja::value::Serde(&tallies)),
        blocks => Value::from(minijinja::value::Serde(&blocks(text, &cited, results, &labels))),
    };
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment
        .add_template("marks.svg", include_str!("templates/marks.svg"))
        .and_then(|()| {
            environment.add_template("annotate.html", include_str!("templates/annotate.html"))
        })
        .and_then(|()| environment.get_template("annotate.html")?.render(page))
        .map_err(|source| ReportError::Page { source })
}

/// Number of cited passages whose text has changed since they were tested.
#[must_use]
pub fn changed(document: &str, text: &str, results: &Results) -> usize {
    let cited = cited(document, text, results).into_iter();
    cited
        .filter(|cited| cited.overall == Overall::Changed)
        .count()
}

fn cited<'a>(document: &str, text: &str, results: &'a Results) -> Vec<Cited<'a>> {
    let mut found: Vec<Cited<'a>> = Vec::new();
    for claim in &results.claims {
        let cites: Vec<_> = claim
            .cites
            .iter()
            .filter(|cite| document_stem(&cite.document) == document_stem(document))
            .collect();
        if cites.is_empty() {
            continue;
        }
        let states: Vec<State> = results
            .clusters
            .iter()
            .map(|cluster| Cell::of(cluster, claim).state())
            .collect();
        let (mut ranges, mut is_changed) = (Vec::new(), false);
        for cite in cites {
            match passage::find(text, cite) {
                Passage::At(found) => ranges.extend(found),
                Passage::Changed(former) => {
                    is_changed = true;
                    ranges.extend(former);
                }
            }
        }
        found.push(Cited {
            claim,
            ranges,
            overall: if is_changed {
                Overall::Changed
            } else {
                Overall::of(&states)
            },
        });
    }
    found
}

fn blocks(text: &str, cited: &[Cited<'_>], results: &Results, labels: &[String]) -> Vec<Block> {
    let on = |line: usize| -> Vec<usize> {
        let covers = |c: &Cited<'_>| {
            c.ranges
                .iter()
                .any(|(from, to)| (*from..=*to).contains(&line))
        };
        (0..cited.len())
            .filter(|at| cited.get(*at).is_some_and(covers))
            .collect()
    };
    let mut blocks: Vec<Block> = Vec::new();
    let mut before: Option<Vec<usize>> = None;
    let mut noted: Vec<usize> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let here = on(at + 1);
        let line = Line {
            number: at + 1,
            text: clean(line),
        };
        if before.as_ref() == Some(&here) {
            if let Some(block) = blocks.last_mut() {
                block.lines.push(line);
            }
            continue;
        }
        // The worst verdict decides the passage's colour.
        let worst = here
            .iter()
            .filter_map(|at| cited.get(*at))
            .map(|cited| cited.overall)
            .max_by_key(|overall| match overall {
                Overall::Open => 0,
                Overall::Holds => 1,
                Overall::Changed => 2,
                Overall::Depends => 3,
                Overall::Wrong => 4,
            });
        // A note appears where its claim is first cited.
        let new: Vec<usize> = here
            .iter()
            .copied()
            .filter(|at| !noted.contains(at))
            .collect();
        noted.extend(&new);
        blocks.push(Block {
            key: worst.map_or("", |overall| overall.state().key()),
            word: worst.map_or("", Overall::word),
            lines: vec![line],
            notes: new
                .into_iter()
                .filter_map(|at| cited.get(at))
                .map(|cited| note(cited, results, labels))
                .collect(),
        });
        before = Some(here);
    }
    blocks
}

fn note(cited: &Cited<'_>, results: &Results, labels: &[String]) -> Note {
    let Cited {
        claim,
        ranges,
        overall,
    } = cited;
    let mut found: Vec<Found> = Vec::new();
    for (cluster, label) in results.clusters.iter().zip(labels) {
        let cell = Cell::of(cluster, claim);
        let (key, reason) = (cell.state().key(), clean(&cell.reason()));
        match found
            .iter_mut()
            .find(|known| known.key == key && known.reason == reason)
        {
            Some(known) => {
                known.labels.push_str(", ");
                known.labels.push_str(label);
            }
            None => {
                found.push(Found {
                    labels: label.clone(),
                    key,
                    word: cell.state().word(),
                    reason,
                });
            }
        }
    }
    let wrong = matches!(overall, Overall::Wrong | Overall::Depends);
    Note {
        key: overall.state().key(),
        word: overall.word(),
        says: one_line(&claim.says),
        id: one_line(&claim.id),
        lines: line_numbers(&written(ranges)),
        instead: claim.instead.as_deref().map(one_line).filter(|_| wrong),
        found,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::citations::digest_of;
    use crate::report::fixture;

    fn document() -> String {
        use std::fmt::Write as _;
        (1..=240).fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "Line {line} of an invented document.");
            text
        })
    }

    /// Results whose citations have the digests of `document`.
    fn results() -> Results {
        let mut results = fixture::results();
        for cite in results.claims.iter_mut().flat_map(|claim| &mut claim.cites) {
            cite.digest = digest_of(&document(), &cite.lines).ok();
        }
        results
    }

    #[test]
    fn a_changed_passage_is_not_marked_as_wrong() {
        let changed_lines = document().replace("invented", "changed");
        let page = annotate("001_144d6a860ab479a7.txt", &changed_lines, &results()).unwrap();
        assert!(page.contains("text has changed since it was tested"));
        assert!(!page.contains("the output after the colon stays empty"));
        assert_eq!(
            changed("001_144d6a860ab479a7.txt", &changed_lines, &results()),
            6
        );
        assert_eq!(
            changed("001_144d6a860ab479a7.txt", &document(), &results()),
            0
        );
    }

    #[test]
    fn marks_cited_passages_and_keeps_every_line() {
        let page = annotate("001_144d6a860ab479a7.txt", &document(), &results()).unwrap();
        for line in 1..=240 {
            assert_eq!(page.matches(&format!("Line {line} of")).count(), 1);
        }
        assert_eq!(page.matches("class=\"note\"").count(), 6);
        assert!(page.contains("the output after the colon stays empty"));
        if let Some(path) = std::env::var_os("HOOKPROOF_KEEP_DOCUMENT") {
            std::fs::write(path, page).unwrap();
        }
    }

    #[test]
    fn a_document_without_citations_is_shown_unmarked() {
        let page = annotate("other.md", "one\n<two>\n", &fixture::results()).unwrap();
        assert!(page.contains("&lt;two&gt;"));
        assert!(page.contains("0 claims"));
    }

    #[test]
    fn tallies_agree_in_number() {
        assert_eq!(Overall::Wrong.counted(1), "is wrong");
        assert_eq!(Overall::Wrong.counted(3), "are wrong");
        assert_eq!(Overall::Open.counted(2), "not decided");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn untrusted_text_is_escaped(text in fixture::nasty_text()) {
            let page = annotate(&text, &text, &fixture::poisoned(&text)).unwrap();
            prop_assert!(!page.contains("<script") && !page.contains("onload='"));
        }
    }
}
