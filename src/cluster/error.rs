//! Errors of clusters and node images.

use camino::Utf8PathBuf;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum ClusterError {
    /// The user's request is invalid.
    #[error("{0}")]
    Refused(String),
    /// A long-running step failed.
    #[error("{step} failed: {reason}\n  full log: {log}")]
    Step {
        step: String,
        /// The last lines of the output.
        reason: String,
        log: Utf8PathBuf,
    },
    /// A short command failed.
    #[error("{step} failed: {reason}")]
    Command {
        step: String,
        /// The last lines of the output.
        reason: String,
    },
    /// A prerequisite is missing.
    #[error("{what}; {remedy}")]
    Missing { what: String, remedy: String },
    /// A cluster exists but cannot be used.
    #[error("cluster {name} {what}; {remedy}")]
    Cluster {
        name: String,
        what: String,
        remedy: String,
    },
    /// A file operation failed. The message lacks the source; see [`ClusterError::with_causes`].
    #[error("{doing} {path}")]
    File {
        doing: &'static str,
        path: Utf8PathBuf,
        source: std::io::Error,
    },
}

impl ClusterError {
    /// Whether the user's request is invalid, as opposed to a failure of the machine.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// The message with those of all causes.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        text
    }

    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<Utf8PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }
}

pub type Result<T> = std::result::Result<T, ClusterError>;
