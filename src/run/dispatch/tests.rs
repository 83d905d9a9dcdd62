//! Dispatch of scenarios against a fake API server.

#![allow(clippy::unwrap_used)]

use camino::Utf8PathBuf;
use tokio::sync::mpsc::UnboundedReceiver;

use super::super::plan::Plan;
use super::*;
use crate::catalogue::model::{Catalogue, Verdict};
use crate::observe::fake::{Fake, catalogue, refusal};

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n    - name: main\n      \
    image: hookproof/agent\n      command: [agent, entrypoint]\n";

/// The suite `test/one` with its only claim, and further fields.
fn suite(fields: &str) -> Catalogue {
    let steps = "  - apply\n  - until: web.terminated\n  - until: web.entrypoint.ended";
    catalogue(POD, fields, steps)
}

struct Prepared {
    fake: Fake,
    dispatch: Dispatch,
    events: UnboundedReceiver<RunEvent>,
    out: tempfile::TempDir,
}

impl Prepared {
    fn run(&mut self) -> &mut Run {
        Arc::get_mut(&mut self.dispatch.run).unwrap()
    }
}

async fn prepare(catalogue: Catalogue, attempts: u32) -> Prepared {
    let fake = Fake::start().await;
    let out = tempfile::tempdir().unwrap();
    let claims = ["test.claim".to_owned()].into();
    let plan = Plan::new(&catalogue, &claims, None);
    let (run, events) = Run::example(catalogue, plan);
    let run = Run {
        attempts,
        out: Utf8PathBuf::from_path_buf(out.path().to_owned()).unwrap(),
        ..run
    };
    let dispatch = Dispatch {
        session: Box::pin(fake.session()).await,
        cluster: "fake".to_owned(),
        run: Arc::new(run),
        slots: Arc::new(Semaphore::new(1)),
    };
    Prepared {
        fake,
        dispatch,
        events,
        out,
    }
}

struct Finished {
    /// The scenarios that ended.
    ended: Vec<(ScenarioResults, Vec<Judgement>)>,
    warnings: Vec<String>,
    /// The requests for the scenarios' namespaces.
    requests: Vec<String>,
    out: tempfile::TempDir,
}

async fn finish(run: Prepared) -> Finished {
    let Prepared {
        fake,
        dispatch,
        mut events,
        out,
    } = run;
    dispatch.run().await;
    let (mut ended, mut warnings) = (Vec::new(), Vec::new());
    while let Some(event) = events.recv().await {
        match event {
            RunEvent::ScenarioEnded {
                scenario,
                judgements,
                ..
            } => ended.push((scenario, judgements)),
            RunEvent::Warning { text } => warnings.push(text),
            _ => {}
        }
    }
    assert_eq!(fake.namespaces(), ["hookproof-run1"]);
    Finished {
        ended,
        warnings,
        requests: fake.requests("test-"),
        out,
    }
}

fn verdicts(judgements: &[Judgement]) -> Vec<Verdict> {
    judgements
        .iter()
        .map(|judgement| judgement.verdict)
        .collect()
}

#[tokio::test]
async fn an_unexpected_verdict_is_tried_again() {
    let run = prepare(suite(""), 3).await;
    run.fake.exit_with([1, 0]);
    let Finished {
        ended,
        warnings,
        out,
        ..
    } = finish(run).await;
    let [(scenario, judgements)] = ended.as_slice() else {
        panic!("{ended:?}")
    };
    assert_eq!(verdicts(judgements), [Verdict::Confirmed]);
    let [earlier] = scenario.earlier.as_slice() else {
        panic!("{scenario:?}")
    };
    assert_eq!(earlier.unexpected[0].verdict, Verdict::Refuted);
    for file in [&earlier.evidence, &scenario.evidence] {
        let path = out.path().join(file.as_ref().unwrap());
        store::read(path.as_path().try_into().unwrap()).unwrap();
    }
    assert_eq!(warnings, [""; 0]);
}

#[tokio::test]
async fn a_verdict_that_stays_unexpected_is_final() {
    let run = prepare(suite(""), 2).await;
    run.fake.exit_with([1, 1, 0]);
    let Finished { ended, .. } = finish(run).await;
    assert_eq!(verdicts(&ended[0].1), [Verdict::Refuted]);
    assert_eq!(ended[0].0.attempts(), 2);
}

#[tokio::test]
async fn a_problem_is_tried_again() {
    let run = prepare(suite(""), 2).await;
    run.fake
        .fault("POST", "test-one/pods", Some(refusal(500, "InternalError")));
    let Finished { ended, .. } = finish(run).await;
    assert_eq!(verdicts(&ended[0].1), [Verdict::Confirmed]);
    let problem = &ended[0].0.earlier[0].problems[0];
    assert!(problem.contains("500 InternalError"), "{problem}");
}

#[tokio::test]
async fn problems_of_the_last_attempt_give_no_verdict() {
    let run = prepare(suite(""), 1).await;
    run.fake
        .fault("POST", "test-one/pods", Some(refusal(500, "InternalError")));
    let Finished { ended, .. } = finish(run).await;
    assert_eq!(verdicts(&ended[0].1), []);
    assert_eq!(ended[0].0.problems.len(), 1);
}

#[tokio::test]
async fn a_scenario_whose_needs_are_not_met_is_skipped() {
    let run = prepare(suite("needs: {capabilities: [node-shell]}\n"), 2).await;
    let Finished {
        ended, requests, ..
    } = finish(run).await;
    assert_eq!(verdicts(&ended[0].1), [Verdict::NotApplicable]);
    assert_eq!((ended[0].0.seconds, &ended[0].0.evidence), (0.0, &None));
    assert_eq!(requests, [""; 0]);
}

