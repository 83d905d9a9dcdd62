//! Errors of reading and writing reports.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use crate::file::WriteError;

impl ReportError {
    /// The error of reading a file.
    pub(super) fn read(path: &Utf8Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Read { path, source }
    }

    /// The error of parsing a file.
    pub(super) fn parse(path: &Utf8Path) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Parse { path, source }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("failed to replace {path}: {source}; check the folder's permissions")]
    Replace {
        path: Utf8PathBuf,
        source: io::Error,
    },
    #[error(
        "{path} contains files that hookproof did not write; choose an empty folder with --out"
    )]
    Foreign { path: Utf8PathBuf },
    #[error("failed to use {path} for output: {source}; choose another folder with --out")]
    Folder {
        path: Utf8PathBuf,
        source: io::Error,
    },
    #[error(
        "{path} contains the input {input}, which would be replaced; choose another folder with --out"
    )]
    Input {
        path: Utf8PathBuf,
        input: Utf8PathBuf,
    },
    #[error(
        "{folder} refers to {path}, which is outside of it; pass a results folder written by `hookproof run`"
    )]
    Outside {
        path: Utf8PathBuf,
        folder: Utf8PathBuf,
    },
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
         use hookproof {version}, or run the claims again"
    )]
    Schema {
        path: Utf8PathBuf,
        found: String,
        wanted: &'static str,
        /// The version that wrote the file.
        version: String,
    },
    #[error("invalid results file {path}: {why}; the file may be edited, run the claims again")]
    Contradiction { path: Utf8PathBuf, why: String },
    #[error("failed to serialize the results as JSON: {0}; report this with the command you ran")]
    Json(#[from] serde_json::Error),
    #[error("failed to render {path} as XML: {source}; report this with results.json")]
    Junit {
        path: Utf8PathBuf,
        source: quick_junit::SerializeError,
    },
    #[error("failed to render the HTML page: {0}; report this with results.json")]
    Page(#[from] minijinja::Error),
}
