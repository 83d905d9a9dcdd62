//! One test per claim on a real cluster: `cargo test --features e2e`.
//!
//! One `hookproof run` observes all selected claims; each test then reports the result of its claim. Filters,
//! `--skip`, `--exact` and `--list` work as usual. The environment variable `HOOKPROOF_E2E_ARGS` adds arguments to
//! `hookproof run`, for example `--kubernetes 1.34`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use camino::Utf8Path;
use hookproof::testing::{Cell, ClusterResults, Results, State, Verdict, catalogue, read_results};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

const OUT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/e2e-results");

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The run has finished before the first test starts, so parallel tests gain nothing.
    arguments.test_threads = Some(1);
    match trials(&arguments) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(3)
        }
    }
}

fn trials(arguments: &Arguments) -> Result<Vec<Trial>> {
    let catalogue = catalogue(&[])?;
    let of_scenarios = catalogue
        .scenarios
        .values()
        .flat_map(|scenario| &scenario.claims);
    let ids: Vec<String> = of_scenarios
        .chain(&catalogue.untestable)
        .map(|claim| claim.id.clone())
        .collect();
    if arguments.list {
        return Ok(ids
            .into_iter()
            .map(|id| Trial::test(id, || Ok(())))
            .collect());
    }
    let chosen: Vec<String> = ids
        .iter()
        .filter(|id| is_chosen(arguments, id))
        .cloned()
        .collect();
    if chosen.is_empty() {
        return Ok(ids
            .into_iter()
            .map(|id| Trial::test(id, || Ok(())))
            .collect());
    }
    let results = run(if chosen.len() == ids.len() {
        &[]
    } else {
        &chosen
    })?;
    let mut trials: Vec<Trial> = ids
        .into_iter()
        .map(|id| {
            let outcome = outcome(&results, &id);
            Trial::ignorable_test(id, move || outcome)
        })
        .collect();
    for cluster in &results.clusters {
        for phase in &cluster.phases {
            let outcome = match &phase.error {
                Some(error) => Err(Failed::from(error.clone())),
                None => Ok(()),
            };
            trials.push(Trial::test(
                format!("cluster.{} {}", cluster.facts.name, phase.name),
                move || outcome,
            ));
        }
    }
    Ok(trials)
}

/// Applies the same filters as the test runner.
fn is_chosen(arguments: &Arguments, name: &str) -> bool {
    let fits = |filter: &String| {
        if arguments.exact {
            name == filter
        } else {
            name.contains(filter.as_str())
        }
    };
    arguments.filter.as_ref().is_none_or(fits) && !arguments.skip.iter().any(fits)
}

fn run(claims: &[String]) -> Result<Results> {
    let extra = std::env::var("HOOKPROOF_E2E_ARGS").unwrap_or_default();
    let program = env!("CARGO_BIN_EXE_hookproof");
    let status = Command::new(program)
        .args(["run", "--out", OUT])
        .args(extra.split_whitespace())
        .args(claims)
        .status()
        .with_context(|| format!("failed to start {program}"))?;
    // Exit codes 1 (changed verdict) and 3 (infrastructure failure) fail the affected tests below.
    if !matches!(status.code(), Some(0 | 1 | 3)) {
        bail!("hookproof run failed with {status}; see its output above");
    }
    Ok(read_results(Utf8Path::new(OUT))?)
}

fn outcome(results: &Results, claim: &str) -> Result<Completion, Failed> {
    let mut skipped = Vec::new();
    let info = results.claims.iter().find(|info| info.id == claim);
    let info = info.ok_or_else(|| format!("{claim} was not selected"))?;
    for cluster in &results.clusters {
        let cell = Cell::of(cluster, info);
        let name = &cluster.facts.name;
        match cell.state() {
            State::Error | State::NotRun => {
                return Err(format!("{name}: {}", problems(results, cluster, claim)).into());
            }
            _ if cell.changed() => {
                return Err(format!("{name}: {}", reason(cluster, claim)).into());
            }
            State::Verdict(Verdict::NotApplicable | Verdict::NotTestable) => {
                skipped.push(reason(cluster, claim));
            }
            State::Verdict(_) => {}
        }
    }
    if skipped.len() == results.clusters.len() && !skipped.is_empty() {
        return Ok(Completion::ignored_with(skipped.join("; ")));
    }
    Ok(Completion::Completed)
}

fn reason(cluster: &ClusterResults, claim: &str) -> String {
    let found = cluster
        .judgements
        .iter()
        .find(|judgement| judgement.claim == claim);
    found.map_or_else(String::new, |judgement| {
        let expected = judgement
            .expected
            .map_or("none", |verdict| verdict.as_str());
        format!(
            "{} (expected: {expected}): {}",
            judgement.verdict, judgement.reason
        )
    })
}

fn problems(results: &Results, cluster: &ClusterResults, claim: &str) -> String {
    let scenario = results
        .claims
        .iter()
        .find(|info| info.id == claim)
        .and_then(|info| info.scenario.as_deref());
    let found = cluster
        .scenarios
        .iter()
        .find(|s| Some(s.scenario.as_str()) == scenario);
    if let Some(scenario) = found {
        return scenario.problems.join("\n");
    }
    let errors: Vec<&str> = cluster
        .phases
        .iter()
        .filter_map(|phase| phase.error.as_deref())
        .collect();
    format!("scenario not run: {}", errors.join("\n"))
}
