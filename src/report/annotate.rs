//! A document as an HTML page in which each cited passage is marked with the verdict.

use std::collections::{BTreeMap, BTreeSet};

use itertools::Itertools as _;
use minijinja::Environment;
use minijinja::value::Serde;
use pulldown_cmark::{Event, Tag, TagEnd, html};
use serde::Serialize;
use serde_json::{Value, json};

use super::coverage::Coverage;
use super::error::ReportError;
use super::html::environment;
use super::passage::{self, Ranges, written};
use super::results::{ClaimInfo, Results};
use super::text::{clean, count, line_numbers, one_line, url_path};
use super::view::{State, labels};
use crate::catalogue::model::Verdict;
use crate::document::{Document, Piece};

/// The combined verdict of a claim over all columns, from the most to the least important.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Overall {
    /// Refuted in each column that decided it.
    Wrong,
    /// True only in some columns, or under a condition.
    Depends,
    /// The cited text has changed since it was tested.
    Changed,
    /// Confirmed in each column that decided it.
    Holds,
    /// Not decided in any column.
    Open,
}

impl Overall {
    fn of(states: &[State]) -> Self {
        let any = |verdict| states.contains(&State::Verdict(verdict));
        match [Verdict::Confirmed, Verdict::Refuted, Verdict::Qualified].map(any) {
            [false, false, false] => Self::Open,
            [true, false, false] => Self::Holds,
            [false, true, false] => Self::Wrong,
            _ => Self::Depends,
        }
    }

    /// The key of the state whose mark and colour are used.
    fn key(self) -> &'static str {
        let state = match self {
            Self::Holds => State::Verdict(Verdict::Confirmed),
            Self::Depends => State::Verdict(Verdict::Qualified),
            Self::Wrong => State::Verdict(Verdict::Refuted),
            Self::Open | Self::Changed => State::NotRun,
        };
        state.key()
    }

    /// `3 are wrong`, `1 is wrong`.
    fn counted(self, number: usize) -> String {
        let (one, several) = match self {
            Self::Wrong => ("is wrong", "are wrong"),
            Self::Depends => ("holds under a condition", "hold under a condition"),
            Self::Changed => (
                "has changed since it was tested",
                "have changed since they were tested",
            ),
            Self::Holds => ("holds", "hold"),
            Self::Open => ("is not decided", "are not decided"),
        };
        format!("{number} {}", if number == 1 { one } else { several })
    }

    /// Whether the note is shown, not only on demand.
    fn is_prominent(self) -> bool {
        self <= Self::Changed
    }
}

/// A document with its notes.
#[derive(Debug)]
pub struct Annotated {
    pub page: String,
    /// `24 claims: 3 are wrong, 21 hold`.
    pub summary: String,
    /// Whether a passage is wrong, true only under a condition, or changed since it was tested.
    pub needs_attention: bool,
}

/// A claim that cites the document.
#[derive(Serialize)]
struct Note {
    #[serde(skip)]
    ranges: Ranges,
    overall: Overall,
    key: &'static str,
    id: String,
    says: String,
    instead: Option<String>,
    lines: String,
    /// The first cited line that has text.
    line: Option<usize>,
    /// What columns with the same verdict and reason found.
    found: Vec<Value>,
}

impl Note {
    fn is_on(&self, first: usize, last: usize) -> bool {
        let mut ranges = self.ranges.iter();
        ranges.any(|(from, to)| *from <= last && *to >= first)
    }
}

/// The wanted notes that are not in `known`, by verdict. Adds them to `known`.
fn take_unknown<'a>(
    notes: &'a [Note],
    known: &mut BTreeSet<&'a str>,
    is_wanted: impl Fn(&Note) -> bool,
) -> BTreeMap<Overall, Vec<&'a Note>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for note in notes.iter().filter(|note| is_wanted(note)) {
        if known.insert(&note.id) {
            groups.entry(note.overall).or_default().push(note);
        }
    }
    groups
}

