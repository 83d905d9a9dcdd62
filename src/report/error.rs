//! Errors of reading and writing reports.

use std::io;

use camino::Utf8PathBuf;

use crate::file::WriteError;

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("failed to read {path}: {source}; pass a results folder written by `hookproof run`")]
    Read {
        path: Utf8PathBuf,
        source: io::Error,
    },
    #[error(
        "failed to parse {path} as a results file: {source}; \
         the file may be truncated or edited, run the claims again"
    )]
    Parse {
        path: Utf8PathBuf,
        source: serde_json::Error,
    },
    #[error(
        "unsupported format `{found}` in {path}: this version reads `{wanted}`; \
         use the hookproof version that wrote it, or run the claims again"
    )]
    Schema {
        path: Utf8PathBuf,
        found: String,
        wanted: &'static str,
    },
    #[error("failed to serialize {what} as JSON: {source}; report this with the command you ran")]
    Json {
        what: &'static str,
        source: serde_json::Error,
    },
    #[error("failed to render {path} as XML: {source}; report this with results.json")]
    Junit {
        path: Utf8PathBuf,
        source: quick_junit::SerializeError,
    },
    #[error("failed to render the HTML page: {source}; report this with results.json")]
    Page { source: minijinja::Error },
}
