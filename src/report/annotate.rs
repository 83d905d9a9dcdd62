//! A document as an HTML page in which each cited passage is marked with the verdict.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use itertools::Itertools as _;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use pulldown_cmark::{Event, Tag, TagEnd, html};
use serde::Serialize;

use super::coverage::Coverage;
use super::error::ReportError;
use super::html::environment;
use super::passage::{self, Passage, written};
use super::results::{ClaimInfo, Results};
use super::text::{clean, count, line_numbers, one_line, url_path};
use super::view::{State, labels};
use crate::catalogue::model::Verdict;
use crate::document::{Document, Piece};
use crate::file::stays_inside;

/// The combined verdict of a claim over all columns, from the least to the most important.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Overall {
    /// Not decided in any column.
    Open,
    /// Confirmed in each column that decided it.
    Holds,
    /// The cited text has changed since it was tested.
    Changed,
    /// True only in some columns, or under a condition.
    Depends,
    /// Refuted in each column that decided it.
    Wrong,
}

impl Overall {
    const ALL: [Self; 5] = [
        Self::Wrong,
        Self::Depends,
        Self::Changed,
        Self::Holds,
        Self::Open,
    ];

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

    /// `3 are wrong`, `1 is wrong`.
    fn counted(self, number: usize) -> String {
        let word = self.word();
        match (self, number) {
            (Self::Holds | Self::Depends, 1) => format!("1 {word}"),
            (Self::Holds, _) => format!("{number} hold"),
            (Self::Depends, _) => format!("{number} hold under a condition"),
            (Self::Wrong | Self::Open, 1) => format!("1 is {word}"),
            (Self::Wrong | Self::Open, _) => format!("{number} are {word}"),
            (Self::Changed, 1) => format!("1 has {word}"),
            (Self::Changed, _) => format!("{number} have changed since they were tested"),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Depends => "holds under a condition",
            Self::Wrong => "wrong",
            Self::Changed => "changed since it was tested",
            Self::Open => "not decided",
        }
    }

    /// Whether the note is shown, not only on demand.
    fn is_prominent(self) -> bool {
        matches!(self, Self::Wrong | Self::Depends | Self::Changed)
    }
}

/// A document with its notes.
#[derive(Debug)]
pub struct Annotated {
    /// The HTML page.
    pub page: String,
    /// `24 claims: 3 are wrong, 21 hold`.
    pub summary: String,
    /// Whether a passage is wrong, true only under a condition, or changed since it was tested.
    pub needs_attention: bool,
}

#[derive(Serialize)]
struct Note {
    key: &'static str,
    word: &'static str,
    id: String,
    says: String,
    instead: Option<String>,
    lines: String,
    /// The first cited line that has text.
    line: Option<usize>,
    found: Vec<Found>,
}

/// What columns with the same verdict and reason found.
#[derive(Serialize, PartialEq)]
struct Found {
    key: &'static str,
    word: &'static str,
    reason: String,
    columns: Vec<Column>,
}

#[derive(Serialize, PartialEq)]
struct Column {
    label: String,
    evidence: Option<String>,
}

/// A claim that cites the document.
struct Cited<'a> {
    claim: &'a ClaimInfo,
    ranges: Vec<(usize, usize)>,
    overall: Overall,
}

