//! Errors of clusters and node images.

use std::io;

use camino::Utf8PathBuf;
use thiserror::Error;

use crate::file::WriteError;

#[derive(Debug, Error)]
pub enum ClusterError {
    /// The user's request is invalid.
    #[error("{0}")]
    Refused(String),
    /// A step with a log failed.
    #[error("{step} failed: {reason}\n  full log: {log}")]
    Step {
        step: String,
        /// The last lines of the output.
        reason: String,
        log: Utf8PathBuf,
    },
    /// A short step failed.
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
    /// A file operation failed.
    #[error("{doing} {path}: {source}")]
    File {
        doing: &'static str,
        path: Utf8PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl ClusterError {
    /// Whether the user's request is invalid, as opposed to a failure of the machine.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    pub(crate) fn failed(step: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        let (step, reason) = (step.into(), reason.to_string());
        Self::Command { step, reason }
    }

    pub(crate) fn missing(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Missing {
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<Utf8PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, ClusterError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_errors_show_their_cause() {
        let cause = io::Error::from(io::ErrorKind::StorageFull);
        let text = ClusterError::file("cannot create", "/cache")(cause).to_string();
        assert_eq!(text, "cannot create /cache: no storage space");
    }
}
