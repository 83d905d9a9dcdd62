//! What is wrong with suites, collected: nothing stops at the first problem.

use std::fmt;

use super::model::Place;
pub use crate::expr::nearest;

/// One thing that is wrong in a suite, a manifest or a citation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// It makes a suite hard to read, but does not keep it from running.
    pub style: bool,
}

impl Finding {
    /// A finding without help.
    pub fn new(place: &Place, message: impl Into<String>) -> Self {
        Self {
            place: place.clone(),
            message: message.into(),
            help: None,
            style: false,
        }
    }

    /// The same as a finding about style.
    #[must_use]
    pub fn style(mut self) -> Self {
        self.style = true;
        self
    }

    /// The same with help.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with the likeliest of `known`, where `word` looks like one of them.
    #[must_use]
    pub fn with_near<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        if let Some(near) = nearest(word, known.iter().copied()) {
            return self.with_help(format!("did you mean `{near}`?"));
        }
        if known.is_empty() || known.len() > 24 {
            return self;
        }
        self.with_help(format!("known here: {}", known.join(", ")))
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

/// Sorts by place and drops repetitions.
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
