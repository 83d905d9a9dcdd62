//! `hookproof annotate DOC...`.

use camino::{Utf8Path, Utf8PathBuf};

use crate::file::write_atomic;
use crate::report::annotate::annotate as annotated;
use crate::report::output::{MARKER, own};
use crate::report::{json, text};

use super::exit::{Exit, Failure};
use super::links::Links;

/// Write documents as HTML, with each cited passage marked by its verdict
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  no cited statement is refuted or qualified
  1  a cited statement is refuted or qualified, or its text has changed since it was tested
  2  invalid usage, document or results folder
  3  a page could not be written")]
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
    #[command(flatten)]
    links: Links,
}

pub(super) fn annotate(args: &AnnotateArgs) -> Result<Exit, Failure> {
    let results = json::read_results(&args.results).map_err(Failure::usage)?;
    let mut pages = Vec::new();
    for document in &args.documents {
        let text = std::fs::read_to_string(document)
            .map_err(|e| Failure::usage(format!("cannot read {document}: {e}")))?;
        pages.push((document.file_name().unwrap_or(document.as_str()), text));
    }
    own(&args.out).map_err(Failure::usage)?;
    write_atomic(&args.out.join(MARKER), b"written by hookproof annotate\n")
        .map_err(Failure::infrastructure)?;
    let report = match args.links.base_url() {
        Some(url) => url.to_owned(),
        None => relative(&args.out, &args.results),
    };
    let mut exit = Exit::AsExpected;
    for (name, text) in pages {
        let done = annotated(name, &text, &results, &report).map_err(Failure::infrastructure)?;
        let path = args.out.join(format!("{name}.html"));
        write_atomic(&path, done.page.as_bytes()).map_err(Failure::infrastructure)?;
        line!("{path}: {}", done.summary);
        if done.needs_attention {
            exit = Exit::Changed;
        }
    }
    Ok(exit)
}

/// The URL of a folder relative to another one, with a slash at the end.
fn relative(from: &Utf8Path, to: &Utf8Path) -> String {
    let full = |path: &Utf8Path| path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned());
    let (from, to) = (full(from), full(to));
    let shared = from.components().zip(to.components());
    let shared = shared.take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| "..");
    let down = to.components().skip(shared).map(|part| part.as_str());
    let path: Vec<&str> = up.chain(down).collect();
    if path.is_empty() {
        "./".to_owned()
    } else {
        format!("{}/", text::url_path(&path.join("/")))
    }
}
