//! Drives a run: several clusters at a time, each in each round, from provisioning to teardown.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use itertools::Itertools as _;
use jiff::Timestamp;
use kube::Client;
use tokio::sync::mpsc::UnboundedReceiver;

use super::dispatch::{Dispatch, Shared};
use crate::cluster::kind::Cluster;
use crate::evidence::ClusterFacts;
use crate::judge::verdict::untestable;
use crate::observe::connect::ConnectError;
use crate::observe::session::{self, Session, Target};
use crate::observe::{outside, scratch};
use crate::report::error::ReportError;
use crate::report::event::{Planned, RunEvent, Stopped};
use crate::report::reports::Reports;
use crate::report::results::{ClusterResults, Phase, Shards};
use crate::report::text::count;

/// The phase that always runs to its end.
const TEARDOWN: &str = "teardown";

/// Where a run finds a cluster.
pub(crate) trait Place {
    /// The cluster's name in events and results.
    fn name(&self) -> String;

    /// What is known without the cluster; empty fields are unknown.
    fn known(&self) -> ClusterFacts;

    /// Connects to the cluster, and creates it first if necessary. `say` reports progress. Returns how the cluster was
    /// obtained, for the report.
    async fn provide(
        &self,
        say: impl Fn(String) + Clone + Send + 'static,
    ) -> Result<(Provided, String), ConnectError>;

    /// Called after the last round: removes the cluster if nothing else will need it.
    async fn leave(&self) -> Result<(), String>;
}

/// A cluster that is ready for a run.
pub(crate) struct Provided {
    pub(crate) target: Target,
    /// Prevents other processes from deleting the cluster while it is held.
    pub(crate) lease: Option<Cluster>,
}

/// A run of a plan on one or more clusters.
pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    /// Number of clusters that exist at a time.
    pub(crate) clusters: usize,
    /// Number of rounds on each cluster.
    pub(crate) repeat: u32,
    /// Limit of the whole run.
    pub(crate) timeout: Option<Duration>,
    /// Heading of the run in reports.
    pub(crate) label: Option<String>,
    /// The part of the run that the plan is.
    pub(crate) shards: Option<Shards>,
}

impl Driver {
    /// Failures of clusters are events and do not end the run. Returns why scenarios did not run, if so.
    pub(crate) async fn run<P: Place>(self, places: &[P]) -> Option<Stopped> {
        let Shared { plan, stop, .. } = &*self.shared;
        let id = crate::id::random_id(6);
        let rounds = self.rounds(places, &id);
        self.shared.send(RunEvent::Begun {
            run: id,
            claims: plan.infos(&self.shared.catalogue),
            accounts: plan.accounts(&self.shared.catalogue),
            clusters: rounds.iter().map(Round::column).collect(),
        });
        let watch = tokio::spawn(watch(self.shared.clone(), self.timeout));
        let of_cluster = rounds.chunk_by(|one, next| std::ptr::eq(one.place, next.place));
        let clusters = of_cluster.map(|rounds| Box::pin(self.cluster(rounds)));
        let complete = stream::iter(clusters)
            .buffer_unordered(self.clusters)
            .fold(true, async |all, complete| all && complete)
            .await;
        watch.abort();
        let stopped = stopped(stop.reason(), complete);
        self.shared.send(RunEvent::Ended { stopped });
        stopped
    }