/// Renders a document as HTML with its cited passages marked. `report` is the URL of the results folder, with a slash at
/// the end.
pub fn annotate(
    document: &Document,
    results: &Results,
    report: &str,
) -> Result<Annotated, ReportError> {
    let labels = labels(&results.clusters);
    let claims = results.claims.iter();
    let claims = claims.flat_map(|claim| claim.cites.iter().map(|cite| (claim.id.as_str(), cite)));
    let coverage = Coverage::of(document, claims, &results.accounts);
    let pieces = document.pieces();
    let notes = notes(document, &pieces, results, &labels);
    let groups = take_unknown(&notes, &mut BTreeSet::new(), |_| true).into_iter();
    let tallies = groups.map(|(overall, notes)| (overall.key(), overall.counted(notes.len())));
    let tallies = tallies.collect_vec();
    let claims = count(notes.len(), "claim");
    let words = tallies.iter().map(|(_, words)| words).join(", ");
    let summary = match words.as_str() {
        "" => claims.clone(),
        words => format!("{claims}: {words}"),
    };
    let prominent = notes.iter().filter(|note| note.overall.is_prominent());
    let prominent = prominent.sorted_by_key(|note| (note.overall, note.line));
    let prominent = prominent.collect_vec();

    let environment = environment()?;
    let mut marker = Marker {
        notes: &notes,
        report,
        environment: &environment,
        open: &coverage.open,
        noted: BTreeSet::new(),
        lines: BTreeSet::new(),
        referred: BTreeSet::new(),
    };
    let context = json!({
        "document": document.name(),
        "claims": claims,
        "columns": labels.join(", "),
        "tallies": tallies,
        "coverage": coverage.summary(),
        "remains": coverage.remaining().count(),
        "prominent": prominent,
        "report": report,
        "body": marker.body(pieces)?,
    });
    let template = environment.get_template("annotate.html")?;
    Ok(Annotated {
        page: template.render(Serde(context))?,
        summary,
        needs_attention: !prominent.is_empty(),
    })
}

/// Adds marks and notes to the pieces of a document.
struct Marker<'a> {
    notes: &'a [Note],
    report: &'a str,
    environment: &'a Environment<'a>,
    /// Lines that no claim cites, although a claim could.
    open: &'a BTreeSet<usize>,
    /// Claims whose note is written.
    noted: BTreeSet<&'a str>,
    /// Lines with an anchor.
    lines: BTreeSet<usize>,
    /// Claims to which the current block refers.
    referred: BTreeSet<&'a str>,
}

