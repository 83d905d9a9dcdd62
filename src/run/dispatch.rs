//! Runs scenarios in parallel on one cluster, longest first, and sends events.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::catalogue::model::{Catalogue, Scenario};
use crate::evidence::{Evidence, Problem};
use crate::judge::judgement::Judgement;
use crate::judge::verdict::{judge, not_applicable};
use crate::observe::scenario::observe;
use crate::observe::session::Session;
use crate::observe::store;
use crate::report::results::{EarlierAttempt, Phase, ScenarioResults, key};

use super::plan::Plan;
use super::resume::Earlier;
use super::stop::Stop;
use crate::report::event::{RunEvent, Stopped};
use crate::report::text::{count, seconds};

#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Maximum number of parallel scenarios on all clusters together.
    pub(crate) jobs: usize,
    /// Maximum attempts at a scenario that has a problem, is undecided, or gives an unexpected verdict.
    pub(crate) attempts: u32,
    /// Start no further scenario after an unexpected verdict or an error.
    pub(crate) fail_fast: bool,
    /// Limit of an attempt at a scenario.
    pub(crate) scenario_timeout: Option<Duration>,
    /// Keep namespaces after the run.
    pub(crate) keep: bool,
    /// Keep the evidence that an interrupted run left in `out`.
    pub(crate) resume: bool,
    pub(crate) out: Utf8PathBuf,
}

/// A scenario that does not apply to this cluster, with the verdicts on its claims.
type Skipped = (Arc<Scenario>, Vec<Judgement>);

/// One cluster's part of a run.
pub(crate) struct Dispatch {
    pub(crate) session: Arc<Session>,
    /// The cluster's name in events.
    pub(crate) cluster: String,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) plan: Plan,
    pub(crate) options: Options,
    /// A permit per parallel scenario, shared by all clusters of the run.
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) events: UnboundedSender<RunEvent>,
    pub(crate) stop: Stop,
}

impl Dispatch {
    /// Runs the plan's scenarios. Returns whether all of them started.
    pub(crate) async fn run(self) -> bool {
        let shared = Arc::new(self);
        let (runnable, skipped) = shared.split();
        shared.send(RunEvent::ClusterReady {
            cluster: shared.cluster.clone(),
            facts: shared.session.target.facts.clone(),
            scenarios: runnable.len() + skipped.len(),
        });
        for (scenario, judgements) in skipped {
            shared.send(RunEvent::ScenarioEnded {
                cluster: shared.cluster.clone(),
                scenario: not_run(&scenario, shared.session.clock.now()),
                judgements: shared.plan.wanted(judgements),
            });
        }
        let runnable = if shared.options.resume {
            shared.resume(runnable)
        } else {
            runnable
        };
        let mut complete = true;
        let mut running = JoinSet::new();
        for scenario in runnable {
            // Acquired here and not in the tasks, to start scenarios in this order: otherwise the longest
            // might start last. The semaphore is never closed.
            let Ok(slot) = shared.slots.clone().acquire_owned().await else {
                break;
            };
            if shared.stop.reason().is_some() {
                complete = false;
                break;
            }
            let shared = shared.clone();
            running.spawn(async move {
                shared.scenario(&scenario).await;
                drop(slot);
            });
        }
        while let Some(ended) = running.join_next().await {
            if let Err(error) = ended {
                shared.warn(format!("the task of a scenario failed: {error}"));
            }
        }
        complete
    }

    /// Splits the plan into scenarios to run, longest first, and scenarios that do not apply here.
    fn split(&self) -> (Vec<Arc<Scenario>>, Vec<Skipped>) {
        let (mut runnable, mut skipped) = (Vec::new(), Vec::new());
        for id in &self.plan.scenarios {
            let Some(scenario) = self.catalogue.scenarios.get(id) else {
                continue;
            };
            let scenario = Arc::new(scenario.clone());
            let target = &self.session.target;
            let facts = scenario.facts(&target.facts, &target.allowed);
            let denied = scenario.denied(&target.allowed);
            match denied.or_else(|| scenario.needs.unmet(&facts)) {
                Some(reason) => {
                    let judgements = not_applicable(&scenario, &reason);
                    skipped.push((scenario, judgements));
                }
                None => runnable.push(scenario),
            }
        }
        runnable.sort_by_key(|scenario| std::cmp::Reverse(scenario.takes));
        (runnable, skipped)
    }

