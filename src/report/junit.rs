//! JUnit XML that the schema of Jenkins' xUnit plugin accepts: one file per cluster, with one suite per
//! scenario, whose test cases are its claims. Names are stable across runs, so that viewers can show a
//! claim's history; whatever varies is in properties and text.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use chrono::DateTime;
use itertools::Itertools as _;
use jiff::Timestamp;
use quick_junit::{
    NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestRerun, TestSuite,
};

use super::error::ReportError;
use super::essentials::{essentials, with_reason};
use super::results::{ClaimInfo, ClusterResults, EarlierAttempt, Results};
use super::text::{clean, one_line, value};
use super::view::{Cell, State, cited, minor};
use crate::catalogue::model::Verdict;
use crate::evidence::ClusterFacts;
use crate::file::write_private;

/// The suite and class name of test cases about the cluster and the run.
const CLUSTER: &str = "cluster";
/// The suite and class name of claims without a scenario.
const NO_SCENARIO: &str = "not-testable";
/// Failure type of a verdict that differs from the expected one.
const CHANGED: &str = "verdict-changed";
/// Error type of failed setup or observation.
const INFRASTRUCTURE: &str = "infrastructure";

/// File path of a column.
fn path(folder: &Utf8Path, column: &ClusterResults) -> Utf8PathBuf {
    folder.join(format!("junit/junit-{}.xml", column.key))
}

/// Writes the file of every cluster.
pub fn write(results: &Results, folder: &Utf8Path) -> Result<(), ReportError> {
    for cluster in &results.clusters {
        let path = path(folder, cluster);
        match to_xml(results, cluster) {
            Ok(xml) => write_private(&path, xml.as_bytes())?,
            Err(source) => return Err(ReportError::Junit(path, source)),
        }
    }
    Ok(())
}

/// Removes files of columns that the results do not have.
pub(crate) fn remove_others(results: &Results, folder: &Utf8Path) -> Result<(), ReportError> {
    let known = results.clusters.iter().map(|column| path(folder, column));
    let known = known.collect_vec();
    let entries = folder.join("junit").read_dir_utf8().into_iter().flatten();
    let paths = entries.flatten().map(|entry| entry.path().to_owned());
    for path in paths.filter(|path| !known.contains(path)) {
        std::fs::remove_file(&path).map_err(|source| ReportError::Replace(path, source))?;
    }
    Ok(())
}

fn to_xml(
    results: &Results,
    cluster: &ClusterResults,
) -> Result<String, quick_junit::SerializeError> {
    let report = report(results, cluster);
    // The schema has no such attribute here, although it has one on suites.
    let skipped = format!(" skipped=\"{}\"", report.skipped);
    Ok(report.to_string()?.replacen(&skipped, "", 1))
}

/// Builds the report of one cluster. Its totals count claims only.
fn report(results: &Results, cluster: &ClusterResults) -> Report {
    let place = place(cluster);
    let named = |name: &str| TestSuite::new(one_line(&format!("{name} on {place}")));
    let mut scenarios: BTreeMap<&str, Vec<&ClaimInfo>> = BTreeMap::new();
    for claim in &results.claims {
        let scenario = claim.scenario.as_deref().unwrap_or(NO_SCENARIO);
        scenarios.entry(scenario).or_default().push(claim);
    }
    let mut report = Report::new("hookproof");
    for (scenario, claims) in scenarios {
        let suite = scenario_suite(named(scenario), scenario, &claims, cluster);
        report.add_test_suite(suite);
    }
    // Not `add_test_suite`, which adds its test cases to the totals.
    let suite = cluster_suite(named(CLUSTER), results, cluster);
    report.test_suites.push(suite);
    let mut total = Duration::ZERO;
    for suite in &mut report.test_suites {
        let took = suite.test_cases.iter().filter_map(|case| case.time).sum();
        suite.set_time(took);
        total += took;
    }
    report.set_time(total);
    report
}

/// The column's key without the patch version, such as `1.36-default`: unique, and the same in every run.
fn place(column: &ClusterResults) -> String {
    let version = column.facts.kubernetes.trim_start_matches('v');
    match (minor(&column.facts), column.key.strip_prefix(version)) {
        (Some(minor), Some(rest)) => format!("{minor}{rest}"),
        _ => column.key.clone(),
    }
}

