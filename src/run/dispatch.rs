//! Runs scenarios on one cluster, side by side, longest first, and tells what happens.

use std::sync::Arc;

use camino::Utf8PathBuf;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::catalogue::model::{Catalogue, Scenario};
use crate::judge::judgement::Judgement;
use crate::judge::verdict::{judge, not_applicable};
use crate::observe::evidence::Evidence;
use crate::observe::scenario::observe;
use crate::observe::session::{Session, slug};
use crate::observe::store;
use crate::report::results::{EarlierAttempt, ScenarioResults};

use super::event::RunEvent;
use super::plan::Plan;

/// How a run goes about it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Scenarios under way at once.
    pub jobs: usize,
    /// Attempts at a scenario that meets a problem or decides nothing.
    pub attempts: u32,
    /// Leave what was made on the cluster.
    pub keep: bool,
    /// Folder of the results.
    pub out: Utf8PathBuf,
}

/// A scenario that has nothing to try on this cluster, and what that means for its claims.
type Elsewhere = (Arc<Scenario>, Vec<Judgement>);

/// One cluster's part of a run.
pub struct Dispatch {
    /// The cluster, ready.
    pub session: Arc<Session>,
    /// Its name in events.
    pub cluster: String,
    /// What there is to find out.
    pub catalogue: Arc<Catalogue>,
    /// What of it is wanted.
    pub plan: Plan,
    /// How.
    pub options: Options,
    /// Where events go.
    pub events: UnboundedSender<RunEvent>,
    /// Asks to stop.
    pub stop: CancellationToken,
}

impl Dispatch {
    /// Runs all of the plan's scenarios. Returns when the last one is over.
    pub async fn run(self) {
        let shared = Arc::new(self);
        let (runnable, elsewhere) = shared.split();
        shared.tell(RunEvent::ClusterReady {
            cluster: shared.cluster.clone(),
            facts: shared.session.target.facts.clone(),
            scenarios: runnable.len() + elsewhere.len(),
        });
        for (scenario, judgements) in elsewhere {
            shared.tell(RunEvent::ScenarioEnded {
                cluster: shared.cluster.clone(),
                scenario: not_run(&scenario, shared.session.clock.now()),
                judgements: shared.plan.wanted(judgements),
            });
        }
        let places = Arc::new(Semaphore::new(shared.options.jobs.max(1)));
        let mut under_way = JoinSet::new();
        for scenario in runnable {
            // In this order: tasks that waited for places by themselves would get them in any, and the
            // longest scenario would end last. The semaphore is never closed, so a place always comes.
            let Ok(place) = places.clone().acquire_owned().await else {
                break;
            };
            if shared.stop.is_cancelled() {
                break;
            }
            let shared = shared.clone();
            under_way.spawn(async move {
                shared.scenario(&scenario).await;
                drop(place);
            });
        }
        while let Some(ended) = under_way.join_next().await {
            if let Err(error) = ended {
                shared.warn(format!("a scenario's task broke off: {error}"));
            }
        }
    }

    /// The scenarios to run here, longest first, and those that have nothing to try here.
    fn split(&self) -> (Vec<Arc<Scenario>>, Vec<Elsewhere>) {
        let (mut runnable, mut elsewhere) = (Vec::new(), Vec::new());
        for id in &self.plan.scenarios {
            let Some(scenario) = self.catalogue.scenarios.get(id) else {
                continue;
            };
            let scenario = Arc::new(scenario.clone());
            match not_applicable(&scenario, &self.session.target.facts) {
                Some(judgements) => elsewhere.push((scenario, judgements)),
                None => runnable.push(scenario),
            }
        }
        runnable.sort_by_key(|scenario| std::cmp::Reverse(scenario.takes));
        (runnable, elsewhere)
    }

    async fn scenario(&self, scenario: &Scenario) {
        let mut earlier: Vec<EarlierAttempt> = Vec::new();
        for attempt in 1.. {
            self.tell(RunEvent::ScenarioBegun {
                cluster: self.cluster.clone(),
                scenario: scenario.id.clone(),
                after: earlier.last().cloned(),
            });
            let on_step = |step: String| {
                self.tell(RunEvent::ScenarioStep {
                    cluster: self.cluster.clone(),
                    scenario: scenario.id.clone(),
                    step,
                });
            };
            let keep = self.options.keep;
            let evidence =
                observe(&self.session, scenario, attempt, keep, &self.stop, on_step).await;
            let (decided, judgements, warnings) = match judge(scenario, &evidence) {
                Ok(judged) => {
                    let judgements = self.plan.wanted(judged.judgements);
                    // A cluster that really behaves otherwise does so again.
                    let decided = !judgements.iter().any(Judgement::is_unexpected);
                    (decided, judgements, judged.warnings)
                }
                // The problems stand in the scenario's results; there is no verdict.
                Err(_) => (false, Vec::new(), Vec::new()),
            };
            let last = decided || attempt >= self.options.attempts || self.stop.is_cancelled();
            let written = self.write(&evidence, last);
            if !last {
                earlier.push(EarlierAttempt::new(&evidence, &judgements, written));
                continue;
            }
            for warning in warnings {
                self.warn(warning);
            }
            self.tell(RunEvent::ScenarioEnded {
                cluster: self.cluster.clone(),
                scenario: ScenarioResults::new(scenario, &evidence, earlier, written),
                judgements,
            });
            return;
        }
    }

    /// Writes the evidence; an attempt that is not the last one is kept beside it.
    fn write(&self, evidence: &Evidence, last: bool) -> Option<String> {
        let name = store::file_name(evidence, last);
        let relative = format!("evidence/{}/{name}", slug(&self.cluster));
        match store::write(&self.options.out.join(&relative), evidence) {
            Ok(()) => Some(relative),
            Err(error) => {
                self.warn(error.to_string());
                None
            }
        }
    }

    fn tell(&self, event: RunEvent) {
        // Nobody listens any more only when the program is on its way out.
        let _ = self.events.send(event);
    }

    fn warn(&self, text: String) {
        self.tell(RunEvent::Warning { text });
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
