//! Which sentences of a document claims cite, which need no claim, and which remain.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::repeat_n;
use std::ops::RangeInclusive;

use itertools::Itertools as _;
use pulldown_cmark::{Event, Tag};
use unicode_segmentation::UnicodeSegmentation as _;

use super::passage;
use super::text::one_line;
use crate::catalogue::model::{Account, Citation};
use crate::catalogue::parse;
use crate::document::{Document, Piece};

/// Why headings need no claim.
const HEADING: &str = "heading";

/// A document's sentences, in order.
#[derive(Debug, PartialEq)]
pub(crate) struct Coverage {
    pub(crate) sentences: Vec<Sentence>,
    /// Lines that are neither cited nor accounted for.
    pub(super) open: BTreeSet<usize>,
    /// Accounts for lines that repeat others which no claim cites.
    pub(crate) repeats_nothing: Vec<Account>,
}

/// A sentence, a line of code, or a row of a table.
#[derive(Debug, PartialEq)]
pub(crate) struct Sentence {
    pub(crate) text: String,
    pub(crate) lines: RangeInclusive<usize>,
    /// Ids of the claims that cite one of its lines.
    pub(crate) claims: Vec<String>,
    /// Why lines that no claim cites need none.
    pub(crate) because: Vec<String>,
    /// Whether a line is neither cited nor accounted for.
    pub(crate) remains: bool,
}

/// What covers a line.
#[derive(Default)]
struct Line<'a> {
    claims: Vec<&'a str>,
    because: Vec<&'a str>,
}

impl Coverage {
    /// The coverage of a document by the citations of claims, given with their ids, and by accounts.
    pub(crate) fn of<'a>(
        document: &Document,
        claims: impl IntoIterator<Item = (&'a str, &'a Citation)>,
        accounts: impl IntoIterator<Item = &'a Account>,
    ) -> Self {
        let mut lines: BTreeMap<usize, Line<'_>> = BTreeMap::new();
        for (id, citation) in claims {
            for line in cited(document, citation) {
                lines.entry(line).or_default().claims.push(id);
            }
        }
        let mut repeats_nothing = Vec::new();
        for account in accounts {
            let repeated = account.repeats.as_deref().map(parse::lines);
            let repeated = repeated.into_iter().flatten().flatten();
            let mut repeated = repeated.flat_map(|(from, to)| from as usize..=to as usize);
            let is_cited = |line| lines.get(&line).is_some_and(|line| !line.claims.is_empty());
            let here = cited(document, &account.cites).collect_vec();
            if !here.is_empty() && !repeated.all(is_cited) {
                repeats_nothing.push(account.clone());
            }
            for line in here {
                let because = &mut lines.entry(line).or_default().because;
                because.push(&account.because);
            }
        }
        let pieces = document.pieces();
        // As far as the format marks them.
        let headings = pieces.windows(2).filter_map(|pair| match pair {
            [
                Piece::Block(lines),
                Piece::Markup(Event::Start(Tag::Heading { .. })),
            ] => Some(lines),
            _ => None,
        });
        for line in headings.cloned().flatten() {
            lines.entry(line).or_default().because.push(HEADING);
        }
        let mut sentences = sentences(&pieces);
        let within = sentences.iter().flat_map(|(_, lines)| lines.clone());
        let within: BTreeSet<usize> = within.collect();
        let outside = (1..).zip(document.text().lines()).filter(|(at, line)| {
            // In HTML, what is not visible says nothing.
            !document.is_html() && has_words(line) && !is_fence(line) && !within.contains(at)
        });
        sentences.extend(outside.map(|(at, line)| (line.to_owned(), at..=at)));
        sentences.sort_by_key(|(_, lines)| *lines.start());
        let is_open = |at: &usize| {
            let line = lines.get(at);
            line.is_none_or(|line| line.claims.is_empty() && line.because.is_empty())
        };
        let all = sentences.iter().flat_map(|(_, lines)| lines.clone());
        let open: BTreeSet<usize> = all.filter(is_open).collect();
        let sentences = sentences.into_iter().map(|(text, range)| {
            let lines = || range.clone().filter_map(|at| lines.get(&at));
            let uncited = lines().filter(|line| line.claims.is_empty());
            Sentence {
                text: one_line(&text),
                remains: open.range(range.clone()).next().is_some(),
                claims: unique(lines().flat_map(|line| &line.claims)),
                because: unique(uncited.flat_map(|line| &line.because)),
                lines: range,
            }
        });
        Self {
            sentences: sentences.collect(),
            open,
            repeats_nothing,
        }
    }

    pub(crate) fn remaining(&self) -> impl Iterator<Item = &Sentence> {
        self.sentences.iter().filter(|sentence| sentence.remains)
    }

    /// `20 of 27 sentences are cited, 5 need no claim, 2 remain: 92 % covered`.
    pub(crate) fn summary(&self) -> String {
        let all = self.sentences.len();
        let remain = self.remaining().count();
        let is_cited = |sentence: &&Sentence| !sentence.remains && !sentence.claims.is_empty();
        let cited = self.sentences.iter().filter(is_cited).count();
        let share = ((all - remain) * 100).checked_div(all).unwrap_or(100);
        let rest = all - remain - cited;
        format!(
            "{cited} of {all} sentences are cited, {rest} need no claim, {remain} remain: {share} % covered"
        )
    }
}