/// The claims of a scenario. Each gets an equal share of its duration.
fn scenario_suite(
    mut suite: TestSuite,
    scenario: &str,
    claims: &[&ClaimInfo],
    cluster: &ClusterResults,
) -> TestSuite {
    let cells = claims.iter().map(|c| Cell::of(cluster, c)).collect_vec();
    let mut took = Duration::ZERO;
    if let Some(ran) = cells.iter().find_map(Cell::scenario) {
        took = duration(ran.seconds);
        set_timestamp(&mut suite, ran.began);
        let evidence = ran.evidence.as_deref().unwrap_or("none");
        suite.add_property(property("attempts", &ran.attempts().to_string()));
        suite.add_property(property("evidence", evidence));
    }
    let class = scenario.replace('/', ".");
    let shares = shares(took, claims.len());
    for ((claim, cell), share) in claims.iter().zip(&cells).zip(shares) {
        suite.add_properties(claim_properties(claim, cell));
        let out = essentials(claim, cell, &cluster.facts);
        suite.add_test_case(case(&claim.id, &class, status(claim, cell), share, &out));
    }
    suite
}

fn case(name: &str, class: &str, status: TestCaseStatus, time: Duration, out: &str) -> TestCase {
    let mut case = TestCase::new(clean(name), status);
    case.set_classname(clean(class))
        .set_time(time)
        .set_system_out(clean(out));
    case
}

/// The phases, and the test case `run complete`. It fails until the run has finished, so that the report of an
/// interrupted run never passes.
fn cluster_suite(mut suite: TestSuite, results: &Results, cluster: &ClusterResults) -> TestSuite {
    suite.add_property(property("run", &cluster.run.id));
    suite.add_property(property("hookproof", &cluster.run.hookproof));
    suite.add_properties(cluster_properties(&cluster.facts));
    if let Some(first) = cluster.phases.first() {
        set_timestamp(&mut suite, first.began);
    }
    let mut add = |name: &str, error: Option<&str>, time: Duration, out: &str| {
        let failed = |error| failed(NonSuccessKind::Error, INFRASTRUCTURE, error);
        let status = error.map_or_else(TestCaseStatus::success, failed);
        suite.add_test_case(case(name, CLUSTER, status, time, out));
    };
    for phase in &cluster.phases {
        let (error, time) = (phase.error.as_deref(), duration(phase.seconds));
        add(&phase.name, error, time, &phase.note);
    }
    let cells = results.claims.iter().map(|c| Cell::of(cluster, c));
    let missing = cells.filter(Cell::is_missing).count();
    let text = format!("claims without a verdict or an error: {missing}");
    let error = format!("the run is not complete; {text}; run it again");
    let complete = cluster.run.ended.is_some() && missing == 0;
    let error = (!complete).then_some(error.as_str());
    add("run complete", error, Duration::ZERO, &text);
    suite
}

fn cluster_properties(facts: &ClusterFacts) -> Vec<Property> {
    let mut gates = facts.gates.iter().map(|(gate, on)| format!("{gate}={on}"));
    let image = facts.node_image.as_deref().unwrap_or("not known");
    let properties = [
        ("cluster", facts.name.clone()),
        ("profile", facts.profile.clone()),
        ("kubernetes", facts.kubernetes.clone()),
        ("kubelets", facts.kubelets.join(", ")),
        ("kubectl", facts.kubectl.clone()),
        ("container-runtimes", facts.container_runtimes.join(", ")),
        ("node-image", image.to_owned()),
        ("gates", gates.join(", ")),
        ("capabilities", facts.capabilities.join(", ")),
        ("nodes", facts.nodes.to_string()),
        ("clock-offset-seconds", format!("{:.3}", facts.clock_offset)),
    ];
    properties.map(|(name, text)| property(name, &text)).into()
}

fn status(claim: &ClaimInfo, cell: &Cell<'_>) -> TestCaseStatus {
    let reason = with_reason(cell);
    let mut status = match cell.state() {
        _ if cell.changed() => failed(NonSuccessKind::Failure, CHANGED, &reason),
        state if state == State::Error || cell.is_missing() => {
            failed(NonSuccessKind::Error, INFRASTRUCTURE, &reason)
        }
        state @ (State::NotRun | State::Verdict(Verdict::NotApplicable | Verdict::NotTestable)) => {
            let mut status = TestCaseStatus::skipped();
            status.set_type(state.key()).set_message(one_line(&reason));
            status
        }
        _ => TestCaseStatus::success(),
    };
    let earlier = cell.scenario().map_or(&[][..], |ran| &ran.earlier);
    status.add_reruns(earlier.iter().filter_map(|earlier| rerun(claim, earlier)));
    status
}

