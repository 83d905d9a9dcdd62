//! `hookproof record SCENARIO...`: evidence of a run becomes recorded evidence.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use itertools::Itertools as _;

use crate::catalogue::model::Scenario;
use crate::evidence::Evidence;
use crate::judge::verdict::judge;
use crate::observe::store;
use crate::report::essentials::verdict_of;
use crate::report::json::read_results;
use crate::report::output::resolve;
use crate::report::results::Results;
use crate::report::view::{State, label};

use crate::version::full_version;

use super::exit::{Exit, Failure};
use super::suites::{SuiteArgs, Suites, select_from};

/// Copy evidence from a results folder to the recorded evidence of the suites
#[derive(Debug, clap::Args)]
pub(super) struct RecordArgs {
    /// Scenarios (or claims, suites, documents) to record
    #[arg(required = true, value_name = "SCENARIO")]
    words: Vec<String>,
    #[command(flatten)]
    suites: SuiteArgs,
    /// Results folder of the run [default: results]
    #[arg(long, value_name = "DIR")]
    results: Option<Utf8PathBuf>,
    /// Record the evidence of this cluster, by its label in reports, such as 1.34 [default: the newest version]
    #[arg(long, value_name = "LABEL")]
    cluster: Option<String>,
    /// Record as SCENARIO@NAME, next to the evidence of another cluster
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// Folder of the recorded evidence [default: `tests` in the folder given by --suites]
    #[arg(long, value_name = "DIR")]
    recorded: Option<Utf8PathBuf>,
}

fn name(text: &str) -> Result<String, String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !text.is_empty() && text.chars().all(valid) {
        return Ok(text.to_owned());
    }
    Err("expected letters, digits, `-`, `_` and `.`, for example `1.34`".to_owned())
}

/// Writes nothing unless the evidence of every scenario can be recorded.
pub(super) fn record(args: &RecordArgs) -> Result<Exit, Failure> {
    let suites = args.suites.open()?;
    let folder = suites.recorded(args.recorded.as_deref())?;
    let (loaded, findings) = suites.checked();
    let chosen = select_from(&loaded, &args.words)?;
    let scenarios: Vec<&Scenario> = loaded.catalogue.testing(&chosen).collect();
    if scenarios.is_empty() {
        return Err(Failure::usage("these claims have no experiment to record"));
    }
    Suites::refuse_of(findings, &scenarios)?;
    let from = args.results.as_ref().unwrap_or(&suites.project.results);
    let results = read_results(from).map_err(Failure::usage)?;
    let mut found = Vec::new();
    for scenario in scenarios {
        let recordings = recordings(&results, from, scenario)?;
        let recording = choose(recordings, args.cluster.as_deref())
            .and_then(|recording| usable(scenario, recording))
            .map_err(|why| Failure::usage(format!("cannot record {}: {why}", scenario.id)))?;
        found.push((scenario, recording));
    }
    let suffix = args.name.as_ref().map(|name| format!("@{name}"));
    let suffix = suffix.unwrap_or_default();
    let mut words = String::new();
    for (scenario, recording) in found {
        let path = folder.join(format!("evidence/{}{suffix}.json", scenario.id));
        store::write(&path, &recording.evidence).map_err(Failure::usage)?;
        line!(
            "{}: evidence of Kubernetes {}, attempt {}, {}",
            path.strip_prefix(".").unwrap_or(&path),
            recording.evidence.cluster.kubernetes,
            recording.evidence.attempt,
            recording.evidence.began.strftime("%Y-%m-%d %H:%M UTC"),
        );
        print_verdicts(scenario, &recording.evidence);
        words.push(' ');
        words.push_str(&scenario.id);
    }
    let option = |name: &str, folder: Option<&Utf8Path>| {
        folder.map_or_else(String::new, |folder| format!(" --{name} {folder}"))
    };
    let own = suites.folder().ok().filter(|_| !suites.project.exists);
    line!(
        "next: hookproof check{}{}{words}",
        option("suites", own),
        option("recorded", args.recorded.as_deref())
    );
    Ok(Exit::AsExpected)
}

/// Prints a line for each claim of the scenario.
fn print_verdicts(scenario: &Scenario, evidence: &Evidence) {
    let judged = judge(scenario, evidence).map(|judged| judged.judgements);
    for judgement in judged.unwrap_or_default() {
        let (claim, verdict) = (&judgement.claim, State::Verdict(judgement.verdict).word());
        match judgement.expected {
            Some(_) => line!("  {claim}: {}", verdict_of(&judgement)),
            None => line!("  {claim}: {verdict}; the suite has no `expect` for it yet"),
        }
    }
}

/// An attempt at a scenario whose evidence could be recorded.
#[derive(Debug)]
struct Recording {
    /// The cluster's label in reports, without the number of the round.
    label: String,
    /// The profile has no gates and is not someone's own cluster.
    default: bool,
    path: Utf8PathBuf,
    evidence: Evidence,
}

/// All attempts at a scenario, on all clusters and in all rounds.
fn recordings(
    results: &Results,
    folder: &Utf8Path,
    scenario: &Scenario,
) -> Result<Vec<Recording>, Failure> {
    let mut recordings = Vec::new();
    for column in &results.clusters {
        let ran = column.scenarios.iter();
        let ran = ran.filter(|ran| ran.scenario == scenario.id);
        let files = ran.flat_map(|ran| {
            let earlier = ran.earlier.iter().map(|attempt| &attempt.evidence);
            earlier.chain([&ran.evidence]).flatten()
        });
        for file in files {
            let found = resolve(folder, file).map_err(Failure::usage)?;
            recordings.push(Recording {
                label: label(&column.facts),
                default: column.facts.profile == "default",
                evidence: store::read(&found).map_err(Failure::usage)?,
                path: folder.join(file),
            });
        }
    }
    Ok(recordings)
}

