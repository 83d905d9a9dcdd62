//! `hookproof explain CLAIM`.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use itertools::Itertools as _;

use crate::catalogue::model::Scenario;
use crate::report::explain::{applied, page};
use crate::report::json::{RESULTS_FILE, read_results};
use crate::report::matrix::data::Matrix;
use crate::report::matrix::text::{answer, section};
use crate::report::matrix::view::View;
use crate::report::terminal::Layout;
use crate::run::plan::claims;
use crate::version::version;

use super::suites::{SuiteArgs, select};
use super::{Exit, Failure, print};

/// Explain claims: statement, sources, experiment, checks, and recorded verdicts
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// Claims, scenarios, suites or documents to select
    #[arg(required = true, value_name = "CLAIM")]
    claims: Vec<String>,
    #[command(flatten)]
    suites: SuiteArgs,
    /// Results folder with the recorded verdicts [default: results]
    #[arg(long, value_name = "DIR")]
    results: Option<Utf8PathBuf>,
    /// Print what is known of the claims on a minor version, such as 1.31, from the built-in results
    #[arg(long, value_name = "MINOR", value_parser = minor)]
    kubernetes: Option<(u32, u32)>,
    /// Print the manifests as YAML, with the defaults that hookproof adds
    #[arg(long)]
    manifest: bool,
}

pub(super) fn explain(args: &ExplainArgs) -> Result<Exit, Failure> {
    let suites = args.suites.open()?;
    let catalogue = suites.load()?;
    let chosen = select(&catalogue, &args.claims)?;
    let found: Vec<_> = chosen
        .iter()
        .filter_map(|id| catalogue.claims().find(|(claim, _)| claim.id == *id))
        .collect();
    if args.manifest {
        return manifests(found.into_iter().filter_map(|(_, scenario)| scenario));
    }
    let matrix = Matrix::built_in().map_err(Failure::infrastructure)?;
    let view = View::new(&matrix);
    let layout = Layout::for_page();
    if let Some(minor) = args.kubernetes {
        let claims = claims(&catalogue, &chosen);
        let mut answers = claims
            .iter()
            .map(|claim| answer(&view, claim, minor, layout));
        print::page(&answers.join("\n"));
        return Ok(Exit::AsExpected);
    }
    let folder = args.results.as_ref().unwrap_or(&suites.project.results);
    let exists = folder.join(RESULTS_FILE).exists();
    let results = exists.then(|| read_results(folder)).transpose();
    let results = results.map_err(Failure::usage)?;
    for (n, (claim, scenario)) in found.into_iter().enumerate() {
        if n > 0 {
            line!("\n{}\n", "─".repeat(layout.width));
        }
        print::page(&page(claim, scenario, folder, results.as_ref(), layout));
        print::page(&section(&view, &claim.id, layout));
    }
    Ok(Exit::AsExpected)
}

fn minor(text: &str) -> Result<(u32, u32), String> {
    version(text).ok_or_else(|| "expected a minor version such as `1.31`".to_owned())
}

/// Prints each manifest once.
fn manifests<'a>(scenarios: impl Iterator<Item = &'a Scenario>) -> Result<Exit, Failure> {
    let mut printed = BTreeSet::new();
    for manifest in scenarios.flat_map(|scenario| &scenario.manifests) {
        if printed.insert(&manifest.path) {
            let separator = if printed.len() > 1 { "---\n" } else { "" };
            let text = applied(manifest).map_err(Failure::usage)?;
            print::out(&format!("{separator}{text}"));
        }
    }
    if printed.is_empty() {
        return Err(Failure::usage("these claims have no manifests"));
    }
    Ok(Exit::AsExpected)
}
