//! JUnit XML: one file per cluster. Test names are stable across runs, so that viewers can show a
//! claim's history; whatever varies is in properties and text.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use chrono::{DateTime, FixedOffset};
use jiff::Timestamp;
use quick_junit::{
    NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestRerun, TestSuite,
};

use super::error::ReportError;
use super::essentials::essentials;
use super::results::{ClaimInfo, ClusterResults, EarlierAttempt, Phase, Results, ScenarioResults};
use super::text::{clean, one_line, seconds, short_title, value};
use super::view::{Cell, State, document_stem, minor};
use crate::catalogue::model::Verdict;
use crate::evidence::ClusterFacts;
use crate::file::write_atomic;
use crate::judge::judgement::Judgement;

/// Class name of claims that cite no document.
const OWN: &str = "hookproof";
/// Class name of test cases about the cluster and the run.
const CLUSTER: &str = "cluster";
/// Failure type of a verdict that differs from the expected one.
pub const CHANGED: &str = "verdict-changed";
/// Error type of failed setup or observation.
pub const INFRASTRUCTURE: &str = "infrastructure";

/// File path of each cluster, relative to the results folder.
#[must_use]
pub fn paths(results: &Results) -> Vec<Utf8PathBuf> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let name = |cluster: &ClusterResults| {
        let facts = &cluster.facts;
        let stem = match minor(facts) {
            Some(minor) if facts.profile.is_empty() => format!("{minor}-{}", facts.name),
            Some(minor) => format!("{minor}-{}", facts.profile),
            None => format!("none-{}", facts.name),
        };
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let stem: String = stem
            .chars()
            .map(|c| if safe(c) { c } else { '_' })
            .collect();
        let nth = seen.entry(stem.clone()).or_default();
        *nth += 1;
        let suffix = if *nth == 1 {
            String::new()
        } else {
            format!("-{nth}")
        };
        Utf8PathBuf::from(format!("junit/junit-{stem}{suffix}.xml"))
    };
    results.clusters.iter().map(name).collect()
}

/// Writes the file of every cluster.
///
/// # Errors
/// A file cannot be rendered or written.
pub fn write(results: &Results, folder: &Utf8Path) -> Result<(), ReportError> {
    for (cluster, path) in results.clusters.iter().zip(paths(results)) {
        let path = folder.join(path);
        let xml = to_xml(results, cluster).map_err(|source| ReportError::Junit {
            path: path.clone(),
            source,
        })?;
        write_atomic(&path, xml.as_bytes())?;
    }
    Ok(())
}

/// Renders the file of one cluster.
///
/// # Errors
/// The XML writer fails.
pub fn to_xml(
    results: &Results,
    cluster: &ClusterResults,
) -> Result<String, quick_junit::SerializeError> {
    report(results, cluster).to_string()
}

/// Builds the report of one cluster. While the run is in progress, it omits claims not reached yet.
#[must_use]
pub fn report(results: &Results, cluster: &ClusterResults) -> Report {
    let Results {
        run,
        began,
        ended,
        claims,
        hookproof,
        schema: _,
        clusters: _,
    } = results;
    let ClusterResults {
        facts,
        phases,
        scenarios,
        judgements: _,
    } = cluster;

    let name = match minor(facts) {
        Some(minor) => format!("Kubernetes {minor} {}", facts.profile),
        None => format!("Kubernetes {}", facts.name),
    };
    let mut suite = TestSuite::new(clean(name.trim_end()));
    suite.add_property(property("run", run));
    suite.add_property(property("hookproof", hookproof));
    suite.add_properties(cluster_properties(facts));
    suite.add_test_cases(phases.iter().map(phase_case));

    // A scenario's duration is split evenly among its claims, so that the times add up.
    let mut sharing: BTreeMap<&str, u32> = BTreeMap::new();
    for id in claims.iter().filter_map(|claim| claim.scenario.as_deref()) {
        *sharing.entry(id).or_default() += 1;
    }
    let mut undecided = 0;
    for claim in claims {
        let cell = Cell::of(cluster, claim);
        if matches!(cell, Cell::NotRun) {
            undecided += 1;
            if ended.is_none() {
                continue;
            }
        }
        let share = claim
            .scenario
            .as_deref()
            .and_then(|id| sharing.get(id))
            .copied();
        suite.add_test_case(claim_case(claim, &cell, facts, share.unwrap_or(1)));
    }
    suite.add_test_case(completeness_case(ended.is_some(), undecided, claims.len()));

    let begins = phases
        .iter()
        .map(|p| p.began)
        .chain(scenarios.iter().map(|s| s.began));
    let first = begins.min().unwrap_or(*began);
    let ends = phases
        .iter()
        .map(|phase| after(phase.began, phase.seconds))
        .chain(
            scenarios
                .iter()
                .map(|scenario| after(scenario.began, scenario.seconds)),
        );
    let took = duration(ends.fold(0.0, |most: f64, end| most.max(end - at(first))));
    suite.set_time(took);
    if let Some(stamp) = stamp(first) {
        suite.set_timestamp(stamp);
    }

    let mut report = Report::new("hookproof");
    report.set_time(took);
    if let Some(stamp) = stamp(first) {
        report.set_timestamp(stamp);
    }
    report.add_test_suite(suite);
    report
}