/// The newest attempt without problems; of all clusters, the one with the newest version in the default profile.
fn choose(mut all: Vec<Recording>, cluster: Option<&str>) -> Result<Recording, String> {
    let labels: BTreeSet<&str> = all.iter().map(|found| found.label.as_str()).collect();
    let labels = labels.iter().join(", ");
    if all.is_empty() {
        return Err("the results have no evidence of it; run it first".to_owned());
    }
    if let Some(cluster) = cluster {
        all.retain(|found| found.label == cluster);
        if all.is_empty() {
            return Err(format!(
                "the results have no evidence of it from a cluster `{cluster}`; choose one of: {labels}"
            ));
        }
    } else if all.iter().any(|found| found.default) {
        all.retain(|found| found.default);
        let version = |found: &Recording| full_version(&found.evidence.cluster.kubernetes);
        let newest = all.iter().map(version).max();
        all.retain(|found| Some(version(found)) == newest);
    } else if labels.contains(", ") {
        return Err(format!(
            "several clusters have evidence of it; choose one with --cluster: {labels}"
        ));
    }
    all.sort_by_key(|found| (found.evidence.problems.is_empty(), found.evidence.began));
    all.pop().ok_or_else(String::new)
}

/// Refuses evidence that yields no verdict on the scenario as it is now.
fn usable(scenario: &Scenario, recording: Recording) -> Result<Recording, String> {
    let Recording { path, evidence, .. } = &recording;
    if evidence.scenario != scenario.id {
        return Err(format!("{path} is evidence of {}", evidence.scenario));
    }
    if let Some(problem) = evidence.problems.first() {
        return Err(format!("{path} has problems ({problem}); run it again"));
    }
    if evidence.scenario_digest != scenario.digest {
        return Err(format!(
            "its steps, moments or manifests changed since {path} was recorded (digest {}, now {}); run it again",
            evidence.scenario_digest, scenario.digest
        ));
    }
    Ok(recording)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;
    use crate::evidence::Problem;
    use crate::fixture::{sample_catalogue, sample_evidence};

    /// `1.36.1 default 3` is an attempt in minute 3; `!` marks problems.
    fn recording(text: &str) -> Recording {
        let mut words = text.split(' ');
        let mut evidence = sample_evidence();
        evidence.cluster.kubernetes = format!("v{}", words.next().unwrap());
        evidence.cluster.profile = words.next().unwrap().to_owned();
        let minute = words.next().unwrap();
        evidence.began = format!("2026-01-02T03:0{minute}:00Z").parse().unwrap();
        if words.next().is_some() {
            evidence.problems.push(Problem {
                forbidden: false,
                doing: "until running".to_owned(),
                what: "timed out".to_owned(),
            });
        }
        Recording {
            label: label(&evidence.cluster),
            default: evidence.cluster.profile == "default",
            path: text.into(),
            evidence,
        }
    }

    #[rstest]
    #[case::newest_version(&["1.36.1 default 1", "1.9.9 default 2"], None, "1.36.1 default 1")]
    #[case::newest_round(&["1.36.1 default 1", "1.36.1 default 2"], None, "1.36.1 default 2")]
    #[case::without_problems(&["1.36.1 default 1", "1.36.1 default 2 !"], None, "1.36.1 default 1")]
    #[case::default_profile(&["1.36.1 X-off 2", "1.35.1 default 1"], None, "1.35.1 default 1")]
    #[case::by_label(&["1.36.1 default 2", "1.35.1 default 1"], Some("1.35"), "1.35.1 default 1")]
    #[case::only_one(&["1.36.1 existing 2"], None, "1.36.1 existing 2")]
    fn chooses(#[case] all: &[&str], #[case] cluster: Option<&str>, #[case] expected: &str) {
        let all = all.iter().map(|text| recording(text)).collect();
        assert_eq!(choose(all, cluster).unwrap().path, expected);
    }

    #[rstest]
    #[case::none(&[], None, "run it first")]
    #[case::unknown(&["1.36.1 default 1"], Some("1.35"), "choose one of: 1.36")]
    #[case::several(&["1.36.1 A-on 1", "1.36.1 B-on 1"], None, "--cluster: 1.36 A-on, 1.36 B-on")]
    fn refuses_to_choose(
        #[case] all: &[&str],
        #[case] cluster: Option<&str>,
        #[case] expected: &str,
    ) {
        let all = all.iter().map(|text| recording(text)).collect();
        let error = choose(all, cluster).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn refuses_unusable_evidence() {
        let scenario = &sample_catalogue().scenarios["poststart/slow-hook"];
        let error = |change: fn(&mut Evidence)| {
            let mut recording = recording("1.36.1 default 1");
            let digest = &mut recording.evidence.scenario_digest;
            digest.clone_from(&scenario.digest);
            change(&mut recording.evidence);
            usable(scenario, recording).map(|_| ())
        };
        assert_eq!(error(|_| {}), Ok(()));
        let changed = error(|evidence| evidence.scenario_digest = "0123".to_owned());
        assert!(changed.unwrap_err().contains("changed since"));
        let other = error(|evidence| evidence.scenario = "a/b".to_owned());
        assert!(other.unwrap_err().contains("evidence of a/b"));
        let problem =
            error(|evidence| evidence.problems = recording("1.36.1 default 1 !").evidence.problems);
        assert!(problem.unwrap_err().contains("timed out"));
    }

    #[rstest]
    #[case("1.34", true)]
    #[case("cgroup-v1", true)]
    #[case("", false)]
    #[case("../x", false)]
    fn names(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(name(text).is_ok(), valid);
    }
}
