//! Documents whose statements are checked: Markdown, HTML and plain text, with the lines of their parts. Quotations are
//! found by their words, whatever the line breaks and the markup.

mod html;
mod pieces;

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::OnceLock;

use itertools::Itertools as _;
use pulldown_cmark::{Event, TagEnd};

pub(crate) use pieces::Piece;
use pieces::{Format, pieces};

#[derive(Debug, Clone)]
pub struct Document {
    /// The name that citations use.
    name: String,
    text: String,
    format: Format,
    words: OnceLock<Words>,
}

/// Why a quotation has no place in a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QuoteError {
    #[error("the quoted text is not in {document}{}", nearest.as_ref().map(|(line, text)| {
        format!("; line {line} is the nearest: {text}")
    }).unwrap_or_default())]
    Missing {
        document: String,
        /// The most similar text and its line.
        nearest: Option<(usize, String)>,
    },
    #[error("the quoted text occurs {} times in {document}, on lines {}", lines.len(), lines.iter().join(", "))]
    Ambiguous { document: String, lines: Vec<usize> },
    #[error(
        "occurrence {occurrence} of the quoted text is not in {document}: the text is on lines {}",
        lines.iter().join(", ")
    )]
    TooFew {
        document: String,
        occurrence: u32,
        lines: Vec<usize>,
    },
}

impl QuoteError {
    /// What to do about it.
    pub(crate) fn help(&self) -> &'static str {
        match self {
            Self::Missing { .. } => {
                "read it again; if the claim still holds, correct the quotation"
            }
            Self::Ambiguous { .. } => "quote more words, or add `occurrence`: 1 for the first",
            Self::TooFew { .. } => "correct `occurrence`, or quote more words without it",
        }
    }
}

impl Document {
    /// A document by the name that citations use. The format follows from the name's extension, or from the text if the
    /// extension says nothing, such as `.txt`.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let (name, text) = (name.into(), text.into());
        let format = Format::of(&name, &text);
        Self {
            name,
            text,
            format,
            words: OnceLock::new(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_html(&self) -> bool {
        self.format == Format::Html
    }

    /// Its blocks and words, in order.
    pub(crate) fn pieces(&self) -> Vec<Piece<'_>> {
        pieces(self.format, &self.text)
    }

    /// The lines of a quotation. `occurrence` selects among several places, from 1.
    pub(crate) fn quoted(
        &self,
        quote: &str,
        occurrence: Option<u32>,
    ) -> Result<RangeInclusive<usize>, QuoteError> {
        let words = || Words::of(self.format, &self.text);
        let words = self.words.get_or_init(words);
        let document = self.name.clone();
        // As a reader sees it, or as it is written with its markup.
        let mut visible = Words::default();
        visible.add(1, quote);
        let mut found = words.find(&visible.text);
        if found.is_empty() {
            found = words.find(&Words::of(self.format, quote).text);
        }
        let lines: Vec<usize> = found.iter().map(|lines| *lines.start()).collect();
        match occurrence {
            _ if found.is_empty() => Err(QuoteError::Missing {
                document,
                nearest: words.nearest(&visible.text),
            }),
            None if found.len() > 1 => Err(QuoteError::Ambiguous { document, lines }),
            None => Ok(found.swap_remove(0)),
            Some(occurrence) => {
                let found = found.into_iter().nth((occurrence as usize).wrapping_sub(1));
                found.ok_or(QuoteError::TooFew {
                    document,
                    occurrence,
                    lines,
                })
            }
        }
    }
}

/// The visible text of a document as quotations are compared: one space between words, without marks of emphasis, and
/// with plain quotation marks and dashes.
#[derive(Debug, Clone, Default)]
struct Words {
    text: String,
    /// Where each line begins in the text, with its number.
    lines: Vec<(usize, usize)>,
}

impl Words {
    fn of(format: Format, text: &str) -> Self {
        let mut words = Self::default();
        let mut line = 1;
        for piece in pieces(format, text) {
            match piece {
                Piece::Words(at, Event::Text(text) | Event::Code(text)) => {
                    line = at;
                    words.add(line, &text);
                }
                Piece::Markup(
                    Event::SoftBreak | Event::HardBreak | Event::End(TagEnd::TableCell),
                )
                | Piece::BlockEnd => words.add(line, " "),
                Piece::Words(..) | Piece::Markup(_) | Piece::Block(_) => {}
            }
        }
        words
    }

    fn add(&mut self, line: usize, text: &str) {
        if self.lines.last().is_none_or(|(_, last)| *last != line) {
            self.lines.push((self.text.len(), line));
        }
        for c in text.chars() {
            match c {
                '*' | '_' | '`' | '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{feff}' => {}
                '“' | '”' | '„' | '«' | '»' => self.text.push('"'),
                '‘' | '’' | '‚' => self.text.push('\''),
                '‐'..='―' | '−' => self.text.push('-'),
                '…' => self.text.push_str("..."),
                c if c.is_whitespace() || c.is_control() => {
                    if !self.text.is_empty() && !self.text.ends_with(' ') {
                        self.text.push(' ');
                    }
                }
                c => self.text.push(c),
            }
        }
    }

    fn line(&self, offset: usize) -> usize {
        let after = self.lines.partition_point(|(start, _)| *start <= offset);
        self.lines[..after].last().map_or(1, |(_, line)| *line)
    }

