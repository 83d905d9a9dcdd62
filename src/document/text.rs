//! A document.

use std::ops::RangeInclusive;
use std::sync::OnceLock;

use super::format::Format;
use super::pieces::{Piece, pieces};
use super::quote::{QuoteError, Words};

/// A document and its format.
#[derive(Debug, Clone)]
pub struct Document {
    /// The name that citations use.
    name: String,
    text: String,
    format: Format,
    words: OnceLock<Words>,
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
        words.quoted(&self.name, self.format, quote, occurrence)
    }
}
