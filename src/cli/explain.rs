//! `hookproof explain CLAIM`.

use camino::{Utf8Path, Utf8PathBuf};

use crate::catalogue::model::{Catalogue, Claim, Scenario};
use crate::judge::judgement::Judgement;
use crate::observe::scenario::describe;
use crate::report::json;

use super::exit::{Exit, Failure};
use super::list::expectation;
use super::suites::SuiteArgs;

/// Explain a claim: statement, experiment, expectation, latest evidence
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// Claims, scenarios, suites or documents to select
    #[arg(required = true)]
    claims: Vec<String>,
    #[command(flatten)]
    suites: SuiteArgs,
    /// Results folder with the latest evidence
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: Utf8PathBuf,
}

pub(super) fn explain(args: &ExplainArgs) -> Result<Exit, Failure> {
    let catalogue = args.suites.load()?;
    let chosen = SuiteArgs::select(&catalogue, &args.claims)?;
    for id in &chosen {
        let Some((claim, scenario)) = find(&catalogue, id) else {
            continue;
        };
        super::out(&text(claim, scenario));
        for line in last(&args.results, id) {
            super::out(&format!("{line}\n"));
        }
        super::out("\n");
    }
    Ok(Exit::AsExpected)
}

fn find<'a>(catalogue: &'a Catalogue, id: &str) -> Option<(&'a Claim, Option<&'a Scenario>)> {
    let of_scenarios = catalogue.scenarios.values().flat_map(|scenario| {
        scenario
            .claims
            .iter()
            .map(move |claim| (claim, Some(scenario)))
    });
    let untestable = catalogue.untestable.iter().map(|claim| (claim, None));
    of_scenarios
        .chain(untestable)
        .find(|(claim, _)| claim.id == id)
}

fn text(claim: &Claim, scenario: Option<&Scenario>) -> String {
    let mut lines = vec![claim.id.clone(), format!("  says      {}", claim.says)];
    for cite in &claim.cites {
        lines.push(format!("  cited     {} line {}", cite.document, cite.lines));
    }
    if let Some(reason) = &claim.not_testable {
        lines.push(format!("  untested  {reason}"));
    }
    lines.push(format!("  expected  {}", expectation(claim)));
    if let Some(instead) = &claim.instead {
        lines.push(format!("  instead   {instead}"));
    }
    if let Some(scenario) = scenario {
        lines.push(format!(
            "  scenario  {}: {} ({})",
            scenario.id, scenario.title, scenario.place
        ));
        for manifest in &scenario.manifests {
            lines.push(format!("  manifest  {}", manifest.path));
        }
        for (number, step) in scenario.steps.iter().enumerate() {
            let name = step
                .name
                .as_ref()
                .map(|n| format!("   as {n}"))
                .unwrap_or_default();
            lines.push(format!("  {:>2}. {}{name}", number + 1, describe(step)));
        }
    }
    for check in &claim.checks {
        lines.push(format!("  check     {}", check.name));
        lines.push(format!("    control {}", check.control.text.trim()));
        lines.push(format!("    holds   {}", check.holds.text.trim()));
        lines.push(format!("    fails   {}", check.fails.text.trim()));
    }
    lines.join("\n") + "\n"
}

/// The latest verdicts on the claim; empty if there are no results.
fn last(folder: &Utf8Path, id: &str) -> Vec<String> {
    let Ok(results) = json::read_results(folder) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for cluster in &results.clusters {
        for judgement in cluster.judgements.iter().filter(|j| j.claim == id) {
            let Judgement {
                verdict,
                reason,
                scenario,
                ..
            } = judgement;
            let version = &cluster.facts.kubernetes;
            lines.push(format!("  last      {verdict} on {version}: {reason}"));
            let evidence = cluster
                .scenarios
                .iter()
                .find(|s| Some(&s.scenario) == scenario.as_ref())
                .and_then(|s| s.evidence.as_ref());
            if let Some(evidence) = evidence {
                lines.push(format!("  evidence  {}", folder.join(evidence)));
            }
        }
    }
    lines
}
