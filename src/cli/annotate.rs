//! `hookproof annotate DOC...`.

use camino::{Utf8Path, Utf8PathBuf};

use crate::catalogue::finding::nearest;
use crate::document::Document;
use crate::file::write_private;
use crate::report::annotate::annotate as annotated;
use crate::report::output::{MARKER, own};
use crate::report::{json, text};

use super::exit::{Exit, Failure};
use super::links::Links;
use super::suites::{ProjectArgs, cited, documents};

/// Write documents as HTML, with each cited passage marked by its verdict
#[derive(Debug, clap::Args)]
pub(super) struct AnnotateArgs {
    /// Documents to annotate: Markdown, HTML or plain text [default: those of the project that the results cite]
    #[arg(value_name = "DOC")]
    documents: Vec<Utf8PathBuf>,
    #[command(flatten)]
    project: ProjectArgs,
    /// Results folder of a run [default: results]
    #[arg(long, value_name = "DIR")]
    results: Option<Utf8PathBuf>,
    /// Folder for the HTML pages [default: annotated]
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
    #[command(flatten)]
    links: Links,
}

pub(super) fn annotate(args: &AnnotateArgs) -> Result<Exit, Failure> {
    args.links.apply();
    let project = args.project.project()?;
    let from = args.results.as_ref().unwrap_or(&project.results);
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| project.root.join("annotated"));
    let results = json::read_results(from).map_err(Failure::usage)?;
    let cited = cited(results.claims.iter().flat_map(|claim| &claim.cites));
    let folder = project.documents.as_deref().filter(|_| project.exists);
    let documents = documents(&args.documents, folder, &cited)?;
    own(&out).map_err(Failure::usage)?;
    let mut names = documents.iter().map(Document::name);
    if let Some(other) = names.find(|name| !cited.contains(name)) {
        let near = nearest(other, cited.iter().copied());
        let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return Err(Failure::usage(format!(
            "no claim in {from} cites `{other}`{near}"
        )));
    }
    write_private(&out.join(MARKER), b"written by hookproof annotate\n")
        .map_err(Failure::infrastructure)?;
    let report = relative(&out, from);
    let mut needs_attention = false;
    for document in &documents {
        let path = out.join(format!("{}.html", document.name()));
        let report = args.links.base_url().map_or_else(
            || "../".repeat(document.name().matches('/').count()) + &report,
            str::to_owned,
        );
        let done = annotated(document, &results, &report).map_err(Failure::infrastructure)?;
        write_private(&path, done.page.as_bytes()).map_err(Failure::infrastructure)?;
        line!("{path}: {}", done.summary);
        needs_attention |= done.needs_attention;
    }
    Ok(Exit::changed_if(needs_attention))
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