    /// Runs the rounds on one cluster. Returns whether all scenarios started.
    async fn cluster<P: Place>(&self, rounds: &[Round<'_, P>]) -> bool {
        let mut complete = true;
        for round in rounds {
            if self.shared.stop.reason().is_some() {
                complete = false;
                break;
            }
            complete &= Box::pin(round.run()).await;
        }
        if let Err(text) = rounds[0].place.leave().await {
            self.shared.send(RunEvent::Warning { text });
        }
        complete
    }

    /// What [`Self::run`] would do, as far as that is known without the clusters.
    pub(crate) fn planned<P: Place>(&self, places: &[P]) -> Vec<Planned> {
        let (plan, catalogue) = (&self.shared.plan, &self.shared.catalogue);
        let rounds = self.rounds(places, "").into_iter();
        let planned = rounds.map(|round| {
            let known = round.place.known();
            plan.forecast(catalogue, round.name, &known, self.shared.options.jobs)
        });
        planned.collect()
    }

    /// The rounds of a run with an id. A cluster that is named twice is one column.
    fn rounds<'a, P: Place>(&'a self, places: &'a [P], id: &str) -> Vec<Round<'a, P>> {
        let rounds = places.iter().cartesian_product(1..=self.repeat);
        let rounds = rounds.map(|(place, number)| {
            let (mut id, mut name) = (id.to_owned(), place.name());
            if number > 1 {
                id = format!("{id}-{number}");
                name = format!("{name} #{number}");
            }
            Round {
                driver: self,
                place,
                number,
                id,
                name,
            }
        });
        rounds.unique_by(|round| round.name.clone()).collect()
    }
}

/// Stops the run at its limit, and sends an event whenever there is a reason to stop.
async fn watch(shared: Arc<Shared>, limit: Option<Duration>) {
    let mut reasons = shared.stop.reasons();
    let deadline = async {
        if let Some(limit) = limit {
            tokio::time::sleep(limit).await;
            shared.stop.request(Stopped::TimedOut);
        }
    };
    let announce = async {
        while reasons.changed().await.is_ok() {
            let reason = *reasons.borrow_and_update();
            if let Some(reason) = reason {
                shared.send(RunEvent::Stopping { reason });
            }
        }
    };
    tokio::join!(deadline, announce);
}

/// A failure does not stop a run in which nothing is left to start.
fn stopped(reason: Option<Stopped>, complete: bool) -> Option<Stopped> {
    reason.filter(|reason| !complete || *reason != Stopped::FailFast)
}

/// Passes each event to `show` and writes the reports, until the run ends.
/// Returns the reports and the first error in writing them.
pub(crate) async fn collect(
    mut events: UnboundedReceiver<RunEvent>,
    mut reports: Reports,
    mut show: impl FnMut(&RunEvent),
) -> (Reports, Option<ReportError>) {
    let mut failed = None;
    while let Some(event) = events.recv().await {
        show(&event);
        // Warn once: every event fails if the disk is full or the folder is gone.
        if let (Err(error), None) = (reports.on(&event), &failed) {
            let text = error.to_string();
            show(&RunEvent::Warning { text });
            failed = Some(error);
        }
        // After a timeout, provisioning may still hold a sender.
        if matches!(event, RunEvent::Ended { .. }) {
            break;
        }
    }
    (reports, failed)
}

/// One repetition on one cluster.
struct Round<'a, P> {
    driver: &'a Driver,
    place: &'a P,
    /// From 1.
    number: u32,
    /// The run id in names and labels on the cluster, with the number of the repetition, except for the first.
    id: String,
    /// The cluster's name in events, likewise.
    name: String,
}