fn cluster_properties(facts: &ClusterFacts) -> Vec<Property> {
    let ClusterFacts {
        name,
        profile,
        kubernetes,
        kubelets,
        kubectl,
        container_runtimes,
        node_image,
        gates,
        gates_seen: _,
        capabilities,
        nodes,
        clock_offset,
    } = facts;
    let gates: Vec<_> = gates
        .iter()
        .map(|(gate, on)| format!("{gate}={on}"))
        .collect();
    vec![
        property("cluster", name),
        property("profile", profile),
        property("kubernetes", kubernetes),
        property("kubelets", &kubelets.join(", ")),
        property("kubectl", kubectl),
        property("container-runtimes", &container_runtimes.join(", ")),
        property("node-image", node_image.as_deref().unwrap_or("not known")),
        property("gates", &gates.join(", ")),
        property("capabilities", &capabilities.join(", ")),
        property("nodes", &nodes.to_string()),
        property("clock-offset-seconds", &format!("{clock_offset:.3}")),
    ]
}

fn phase_case(phase: &Phase) -> TestCase {
    let Phase {
        name,
        began,
        seconds: took,
        error,
        note,
    } = phase;
    let status = match error {
        None => TestCaseStatus::success(),
        Some(error) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status
                .set_type(INFRASTRUCTURE)
                .set_message(one_line(error))
                .set_description(clean(error));
            status
        }
    };
    let mut case = TestCase::new(clean(name), status);
    case.set_classname(CLUSTER)
        .set_time(duration(*took))
        .set_system_out(clean(note));
    if let Some(stamp) = stamp(*began) {
        case.set_timestamp(stamp);
    }
    case
}

/// The test case `run complete`. It fails until the run has finished, so that the report of an
/// interrupted run never passes.
fn completeness_case(ended: bool, undecided: usize, claims: usize) -> TestCase {
    let text = format!(
        "claims with a verdict or an error: {} of {claims}",
        claims - undecided
    );
    let mut status = TestCaseStatus::success();
    if !ended {
        status = TestCaseStatus::non_success(NonSuccessKind::Error);
        let message = format!("the run has not finished; {text}");
        status
            .set_type(INFRASTRUCTURE)
            .set_message(&message)
            .set_description(format!("{message}; run it again"));
    }
    let mut case = TestCase::new("run complete", status);
    case.set_classname(CLUSTER)
        .set_time(Duration::ZERO)
        .set_system_out(text);
    case
}

fn claim_case(claim: &ClaimInfo, cell: &Cell<'_>, facts: &ClusterFacts, share: u32) -> TestCase {
    let ClaimInfo {
        id,
        says,
        cites,
        instead: _,
        scenario: _,
    } = claim;
    let text = essentials(claim, cell, facts);
    let mut case = TestCase::new(
        clean(&format!("{id}: {}", short_title(says))),
        status(claim, cell, &text),
    );
    let document = cites
        .first()
        .map_or(OWN, |cite| document_stem(&cite.document));
    case.set_classname(clean(document))
        .set_system_out(clean(&text));
    case.add_properties(claim_properties(claim, cell, facts));
    case.set_time(Duration::ZERO);
    if let Cell::Judged {
        scenario: Some(scenario),
        ..
    }
    | Cell::Problem { scenario } = cell
    {
        let ScenarioResults {
            began,
            seconds: took,
            ..
        } = scenario;
        case.set_time(duration(took / f64::from(share.max(1))));
        if let Some(stamp) = stamp(*began) {
            case.set_timestamp(stamp);
        }
    }
    case
}

