//! `hookproof annotate DOC...`.

use camino::Utf8PathBuf;

use crate::catalogue::model::Verdict;
use crate::file::write_atomic;
use crate::report::annotate::{annotate as page, changed};
use crate::report::json;

use super::exit::{Exit, Failure};

/// Write documents as HTML, with each cited passage marked by its verdict
#[derive(Debug, clap::Args)]
pub(super) struct AnnotateArgs {
    /// Documents to annotate
    #[arg(required = true, value_name = "DOC")]
    documents: Vec<Utf8PathBuf>,
    /// Results folder of a run
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: Utf8PathBuf,
    /// Folder for the HTML pages
    #[arg(long, value_name = "DIR", default_value = "annotated")]
    out: Utf8PathBuf,
}

/// Exits with [`Exit::Changed`] if a statement is refuted or qualified, or changed since it was tested.
pub(super) fn annotate(args: &AnnotateArgs) -> Result<Exit, Failure> {
    let results = json::read_results(&args.results).map_err(Failure::usage)?;
    let mut exit = Exit::AsExpected;
    for document in &args.documents {
        let text = std::fs::read_to_string(document)
            .map_err(|e| Failure::usage(format!("cannot read {document}: {e}")))?;
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
        text!("{path}: {wrong} refuted or qualified verdicts");
        if changed > 0 {
            text!("; {changed} passages changed since they were tested");
        }
        line!("");
        if wrong + changed > 0 {
            exit = Exit::Changed;
        }
    }
    Ok(exit)
}
