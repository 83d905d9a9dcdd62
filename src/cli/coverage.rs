//! `hookproof coverage DOCUMENT...`.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use crate::catalogue::model::Catalogue;
use crate::document::Document;
use crate::report::coverage::{Coverage, Sentence};
use crate::report::terminal::Layout;
use crate::report::text::wrap;

use super::exit::{Exit, Failure};
use super::suites::{SuiteArgs, documents};

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
    let mut exit = Exit::AsExpected;
    let documents = documents(&args.files, suites.documents.as_deref(), &cited(&catalogue))?;
    for (nth, document) in documents.iter().enumerate() {
        let coverage = of(&catalogue, document);
        if nth > 0 {
            line!("");
        }
        line!("{}\n", document.name());
        print(&coverage, args.remaining);
        line!("{}", coverage.summary());
        if coverage.remaining().next().is_some() {
            exit = Exit::Changed;
        }
    }
    Ok(exit)
}

/// The documents that claims cite.
pub(super) fn cited(catalogue: &Catalogue) -> BTreeSet<&str> {
    let claims = catalogue.claims();
    claims
        .flat_map(|(claim, _)| claim.cites.iter().map(|cites| cites.document.as_str()))
        .collect()
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
    let same = |a: &Sentence, b: &Sentence| {
        (&a.claims, &a.because, a.remains) == (&b.claims, &b.because, b.remains)
    };
    let wanted = coverage
        .sentences
        .iter()
        .filter(|s| s.remains || !remaining);
    let wanted: Vec<&Sentence> = wanted.collect();
    for group in wanted.chunk_by(|a, b| same(a, b)) {
        for sentence in group {
            let line = sentence.lines.start();
            for (nth, part) in wrap(&sentence.text, width - 6, "").iter().enumerate() {
                if nth == 0 {
                    line!("{line:>4}  {part}");
                } else {
                    line!("      {part}");
                }
            }
        }
        let Some(first) = group.first() else { continue };
        let claims = first.claims.iter().map(String::as_str);
        let because = first.because.iter().map(String::as_str);
        let remains = first.remains.then_some("NO CLAIM CITES THIS");
        for text in remains.into_iter().chain(claims).chain(because) {
            for part in wrap(text, width - 10, "  ") {
                line!("        → {part}");
            }
        }
        line!("");
    }
}
