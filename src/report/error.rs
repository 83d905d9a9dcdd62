//! What can go wrong while reports are read and written.

use std::io;

use camino::Utf8PathBuf;

/// A report could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file could not be written.
    #[error(
        "cannot write {path}: {source}; check that the folder is yours and the disk is not full"
    )]
    Write {
        /// Which file.
        path: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {path}: {source}; give a folder that `hookproof run` wrote to")]
    Read {
        /// Which file.
        path: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error(
        "{path} is not {what}: {source}; it may have been cut off or edited, run the claims again"
    )]
    Parse {
        /// Which file.
        path: Utf8PathBuf,
        /// What it should have been.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// A file of another format version.
    #[error(
        "{path} has the format `{found}`, this hookproof reads `{wanted}`; \
         use the hookproof that wrote it, or run the claims again"
    )]
    Schema {
        /// Which file.
        path: Utf8PathBuf,
        /// The format it says it has.
        found: String,
        /// The format that is understood.
        wanted: &'static str,
    },
    /// Something could not be put into JSON.
    #[error("cannot put {what} into JSON: {source}; please report this with the command you ran")]
    Json {
        /// What.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// The JUnit file could not be put together.
    #[error("cannot put {path} into XML: {source}; please report this with its results.json")]
    Junit {
        /// Which file.
        path: Utf8PathBuf,
        /// Why.
        source: quick_junit::SerializeError,
    },
    /// The HTML page could not be put together.
    #[error("cannot put the page together: {source}; please report this with its results.json")]
    Page {
        /// Why.
        source: minijinja::Error,
    },
}