fn status(claim: &ClaimInfo, cell: &Cell<'_>, text: &str) -> TestCaseStatus {
    let mut status = match cell.state() {
        _ if cell.changed() => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(CHANGED);
            status
        }
        State::Error | State::NotRun => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_type(INFRASTRUCTURE);
            status
        }
        State::Verdict(verdict @ (Verdict::NotApplicable | Verdict::NotTestable)) => {
            let mut status = TestCaseStatus::skipped();
            status.set_type(verdict.as_str());
            status
        }
        State::Verdict(_) => TestCaseStatus::success(),
    };
    let found = super::essentials::verdict_in_words(cell);
    status.set_message(one_line(&format!("{found}: {}", cell.reason())));
    status.set_description(clean(text));
    if let Cell::Judged {
        scenario: Some(scenario),
        ..
    }
    | Cell::Problem { scenario } = cell
    {
        let reruns = scenario.earlier.iter();
        status.add_reruns(reruns.filter_map(|earlier| rerun(claim, earlier)));
    }
    status
}

/// An earlier attempt with an error, or with an unexpected verdict for this claim.
fn rerun(claim: &ClaimInfo, earlier: &EarlierAttempt) -> Option<TestRerun> {
    let found = earlier.unexpected.iter().find(|u| u.claim == claim.id);
    let (kind, named, text) = match found {
        Some(found) => (NonSuccessKind::Failure, CHANGED, found.in_words()),
        None if earlier.problems.is_empty() => return None,
        None => {
            let text = earlier.problems.join("; ");
            (NonSuccessKind::Error, INFRASTRUCTURE, text)
        }
    };
    let mut rerun = TestRerun::new(kind);
    let evidence = earlier.evidence.as_deref().unwrap_or("none");
    rerun
        .set_type(named)
        .set_message(one_line(&format!("attempt {}: {text}", earlier.attempt)))
        .set_description(clean(&format!("{text}\nevidence: {evidence}")));
    Some(rerun)
}

fn claim_properties(claim: &ClaimInfo, cell: &Cell<'_>, facts: &ClusterFacts) -> Vec<Property> {
    let mut properties = vec![
        property("claim", &claim.id),
        property("verdict", cell.state().key()),
        property("kubernetes", &facts.kubernetes),
        property(
            "node-image",
            facts.node_image.as_deref().unwrap_or("not known"),
        ),
        property("cites", &super::view::cited(claim)),
    ];
    if let Cell::Judged { judgement, .. } = cell {
        let Judgement {
            expected, measured, ..
        } = judgement;
        properties.push(property(
            "expected",
            expected.map_or("none yet", Verdict::as_str),
        ));
        properties.extend(
            measured
                .iter()
                .map(|(name, found)| property(&format!("measured.{name}"), &value(found))),
        );
    }
    if let Cell::Judged {
        scenario: Some(scenario),
        ..
    }
    | Cell::Problem { scenario } = cell
    {
        let ScenarioResults {
            scenario,
            title: _,
            began: _,
            seconds: took,
            problems: _,
            evidence,
            earlier,
        } = scenario;
        properties.push(property("scenario", scenario));
        properties.push(property("scenario.took", &seconds(*took)));
        properties.push(property("attempts", &(earlier.len() + 1).to_string()));
        properties.push(property("evidence", evidence.as_deref().unwrap_or("none")));
    }
    properties
}