impl Marker<'_> {
    fn body(&mut self, pieces: Vec<Piece<'_>>) -> Result<String, minijinja::Error> {
        let mut events: Vec<Event<'_>> = Vec::new();
        let mut in_link = false;
        for piece in pieces {
            match piece {
                Piece::Block(lines) => {
                    self.referred.clear();
                    // A note appears where its claim is first cited.
                    let notes = self.notes(|note| note.is_on(*lines.start(), *lines.end()))?;
                    let class = if notes.is_empty() { "" } else { " noted" };
                    let start = format!("<div class=\"block{class}\">{notes}");
                    events.push(Event::Html(start.into()));
                }
                Piece::BlockEnd => events.push(Event::Html("</div>\n".into())),
                Piece::Words(line, words) => {
                    let words = match words {
                        Event::Text(text) => Event::Text(clean(&text).into()),
                        Event::Code(text) => Event::Code(clean(&text).into()),
                        other => other,
                    };
                    let start = self.start_of_passage(line, in_link);
                    let end = if start.is_empty() { "" } else { "</mark>" };
                    events.extend([
                        Event::InlineHtml(start.into()),
                        words,
                        Event::InlineHtml(end.into()),
                    ]);
                }
                Piece::Markup(event) => {
                    in_link |= matches!(event, Event::Start(Tag::Link { .. }));
                    in_link &= event != Event::End(TagEnd::Link);
                    events.push(event);
                }
            }
        }
        let mut body = String::new();
        html::push_html(&mut body, events.into_iter());
        let rest = self.notes(|_| true)?;
        if !rest.is_empty() {
            body.push_str("<h2>Passages outside of the text</h2>");
            body.push_str(&rest);
        }
        Ok(body)
    }

    /// The notes of claims that have none yet; empty if there are none.
    fn notes(&mut self, is_wanted: impl Fn(&Note) -> bool) -> Result<String, minijinja::Error> {
        let groups = take_unknown(self.notes, &mut self.noted, is_wanted).into_iter();
        let groups = groups.map(|(overall, notes)| {
            json!({
                "key": overall.key(),
                "words": overall.counted(notes.len()),
                "is_prominent": overall.is_prominent(),
                "notes": notes,
            })
        });
        let groups = groups.collect_vec();
        if groups.is_empty() {
            return Ok(String::new());
        }
        let template = self.environment.get_template("notes.html")?;
        template.render(Serde(json!({"groups": groups, "report": self.report})))
    }

    /// References to the notes of a passage that begins here, and the start of the marked text. Empty if
    /// no claim cites the line.
    fn start_of_passage(&mut self, line: usize, in_link: bool) -> String {
        use std::fmt::Write as _;

        let is_here = |note: &Note| note.is_on(line, line);
        let here = self.notes.iter().filter(|note| is_here(note));
        // The worst verdict decides the passage's colour.
        let Some(worst) = here.map(|note| note.overall).min() else {
            if self.open.contains(&line) {
                return "<mark class=\"m-open\" title=\"no claim cites this\">".to_owned();
            }
            return String::new();
        };
        let mut out = String::new();
        let is_new = |note: &Note| !in_link && is_here(note);
        for (overall, notes) in take_unknown(self.notes, &mut self.referred, is_new) {
            let (key, words) = (overall.key(), overall.counted(notes.len()));
            let id = url_path(&notes[0].id);
            let _ = write!(
                out,
                "<a class=\"ref\" href=\"#{id}\" title=\"{words}\" aria-label=\"{words}\"><svg class=\"v v-{key}\" aria-hidden=\"true\"><use href=\"#v-{key}\"/></svg></a>"
            );
        }
        let anchor = self.lines.insert(line).then(|| format!(" id=\"L{line}\""));
        let (key, anchor) = (worst.key(), anchor.unwrap_or_default());
        let _ = write!(out, "<mark class=\"m-{key}\"{anchor}>");
        out
    }
}

