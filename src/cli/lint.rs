//! `hookproof lint`: what is wrong with suites, without a cluster.

use camino::Utf8Path;

use crate::catalogue::citations;
use crate::catalogue::load::{Findings, Loaded};
use crate::catalogue::schema::suite_schema;

use super::exit::{Exit, Failure};
use super::suites::SuiteArgs;

/// Checks suites without a cluster: all that is wrong, with file, line and column
#[derive(Debug, clap::Args)]
pub(super) struct LintArgs {
    #[command(flatten)]
    suites: SuiteArgs,
    /// Write the digests of the cited lines into the suites named by --suites
    #[arg(long, requires = "documents")]
    fix_digests: bool,
    /// Print the JSON schema of suite files, for editors, and do nothing else
    #[arg(long)]
    schema: bool,
}

/// Prints what is wrong.
///
/// # Errors
/// When something is.
pub(super) fn lint(args: &LintArgs) -> Result<Exit, Failure> {
    if args.schema {
        println!("{:#}", suite_schema());
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
    println!(
        "{} scenarios, {} claims: nothing wrong",
        loaded.catalogue.scenarios.len(),
        claims + loaded.catalogue.untestable.len()
    );
    Ok(Exit::AsExpected)
}

fn fix(loaded: &Loaded, documents: &Utf8Path) -> Result<(), Failure> {
    for (path, text) in citations::with_digests(loaded, documents) {
        // The suites that the program carries have no file to write to.
        if Utf8Path::new(&path).is_file() {
            std::fs::write(&path, text)
                .map_err(|e| Failure::usage(format!("{path} cannot be written: {e}")))?;
            println!("{path}: digests written");
        }
    }
    Ok(())
}
