//! Errors of clusters and node images.

use std::fmt;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use thiserror::Error;

use crate::file::WriteError;

#[derive(Debug, Error)]
pub enum ClusterError {
    /// The user's request is invalid.
    #[error("{0}")]
    Refused(String),
    #[error("{step} failed: {reason}{}", .log.as_ref().map(|log| format!("\n  full log: {log}")).unwrap_or_default())]
    Failed {
        step: String,
        /// The last lines of the output.
        reason: String,
        log: Option<Utf8PathBuf>,
    },
    /// Something that the user must do first: install a prerequisite, or wait for another run.
    #[error("{what}; {remedy}")]
    Missing { what: String, remedy: String },
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

    pub(crate) fn failed(step: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Failed {
            step: step.into(),
            reason: reason.to_string(),
            log: None,
        }
    }

    /// Adds the log of the step that failed.
    pub(crate) fn with_log(mut self, path: &Utf8Path) -> Self {
        if let Self::Failed { log, .. } = &mut self {
            *log = Some(path.to_owned());
        }
        self
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
