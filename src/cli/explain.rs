//! `hookproof explain CLAIM`.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use crate::catalogue::model::Scenario;
use crate::report::explain::{Recorded, applied, page};
use crate::report::json::{RESULTS_FILE, read_results};
use crate::report::terminal::Layout;

use super::exit::{Exit, Failure};
use super::suites::SuiteArgs;

/// Explain claims: statement, sources, experiment, checks, and recorded verdicts
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// Claims, scenarios, suites or documents to select
    #[arg(required = true, value_name = "CLAIM")]
    claims: Vec<String>,
    #[command(flatten)]
    suites: SuiteArgs,
    /// Results folder with the recorded verdicts
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: Utf8PathBuf,
    /// Print the manifests as YAML, with the defaults that hookproof adds
    #[arg(long)]
    manifest: bool,
}

pub(super) fn explain(args: &ExplainArgs) -> Result<Exit, Failure> {
    let catalogue = args.suites.load()?;
    let chosen = SuiteArgs::select(&catalogue, &args.claims)?;
    let found: Vec<_> = chosen
        .iter()
        .filter_map(|id| catalogue.claims().find(|(claim, _)| claim.id == *id))
        .collect();
    if args.manifest {
        return manifests(found.into_iter().filter_map(|(_, scenario)| scenario));
    }
    let results = if args.results.join(RESULTS_FILE).exists() {
        Some(read_results(&args.results).map_err(Failure::usage)?)
    } else {
        None
    };
    let recorded = Recorded {
        folder: &args.results,
        results: results.as_ref(),
    };
    let layout = Layout::for_page();
    for (n, (claim, scenario)) in found.into_iter().enumerate() {
        if n > 0 {
            line!("\n{}\n", "─".repeat(layout.width));
        }
        super::print::page(&page(claim, scenario, recorded, layout));
    }
    Ok(Exit::AsExpected)
}

/// Prints each manifest once.
fn manifests<'a>(scenarios: impl Iterator<Item = &'a Scenario>) -> Result<Exit, Failure> {
    let mut printed = BTreeSet::new();
    for manifest in scenarios.flat_map(|scenario| &scenario.manifests) {
        if printed.insert(&manifest.path) {
            let separator = if printed.len() > 1 { "---\n" } else { "" };
            let text = applied(manifest).map_err(Failure::usage)?;
            text!("{separator}{text}");
        }
    }
    if printed.is_empty() {
        return Err(Failure::usage("these claims have no manifests"));
    }
    Ok(Exit::AsExpected)
}
