//! Findings about suites, collected: nothing stops at the first.

use std::fmt;

use super::place::Place;
pub use crate::expr::nearest;

/// A problem in a suite, a manifest, or a citation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub place: Place,
    pub message: String,
    pub help: Option<String>,
    /// It makes a suite hard to read, but does not keep it from running.
    pub style: bool,
}

impl Finding {
    pub fn new(place: &Place, message: impl Into<String>) -> Self {
        Self {
            place: place.clone(),
            message: message.into(),
            help: None,
            style: false,
        }
    }

    /// Marks the finding as one about style.
    #[must_use]
    pub fn style(mut self) -> Self {
        self.style = true;
        self
    }

    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the most similar of `known` as a suggestion.
    #[must_use]
    pub fn with_near<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        if let Some(near) = nearest(word, known.iter().copied()) {
            return self.with_help(format!("did you mean `{near}`?"));
        }
        if known.is_empty() || known.len() > 24 {
            return self;
        }
        self.with_help(format!("expected one of: {}", known.join(", ")))
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

/// Sorts by place and removes duplicates.
pub(super) fn sort(findings: &mut Vec<Finding>) {
    findings.sort_by(|a, b| {
        (&a.place.file, a.place.line, a.place.column, &a.message).cmp(&(
            &b.place.file,
            b.place.line,
            b.place.column,
            &b.message,
        ))
    });
    findings.dedup();
}