impl<P: Place> Round<'_, P> {
    /// The empty column of the results.
    fn column(&self) -> ClusterResults {
        let mut column = ClusterResults::new(&self.name);
        column.label.clone_from(&self.driver.label);
        column.run.id.clone_from(&self.id);
        column.run.round = self.number;
        column.run.shards.clone_from(&self.driver.shards);
        column
    }

    /// Returns whether all scenarios started, or none because the cluster failed.
    async fn run(&self) -> bool {
        let shared = &self.driver.shared;
        let provision = async {
            let (shared, cluster) = (shared.clone(), self.name.clone());
            let say = move |doing| {
                let cluster = cluster.clone();
                shared.send(RunEvent::PhaseProgress { cluster, doing });
            };
            let provided = self.place.provide(say).await;
            provided.map_err(|e| e.to_string())
        };
        // Held to the end: no process deletes the cluster while the lease is held.
        let Some(Provided {
            target,
            lease: _lease,
        }) = self.phase("provision", provision).await
        else {
            return true;
        };
        let client = target.client.clone();
        // Leftovers of a killed run would take up the node's capacity.
        if self.phase("clean", clean(&client)).await.is_none() {
            return true;
        }
        let started = async {
            let session = Session::start(&self.id, target).await;
            let session = session.map_err(|e| e.to_string())?;
            Ok((session, "witness ready".to_owned()))
        };
        let Some(session) = Box::pin(self.phase("ready", started)).await else {
            // Everything created so far carries the run's label. The next run removes what remains.
            let _ = session::remove_run(&client, &self.id).await;
            return true;
        };
        for judgement in shared.plan.wanted(untestable(&shared.catalogue)) {
            shared.send(RunEvent::Judged {
                cluster: self.name.clone(),
                judgement: Box::new(judgement),
            });
        }
        let dispatch = Dispatch {
            session: session.clone(),
            cluster: self.name.clone(),
            shared: shared.clone(),
        };
        let complete = dispatch.run().await;
        let finished = async {
            let keep = shared.options.keep;
            session.finish(keep).await.map_err(|e| e.to_string())?;
            let note = if keep { "kept" } else { "namespaces removed" };
            Ok(((), note.to_owned()))
        };
        self.phase(TEARDOWN, finished).await;
        let cluster = self.name.clone();
        shared.send(RunEvent::ClusterEnded { cluster });
        complete
    }

    /// Runs a phase and reports its outcome. Returns `None` if it failed.
    async fn phase<T>(
        &self,
        name: &str,
        work: impl Future<Output = Result<(T, String), String>>,
    ) -> Option<T> {
        let Shared { stop, .. } = &*self.driver.shared;
        let began = Timestamp::now();
        self.driver.shared.send(RunEvent::PhaseBegun {
            cluster: self.name.clone(),
            name: name.to_owned(),
        });
        let ended = tokio::select! {
            ended = work => ended,
            () = stop.timed_out(), if name != TEARDOWN => Err("the run timed out; raise --timeout".to_owned()),
        };
        let (value, note, error) = match ended {
            Ok((value, note)) => (Some(value), note, None),
            Err(error) => (None, String::new(), Some(error)),
        };
        self.driver.shared.send(RunEvent::PhaseEnded {
            cluster: self.name.clone(),
            phase: Phase {
                name: name.to_owned(),
                began,
                seconds: Timestamp::now().duration_since(began).as_secs_f64(),
                error,
                note,
            },
        });
        value
    }
}

