//! What goes wrong with clusters and node images, and what to do about it.

use camino::Utf8PathBuf;
use thiserror::Error;

/// Why a cluster or a node image could not be had.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// The user asked for something that cannot be.
    #[error("{0}")]
    Refused(String),
    /// A step of a longer work failed and left a log.
    #[error("{step} failed: {reason}\n  everything it printed: {log}")]
    Step {
        /// What was being done.
        step: String,
        /// The end of what it printed.
        reason: String,
        /// Everything it printed.
        log: Utf8PathBuf,
    },
    /// A quick command failed.
    #[error("{step} failed: {reason}")]
    Command {
        /// What was being done.
        step: String,
        /// The end of what it printed.
        reason: String,
    },
    /// Something that the work needs is not there.
    #[error("{what}. {remedy}")]
    Missing {
        /// What is missing.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// A cluster is there but not usable as it is.
    #[error("cluster {name} {what}. {remedy}")]
    Cluster {
        /// Its name.
        name: String,
        /// What is the matter.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// A file could not be read or written.
    #[error("{doing} {path}")]
    File {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: Utf8PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl ClusterError {
    /// Whether the user's wish is at fault and not the machine.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// The error with its causes, in one text.
    #[must_use]
    pub fn whole(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        text
    }

    /// Makes the error of a file operation.
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

/// What the functions of this part give back.
pub type Result<T> = std::result::Result<T, ClusterError>;
