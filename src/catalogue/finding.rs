//! Findings about suites and their places, collected: nothing stops at the first.

use std::fmt;

pub(crate) use crate::expr::{nearest, suggestion};

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Path as given, or in the built-in suites.
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: u32,
    /// From 1.
    pub(crate) column: u32,
}

impl Place {
    pub(crate) fn new(file: impl Into<String>, line: u32, column: u32) -> Self {
        let file = file.into();
        Self { file, line, column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A problem in a suite, a manifest, or a citation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub(crate) place: Place,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// It makes a suite hard to read, but does not keep it from running.
    pub(crate) style: bool,
}

impl Finding {
    pub(crate) fn new(place: &Place, message: impl Into<String>) -> Self {
        Self {
            place: place.clone(),
            message: message.into(),
            help: None,
            style: false,
        }
    }

    pub(crate) fn style(mut self) -> Self {
        self.style = true;
        self
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the most similar of `known` as a suggestion.
    pub(crate) fn with_near<'a>(
        self,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match suggestion(word, known.iter().copied()) {
            Some(help) => self.with_help(help),
            None if known.is_empty() || known.len() > 24 => self,
            None => self.with_help(format!("expected one of: {}", known.join(", "))),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if let Some(help) = &self.help {
            write!(f, "\n    {help}")?;
        }
        Ok(())
    }
}
