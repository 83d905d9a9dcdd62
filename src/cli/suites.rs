//! Selection of suites and claims.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use crate::catalogue::finding::Finding;
use crate::catalogue::load::{self, Findings, Loaded, Source};
use crate::catalogue::model::Catalogue;
use crate::catalogue::{citations, select};

use super::exit::Failure;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct SuiteArgs {
    /// Folder with additional suites; a suite with the id of a built-in one replaces it
    #[arg(long, value_name = "DIR")]
    suites: Vec<Utf8PathBuf>,
    /// Folder with the cited documents, to compare citations and apply listings
    #[arg(long, value_name = "DIR", env = "HOOKPROOF_DOCUMENTS")]
    pub(super) documents: Option<Utf8PathBuf>,
}

impl SuiteArgs {
    /// Loads the catalogue; an error contains all findings.
    pub(super) fn load(&self) -> Result<Catalogue, Failure> {
        let loaded = self.read();
        let findings = self.findings(&loaded);
        if findings.is_empty() {
            Ok(loaded.catalogue)
        } else {
            Err(Failure::usage(Findings(findings)))
        }
    }

    /// Reads the suites without rejecting invalid ones.
    #[must_use]
    pub(super) fn read(&self) -> Loaded {
        let folders = self.suites.iter().cloned().map(Source::Folder);
        let sources: Vec<Source> = std::iter::once(Source::BuiltIn).chain(folders).collect();
        load::load(&sources)
    }

    /// Findings in the suites, and in their citations if the documents are given.
    #[must_use]
    pub(super) fn findings(&self, loaded: &Loaded) -> Vec<Finding> {
        let mut findings = loaded.findings.clone();
        if let Some(documents) = &self.documents {
            findings.extend(citations::check(loaded, documents));
        }
        findings
    }

    /// The claims that the words select; all claims if there are no words.
    pub(super) fn select(
        catalogue: &Catalogue,
        words: &[String],
    ) -> Result<BTreeSet<String>, Failure> {
        select::claims(catalogue, words).map_err(Failure::usage)
    }
}
