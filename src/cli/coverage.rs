//! `hookproof coverage DOCUMENT...`.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use crate::catalogue::model::Catalogue;
use crate::document::Document;
use crate::report::coverage::{Coverage, Sentence};
use crate::report::terminal::Layout;
use crate::report::text::wrap;

use super::exit::{Exit, Failure};
use super::suites::{self, SuiteArgs, documents};

/// Show which sentences of documents are cited by claims, which need none, and which remain
#[derive(Debug, clap::Args)]
pub(super) struct CoverageArgs {
    /// Documents [default: those of the project that are cited]
    #[arg(value_name = "DOCUMENT")]
    files: Vec<Utf8PathBuf>,
    #[command(flatten)]
    suites: SuiteArgs,
    /// Print only the sentences that remain
    #[arg(long)]
    remaining: bool,
}

pub(super) fn coverage(args: &CoverageArgs) -> Result<Exit, Failure> {
    let suites = args.suites.open()?;
    let catalogue = suites.load()?;
    let mut remains = false;
    let documents = documents(
        &args.files,
        suites.project.documents.as_deref(),
        &cited(&catalogue),
    )?;
    for (nth, document) in documents.iter().enumerate() {
        let coverage = of(&catalogue, document);
        if nth > 0 {
            line!("");
        }
        line!("{}\n", document.name());
        print(&coverage, args.remaining);
        line!("{}", coverage.summary());
        remains |= coverage.remaining().next().is_some();
    }
    Ok(Exit::changed_if(remains))
}

/// The documents that claims cite.
pub(super) fn cited(catalogue: &Catalogue) -> BTreeSet<&str> {
    suites::cited(catalogue.claims().flat_map(|(claim, _)| &claim.cites))
}

/// The coverage of a document by a catalogue.
pub(super) fn of(catalogue: &Catalogue, document: &Document) -> Coverage {
    let claims = catalogue.claims().flat_map(|(claim, _)| {
        let cites = claim.cites.iter();
        cites.map(|citation| (claim.id.as_str(), citation))
    });
    let accounts = catalogue.accounts.iter().map(|(_, account)| account);
    Coverage::of(document, claims, accounts)
}

/// Prints the sentences; adjacent ones with the same coverage share its description.
fn print(coverage: &Coverage, remaining: bool) {
    let width = Layout::for_page().width;
    let same = |a: &&Sentence, b: &&Sentence| {
        (&a.claims, &a.because, a.remains) == (&b.claims, &b.because, b.remains)
    };
    let wanted = coverage.sentences.iter();
    let wanted: Vec<_> = wanted.filter(|s| s.remains || !remaining).collect();
    for group in wanted.chunk_by(same) {
        for sentence in group {
            let mut number = sentence.lines.start().to_string();
            for part in wrap(&sentence.text, width - 6, "") {
                line!("{number:>4}  {part}");
                number.clear();
            }
        }
        let remains = group[0].remains.then_some("NO CLAIM CITES THIS");
        let texts = group[0].claims.iter().chain(&group[0].because);
        for text in remains.into_iter().chain(texts.map(String::as_str)) {
            for part in wrap(text, width - 10, "  ") {
                line!("        → {part}");
            }
        }
        line!("");
    }
}