/// Removes what earlier runs left on this machine and on the cluster.
async fn clean(client: &Client) -> Result<((), String), String> {
    let _ = scratch::clean();
    let _ = outside::clean().await;
    let removed = session::clean(client, false).await;
    let removed = removed.map_err(|e| e.to_string())?.len();
    Ok(((), format!("{} removed", count(removed, "earlier run"))))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use rstest::rstest;
    use tokio::sync::Semaphore;
    use tokio::sync::mpsc::unbounded_channel;

    use super::super::dispatch::Options;
    use super::super::plan::Plan;
    use super::super::stop::Stop;
    use super::*;
    use crate::cluster::error::ClusterError;

    /// A cluster that cannot be provided, at once or ever.
    struct Broken {
        hangs: bool,
        provided: Mutex<u32>,
    }

    impl Broken {
        fn new(hangs: bool) -> Self {
            Self {
                hangs,
                provided: Mutex::new(0),
            }
        }
    }

    impl Place for Broken {
        fn name(&self) -> String {
            "broken".to_owned()
        }

        fn known(&self) -> ClusterFacts {
            ClusterFacts::default()
        }

        async fn provide(
            &self,
            say: impl Fn(String) + Clone + Send + 'static,
        ) -> Result<(Provided, String), ConnectError> {
            say("creating the cluster".to_owned());
            if let Ok(mut provided) = self.provided.lock() {
                *provided += 1;
            }
            if self.hangs {
                std::future::pending::<()>().await;
            }
            Err(ClusterError::Refused("no space left".to_owned()).into())
        }

        async fn leave(&self) -> Result<(), String> {
            Err("left".to_owned())
        }
    }

    fn driver(repeat: u32, timeout: Option<Duration>) -> (Driver, UnboundedReceiver<RunEvent>) {
        let (events, received) = unbounded_channel();
        let driver = Driver {
            shared: Arc::new(Shared {
                catalogue: Arc::default(),
                plan: Plan::default(),
                options: Options {
                    jobs: 1,
                    attempts: 1,
                    fail_fast: false,
                    scenario_timeout: None,
                    keep: false,
                    resume: false,
                    out: "unused".into(),
                },
                slots: Arc::new(Semaphore::new(1)),
                events,
                stop: Stop::default(),
            }),
            clusters: 1,
            repeat,
            label: None,
            shards: None,
            timeout,
        };
        (driver, received)
    }

    fn errors(mut received: UnboundedReceiver<RunEvent>) -> Vec<String> {
        let mut errors = Vec::new();
        while let Ok(event) = received.try_recv() {
            if let RunEvent::PhaseEnded { phase, .. } = event {
                errors.extend(phase.error);
            }
        }
        errors
    }

    #[tokio::test]
    async fn a_failed_cluster_does_not_end_the_run() {
        let (driver, received) = driver(2, None);
        let place = Broken::new(false);
        assert_eq!(driver.run(std::slice::from_ref(&place)).await, None);
        assert_eq!(errors(received), ["no space left", "no space left"]);
        assert_eq!(place.provided.lock().map(|n| *n).ok(), Some(2));
    }

    /// A cluster that fails once another one is provided at the same time.
    struct Paired(&'static str, Arc<tokio::sync::Barrier>);

    impl Place for Paired {
        fn name(&self) -> String {
            self.0.to_owned()
        }

        fn known(&self) -> ClusterFacts {
            ClusterFacts::default()
        }

        async fn provide(
            &self,
            _say: impl Fn(String) + Clone + Send + 'static,
        ) -> Result<(Provided, String), ConnectError> {
            self.1.wait().await;
            Err(ClusterError::Refused(format!("{} failed", self.0)).into())
        }

        async fn leave(&self) -> Result<(), String> {
            Err(format!("left cluster {}", self.0))
        }
    }

    #[tokio::test]
    async fn clusters_run_at_the_same_time_and_their_rounds_one_by_one() {
        let (mut driver, mut received) = driver(2, Some(Duration::from_secs(30)));
        driver.clusters = 2;
        let barrier = Arc::new(tokio::sync::Barrier::new(2));
        let places = [Paired("a", barrier.clone()), Paired("b", barrier)];
        assert_eq!(driver.run(&places).await, None);
        let mut said = Vec::new();
        while let Ok(event) = received.try_recv() {
            match event {
                RunEvent::PhaseEnded { phase, .. } => said.extend(phase.error),
                RunEvent::Warning { text } => said.push(text),
                _ => {}
            }
        }
        said.sort();
        let expected = [
            "a failed",
            "a failed",
            "b failed",
            "b failed",
            "left cluster a",
            "left cluster b",
        ];
        assert_eq!(said, expected);
    }

    #[tokio::test]
    async fn a_timeout_ends_provisioning_and_the_remaining_rounds() {
        let (driver, received) = driver(3, Some(Duration::from_millis(20)));
        let place = Broken::new(true);
        let stopped = driver.run(std::slice::from_ref(&place)).await;
        assert_eq!(stopped, Some(Stopped::TimedOut));
        assert_eq!(errors(received), ["the run timed out; raise --timeout"]);
        assert_eq!(place.provided.lock().map(|n| *n).ok(), Some(1));
    }

    #[rstest]
    #[case::complete(None, true, None)]
    #[case::failed_at_the_end(Some(Stopped::FailFast), true, None)]
    #[case::failed_before_the_end(Some(Stopped::FailFast), false, Some(Stopped::FailFast))]
    #[case::scenarios_were_cut(Some(Stopped::TimedOut), true, Some(Stopped::TimedOut))]
    #[case::interrupted(Some(Stopped::Interrupted), false, Some(Stopped::Interrupted))]
    fn why_scenarios_did_not_run(
        #[case] reason: Option<Stopped>,
        #[case] complete: bool,
        #[case] expected: Option<Stopped>,
    ) {
        assert_eq!(stopped(reason, complete), expected);
    }
}