fn failed(kind: NonSuccessKind, named: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status
        .set_type(named)
        .set_message(one_line(text))
        .set_description(clean(text));
    status
}

/// An earlier attempt with an error, or with an unexpected verdict for this claim.
fn rerun(claim: &ClaimInfo, earlier: &EarlierAttempt) -> Option<TestRerun> {
    let found = earlier.unexpected.iter().find(|u| u.claim == claim.id);
    let problems = earlier.problems.join("; ");
    let (kind, named, text) = match found {
        Some(found) => (NonSuccessKind::Failure, CHANGED, found.in_words()),
        None if problems.is_empty() => return None,
        None => (NonSuccessKind::Error, INFRASTRUCTURE, problems),
    };
    let mut rerun = TestRerun::new(kind);
    let evidence = earlier.evidence.as_deref().unwrap_or("none");
    rerun
        .set_type(named)
        .set_message(one_line(&format!("attempt {}: {text}", earlier.attempt)))
        .set_description(clean(&format!("{text}\nevidence: {evidence}")));
    Some(rerun)
}

/// Properties of the suite about a claim, as the schema has none on test cases. Their names begin with the
/// claim's id.
fn claim_properties(claim: &ClaimInfo, cell: &Cell<'_>) -> Vec<Property> {
    let own = |name: &str, text: &str| property(&format!("{}.{name}", claim.id), text);
    let mut properties = vec![own("says", &claim.says), own("verdict", cell.state().key())];
    properties.extend(cited(claim).map(|cited| own("cites", &cited)));
    if let Some(judgement) = cell.judgement() {
        let expected = judgement.expected.map_or("none yet", Verdict::as_str);
        properties.push(own("expected", expected));
        let measured = judgement.measured.iter();
        properties.extend(measured.map(|(name, found)| own(name, &value(found))));
    }
    properties
}

fn property(name: &str, text: &str) -> Property {
    Property::new(one_line(name), one_line(text))
}

/// A duration in whole milliseconds, the precision of the files.
fn duration(seconds: f64) -> Duration {
    let exact = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Duration::from_millis(u64::try_from(exact.as_millis()).unwrap_or_default())
}

/// Equal parts in whole milliseconds, except that the first has the remainder.
fn shares(whole: Duration, parts: usize) -> impl Iterator<Item = Duration> {
    let parts = u32::try_from(parts).unwrap_or(u32::MAX).max(1);
    let equal = duration((whole / parts).as_secs_f64());
    let rest = whole.saturating_sub(equal * (parts - 1));
    std::iter::once(rest).chain(std::iter::repeat(equal))
}

