//! `hookproof site`.

use camino::Utf8PathBuf;

use crate::file::{share, write_atomic};
use crate::report::html::site::{PARTS, write};
use crate::report::json::RESULTS_FILE;
use crate::report::matrix::causes;
use crate::report::output::{MARKER, Output};
use crate::report::text::count;

use super::exit::{Exit, Failure};
use super::report::{merged, read};
use super::suites::{ProjectArgs, cited, documents, results_of};

/// Write a static site of results: the matrix, a page per claim, and annotated documents
#[derive(Debug, clap::Args)]
pub(super) struct SiteArgs {
    /// Results folders of `hookproof run` [default: that of the project]
    #[arg(value_name = "DIR")]
    folders: Vec<Utf8PathBuf>,
    /// Folder for the site
    #[arg(long, value_name = "DIR")]
    out: Utf8PathBuf,
    /// Folder with the cited documents, to annotate them [default: that of the project, or else the environment
    /// variable `HOOKPROOF_DOCUMENTS`]
    #[arg(long, value_name = "DIR")]
    documents: Option<Utf8PathBuf>,
    #[command(flatten)]
    project: ProjectArgs,
}

pub(super) fn site(args: &SiteArgs) -> Result<Exit, Failure> {
    if args.out.join(RESULTS_FILE).exists() {
        return Err(Failure::usage(format!(
            "{} is a results folder; choose another folder with --out",
            args.out
        )));
    }
    // A site is for publication, unlike the results that it contains.
    share();
    let project = args.project.project()?;
    let folders = results_of(&args.folders, &project)?;
    let parts = read(&folders).map_err(Failure::usage)?;
    let causes = causes::built_in().map_err(Failure::infrastructure)?;
    let out = Output::new(&args.out, &folders).map_err(Failure::usage)?;
    let results = merged(parts, Some(&out))?;
    let texts = match args.documents.as_ref().or(project.documents.as_ref()) {
        Some(folder) => {
            let cites = results.claims.iter().flat_map(|claim| &claim.cites);
            documents(&[], Some(folder), &cited(cites))?
        }
        None => Vec::new(),
    };
    write(&results, &out.path(), &texts, &causes).map_err(Failure::infrastructure)?;
    let folder = out.replace(&PARTS).map_err(Failure::infrastructure)?;
    write_atomic(&folder.join(MARKER), b"written by hookproof site\n")
        .map_err(Failure::infrastructure)?;
    line!(
        "{folder}/index.html: {}, {}",
        count(results.claims.len(), "claim"),
        count(results.clusters.len(), "column")
    );
    Ok(Exit::AsExpected)
}