#[tokio::test]
async fn nothing_begins_after_an_interruption() {
    let run = prepare(suite(""), 2).await;
    run.dispatch.run.stop.request(Stopped::Interrupted);
    assert_eq!(finish(run).await.ended, []);
}

#[tokio::test]
async fn evidence_that_cannot_be_written_is_a_warning() {
    let mut run = prepare(suite(""), 1).await;
    run.run().out = "/proc/none".into();
    let Finished {
        ended, warnings, ..
    } = finish(run).await;
    assert_eq!(verdicts(&ended[0].1), [Verdict::Confirmed]);
    assert_eq!(ended[0].0.evidence, None);
    assert!(warnings[0].contains("/proc/none"), "{warnings:?}");
}

#[tokio::test]
async fn the_longest_scenario_begins_first() {
    let mut catalogue = suite("");
    let mut second = catalogue.scenarios["test/one"].clone();
    second.id = "test/two".to_owned();
    second.takes *= 2;
    catalogue.scenarios.insert(second.id.clone(), second);
    let run = prepare(catalogue, 1).await;
    let Finished { ended, .. } = finish(run).await;
    let order: Vec<&str> = ended
        .iter()
        .map(|(scenario, _)| scenario.scenario.as_str())
        .collect();
    assert_eq!(order, ["test/two", "test/one"]);
}

#[tokio::test]
async fn work_that_reaches_its_limit_is_stopped_and_still_returns() {
    let stop = CancellationToken::new();
    let work = async {
        stop.cancelled().await;
        "cleaned up"
    };
    let limit = Duration::from_millis(20);
    let (done, timed_out) = within(Some(limit), work, &stop).await;
    assert_eq!((done, timed_out), ("cleaned up", Some(limit)));
    let problem = timeout_problem(Duration::from_secs(90));
    assert_eq!(
        problem.what,
        "timed out after 1 min 30 s; raise --scenario-timeout"
    );
}

#[rstest::rstest]
#[case::no_limit(None)]
#[case::in_time(Some(Duration::from_secs(60)))]
#[tokio::test]
async fn work_in_time_is_not_stopped(#[case] limit: Option<Duration>) {
    let stop = CancellationToken::new();
    assert_eq!(within(limit, async { 1 }, &stop).await, (1, None));
    assert!(!stop.is_cancelled());
}

#[tokio::test]
async fn with_fail_fast_an_unexpected_verdict_stops_the_run() {
    let mut run = prepare(suite(""), 1).await;
    run.run().fail_fast = true;
    run.fake.exit_with([1]);
    let stop = run.dispatch.run.stop.clone();
    let Finished { ended, .. } = finish(run).await;
    assert_eq!(verdicts(&ended[0].1), [Verdict::Refuted]);
    assert_eq!(stop.reason(), Some(Stopped::FailFast));
}

/// Runs a scenario, then a run that continues it, after `change` of the evidence. Returns the results of the second run.
async fn resumed(codes: &[u8], attempts: u32, change: impl FnOnce(&mut Evidence)) -> Finished {
    let first = prepare(suite(""), 1).await;
    first.fake.exit_with(codes.iter().copied());
    let Finished { ended, out, .. } = finish(first).await;
    let path = out.path().join(ended[0].0.evidence.as_ref().unwrap());
    let path: &camino::Utf8Path = path.as_path().try_into().unwrap();
    let mut evidence = store::read(path).unwrap();
    change(&mut evidence);
    store::write(path, &evidence).unwrap();
    let mut second = prepare(suite(""), attempts).await;
    second.run().resume = true;
    second.run().out = Utf8PathBuf::from_path_buf(out.path().to_owned()).unwrap();
    let mut finished = finish(second).await;
    finished.out = out;
    finished
}

#[tokio::test]
async fn a_finished_scenario_is_not_repeated() {
    let Finished {
        ended,
        warnings,
        requests,
        out,
    } = Box::pin(resumed(&[0], 2, |_| {})).await;
    let [(scenario, judgements)] = ended.as_slice() else {
        panic!("{ended:?}")
    };
    assert_eq!(verdicts(judgements), [Verdict::Confirmed]);
    assert!(
        out.path()
            .join(scenario.evidence.as_ref().unwrap())
            .exists()
    );
    assert_eq!(requests, [""; 0]);
    assert_eq!(warnings, [""; 0]);
}

#[rstest::rstest]
#[case::experiment(&[0], |evidence: &mut Evidence| evidence.scenario_digest = "old".to_owned(), "its steps or manifests have changed")]
#[case::cluster(&[0], |evidence: &mut Evidence| evidence.cluster.nodes = 7, "the cluster has changed: nodes was 7, is 0")]
#[case::interrupted(&[0], |evidence: &mut Evidence| evidence.problems.push(timeout_problem(Duration::from_secs(1))), "failed to observe test/one")]
#[case::unexpected(&[1], |_: &mut Evidence| {}, "attempt 1 had an unexpected verdict")]
#[tokio::test]
async fn other_evidence_is_repeated_with_the_reason(
    #[case] codes: &[u8],
    #[case] change: fn(&mut Evidence),
    #[case] why: &str,
) {
    let Finished {
        ended,
        warnings,
        requests,
        ..
    } = Box::pin(resumed(codes, 2, change)).await;
    assert_eq!(verdicts(&ended[0].1), [Verdict::Confirmed]);
    assert!(!requests.is_empty());
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}")
    };
    assert!(
        warning.starts_with(&format!("repeating test/one: {why}")),
        "{warning}"
    );
}