fn set_timestamp(suite: &mut TestSuite, at: Timestamp) {
    if let Some(stamp) = DateTime::from_timestamp(at.as_second(), 0) {
        suite.set_timestamp(stamp.fixed_offset());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::report::fixture;
    use crate::report::results::Unexpected;

    #[test]
    fn shows_a_run() {
        let results = fixture::results();
        let xml = to_xml(&results, results.clusters.last().unwrap()).unwrap();
        insta::assert_snapshot!(xml);
    }

    /// Whether `tests/schema/junit.xsd` accepts the XML; what is wrong with it if not.
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    fn validate(xml: &str) -> Result<(), String> {
        let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schema/junit.xsd");
        let child = Command::new("xmllint")
            .args(["--noout", "--schema", schema, "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            assert!(std::env::var_os("CI").is_none(), "xmllint is missing");
            eprintln!("skipped: xmllint is missing; ci/setup installs it");
            return Ok(());
        };
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(xml.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    #[rstest]
    #[case::complete(fixture::results())]
    #[case::interrupted({ let mut r = fixture::results(); r.clusters[0].run.ended = None; r.clusters[0].judgements.clear(); r })]
    #[case::poisoned(fixture::poisoned("]]> \0 <testcase/>"))]
    fn the_schema_accepts_every_file(#[case] results: Results) {
        for cluster in &results.clusters {
            let xml = to_xml(&results, cluster).unwrap();
            assert_eq!(validate(&xml), Ok(()), "{xml}");
        }
    }

    #[test]
    fn counts_and_times_agree() {
        let results = fixture::results();
        for cluster in &results.clusters {
            let report = Report::deserialize_from_str(&to_xml(&results, cluster).unwrap()).unwrap();
            let counts = super::super::view::Counts::of(&results, cluster);
            assert_eq!(report.tests, results.claims.len());
            assert_eq!(report.failures, counts.changed);
            assert_eq!(report.errors, counts.get(State::Error));
            let last = report.test_suites.last().unwrap();
            assert_eq!(last.test_cases.len(), cluster.phases.len() + 1);
            for suite in &report.test_suites {
                let cases: Duration = suite.test_cases.iter().filter_map(|c| c.time).sum();
                assert_eq!(suite.time, Some(cases), "{}", &*suite.name);
            }
            let suites: Duration = report.test_suites.iter().filter_map(|s| s.time).sum();
            assert_eq!(report.time, Some(suites));
            let claims = report.test_suites.iter().filter(|suite| *suite != last);
            let names = claims
                .flat_map(|s| &s.test_cases)
                .map(|c| &*c.name)
                .collect_vec();
            for claim in &results.claims {
                assert!(names.contains(&claim.id.as_str()), "{}", claim.id);
            }
        }
    }

    #[rstest]
    #[case("v1.36.3", "1.36.3-default", "1.36-default")]
    #[case("v1.36.3", "1.36.3-default-2", "1.36-default-2")]
    #[case("", "1.36-default", "1.36-default")]
    fn suites_are_named_after_the_column(
        #[case] version: &str,
        #[case] key: &str,
        #[case] expected: &str,
    ) {
        let mut column = ClusterResults::new(key);
        column.facts.kubernetes = version.to_owned();
        key.clone_into(&mut column.key);
        assert_eq!(place(&column), expected);
    }

    #[rstest]
    #[case(10, 3, &[4, 3, 3])]
    #[case(2, 3, &[2, 0, 0])]
    #[case(7, 1, &[7])]
    fn shares_add_up(#[case] whole: u64, #[case] parts: usize, #[case] expected: &[u64]) {
        let shares = shares(Duration::from_millis(whole), parts).take(parts);
        let expected = expected.iter().map(|ms| Duration::from_millis(*ms));
        assert!(shares.eq(expected));
    }

    #[test]
    fn an_unexpected_verdict_of_an_earlier_attempt_affects_only_its_claim() {
        let mut results = fixture::results();
        let cluster = &mut results.clusters[0];
        let (ran, others) = cluster.scenarios.split_last_mut().unwrap();
        let mut claims = cluster.judgements.iter_mut();
        let claim = claims
            .find(|j| j.scenario.as_ref() == Some(&ran.scenario))
            .unwrap();
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
        for other in others {
            other.earlier.clear();
        }
        let xml = to_xml(&results, &results.clusters[0]).unwrap();
        let flaky = xml.lines().filter(|l| l.contains("<flaky")).collect_vec();
        assert_eq!(flaky.len(), 1, "{flaky:?}");
        let wanted = "<flakyFailure message=\"attempt 1: refuted: the hook ran twice\"";
        assert!(flaky[0].contains(wanted), "{flaky:?}");
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
            let mut names = Vec::new();
            for suite in report(results, &results.clusters[0]).test_suites {
                names.push(suite.name.into_string());
                names.extend(
                    suite
                        .test_cases
                        .into_iter()
                        .map(|case| format!("{}.{}", &*case.classname.unwrap(), &*case.name)),
                );
            }
            names
        };
        assert_eq!(names(&results), names(&later));
    }

    #[test]
    fn a_run_in_progress_is_an_error() {
        let mut results = fixture::results();
        let cluster = &mut results.clusters[0];
        cluster.run.ended = None;
        cluster.scenarios.truncate(1);
        let kept = Some(cluster.scenarios[0].scenario.clone());
        cluster.judgements.retain(|j| j.scenario == kept);
        let report = report(&results, &results.clusters[0]);
        assert_eq!(report.test_suites.last().unwrap().errors, 1);
        assert!(report.errors > 0, "claims that are not reached");
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