fn property(name: &str, text: &str) -> Property {
    Property::new(one_line(name), one_line(text))
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn stamp(at: Timestamp) -> Option<DateTime<FixedOffset>> {
    DateTime::from_timestamp(at.as_second(), 0).map(|stamp| stamp.fixed_offset())
}

// An f64 holds seconds since 1970 with microsecond precision.
fn at(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

fn after(time: Timestamp, seconds: f64) -> f64 {
    at(time) + seconds
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::report::fixture;
    use crate::report::results::Unexpected;

    #[test]
    fn shows_a_run() {
        let results = fixture::results();
        let xml = to_xml(&results, results.clusters.last().unwrap()).unwrap();
        insta::assert_snapshot!(xml);
    }

    #[test]
    fn counts_agree_after_a_round_trip() {
        let results = fixture::results();
        for cluster in &results.clusters {
            let report = Report::deserialize_from_str(&to_xml(&results, cluster).unwrap()).unwrap();
            let suite = report.test_suites.first().unwrap();
            assert_eq!(
                suite.test_cases.len(),
                results.claims.len() + cluster.phases.len() + 1
            );
            let counts = super::super::view::Counts::of(&results, cluster);
            assert_eq!(suite.failures, counts.changed);
            assert_eq!(suite.errors, counts.get(State::Error));
        }
    }

    #[test]
    fn an_unexpected_verdict_of_an_earlier_attempt_affects_only_its_claim() {
        let mut results = fixture::results();
        let cluster = results.clusters.first_mut().unwrap();
        let ran = cluster.scenarios.iter_mut();
        let ran = ran.last().unwrap();
        let claim = cluster.judgements.iter_mut();
        let mut claims = claim.filter(|j| j.scenario.as_ref() == Some(&ran.scenario));
        let claim = claims.next().unwrap();
        claim.expected = Some(claim.verdict);
        ran.earlier = vec![EarlierAttempt {
            attempt: 1,
            problems: Vec::new(),
            unexpected: vec![Unexpected {
                claim: claim.claim.clone(),
                verdict: Verdict::Refuted,
                reason: "the hook ran twice".to_owned(),
            }],
            evidence: Some("evidence/once.attempt-1.json".to_owned()),
        }];
        for other in &mut cluster.scenarios.iter_mut().rev().skip(1) {
            other.earlier.clear();
        }
        let xml = to_xml(&results, results.clusters.first().unwrap()).unwrap();
        let flaky: Vec<_> = xml.lines().filter(|l| l.contains("<flaky")).collect();
        assert_eq!(flaky.len(), 1, "{flaky:?}");
        assert!(
            flaky[0].contains("<flakyFailure message=\"attempt 1: refuted: the hook ran twice\""),
            "{flaky:?}"
        );
    }

    #[test]
    fn names_do_not_depend_on_the_run() {
        let results = fixture::results();
        let mut later = results.clone();
        later.run = "another".to_owned();
        for cluster in &mut later.clusters {
            cluster.facts.kubernetes.push('9');
            cluster.judgements.clear();
        }
        let names = |results: &Results| -> Vec<String> {
            let cluster = results.clusters.first().unwrap();
            let suite = report(results, cluster)
                .test_suites
                .into_iter()
                .next()
                .unwrap();
            let case = |case: TestCase| format!("{}.{}", &*case.classname.unwrap(), &*case.name);
            let cases = suite.test_cases.into_iter().map(case);
            std::iter::once(suite.name.into_string())
                .chain(cases)
                .collect()
        };
        assert_eq!(names(&results), names(&later));
    }

    #[test]
    fn a_run_in_progress_is_an_error() {
        let mut results = fixture::results();
        results.ended = None;
        let cluster = results.clusters.first_mut().unwrap();
        cluster.scenarios.truncate(1);
        let kept = cluster.scenarios.first().unwrap().scenario.clone();
        cluster
            .judgements
            .retain(|j| j.scenario.as_deref() == Some(kept.as_str()));
        let report = report(&results, results.clusters.first().unwrap());
        let suite = report.test_suites.first().unwrap();
        assert_eq!(suite.errors, 1);
        assert!(suite.test_cases.len() < results.claims.len());
    }

    #[test]
    fn clusters_of_the_same_version_and_profile_get_separate_files() {
        let mut results = fixture::results();
        let again = results.clusters.first().unwrap().clone();
        results.clusters.push(again);
        assert_eq!(
            paths(&results),
            [
                "junit/junit-1.35-default.xml",
                "junit/junit-1.36-default.xml",
                "junit/junit-1.35-default-2.xml"
            ]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn untrusted_text_keeps_the_xml_valid(text in fixture::nasty_text()) {
            let results = fixture::poisoned(&text);
            for cluster in &results.clusters {
                let xml = to_xml(&results, cluster).unwrap();
                let back = Report::deserialize_from_str(&xml);
                prop_assert!(back.is_ok(), "{:?}\n{xml}", back.err());
                let bad = |c: char| matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}');
                prop_assert!(!xml.contains(bad));
            }
        }
    }
}
