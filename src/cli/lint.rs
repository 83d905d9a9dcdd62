//! `hookproof lint`.

use camino::Utf8Path;

use crate::catalogue::citations;
use crate::catalogue::load::{Findings, Loaded};
use crate::catalogue::suite::suite_schema;

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
    let findings = args.suites.findings(&loaded);
    if !findings.is_empty() {
        return Err(Failure::usage(Findings(findings)));
    }
    let claims: usize = loaded
        .catalogue
        .scenarios
        .values()
        .map(|s| s.claims.len())
        .sum();
    line!(
        "{} scenarios, {} claims: no problems",
        loaded.catalogue.scenarios.len(),
        claims + loaded.catalogue.untestable.len()
    );
    Ok(Exit::AsExpected)
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