/// The claims that cite a document.
fn notes(
    document: &Document,
    pieces: &[Piece<'_>],
    results: &Results,
    labels: &[String],
) -> Vec<Note> {
    let with_text = pieces.iter().filter_map(|piece| match piece {
        Piece::Words(line, _) => Some(*line),
        _ => None,
    });
    let with_text: BTreeSet<usize> = with_text.collect();
    let first = |(from, to): &(usize, usize)| {
        let mut lines = with_text.range(*from..=*(to.max(from)));
        lines.next().copied()
    };
    let note = |claim: &ClaimInfo| {
        let cites = claim.cites.iter();
        let cites = cites.filter(|cite| cite.document == document.name());
        let passages = cites
            .map(|cite| passage::find(document, cite))
            .collect_vec();
        if passages.is_empty() {
            return None;
        }
        let overall = if passages.iter().any(Result::is_err) {
            Overall::Changed
        } else {
            Overall::of(&results.cells(claim).map(|cell| cell.state()).collect_vec())
        };
        let ranges = passages.into_iter();
        let ranges: Ranges = ranges
            .flat_map(|passage| passage.unwrap_or_else(|former| former))
            .collect();
        let corrected = matches!(overall, Overall::Wrong | Overall::Depends);
        Some(Note {
            overall,
            key: overall.key(),
            id: one_line(&claim.id),
            says: one_line(&claim.says),
            instead: claim.instead.as_deref().map(one_line).filter(|_| corrected),
            lines: line_numbers(&written(&ranges)),
            line: ranges.iter().find_map(first),
            found: found(claim, results, labels),
            ranges,
        })
    };
    results.claims.iter().filter_map(note).collect()
}

fn found(claim: &ClaimInfo, results: &Results, labels: &[String]) -> Vec<Value> {
    let cells = results.cells(claim).zip(labels).map(|(cell, label)| {
        let verdict = (cell.state().key(), clean(&cell.reason()));
        (verdict, (label, cell.evidence().map(url_path)))
    });
    let cells = cells.collect_vec();
    let verdicts = cells.iter().map(|(verdict, _)| verdict).unique();
    let found = verdicts.map(|verdict| {
        let same = cells.iter().filter(|(other, _)| other == verdict);
        let columns = same.map(|(_, column)| column).collect_vec();
        json!({"key": verdict.0, "reason": verdict.1, "columns": columns})
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::catalogue::citations::digest_of;
    use crate::report::fixture;

    const NAME: &str = "001_144d6a860ab479a7.txt";

    fn document() -> String {
        use std::fmt::Write as _;
        (1..=240).fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "Line {line} of an *invented* document.");
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

    fn annotated(text: &str) -> Annotated {
        annotate(&Document::new(NAME, text), &results(), "../results/").unwrap()
    }

    #[test]
    fn a_changed_passage_is_not_marked_as_wrong() {
        let done = annotated(&document().replace("invented", "changed"));
        assert_eq!(
            done.summary,
            "6 claims: 6 have changed since they were tested"
        );
        assert!(done.needs_attention);
        assert!(!done.page.contains("the output after the colon stays empty"));
    }

    #[test]
    fn each_line_appears_once_and_each_claim_has_one_note() {
        let Annotated { page, .. } = annotated(&document());
        for line in 1..=240 {
            assert_eq!(page.matches(&format!("Line {line} of an ")).count(), 1);
        }
        for note in ["class=\"note n-", "in the report</p>"] {
            assert_eq!(page.matches(note).count(), 6, "{note}");
        }
        assert!(page.contains("the output after the colon stays empty"));
    }

    /// Every link within the page leads to an anchor, and the others to the report, the evidence and the web.
    #[test]
    fn links_lead_somewhere() {
        let page = annotated(&document()).page.replace("&#x2f;", "/");
        for link in page.split("href=\"").skip(1) {
            let link = link.split('"').next().unwrap();
            match link.strip_prefix('#') {
                Some(anchor) => assert!(page.contains(&format!("id=\"{anchor}\"")), "{link}"),
                None => assert!(link.starts_with("../results/"), "{link}"),
            }
        }
        assert!(page.contains("\"../results/index.html#poststart.concurrent-with-entrypoint\""));
        assert!(page.contains("\"../results/evidence/1.36/poststart/slow-hook.json\""));
    }

    #[test]
    fn a_passage_outside_of_the_text_keeps_its_note() {
        let page = annotate(&Document::new(NAME, "---\n"), &fixture::results(), "./")
            .unwrap()
            .page;
        assert_eq!(page.matches("class=\"note n-").count(), 6);
    }

    #[test]
    fn a_document_without_citations_has_no_notes() {
        let done = annotate(
            &Document::new("other.md", "one\n\n<two>\n"),
            &fixture::results(),
            "./",
        )
        .unwrap();
        assert!(done.page.contains("&lt;two&gt;"));
        assert_eq!(done.summary, "0 claims");
        assert!(!done.needs_attention);
    }

    #[rstest]
    #[case(Overall::Wrong, 1, "1 is wrong")]
    #[case(Overall::Wrong, 3, "3 are wrong")]
    #[case(Overall::Holds, 1, "1 holds")]
    #[case(Overall::Open, 2, "2 are not decided")]
    fn tallies_agree_in_number(
        #[case] overall: Overall,
        #[case] number: usize,
        #[case] words: &str,
    ) {
        assert_eq!(overall.counted(number), words);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn untrusted_text_is_escaped(text in fixture::nasty_text()) {
            let page = annotate(&Document::new(text.clone(), text.clone()), &fixture::poisoned(&text), "./").unwrap().page;
            prop_assert!(!page.contains("<script") && !page.contains("<img"));
            // It is not within a tag.
            let mut parts = page.split("onload='").collect::<Vec<_>>();
            parts.pop();
            let outside = parts.iter().all(|before| before.rfind('<') < before.rfind('>'));
            prop_assert!(outside);
            prop_assert!(!page.contains("=\"javascript:"));
        }
    }
}