    /// Reports the scenarios that an earlier run finished. Returns the others.
    fn resume(&self, mut scenarios: Vec<Arc<Scenario>>) -> Vec<Arc<Scenario>> {
        let began = jiff::Timestamp::now();
        let earlier = Earlier {
            out: &self.options.out,
            column: key(&self.cluster),
            facts: &self.session.target.facts,
            allowed: &self.session.target.allowed,
            attempts: self.options.attempts,
        };
        let all = scenarios.len();
        scenarios.retain(|scenario| match earlier.find(scenario) {
            Ok(None) => true,
            Ok(Some(finished)) => {
                self.send(RunEvent::ScenarioEnded {
                    cluster: self.cluster.clone(),
                    scenario: finished.scenario,
                    judgements: self.plan.wanted(finished.judgements),
                });
                false
            }
            Err(why) => {
                self.warn(format!("repeating {}: {why}", scenario.id));
                true
            }
        });
        self.send(RunEvent::PhaseEnded {
            cluster: self.cluster.clone(),
            phase: Phase {
                name: "resume".to_owned(),
                began,
                seconds: jiff::Timestamp::now().duration_since(began).as_secs_f64(),
                error: None,
                note: format!(
                    "{} of {} kept",
                    all - scenarios.len(),
                    count(all, "scenario")
                ),
            },
        });
        scenarios
    }

    async fn scenario(&self, scenario: &Scenario) {
        let mut earlier: Vec<EarlierAttempt> = Vec::new();
        for attempt in 1.. {
            self.send(RunEvent::ScenarioBegun {
                cluster: self.cluster.clone(),
                scenario: scenario.id.clone(),
                after: earlier.last().cloned(),
            });
            let on_step = |step: String| {
                self.send(RunEvent::ScenarioStep {
                    cluster: self.cluster.clone(),
                    scenario: scenario.id.clone(),
                    step,
                });
            };
            let evidence = self.observe(scenario, attempt, on_step).await;
            let (decided, judgements, warnings) = match judge(scenario, &evidence) {
                Ok(judged) => {
                    let judgements = self.plan.wanted(judged.judgements);
                    // Retry: a real difference in behaviour shows up again.
                    let decided = !judgements.iter().any(Judgement::is_unexpected);
                    (decided, judgements, judged.warnings)
                }
                // The scenario's results contain the problems; there is no verdict.
                Err(_) => (false, Vec::new(), Vec::new()),
            };
            let stopped = self.stop.reason().is_some();
            let last = decided || attempt >= self.options.attempts || stopped;
            let written = self.write(&evidence, last);
            if !last {
                earlier.push(EarlierAttempt::new(&evidence, &judgements, written));
                continue;
            }
            for warning in warnings {
                self.warn(warning);
            }
            if self.options.fail_fast && !decided {
                self.stop.request(Stopped::FailFast);
            }
            self.send(RunEvent::ScenarioEnded {
                cluster: self.cluster.clone(),
                scenario: ScenarioResults::new(scenario, &evidence, earlier, written),
                judgements,
            });
            return;
        }
    }

    /// Observes a scenario within its limit; reaching the limit is a problem.
    async fn observe(
        &self,
        scenario: &Scenario,
        attempt: u32,
        on_step: impl Fn(String),
    ) -> Evidence {
        let Options {
            keep,
            scenario_timeout,
            ..
        } = self.options;
        let stop = self.stop.now.child_token();
        let observed = observe(&self.session, scenario, attempt, keep, &stop, on_step);
        let (mut evidence, timed_out) = within(scenario_timeout, observed, &stop).await;
        if let Some(limit) = timed_out {
            evidence.problems.insert(0, timeout_problem(limit));
        }
        evidence
    }

    /// Writes the evidence of an attempt to a file. Returns its path in the results folder.
    fn write(&self, evidence: &Evidence, last: bool) -> Option<String> {
        let earlier = (!last).then_some(evidence.attempt);
        let name = store::file_name(&evidence.scenario, earlier);
        let relative = format!("evidence/{}/{name}", key(&self.cluster));
        match store::write(&self.options.out.join(&relative), evidence) {
            Ok(()) => Some(relative),
            Err(error) => {
                self.warn(error.to_string());
                None
            }
        }
    }

    fn send(&self, event: RunEvent) {
        // The receiver is gone only when the program exits.
        let _ = self.events.send(event);
    }

    fn warn(&self, text: String) {
        self.send(RunEvent::Warning { text });
    }
}

/// Cancels `stop` at the limit, then waits for the work to end. Returns the limit if it was reached.
async fn within<T>(
    limit: Option<Duration>,
    work: impl Future<Output = T>,
    stop: &CancellationToken,
) -> (T, Option<Duration>) {
    let mut work = pin!(work);
    if let Some(limit) = limit {
        match tokio::time::timeout(limit, &mut work).await {
            Ok(done) => return (done, None),
            Err(_) => stop.cancel(),
        }
    }
    (work.await, limit)
}

fn timeout_problem(limit: Duration) -> Problem {
    Problem {
        doing: "run the scenario".to_owned(),
        what: format!(
            "timed out after {}; raise --scenario-timeout",
            seconds(limit.as_secs_f64())
        ),
        forbidden: false,
    }
}

fn not_run(scenario: &Scenario, now: jiff::Timestamp) -> ScenarioResults {
    ScenarioResults {
        scenario: scenario.id.clone(),
        title: scenario.title.clone(),
        began: now,
        seconds: 0.0,
        problems: Vec::new(),
        evidence: None,
        earlier: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
