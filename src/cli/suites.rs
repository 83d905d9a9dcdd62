//! Which suites a command is about, and which of their claims.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use crate::catalogue::finding::Finding;
use crate::catalogue::load::{self, Findings, Loaded, Source};
use crate::catalogue::model::Catalogue;
use crate::catalogue::{citations, select};

use super::exit::Failure;

/// Where suites and documents come from.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SuiteArgs {
    /// Folder with suites that add to those built in, or replace them by id
    #[arg(long, value_name = "DIR")]
    suites: Vec<Utf8PathBuf>,
    /// Folder with the cited documents: their text is compared with what was cited, and their
    /// listings can be applied
    #[arg(long, value_name = "DIR", env = "HOOKPROOF_DOCUMENTS")]
    pub(super) documents: Option<Utf8PathBuf>,
}

impl SuiteArgs {
    /// The catalogue, if nothing is wrong with it.
    ///
    /// # Errors
    /// All that is wrong, together.
    pub(super) fn load(&self) -> Result<Catalogue, Failure> {
        let loaded = self.read();
        let findings = self.findings(&loaded);
        if findings.is_empty() {
            Ok(loaded.catalogue)
        } else {
            Err(Failure::usage(Findings(findings)))
        }
    }

    /// What can be read of the suites, right or wrong.
    #[must_use]
    pub(super) fn read(&self) -> Loaded {
        let folders = self.suites.iter().cloned().map(Source::Folder);
        let sources: Vec<Source> = std::iter::once(Source::BuiltIn).chain(folders).collect();
        load::load(&sources)
    }

    /// What is wrong with them, and with their citations where the documents are given.
    #[must_use]
    pub(super) fn findings(&self, loaded: &Loaded) -> Vec<Finding> {
        let mut findings = loaded.findings.clone();
        if let Some(documents) = &self.documents {
            findings.extend(citations::check(loaded, documents));
        }
        findings
    }

    /// The claims that the words choose; all without words.
    ///
    /// # Errors
    /// A word that fits nothing.
    pub(super) fn select(
        catalogue: &Catalogue,
        words: &[String],
    ) -> Result<BTreeSet<String>, Failure> {
        select::claims(catalogue, words).map_err(Failure::usage)
    }
}