impl Cited<'_> {
    fn on(&self, lines: &RangeInclusive<usize>) -> bool {
        let mut ranges = self.ranges.iter();
        ranges.any(|(from, to)| from <= lines.end() && to >= lines.start())
    }
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
    let cited = cited(document, results);
    let pieces = document.pieces();
    let written = pieces.iter().filter_map(|piece| match piece {
        Piece::Words(line, _) => Some(*line),
        _ => None,
    });
    let written: BTreeSet<usize> = written.collect();
    let notes = cited.iter();
    let notes = notes
        .map(|cited| note(cited, &written, results, &labels))
        .collect_vec();
    let numbers = cited.iter().map(|cited| cited.overall).counts();
    let tallies = Overall::ALL.into_iter().filter_map(|overall| {
        let number = *numbers.get(&overall)?;
        Some((overall.state().key(), overall.counted(number)))
    });
    let tallies = tallies.collect_vec();
    let words = tallies.iter().map(|(_, words)| words).join(", ");
    let claims = count(cited.len(), "claim");
    let mut prominent: Vec<(&Cited<'_>, &Note)> = cited.iter().zip(&notes).collect();
    prominent.retain(|(cited, _)| cited.overall.is_prominent());
    prominent.sort_by_key(|(cited, note)| (std::cmp::Reverse(cited.overall), note.line));
    let prominent: Vec<&Note> = prominent.into_iter().map(|(_, note)| note).collect();

    let environment = environment()?;
    let mut marker = Marker {
        cited: &cited,
        notes: &notes,
        report,
        environment: &environment,
        open: &coverage.open,
        noted: BTreeSet::new(),
        lines: BTreeSet::new(),
        referred: BTreeSet::new(),
    };
    let body = marker.body(pieces)?;
    let page = environment
        .get_template("annotate.html")?
        .render(context! {
            style => Value::from_safe_string(include_str!("templates/style.css").to_owned()),
            own_style => Value::from_safe_string(include_str!("templates/annotate.css").to_owned()),
            document => document.name(),
            claims => &claims,
            columns => labels.join(", "),
            tallies => &tallies,
            coverage => coverage.summary(),
            remains => coverage.remaining().count(),
            prominent => Value::from(Serde(&prominent)),
            report => report,
            body => Value::from_safe_string(body),
        })?;
    Ok(Annotated {
        page,
        summary: if words.is_empty() {
            claims
        } else {
            format!("{claims}: {words}")
        },
        needs_attention: !prominent.is_empty(),
    })
}

/// Adds marks and notes to the pieces of a document.
struct Marker<'a> {
    cited: &'a [Cited<'a>],
    notes: &'a [Note],
    report: &'a str,
    environment: &'a Environment<'a>,
    /// Lines that no claim cites, although a claim could.
    open: &'a BTreeSet<usize>,
    /// Claims whose note is written.
    noted: BTreeSet<usize>,
    /// Lines with an anchor.
    lines: BTreeSet<usize>,
    /// Claims to which the current block refers.
    referred: BTreeSet<usize>,
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
                    let notes = self.notes(|cited| cited.on(&lines))?;
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
                    match &event {
                        Event::Start(Tag::Link { .. }) => in_link = true,
                        Event::End(TagEnd::Link) => in_link = false,
                        _ => {}
                    }
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
    fn notes(&mut self, wanted: impl Fn(&Cited<'_>) -> bool) -> Result<String, minijinja::Error> {
        let new = self.cited.iter();
        let mut new = new.positions(&wanted).collect_vec();
        new.retain(|at| !self.noted.contains(at));
        if new.is_empty() {
            return Ok(String::new());
        }
        let of = |overall: Overall| -> Vec<&Note> {
            let new = new.iter().filter(|at| self.cited[**at].overall == overall);
            new.map(|at| &self.notes[*at]).collect()
        };
        let prominent = Overall::ALL.into_iter().filter(|o| o.is_prominent());
        let prominent: Vec<&Note> = prominent.flat_map(of).collect();
        let groups: Vec<_> = [Overall::Holds, Overall::Open]
            .into_iter()
            .map(|overall| (overall, of(overall)))
            .filter(|(_, notes)| !notes.is_empty())
            .map(|(overall, notes)| (overall.state().key(), overall.counted(notes.len()), notes))
            .collect();
        let html = self
            .environment
            .get_template("notes.html")?
            .render(context! {
                prominent => Value::from(Serde(&prominent)),
                groups => Value::from(Serde(&groups)),
                report => self.report,
            })?;
        self.noted.extend(new);
        Ok(html)
    }

    /// References to the notes of a passage that begins here, and the start of the marked text. Empty if
    /// no claim cites the line.
    fn start_of_passage(&mut self, line: usize, in_link: bool) -> String {
        use std::fmt::Write as _;

        let here = self.cited.iter();
        let here = here
            .positions(|cited| cited.on(&(line..=line)))
            .collect_vec();
        // The worst verdict decides the passage's colour.
        let Some(worst) = here.iter().map(|at| self.cited[*at].overall).max() else {
            if self.open.contains(&line) {
                return "<mark class=\"m-open\" title=\"no claim cites this\">".to_owned();
            }
            return String::new();
        };
        let mut out = String::new();
        for overall in Overall::ALL.into_iter().filter(|_| !in_link) {
            let of = here.iter().filter(|at| self.cited[**at].overall == overall);
            let new = of.filter(|at| self.referred.insert(**at)).collect_vec();
            if let Some(note) = new.first().and_then(|at| self.notes.get(**at)) {
                let (key, words) = (note.key, overall.counted(new.len()));
                let id = url_path(&note.id);
                let _ = write!(
                    out,
                    "<a class=\"ref\" href=\"#{id}\" title=\"{words}\" aria-label=\"{words}\"><svg class=\"v v-{key}\" aria-hidden=\"true\"><use href=\"#v-{key}\"/></svg></a>"
                );
            }
        }
        let key = worst.state().key();
        let anchor = self.lines.insert(line).then(|| format!(" id=\"L{line}\""));
        let _ = write!(
            out,
            "<mark class=\"m-{key}\"{}>",
            anchor.unwrap_or_default()
        );
        out
    }
}

