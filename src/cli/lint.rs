//! `hookproof lint`.

use std::collections::BTreeSet;

use camino::Utf8Path;

use crate::catalogue::citations;
use crate::catalogue::finding::Finding;
use crate::catalogue::load::{Findings, Loaded};
use crate::catalogue::model::{Account, Catalogue, Place};
use crate::catalogue::suite::suite_schema;
use crate::report::coverage::Coverage;
use crate::report::text::shorten;

use super::coverage;
use super::exit::{Exit, Failure};
use super::suites::SuiteArgs;

/// Check suites without a cluster and print all problems with file, line and column
#[derive(Debug, clap::Args)]
pub(super) struct LintArgs {
    #[command(flatten)]
    suites: SuiteArgs,
    /// Write the digests of the cited lines into the suites given with --suites
    #[arg(long, requires = "documents")]
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
    let mut loaded = args.suites.read();
    if args.fix_digests
        && let Some(documents) = &args.suites.documents
    {
        fix(&loaded, documents)?;
        loaded = args.suites.read();
    }
    let mut findings = args.suites.findings(&loaded);
    let mut summaries = Vec::new();
    if let Some(documents) = &args.suites.documents {
        for (name, coverage) in covered(&loaded.catalogue, documents) {
            findings.extend(uncovered(&loaded.catalogue, documents, &name, &coverage));
            summaries.push(format!("{name}: {}", coverage.summary()));
        }
    }
    if !findings.is_empty() {
        return Err(Failure::usage(Findings(findings)));
    }
    line!(
        "{} scenarios, {} claims: no problems",
        loaded.catalogue.scenarios.len(),
        loaded.catalogue.claims().count()
    );
    for summary in summaries {
        line!("{summary}");
    }
    Ok(Exit::AsExpected)
}

/// The coverage of each cited document of a folder.
fn covered(catalogue: &Catalogue, documents: &Utf8Path) -> Vec<(String, Coverage)> {
    let claims = catalogue.claims();
    let cited = claims.flat_map(|(claim, _)| claim.cites.iter().map(|cites| &cites.document));
    let names: BTreeSet<&String> = cited.collect();
    let read = |name: &&String| {
        // Citations of documents that cannot be read are findings already.
        let text = std::fs::read_to_string(documents.join(name.as_str())).ok()?;
        Some(((*name).clone(), coverage::of(catalogue, name, &text)))
    };
    names.iter().filter_map(read).collect()
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

fn fix(loaded: &Loaded, documents: &Utf8Path) -> Result<(), Failure> {
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
