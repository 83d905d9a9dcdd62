//! `hookproof list`.

use std::collections::BTreeSet;

use itertools::Itertools as _;
use serde_json::{Value, json};

use crate::catalogue::capability::{GUARDED, remedy};
use crate::catalogue::model::{Catalogue, Claim, Expectation};
use crate::report::text::count;

use super::exit::{Exit, Failure};
use super::suites::Selection;

/// List claims and the scenarios that test them
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    selection: Selection,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
    /// Print the scenarios that need more than their namespace, by capability; `hookproof rbac` prints the permissions
    #[arg(long, conflicts_with = "json")]
    needs: bool,
}

/// The scenarios that need more than their namespace, by capability.
fn needs(catalogue: &Catalogue, chosen: &BTreeSet<String>) {
    for capability in GUARDED {
        line!("{capability}: {}", remedy(capability).unwrap_or_default());
        let scenarios = catalogue.testing(chosen);
        for scenario in scenarios.filter(|scenario| scenario.declares(capability)) {
            let granted = if scenario.built_in {
                "granted: built in"
            } else {
                "needs --allow"
            };
            line!("  {:<32} {granted}", scenario.id);
        }
    }
}

pub(super) fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let (catalogue, chosen) = args.selection.load()?;
    if args.needs {
        needs(&catalogue, &chosen);
        return Ok(Exit::AsExpected);
    }
    for (scenario, title, claims) in groups(&catalogue) {
        let claims: Vec<&Claim> = claims.iter().filter(|c| chosen.contains(&c.id)).collect();
        if claims.is_empty() {
            continue;
        }
        if args.json {
            for claim in claims {
                line!("{}", as_json(claim, scenario));
            }
            continue;
        }
        line!("{scenario}  {title}");
        for claim in claims {
            line!("  {:<44} {}", claim.id, expectation(claim));
        }
    }
    if !args.json {
        line!("{}", count(chosen.len(), "claim"));
    }
    Ok(Exit::AsExpected)
}

fn as_json(claim: &Claim, scenario: &str) -> Value {
    let expect = |Expectation { needs, verdict, .. }: &Expectation| {
        json!({
            "kubernetes": needs.kubernetes.as_ref().map(|range| &range.text),
            "gates": needs.gates, "capabilities": needs.capabilities, "verdict": verdict,
        })
    };
    json!({
        "id": claim.id, "scenario": scenario, "says": claim.says, "instead": claim.instead,
        "cites": claim.cites, "not_testable": claim.not_testable,
        "checks": claim.checks.iter().map(|check| &check.name).collect::<Vec<_>>(),
        "expect": claim.expect.iter().map(expect).collect::<Vec<_>>(),
    })
}

fn groups(catalogue: &Catalogue) -> impl Iterator<Item = (&str, &str, &[Claim])> {
    let scenarios = catalogue.scenarios.values();
    let tested = scenarios.map(|s| (s.id.as_str(), s.title.as_str(), s.claims.as_slice()));
    let title = "claims that no experiment can test";
    tested.chain([("(none)", title, catalogue.untestable.as_slice())])
}

/// The expected verdict, or one verdict per range of versions.
fn expectation(claim: &Claim) -> String {
    if claim.not_testable.is_some() {
        return "not-testable".to_owned();
    }
    if claim.expect.is_empty() {
        return "-".to_owned();
    }
    let mut texts = claim.expect.iter().map(|expectation| {
        let range = expectation.needs.kubernetes.as_ref();
        let range = range.map_or_else(String::new, |range| format!(" ({})", range.text));
        format!("{}{range}", expectation.verdict)
    });
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fixture::sample_catalogue;

    #[test]
    fn json_has_expectations_and_checks() {
        let scenario = &sample_catalogue().scenarios["poststart/slow-hook"];
        let mut claims = scenario.claims.iter();
        let claim = claims.find(|claim| claim.id == "poststart.reported");
        let line = as_json(claim.unwrap(), &scenario.id);
        assert_eq!(
            line["expect"],
            json!([
                {"kubernetes": "<1.30", "gates": {}, "capabilities": [], "verdict": "not-applicable"},
                {"kubernetes": null, "gates": {}, "capabilities": [], "verdict": "refuted"},
            ])
        );
        assert_eq!(
            line["checks"],
            json!(["as Running", "with a gate", "as begun"])
        );
    }
}
