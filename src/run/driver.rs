//! Drives a run: several clusters at a time, each in each round, from provisioning to teardown.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use kube::Client;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::dispatch::{Dispatch, Options};
use super::plan::Plan;
use super::stop::Stop;
use crate::catalogue::model::Catalogue;
use crate::cluster::kind::Cluster;
use crate::evidence::ClusterFacts;
use crate::judge::verdict::untestable;
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

    /// Connects to the cluster, and creates it first if necessary. `say` reports progress.
    async fn provide(
        &self,
        say: impl Fn(String) + Clone + Send + 'static,
    ) -> Result<Provided, String>;

    /// Called after the last round: removes the cluster if nothing else will need it.
    async fn leave(&self) -> Result<(), String>;
}

/// A cluster that is ready for a run.
pub(crate) struct Provided {
    pub(crate) target: Target,
    /// How the cluster was obtained, for the report.
    pub(crate) note: String,
    /// Prevents other processes from deleting the cluster while it is held.
    pub(crate) lease: Option<Cluster>,
}

/// A run of a plan on one or more clusters.
pub(crate) struct Driver {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) plan: Plan,
    pub(crate) options: Options,
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
    pub(crate) events: UnboundedSender<RunEvent>,
    pub(crate) stop: Stop,
}

impl Driver {
    /// Failures of clusters are events and do not end the run. Returns why scenarios did not run, if so.
    pub(crate) async fn run<P: Place>(self, places: &[P]) -> Option<Stopped> {
        let id = crate::id::random_id(6);
        let rounds = self.rounds(places);
        self.send(RunEvent::Begun {
            run: id.clone(),
            claims: self.plan.infos(&self.catalogue),
            accounts: self.plan.accounts(&self.catalogue),
            clusters: rounds
                .iter()
                .map(|round| round.column(&id, &self))
                .collect(),
        });
        let watch = tokio::spawn(watch(self.stop.clone(), self.timeout, self.events.clone()));
        let slots = Arc::new(Semaphore::new(self.options.jobs));
        let (driver, id, slots) = (&self, id.as_str(), &slots);
        let of_cluster = rounds.chunk_by(|one, next| std::ptr::eq(one.place, next.place));
        let clusters = of_cluster.map(|rounds| Box::pin(driver.cluster(id, rounds, slots)));
        let complete = stream::iter(clusters)
            .buffer_unordered(self.clusters)
            .fold(true, async |all, complete| all && complete)
            .await;
        watch.abort();
        let stopped = stopped(self.stop.reason(), complete);
        self.send(RunEvent::Ended { stopped });
        stopped
    }

    /// Runs the rounds on one cluster. Returns whether all scenarios started.
    async fn cluster<P: Place>(
        &self,
        id: &str,
        rounds: &[Round<'_, P>],
        slots: &Arc<Semaphore>,
    ) -> bool {
        let mut complete = true;
        for round in rounds {
            if self.stop.reason().is_some() {
                complete = false;
                break;
            }
            let one = OneCluster {
                id: &round.run(id),
                round,
                driver: self,
                slots,
            };
            complete &= Box::pin(one.run()).await;
        }
        if let Some(round) = rounds.first()
            && let Err(text) = round.place.leave().await
        {
            self.send(RunEvent::Warning { text });
        }
        complete
    }

    /// What [`Self::run`] would do, as far as that is known without the clusters.
    pub(crate) fn planned<P: Place>(&self, places: &[P]) -> Vec<Planned> {
        let planned = |round: &Round<P>| {
            let known = round.place.known();
            self.plan
                .forecast(&self.catalogue, round.name(), &known, self.options.jobs)
        };
        self.rounds(places).iter().map(planned).collect()
    }

    fn rounds<'a, P: Place>(&self, places: &'a [P]) -> Vec<Round<'a, P>> {
        // A cluster that is named twice is one column.
        let mut names = BTreeSet::new();
        places
            .iter()
            .flat_map(|place| (1..=self.repeat).map(move |number| Round { place, number }))
            .filter(|round| names.insert(round.name()))
            .collect()
    }

    fn send(&self, event: RunEvent) {
        send(&self.events, event);
    }
}