    /// The lines of each occurrence of the text, not within words.
    fn find(&self, wanted: &str) -> Vec<RangeInclusive<usize>> {
        let wanted = wanted.trim();
        let begins = wanted.starts_with(char::is_alphanumeric);
        let ends = wanted.ends_with(char::is_alphanumeric);
        let occurrences = self.text.match_indices(wanted).filter(|(at, found)| {
            let (before, after) = (&self.text[..*at], &self.text[at + found.len()..]);
            !(found.is_empty()
                || begins && before.ends_with(char::is_alphanumeric)
                || ends && after.starts_with(char::is_alphanumeric))
        });
        occurrences
            .map(|(at, found)| self.line(at)..=self.line(at + found.len() - 1))
            .collect()
    }

    /// The text with the most words of the wanted one, if it has more than half of them, and its line.
    fn nearest(&self, wanted: &str) -> Option<(usize, String)> {
        let wanted: Vec<&str> = wanted.split_whitespace().collect();
        let words: Vec<&str> = self.text.split(' ').collect();
        let mut missing: HashMap<&str, i64> = HashMap::new();
        for word in &wanted {
            *missing.entry(word).or_default() += 1;
        }
        let (mut shared, mut best) = (0, (wanted.len() / 2, None));
        for (at, word) in words.iter().enumerate() {
            if let Some(count) = missing.get_mut(word) {
                shared += usize::from(*count > 0);
                *count -= 1;
            }
            let left = at.checked_sub(wanted.len()).map(|left| words[left]);
            if let Some(count) = left.and_then(|left| missing.get_mut(left)) {
                *count += 1;
                shared -= usize::from(*count > 0);
            }
            if shared > best.0 {
                best = (shared, Some(at));
            }
        }
        let last = best.1?;
        let first = (last + 1).saturating_sub(wanted.len());
        let first = (first..=last).find(|at| wanted.contains(&words[*at]))?;
        let offset = words[..first].iter().map(|word| word.len() + 1).sum();
        let text = words.iter().skip(first).take(wanted.len()).join(" ");
        Some((self.line(offset), text.trim_end().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const PAGE: &str = "\
# Stopping

The **preStop** hook runs
before [the signal](https://a.b) — it's
`SIGTERM`.

- It runs once.
- It runs once.

A start\\_time is art.
";

    #[rstest]
    #[case::visible("The preStop hook runs before the signal", Ok(3..=4))]
    #[case::as_written("The **preStop** hook runs\nbefore [the signal](https://a.b)", Ok(3..=4))]
    #[case::punctuation("the signal - it’s SIGTERM.", Ok(4..=5))]
    #[case::spaces("  the   signal\n\n - it's", Ok(4..=4))]
    #[case::heading("Stopping", Ok(1..=1))]
    #[case::across_blocks("SIGTERM. It runs once.", Ok(5..=7))]
    #[case::escaped("A start_time is", Ok(10..=10))]
    #[case::word("art", Ok(10..=10))]
    fn quotations_are_found(
        #[case] quote: &str,
        #[case] lines: Result<RangeInclusive<usize>, QuoteError>,
    ) {
        assert_eq!(Document::new("a.md", PAGE).quoted(quote, None), lines);
    }

    #[rstest]
    #[case::edited(
        "The preStop hook ends before the signal",
        None,
        "; line 3 is the nearest: The preStop hook runs before the signal"
    )]
    #[case::other("Nothing of the kind is here", None, "the quoted text is not in a.md")]
    #[case::case("STOPPING", None, "the quoted text is not in a.md")]
    #[case::empty(" ** ", None, "the quoted text is not in a.md")]
    #[case::twice("It runs once.", None, "occurs 2 times in a.md, on lines 7, 8")]
    #[case::too_few(
        "It runs once.",
        Some(3),
        "occurrence 3 of the quoted text is not in a.md: the text is on lines 7, 8"
    )]
    fn others_say_why(#[case] quote: &str, #[case] occurrence: Option<u32>, #[case] message: &str) {
        let error = Document::new("a.md", PAGE)
            .quoted(quote, occurrence)
            .unwrap_err();
        assert!(error.to_string().ends_with(message), "{error}");
    }

    #[test]
    fn an_occurrence_can_be_chosen() {
        let document = Document::new("a.md", PAGE);
        assert_eq!(document.quoted("It runs once.", Some(2)), Ok(8..=8));
    }

    proptest! {
        /// Whatever a document says on a line of its own can be quoted, and moves with it.
        #[test]
        fn sentences_are_found_where_they_are(
            before in "([a-z ]{0,9}\n\n){0,4}",
            quote in "[A-Z][a-z]{3,9} [a-z]{3,9}, [a-z]{2,5}",
            name in prop::sample::select(vec!["a.md", "a.html", "a.txt"]),
        ) {
            let text = format!("{before}{quote}\n");
            let line = before.lines().count() + 1;
            prop_assert_eq!(Document::new(name, text).quoted(&quote, None), Ok(line..=line));
        }

        #[test]
        fn anything_can_be_quoted(text in "\\PC{0,40}", quote in "\\PC{0,20}", occurrence in prop::option::of(0u32..3)) {
            for name in ["a.md", "a.html", "a.txt"] {
                let _ = Document::new(name, text.clone()).quoted(&quote, occurrence);
            }
        }
    }
}
