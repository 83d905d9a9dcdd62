#![allow(clippy::unwrap_used)]

use rstest::rstest;

use super::*;
use crate::catalogue::model::Catalogue;
use crate::fixture::{sample_catalogue, sample_evidence};
use crate::judge::verdict::judge;
use crate::report::results::{ClaimInfo, ClusterResults, SCHEMA, ScenarioResults};

/// The sample with its evidence, judged on two versions of Kubernetes.
fn judged() -> (Catalogue, Results) {
    let mut catalogue = sample_catalogue();
    for scenario in catalogue.scenarios.values_mut() {
        scenario.place.file = "suites/poststart/slow-hook.yaml".to_owned();
    }
    let scenario = &catalogue.scenarios["poststart/slow-hook"];
    let mut evidence = sample_evidence();
    let mut clusters = Vec::new();
    for version in ["v1.36.1", "v1.29.4"] {
        evidence.cluster.kubernetes = version.to_owned();
        let written = format!("evidence/{version}/poststart/slow-hook.json");
        clusters.push(ClusterResults {
            facts: evidence.cluster.clone(),
            phases: Vec::new(),
            scenarios: vec![ScenarioResults::new(
                scenario,
                &evidence,
                Vec::new(),
                Some(written),
            )],
            judgements: judge(scenario, &evidence).unwrap().judgements,
            ..ClusterResults::new(version)
        });
    }
    let info = |claim: &Claim| ClaimInfo {
        id: claim.id.clone(),
        says: claim.says.clone(),
        instead: claim.instead.clone(),
        cites: claim.cites.clone(),
        scenario: Some(scenario.id.clone()),
    };
    let results = Results {
        schema: SCHEMA.to_owned(),
        hookproof: String::new(),
        run: "r".to_owned(),
        began: evidence.began,
        ended: Some(evidence.ended),
        claims: scenario.claims.iter().map(info).collect(),
        accounts: Vec::new(),
        clusters,
    };
    (catalogue, results)
}

fn explained(claim: &str, results: bool, width: usize) -> String {
    let (catalogue, judged) = judged();
    let found = catalogue.claims().find(|(found, _)| found.id == claim);
    let (claim, scenario) = found.unwrap();
    let results = results.then_some(&judged);
    let layout = Layout {
        width,
        colour: false,
    };
    page(claim, scenario, Utf8Path::new("results"), results, layout)
}

#[rstest]
#[case("with_one_check", "kubectl.logs-refused-during-hook", true)]
#[case("with_several_checks", "poststart.reported", true)]
#[case("without_results", "poststart.before-entrypoint", false)]
#[case("that_is_not_testable", &sample_catalogue().untestable[0].id, true)]
fn claims(#[case] name: &str, #[case] claim: &str, #[case] results: bool) {
    insta::assert_snapshot!(format!("a_claim_{name}"), explained(claim, results, 80));
}

#[rstest]
fn lines_fit_the_width(#[values(40, 60, 80, 100)] width: usize) {
    for claim in ["kubectl.logs-refused-during-hook", "poststart.reported"] {
        for line in explained(claim, true, width).lines() {
            assert!(line.chars().count() <= width, "{line:?}");
        }
    }
}

#[test]
fn the_manifest_has_the_defaults() {
    let (catalogue, _) = judged();
    let scenario = &catalogue.scenarios["poststart/slow-hook"];
    insta::assert_snapshot!(applied(&scenario.manifests[0]).unwrap());
}
