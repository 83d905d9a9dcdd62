//! Runs scenarios in parallel on one cluster, longest first, and sends events.

use std::cmp::Reverse;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use itertools::{Either, Itertools as _};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::catalogue::model::Scenario;
use crate::evidence::{Evidence, Problem};
use crate::judge::judgement::Judgement;
use crate::judge::verdict::{judge, not_applicable};
use crate::observe::scenario::observe;
use crate::observe::session::{Session, Target};
use crate::observe::store;
use crate::report::event::{RunEvent, Stopped};
use crate::report::results::{EarlierAttempt, ScenarioResults, key};
use crate::report::text::seconds;

use super::Run;

/// One cluster's part of a run.
pub(crate) struct Dispatch {
    pub(crate) session: Arc<Session>,
    /// The cluster's name in events.
    pub(crate) cluster: String,
    pub(crate) run: Arc<Run>,
    /// A permit per parallel scenario, for all clusters of the run.
    pub(crate) slots: Arc<Semaphore>,
}

impl Dispatch {
    /// Runs the plan's scenarios. Returns whether all of them started.
    pub(crate) async fn run(self) -> bool {
        let this = Arc::new(self);
        let run = &this.run;
        let (mut runnable, skipped) = this.split();
        run.send(RunEvent::ClusterReady {
            cluster: this.cluster.clone(),
            facts: this.session.target.facts.clone(),
            scenarios: runnable.len() + skipped.len(),
        });
        for (scenario, judgements) in skipped {
            this.ended(scenario, judgements);
        }
        if run.resume {
            this.resume(&mut runnable);
        }
        let mut complete = true;
        let mut running = JoinSet::new();
        for scenario in runnable {
            // Acquired here and not in the tasks, to start scenarios in this order: otherwise the longest
            // might start last. The semaphore is never closed.
            let Ok(slot) = this.slots.clone().acquire_owned().await else {
                break;
            };
            if run.stop.reason().is_some() {
                complete = false;
                break;
            }
            let this = this.clone();
            running.spawn(async move {
                this.scenario(&scenario).await;
                drop(slot);
            });
        }
        while let Some(ended) = running.join_next().await {
            if let Err(error) = ended {
                run.warn(format!("the task of a scenario failed: {error}"));
            }
        }
        complete
    }

    /// Splits the plan into scenarios to run, longest first, and results of scenarios that do not apply here.
    fn split(&self) -> (Vec<Scenario>, Vec<(ScenarioResults, Vec<Judgement>)>) {
        let Target { facts, allowed, .. } = &self.session.target;
        let scenarios = self.run.plan.of(&self.run.catalogue);
        let (mut runnable, skipped): (Vec<Scenario>, _) = scenarios.partition_map(|scenario| {
            let facts = scenario.facts(facts, allowed);
            let denied = scenario.denied(allowed);
            let Some(reason) = denied.or_else(|| scenario.needs.unmet(&facts)) else {
                return Either::Left(scenario.clone());
            };
            let results = ScenarioResults {
                scenario: scenario.id.clone(),
                title: scenario.title.clone(),
                began: self.session.clock.now(),
                seconds: 0.0,
                problems: Vec::new(),
                evidence: None,
                earlier: Vec::new(),
            };
            Either::Right((results, not_applicable(scenario, &reason)))
        });
        runnable.sort_by_key(|scenario| Reverse(scenario.takes));
        (runnable, skipped)
    }

    async fn scenario(&self, scenario: &Scenario) {
        let run = &self.run;
        let mut earlier: Vec<EarlierAttempt> = Vec::new();
        for attempt in 1.. {
            run.send(RunEvent::ScenarioBegun {
                cluster: self.cluster.clone(),
                scenario: scenario.id.clone(),
                after: earlier.last().cloned(),
            });
            let evidence = self.observe(scenario, attempt).await;
            let (is_judged, judgements, warnings) = match judge(scenario, &evidence) {
                Ok(judged) => (true, run.plan.wanted(judged.judgements), judged.warnings),
                // The scenario's results contain the problems.
                Err(_) => (false, Vec::new(), Vec::new()),
            };
            // Retry: a real difference in behaviour shows up again.
            let decided = is_judged && !judgements.iter().any(Judgement::is_unexpected);
            let last = decided || attempt >= run.attempts || run.stop.reason().is_some();
            let written = self.write(&evidence, last);
            if !last {
                earlier.push(EarlierAttempt::new(&evidence, &judgements, written));
                continue;
            }
            for warning in warnings {
                run.warn(warning);
            }
            if run.fail_fast && !decided {
                run.stop.request(Stopped::FailFast);
            }
            let results = ScenarioResults::new(scenario, &evidence, earlier, written);
            self.ended(results, judgements);
            return;
        }
    }

    /// Observes a scenario within its limit; reaching the limit is a problem.
    async fn observe(&self, scenario: &Scenario, attempt: u32) -> Evidence {
        let run = &self.run;
        let stop = run.stop.now.child_token();
        let on_step = |step: String| {
            run.send(RunEvent::ScenarioStep {
                cluster: self.cluster.clone(),
                scenario: scenario.id.clone(),
                step,
            });
        };
        let session = &self.session;
        let observed = observe(session, scenario, attempt, run.keep, &stop, on_step);
        let (mut evidence, timed_out) = within(run.scenario_timeout, observed, &stop).await;
        if let Some(limit) = timed_out {
            evidence.problems.insert(0, timeout_problem(limit));
        }
        evidence
    }

    /// Writes the evidence of an attempt to a file. Returns its path in the results folder.
    fn write(&self, evidence: &Evidence, last: bool) -> Option<String> {
        let path = self.path(&evidence.scenario, (!last).then_some(evidence.attempt));
        match store::write(&self.run.out.join(&path), evidence) {
            Ok(()) => Some(path),
            Err(error) => {
                self.run.warn(error.to_string());
                None
            }
        }
    }

    /// The path of evidence in the results folder. Earlier attempts have a number.
    pub(super) fn path(&self, scenario: &str, earlier: Option<u32>) -> String {
        let name = store::file_name(scenario, earlier);
        format!("evidence/{}/{name}", key(&self.cluster))
    }

    pub(super) fn ended(&self, scenario: ScenarioResults, judgements: Vec<Judgement>) {
        self.run.send(RunEvent::ScenarioEnded {
            cluster: self.cluster.clone(),
            scenario,
            judgements: self.run.plan.wanted(judgements),
        });
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
    let limit = seconds(limit.as_secs_f64());
    Problem {
        doing: "run the scenario".to_owned(),
        what: format!("timed out after {limit}; raise --scenario-timeout"),
        forbidden: false,
    }
}

#[cfg(test)]
mod tests;