fn cited<'a>(document: &Document, results: &'a Results) -> Vec<Cited<'a>> {
    let mut found = Vec::new();
    for claim in &results.claims {
        let (mut ranges, mut is_changed, mut is_cited) = (Vec::new(), false, false);
        for cite in &claim.cites {
            if cite.document != document.name() {
                continue;
            }
            is_cited = true;
            match passage::find(document, cite) {
                Passage::At(found) => ranges.extend(found),
                Passage::Changed(former) => {
                    is_changed = true;
                    ranges.extend(former);
                }
            }
        }
        let states = results.cells(claim).map(|cell| cell.state()).collect_vec();
        let overall = if is_changed {
            Overall::Changed
        } else {
            Overall::of(&states)
        };
        if is_cited {
            found.push(Cited {
                claim,
                ranges,
                overall,
            });
        }
    }
    found
}

fn note(cited: &Cited<'_>, text: &BTreeSet<usize>, results: &Results, labels: &[String]) -> Note {
    let (claim, ranges, overall) = (cited.claim, &cited.ranges, cited.overall);
    let mut found: Vec<Found> = Vec::new();
    for (cell, label) in results.cells(claim).zip(labels) {
        let evidence = cell.evidence().filter(|path| stays_inside(path.as_ref()));
        let column = Column {
            label: label.clone(),
            evidence: evidence.map(url_path),
        };
        let (key, word) = (cell.state().key(), cell.state().word());
        let reason = clean(&cell.reason());
        let mut same = found
            .iter_mut()
            .filter(|f| f.key == key && f.reason == reason);
        match same.next() {
            Some(same) => same.columns.push(column),
            None => found.push(Found {
                key,
                word,
                reason,
                columns: vec![column],
            }),
        }
    }
    let corrected = matches!(overall, Overall::Wrong | Overall::Depends);
    let in_text = |(from, to): &(usize, usize)| text.range(*from..=*(to.max(from))).next().copied();
    Note {
        key: overall.state().key(),
        word: overall.word(),
        id: one_line(&claim.id),
        says: one_line(&claim.says),
        instead: claim.instead.as_deref().map(one_line).filter(|_| corrected),
        lines: line_numbers(&written(ranges)),
        line: ranges.iter().find_map(in_text),
        found,
    }
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
