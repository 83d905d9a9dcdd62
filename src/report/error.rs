//! Errors of reading and writing reports.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use crate::file::WriteError;

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("failed to replace {0}: {1}; check the folder's permissions")]
    Replace(Utf8PathBuf, #[source] io::Error),
    #[error("{0} contains files that hookproof did not write; choose an empty folder with --out")]
    Foreign(Utf8PathBuf),
    #[error("failed to use {0} for output: {1}; choose another folder with --out")]
    Folder(Utf8PathBuf, #[source] io::Error),
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
    #[error("failed to read {0}: {1}; pass a results folder written by `hookproof run`")]
    Read(Utf8PathBuf, #[source] io::Error),
    #[error(
        "failed to parse {0} as a results file: {1}; \
         the file may be truncated or edited, run the claims again"
    )]
    Parse(Utf8PathBuf, #[source] serde_json::Error),
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
    #[error("invalid results file {0}: {1}; the file may be edited, run the claims again")]
    Contradiction(Utf8PathBuf, String),
    #[error("failed to serialize the results as JSON: {0}; report this with the command you ran")]
    Json(#[from] serde_json::Error),
    #[error("failed to render {0} as XML: {1}; report this with results.json")]
    Junit(Utf8PathBuf, #[source] quick_junit::SerializeError),
    #[error("failed to render the HTML page: {0}; report this with results.json")]
    Page(#[from] minijinja::Error),
}

/// Arguments of `map_err` that add the path.
impl ReportError {
    pub(super) fn read(path: &Utf8Path) -> impl Fn(io::Error) -> Self {
        |source| Self::Read(path.to_owned(), source)
    }

    pub(super) fn parse(path: &Utf8Path) -> impl Fn(serde_json::Error) -> Self {
        |source| Self::Parse(path.to_owned(), source)
    }
}
