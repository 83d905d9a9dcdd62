//! `hookproof annotate DOC...`: documents with their statements marked by verdict.

use camino::Utf8PathBuf;

use crate::catalogue::model::Verdict;
use crate::report::annotate::{annotate as page, changed};
use crate::report::file::write_atomic;
use crate::report::json;

use super::exit::{Exit, Failure};

/// Writes documents as HTML, each cited passage marked with its verdict
#[derive(Debug, clap::Args)]
pub(super) struct AnnotateArgs {
    /// Documents
    #[arg(required = true, value_name = "DOC")]
    documents: Vec<Utf8PathBuf>,
    /// Results of a run
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: Utf8PathBuf,
    /// Folder for the pages
    #[arg(long, value_name = "DIR", default_value = "annotated")]
    out: Utf8PathBuf,
}

/// Writes the pages. The exit code tells whether a document says something that is not so, or
/// something else than what was tried.
///
/// # Errors
/// Documents or results that cannot be read, pages that cannot be written.
pub(super) fn annotate(args: &AnnotateArgs) -> Result<Exit, Failure> {
    let results = json::read_results(&args.results).map_err(Failure::usage)?;
    let mut exit = Exit::AsExpected;
    for document in &args.documents {
        let text = std::fs::read_to_string(document)
            .map_err(|e| Failure::usage(format!("{document} cannot be read: {e}")))?;
        let name = document.file_name().unwrap_or(document.as_str());
        let cited = |claim: &str| {
            results
                .claims
                .iter()
                .any(|info| info.id == claim && info.cites.iter().any(|c| c.document == name))
        };
        let wrong = results
            .clusters
            .iter()
            .flat_map(|cluster| &cluster.judgements)
            .filter(|j| cited(&j.claim))
            .filter(|j| matches!(j.verdict, Verdict::Refuted | Verdict::Qualified))
            .count();
        let path = args.out.join(format!("{name}.html"));
        write_atomic(
            &path,
            page(name, &text, &results)
                .map_err(Failure::usage)?
                .as_bytes(),
        )
        .map_err(Failure::usage)?;
        let changed = changed(name, &text, &results);
        print!("{path}: {wrong} verdicts of refuted or qualified");
        if changed > 0 {
            print!("; {changed} passages have changed since they were tried");
        }
        println!();
        if wrong + changed > 0 {
            exit = Exit::Changed;
        }
    }
    Ok(exit)
}
