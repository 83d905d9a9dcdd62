//! Finds quotations in a document: by their words, whatever the line breaks and the markup.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use pulldown_cmark::Event;

use super::format::Format;
use super::pieces::{Piece, pieces};

/// The visible text of a document as quotations are compared: one space between words, without marks of emphasis, and
/// with plain quotation marks and dashes.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    text: String,
    /// Where each line begins in the text, with its number.
    lines: Vec<(usize, usize)>,
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
    #[error("the quoted text occurs {} times in {document}, on lines {}", lines.len(), listed(lines))]
    Ambiguous { document: String, lines: Vec<usize> },
    #[error(
        "occurrence {occurrence} of the quoted text is not in {document}: the text is on lines {}",
        listed(lines)
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

fn listed(lines: &[usize]) -> String {
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    lines.join(", ")
}

impl Words {
    pub(super) fn of(format: Format, text: &str) -> Self {
        let mut words = Self::default();
        let mut line = 1;
        for piece in pieces(format, text) {
            match piece {
                Piece::Words(at, Event::Text(text) | Event::Code(text)) => {
                    line = at;
                    words.add(line, &text);
                }
                Piece::Markup(
                    Event::SoftBreak
                    | Event::HardBreak
                    | Event::End(pulldown_cmark::TagEnd::TableCell),
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
        self.lines
            .get(after.saturating_sub(1))
            .map_or(1, |(_, line)| *line)
    }

    /// The lines of each occurrence of the text, not within words.
    fn find(&self, wanted: &str) -> Vec<RangeInclusive<usize>> {
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let (first, last) = (
            is_word(wanted.chars().next()),
            is_word(wanted.chars().next_back()),
        );
        let occurrences = self.text.match_indices(wanted).filter(|(at, found)| {
            let (before, after) = (&self.text[..*at], &self.text[at + found.len()..]);
            !(first && is_word(before.chars().next_back()) || last && is_word(after.chars().next()))
        });
        occurrences
            .map(|(at, found)| self.line(at)..=self.line(at + found.len() - 1))
            .collect()
    }

    /// The text with the most words of the wanted one, if it has more than half of them, and its line.
    fn nearest(&self, wanted: &str) -> Option<(usize, String)> {
        let wanted: Vec<&str> = wanted.split_whitespace().collect();
        let mut missing: BTreeMap<&str, i64> = BTreeMap::new();
        for word in &wanted {
            *missing.entry(word).or_default() += 1;
        }
        let words: Vec<(usize, &str)> = self
            .text
            .split(' ')
            .scan(0, |at, word| {
                let start = *at;
                *at += word.len() + 1;
                Some((start, word))
            })
            .collect();
        let (mut shared, mut best) = (0, (wanted.len() / 2, None));
        for (at, (_, word)) in words.iter().enumerate() {
            if let Some(count) = missing.get_mut(word) {
                shared += usize::from(*count > 0);
                *count -= 1;
            }
            if let Some((_, left)) = at
                .checked_sub(wanted.len())
                .and_then(|left| words.get(left))
                && let Some(count) = missing.get_mut(left)
            {
                *count += 1;
                shared -= usize::from(*count > 0);
            }
            if shared > best.0 {
                best = (shared, Some(at));
            }
        }
        let last = best.1?;
        let window = &words[(last + 1).saturating_sub(wanted.len())..=last];
        let first = window.iter().position(|(_, word)| wanted.contains(word))?;
        let text = words.iter().skip_while(|(at, _)| *at < window[first].0);
        let text: Vec<&str> = text.take(wanted.len()).map(|(_, word)| *word).collect();
        Some((
            self.line(window[first].0),
            text.join(" ").trim_end().to_owned(),
        ))
    }

    /// The lines of a quotation in a document of this name and format.
    pub(super) fn quoted(
        &self,
        document: &str,
        format: Format,
        quote: &str,
        occurrence: Option<u32>,
    ) -> Result<RangeInclusive<usize>, QuoteError> {
        let document = document.to_owned();
        // As a reader sees it, or as it is written with its markup.
        let mut visible = Self::default();
        visible.add(1, quote);
        let source = Self::of(format, quote);
        let found = [&visible, &source].into_iter().find_map(|quote| {
            let quote = quote.text.trim();
            let found = if quote.is_empty() {
                Vec::new()
            } else {
                self.find(quote)
            };
            (!found.is_empty()).then_some(found)
        });
        let Some(found) = found else {
            let nearest = self.nearest(&visible.text);
            return Err(QuoteError::Missing { document, nearest });
        };
        let lines = || found.iter().map(|lines| *lines.start()).collect();
        match occurrence {
            None if found.len() > 1 => Err(QuoteError::Ambiguous {
                document,
                lines: lines(),
            }),
            None => Ok(found[0].clone()),
            Some(occurrence) => {
                let at = usize::try_from(occurrence)
                    .unwrap_or(usize::MAX)
                    .wrapping_sub(1);
                let found = found.get(at).cloned();
                found.ok_or_else(|| QuoteError::TooFew {
                    document,
                    occurrence,
                    lines: lines(),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rstest::rstest;

    use super::super::Document;
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