/// The lines of a document that a citation names, where they are now. What a changed text says has not been read.
fn cited(document: &Document, citation: &Citation) -> impl Iterator<Item = usize> + use<> {
    let ranges = if citation.document == document.name() {
        passage::find(document, citation).unwrap_or_default()
    } else {
        Vec::new()
    };
    ranges.into_iter().flat_map(|(from, to)| from..=to)
}

fn unique<'a>(texts: impl Iterator<Item = &'a &'a str>) -> Vec<String> {
    texts.unique().map(|text| (*text).to_owned()).collect()
}

fn has_words(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

fn is_fence(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("```") || line.starts_with("~~~")
}

/// The sentences of a document with their lines.
fn sentences(pieces: &[Piece<'_>]) -> Vec<(String, RangeInclusive<usize>)> {
    let mut found = Vec::new();
    let mut block: Vec<(usize, String)> = Vec::new();
    let mut by_line = false;
    for piece in pieces {
        match piece {
            Piece::Block(_) => by_line = false,
            Piece::Markup(Event::Start(Tag::CodeBlock(_) | Tag::Table(_))) => by_line = true,
            Piece::Markup(Event::SoftBreak | Event::HardBreak | Event::Start(Tag::TableCell)) => {
                if let Some((_, words)) = block.last_mut() {
                    words.push(' ');
                }
            }
            Piece::Words(line, Event::Text(words) | Event::Code(words)) => {
                block.push((*line, words.replace('\n', " ")));
            }
            Piece::Markup(_) | Piece::Words(..) => {}
            Piece::BlockEnd if by_line => {
                let lines = block.chunk_by(|a, b| a.0 == b.0);
                found.extend(lines.map(|line| {
                    let text = line.iter().map(|(_, words)| words.as_str()).collect();
                    (text, line[0].0..=line[0].0)
                }));
                block.clear();
            }
            Piece::BlockEnd => found.extend(of_block(&std::mem::take(&mut block))),
        }
    }
    found.retain(|(text, _)| has_words(text));
    found
}

/// The sentences of a paragraph, given as words with their lines.
fn of_block(block: &[(usize, String)]) -> Vec<(String, RangeInclusive<usize>)> {
    let text: String = block.iter().map(|(_, words)| words.as_str()).collect();
    // The line of each byte.
    let lines = block.iter();
    let lines = lines.flat_map(|(line, words)| repeat_n(*line, words.len()));
    let lines = lines.collect_vec();
    let line = |offset| lines.get(offset).or(lines.last()).copied().unwrap_or(1);
    text.split_sentence_bound_indices()
        .map(|(at, sentence)| {
            let skipped = sentence.len() - sentence.trim_start().len();
            let last = at + sentence.trim_end().len().max(skipped + 1) - 1;
            (sentence.to_owned(), line(at + skipped)..=line(last))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::fixture;

    const TEXT: &str =
        "# Title\n\nOne is true. Two\nis too. Three, e.g. this.\n\n```\ncode: 1\n\nmore: 2\n```\n";

    fn citation(lines: &str) -> Citation {
        fixture::citation("d.md", lines)
    }

    fn document() -> Document {
        Document::new("d.md", TEXT)
    }

    fn account(lines: &str, because: &str, repeats: Option<&str>) -> Account {
        Account {
            cites: citation(lines),
            because: because.into(),
            repeats: repeats.map(Into::into),
        }
    }

    #[test]
    fn sentences_have_their_lines() {
        let found = sentences(&document().pieces());
        let found = found
            .iter()
            .map(|(text, lines)| (text.trim(), lines.clone()));
        let wanted = [
            ("Title", 1..=1),
            ("One is true.", 3..=3),
            ("Two is too.", 3..=4),
            ("Three, e.g. this.", 4..=4),
            ("code: 1", 7..=7),
            ("more: 2", 9..=9),
        ];
        assert_eq!(found.collect_vec(), wanted);
    }

    #[test]
    fn each_sentence_is_cited_accounted_for_or_remains() {
        let one = citation("3");
        let accounts = [account("9", "an example", None)];
        let coverage = Coverage::of(&document(), [("a.b", &one)], &accounts);
        let remaining = coverage.remaining().map(|s| s.text.as_str()).collect_vec();
        let wanted = ["Two is too.", "Three, e.g. this.", "code: 1"];
        assert_eq!(remaining, wanted);
        assert_eq!(coverage.sentences[0].because, ["heading"]);
        assert_eq!(coverage.sentences[1].claims, ["a.b"]);
        assert_eq!(coverage.sentences[5].because, ["an example"]);
        assert_eq!(
            coverage.summary(),
            "1 of 6 sentences are cited, 2 need no claim, 3 remain: 50 % covered"
        );
    }

    #[rstest]
    #[case::cited("3", true)]
    #[case::not_cited("7", false)]
    fn repeated_lines_must_be_cited(#[case] lines: &str, #[case] fine: bool) {
        let one = citation("3");
        let accounts = [account("9", "repeats", Some(lines))];
        let coverage = Coverage::of(&document(), [("a.b", &one)], &accounts);
        assert_eq!(coverage.repeats_nothing.is_empty(), fine);
    }

    #[test]
    fn other_documents_and_changed_passages_cover_nothing() {
        let changed = Citation {
            digest: Some("000000000000".into()),
            ..citation("3-4")
        };
        let coverage = Coverage::of(&document(), [("a.b", &changed)], []);
        assert_eq!(coverage.remaining().count(), 5);
        let one = citation("1-9");
        let coverage = Coverage::of(&Document::new("e.md", TEXT), [("a.b", &one)], []);
        assert_eq!(coverage.remaining().count(), 5);
    }

    proptest! {
        /// Every line with words is in a sentence, so that nothing is covered by being overlooked.
        #[test]
        fn no_line_is_lost(text in "([-#>*`|\\[\\]()!<>:. a-cA1.]|\n|\n\n|    |```\n){0,40}") {
            let coverage = Coverage::of(&Document::new("d.md", text.clone()), [], []);
            let within: BTreeSet<usize> =
                coverage.sentences.iter().flat_map(|s| s.lines.clone()).collect();
            for (at, line) in text.lines().enumerate() {
                prop_assert!(!has_words(line) || is_fence(line) || within.contains(&(at + 1)), "{}", line);
            }
            let mut sentences = coverage.sentences.iter();
            prop_assert!(sentences.all(|sentence| sentence.remains || sentence.because == [HEADING]));
        }
    }
}
