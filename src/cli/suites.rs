//! Selection of suites and claims.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use crate::catalogue::finding::Finding;
use crate::catalogue::load::{self, Findings, Loaded, Source};
use crate::catalogue::model::{Catalogue, Scenario};
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

/// Selection of claims by words.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Selection {
    /// Claims, scenarios, suites or documents to select [default: all]
    words: Vec<String>,
    /// Claims, scenarios, suites or documents to leave out
    #[arg(long, value_name = "WORD")]
    skip: Vec<String>,
    #[command(flatten)]
    pub(super) suites: SuiteArgs,
}

impl Selection {
    /// Loads the catalogue and selects claims.
    pub(super) fn load(&self) -> Result<(Catalogue, BTreeSet<String>), Failure> {
        let catalogue = self.suites.load()?;
        let mut claims = SuiteArgs::select(&catalogue, &self.words)?;
        if !self.skip.is_empty() {
            let skipped = SuiteArgs::select(&catalogue, &self.skip)?;
            claims.retain(|claim| !skipped.contains(claim));
        }
        Ok((catalogue, claims))
    }
}

impl SuiteArgs {
    /// Loads the catalogue; an error contains all findings.
    pub(super) fn load(&self) -> Result<Catalogue, Failure> {
        let loaded = self.read();
        Self::refuse(self.findings(&loaded))?;
        Ok(loaded.catalogue)
    }

    /// Fails if there are findings other than those about style.
    fn refuse(findings: impl IntoIterator<Item = Finding>) -> Result<(), Failure> {
        let findings: Vec<Finding> = findings
            .into_iter()
            .filter(|finding| !finding.style)
            .collect();
        if findings.is_empty() {
            Ok(())
        } else {
            Err(Failure::usage(Findings(findings)))
        }
    }

    /// Fails if there are findings in the files of these scenarios, other than those about style.
    pub(super) fn refuse_of(
        &self,
        loaded: &Loaded,
        scenarios: &[&Scenario],
    ) -> Result<(), Failure> {
        let of = |file: &str| scenarios.iter().any(|scenario| scenario.place.file == file);
        let findings = self.findings(loaded);
        Self::refuse(
            findings
                .into_iter()
                .filter(|finding| of(&finding.place.file)),
        )
    }

    /// The folder that new files and recorded evidence belong to.
    pub(super) fn folder(&self) -> Result<&Utf8Path, Failure> {
        match self.suites.as_slice() {
            [folder] => Ok(folder),
            _ => Err(Failure::usage(
                "name the folder of your suites: --suites DIR",
            )),
        }
    }

    /// The folder with recorded evidence: the one given, or `tests` in the folder of suites.
    pub(super) fn recorded(&self, given: Option<&Utf8Path>) -> Result<Utf8PathBuf, Failure> {
        match given {
            Some(folder) => Ok(folder.to_owned()),
            None => Ok(self.folder()?.join("tests")),
        }
    }

    /// Whether a suite file is in one of the folders given by `--suites`; without them, every file is.
    pub(super) fn includes(&self, file: &str) -> bool {
        let file = Utf8Path::new(file);
        self.suites.is_empty() || self.suites.iter().any(|folder| file.starts_with(folder))
    }

    /// Whether a suite file is in one of the folders given by `--suites`.
    pub(super) fn is_in_folder(&self, file: &str) -> bool {
        !self.suites.is_empty() && self.includes(file)
    }

    /// Reads the suites without rejecting invalid ones.
    pub(super) fn read(&self) -> Loaded {
        let folders = self.suites.iter().cloned().map(Source::Folder);
        let sources: Vec<Source> = std::iter::once(Source::BuiltIn).chain(folders).collect();
        load::load(&sources)
    }

    /// Findings in the suites, and in their citations if the documents are given.
    pub(super) fn findings(&self, loaded: &Loaded) -> Vec<Finding> {
        let mut findings = loaded.findings.clone();
        if let Some(documents) = &self.documents {
            findings.extend(citations::check(loaded, documents));
        }
        findings
    }

    /// Like [`Self::select`]. If a word selects nothing, findings come first: a suite that cannot be read has no claims.
    pub(super) fn select_from(
        loaded: &Loaded,
        words: &[String],
    ) -> Result<BTreeSet<String>, Failure> {
        Self::select(&loaded.catalogue, words).or_else(|unknown| {
            Self::refuse(loaded.findings.clone())?;
            Err(unknown)
        })
    }

    /// The claims that the words select; all claims if there are no words.
    pub(super) fn select(
        catalogue: &Catalogue,
        words: &[String],
    ) -> Result<BTreeSet<String>, Failure> {
        select::claims(catalogue, words).map_err(Failure::usage)
    }
}
