//! Which suites a command is about, and which of their claims.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use crate::catalogue::load;
use crate::catalogue::model::Catalogue;
use crate::catalogue::select;

use super::exit::Failure;

/// Where suites and documents come from.
#[derive(Debug, Clone, clap::Args)]
pub struct SuiteArgs {
    /// Folder with suites that add to those built in, or replace them by id
    #[arg(long, value_name = "DIR")]
    suites: Vec<Utf8PathBuf>,
    /// Folder with the cited documents, to check that their text is still the one cited
    #[arg(long, value_name = "DIR")]
    pub documents: Option<Utf8PathBuf>,
}

impl SuiteArgs {
    /// The catalogue, if nothing is wrong with it.
    ///
    /// # Errors
    /// All that is wrong, together.
    pub fn load(&self) -> Result<Catalogue, Failure> {
        load::catalogue(&self.suites).map_err(Failure::usage)
    }

    /// The claims that the words choose; all without words.
    ///
    /// # Errors
    /// A word that fits nothing.
    pub fn select(
        &self,
        catalogue: &Catalogue,
        words: &[String],
    ) -> Result<BTreeSet<String>, Failure> {
        select::claims(catalogue, words).map_err(Failure::usage)
    }
}