/// Stops the run at its limit, and sends an event whenever there is a reason to stop.
async fn watch(stop: Stop, limit: Option<Duration>, events: UnboundedSender<RunEvent>) {
    let mut reasons = stop.reasons();
    let deadline = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
        stop.request(Stopped::TimedOut);
        std::future::pending::<()>().await;
    };
    let announce = async {
        while reasons.changed().await.is_ok() {
            let reason = *reasons.borrow_and_update();
            if let Some(reason) = reason {
                send(&events, RunEvent::Stopping { reason });
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
    let mut failed: Option<ReportError> = None;
    while let Some(event) = events.recv().await {
        show(&event);
        if let Err(error) = reports.on(&event) {
            // Warn once: every event fails if the disk is full or the folder is gone.
            if failed.is_none() {
                show(&RunEvent::Warning {
                    text: error.to_string(),
                });
                failed = Some(error);
            }
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
    place: &'a P,
    /// From 1.
    number: u32,
}

impl<P: Place> Round<'_, P> {
    /// The name in events, with the number of the repetition, except for the first.
    fn name(&self) -> String {
        match self.number {
            1 => self.place.name(),
            number => format!("{} #{number}", self.place.name()),
        }
    }

    /// The empty column of the results.
    fn column(&self, id: &str, driver: &Driver) -> ClusterResults {
        let mut column = ClusterResults::new(&self.name());
        column.label.clone_from(&driver.label);
        column.run.id = self.run(id);
        column.run.round = self.number;
        column.run.shards.clone_from(&driver.shards);
        column
    }

    /// The run id in names and labels on the cluster.
    fn run(&self, id: &str) -> String {
        match self.number {
            1 => id.to_owned(),
            number => format!("{id}-{number}"),
        }
    }
}

struct OneCluster<'a, P> {
    id: &'a str,
    round: &'a Round<'a, P>,
    driver: &'a Driver,
    slots: &'a Arc<Semaphore>,
}

impl<P: Place> OneCluster<'_, P> {
    /// Returns whether all scenarios started, or none because the cluster failed.
    async fn run(self) -> bool {
        let Driver {
            catalogue,
            plan,
            options,
            events,
            stop,
            ..
        } = self.driver;
        let cluster = self.round.name();
        let Some(provided) = self.phase("provision", self.provision()).await else {
            return true;
        };
        // Held to the end: no process deletes the cluster while the lease is held.
        let Provided {
            target,
            lease: _lease,
            ..
        } = provided;
        let client = target.client.clone();
        // Leftovers of a killed run would take up the node's capacity.
        if self.phase("clean", clean(&client)).await.is_none() {
            return true;
        }
        let started = async {
            let session = Session::start(self.id, target)
                .await
                .map_err(|e| e.to_string())?;
            Ok((session, "witness ready".to_owned()))
        };
        let Some(session) = Box::pin(self.phase("ready", started)).await else {
            // Everything created so far carries the run's label. The next run removes what remains.
            let _ = session::remove_run(&client, self.id).await;
            return true;
        };
        for judgement in plan.wanted(untestable(catalogue)) {
            self.driver.send(RunEvent::Judged {
                cluster: cluster.clone(),
                judgement: Box::new(judgement),
            });
        }
        let dispatch = Dispatch {
            session: session.clone(),
            cluster: cluster.clone(),
            catalogue: catalogue.clone(),
            plan: plan.clone(),
            options: options.clone(),
            slots: self.slots.clone(),
            events: events.clone(),
            stop: stop.clone(),
        };
        let complete = dispatch.run().await;
        let finished = async {
            session
                .finish(options.keep)
                .await
                .map_err(|e| e.to_string())?;
            let note = if options.keep {
                "kept"
            } else {
                "namespaces removed"
            };
            Ok(((), note.to_owned()))
        };
        self.phase(TEARDOWN, finished).await;
        self.driver.send(RunEvent::ClusterEnded { cluster });
        complete
    }

    /// Runs a phase and reports its outcome. Returns `None` if it failed.
    async fn phase<T>(
        &self,
        name: &str,
        work: impl Future<Output = Result<(T, String), String>>,
    ) -> Option<T> {
        let began = Timestamp::now();
        self.driver.send(RunEvent::PhaseBegun {
            cluster: self.round.name(),
            name: name.to_owned(),
        });
        let timed_out = async {
            if name == TEARDOWN {
                std::future::pending::<()>().await;
            }
            self.driver.stop.timed_out().await;
        };
        let ended = tokio::select! {
            ended = work => ended,
            () = timed_out => Err("the run timed out; raise --timeout".to_owned()),
        };
        let (value, note, error) = match ended {
            Ok((value, note)) => (Some(value), note, None),
            Err(error) => (None, String::new(), Some(error)),
        };
        let phase = Phase {
            name: name.to_owned(),
            began,
            seconds: Timestamp::now().duration_since(began).as_secs_f64(),
            error,
            note,
        };
        self.driver.send(RunEvent::PhaseEnded {
            cluster: self.round.name(),
            phase,
        });
        value
    }

    async fn provision(&self) -> Result<(Provided, String), String> {
        let events = self.driver.events.clone();
        let cluster = self.round.name();
        let say = move |doing: String| {
            send(
                &events,
                RunEvent::PhaseProgress {
                    cluster: cluster.clone(),
                    doing,
                },
            );
        };
        let provided = self.round.place.provide(say).await?;
        let note = provided.note.clone();
        Ok((provided, note))
    }
}

/// Removes what earlier runs left on this machine and on the cluster.
async fn clean(client: &Client) -> Result<((), String), String> {
    let _ = scratch::clean();
    let _ = outside::clean().await;
    let removed = session::clean(client, false)
        .await
        .map_err(|e| e.to_string())?;
    Ok((
        (),
        format!("{} removed", count(removed.len(), "earlier run")),
    ))
}

fn send(events: &UnboundedSender<RunEvent>, event: RunEvent) {
    // The receiver outlives the sender.
    let _ = events.send(event);
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use rstest::rstest;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

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
        ) -> Result<Provided, String> {
            say("creating the cluster".to_owned());
            if let Ok(mut provided) = self.provided.lock() {
                *provided += 1;
            }
            if self.hangs {
                std::future::pending::<()>().await;
            }
            Err("no space left".to_owned())
        }

        async fn leave(&self) -> Result<(), String> {
            Err("left".to_owned())
        }
    }

    fn driver(repeat: u32, timeout: Option<Duration>) -> (Driver, UnboundedReceiver<RunEvent>) {
        let (events, received) = unbounded_channel();
        let driver = Driver {
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
            clusters: 1,
            repeat,
            label: None,
            shards: None,
            timeout,
            events,
            stop: Stop::default(),
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
        ) -> Result<Provided, String> {
            self.1.wait().await;
            Err(format!("{} failed", self.0))
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
