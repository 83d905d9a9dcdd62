//! `hookproof lint`.

use camino::Utf8Path;

use crate::catalogue::citations::{self, Documents};
use crate::catalogue::finding::Finding;
use crate::catalogue::load::{Findings, Loaded};
use crate::catalogue::model::{Account, Catalogue, Place};
use crate::catalogue::suite::suite_schema;
use crate::report::coverage::Coverage;
use crate::report::text::{count, shorten};

use super::coverage;
use super::exit::{Exit, Failure};
use super::suites::SuiteArgs;

/// Check suites without a cluster and print all problems with file, line and column
#[derive(Debug, clap::Args)]
pub(super) struct LintArgs {
    #[command(flatten)]
    suites: SuiteArgs,
    /// Write the digests of the cited lines into the suites
    #[arg(long)]
    fix_digests: bool,
    /// Print the JSON schema of suite files and exit
    #[arg(long)]
    schema: bool,
}

pub(super) fn lint(args: &LintArgs) -> Result<Exit, Failure> {
    if args.schema {
        line!("{:#}", suite_schema());
        return Ok(Exit::AsExpected);
    }
    let suites = args.suites.open()?;
    if args.fix_digests {
        let loaded = suites.read();
        let documents = suites.documents(&loaded.catalogue);
        let missing = "--fix-digests needs the cited documents; pass --documents DIR";
        fix(&loaded, &documents.ok_or_else(|| Failure::usage(missing))?)?;
    }
    let (loaded, mut findings) = suites.checked();
    // What a citation covers is known only if it is right.
    let is_right = findings.iter().all(|finding| finding.style);
    let mut summaries = Vec::new();
    if let (Some(documents), Some(folder)) = (
        suites.documents(&loaded.catalogue),
        &suites.project.documents,
    ) {
        for document in documents.found() {
            let coverage = coverage::of(&loaded.catalogue, document);
            let name = document.name();
            if is_right {
                findings.extend(uncovered(&loaded.catalogue, folder, name, &coverage));
            }
            summaries.push(format!("{name}: {}", coverage.summary()));
        }
    }
    if !findings.is_empty() {
        return Err(Failure::usage(Findings(findings)));
    }
    line!(
        "{}, {}: no problems",
        count(loaded.catalogue.scenarios.len(), "scenario"),
        count(loaded.catalogue.claims().count(), "claim")
    );
    for summary in summaries {
        line!("{summary}");
    }
    Ok(Exit::AsExpected)
}

/// What remains of a document. As long as suites account for none of its lines, nothing has to be covered.
fn uncovered(
    catalogue: &Catalogue,
    documents: &Utf8Path,
    name: &str,
    coverage: &Coverage,
) -> Vec<Finding> {
    let of_document = |(_, account): &&(Place, Account)| account.cites.document == name;
    let accounts: Vec<_> = catalogue.accounts.iter().filter(of_document).collect();
    if accounts.is_empty() {
        return Vec::new();
    }
    let remaining = coverage.remaining().map(|sentence| {
        let place = Place {
            file: documents.join(name).into_string(),
            line: u32::try_from(*sentence.lines.start()).unwrap_or(u32::MAX),
            column: 1,
        };
        let text = shorten(&sentence.text, 60);
        let message = format!("no claim cites this, and no suite accounts for it: {text}");
        Finding::new(&place, message).with_help("add a claim, or the line to `no_claim` in a suite")
    });
    let repeats_nothing = coverage.repeats_nothing.iter().filter_map(|account| {
        let (place, _) = accounts.iter().find(|(_, known)| known == account)?;
        Some(Finding::new(
            place,
            "no claim cites one of the lines in `repeats`",
        ))
    });
    remaining.chain(repeats_nothing).collect()
}

fn fix(loaded: &Loaded, documents: &Documents) -> Result<(), Failure> {
    for (path, text) in citations::with_digests(loaded, documents) {
        // Built-in suites have no file to write to.
        if Utf8Path::new(&path).is_file() {
            std::fs::write(&path, text)
                .map_err(|e| Failure::usage(format!("cannot write {path}: {e}")))?;
            line!("{path}: wrote digests");
        }
    }
    Ok(())
}
