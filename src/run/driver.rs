//! Drives a run: several clusters at a time, each in each round, from provisioning to teardown.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use itertools::Itertools as _;
use jiff::Timestamp;
use kube::Client;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;

use super::Run;
use super::dispatch::Dispatch;
use crate::cluster::kind::Cluster;
use crate::evidence::ClusterFacts;
use crate::judge::verdict::untestable;
use crate::observe::connect::ConnectError;
use crate::observe::session::{self, Session, Target};
use crate::observe::{outside, scratch};
use crate::report::error::ReportError;
use crate::report::event::{Planned, RunEvent, Stopped};
use crate::report::reports::Reports;
use crate::report::results::{ClusterResults, Phase};
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

impl Run {
    /// Failures of clusters are events and do not end the run. Returns why scenarios did not run, if so.
    pub(crate) async fn drive<P: Place>(self: &Arc<Self>, places: &[P]) -> Option<Stopped> {
        let id = crate::id::random_id(6);
        let rounds = self.rounds(places, &id);
        self.send(RunEvent::Begun {
            run: id,
            claims: self.plan.infos(&self.catalogue),
            accounts: self.plan.accounts(&self.catalogue),
            clusters: rounds.iter().map(Round::column).collect(),
        });
        let watch = tokio::spawn(watch(self.clone()));
        let slots = Arc::new(Semaphore::new(self.jobs));
        let of_cluster = rounds.chunk_by(|one, next| std::ptr::eq(one.place, next.place));
        let clusters = of_cluster.map(|rounds| Box::pin(self.cluster(rounds, &slots)));
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
    async fn cluster<P: Place>(&self, rounds: &[Round<'_, P>], slots: &Arc<Semaphore>) -> bool {
        let mut complete = true;
        for round in rounds {
            if self.stop.reason().is_some() {
                complete = false;
                break;
            }
            complete &= Box::pin(round.drive(slots)).await;
        }
        if let Err(text) = rounds[0].place.leave().await {
            self.warn(text);
        }
        complete
    }

    /// What [`Self::drive`] would do, as far as that is known without the clusters.
    pub(crate) fn planned<P: Place>(self: &Arc<Self>, places: &[P]) -> Vec<Planned> {
        let rounds = self.rounds(places, "").into_iter();
        let planned = rounds.map(|round| {
            let known = round.place.known();
            let plan = &self.plan;
            plan.forecast(&self.catalogue, round.name, &known, self.jobs)
        });
        planned.collect()
    }

    /// The rounds of a run with an id. A cluster that is named twice is one column.
    fn rounds<'a, P: Place>(self: &'a Arc<Self>, places: &'a [P], id: &str) -> Vec<Round<'a, P>> {
        let rounds = places.iter().cartesian_product(1..=self.repeat);
        let rounds = rounds.map(|(place, number)| {
            let (mut id, mut name) = (id.to_owned(), place.name());
            if number > 1 {
                id = format!("{id}-{number}");
                name = format!("{name} #{number}");
            }
            let run = self;
            Round {
                run,
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
async fn watch(run: Arc<Run>) {
    let mut reasons = run.stop.reasons();
    let deadline = async {
        if let Some(limit) = run.timeout {
            tokio::time::sleep(limit).await;
            run.stop.request(Stopped::TimedOut);
        }
    };
    let announce = async {
        while reasons.changed().await.is_ok() {
            let reason = *reasons.borrow_and_update();
            if let Some(reason) = reason {
                run.send(RunEvent::Stopping { reason });
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
    run: &'a Arc<Run>,
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
        column.label.clone_from(&self.run.label);
        column.run.id.clone_from(&self.id);
        column.run.round = self.number;
        column.run.shards.clone_from(&self.run.shards);
        column
    }

    /// Returns whether all scenarios started, or none because the cluster failed.
    async fn drive(&self, slots: &Arc<Semaphore>) -> bool {
        let run = self.run;
        let provision = async {
            let (run, cluster) = (run.clone(), self.name.clone());
            let say = move |doing| {
                let cluster = cluster.clone();
                run.send(RunEvent::PhaseProgress { cluster, doing });
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
        for judgement in run.plan.wanted(untestable(&run.catalogue)) {
            run.send(RunEvent::Judged {
                cluster: self.name.clone(),
                judgement: Box::new(judgement),
            });
        }
        let dispatch = Dispatch {
            session: session.clone(),
            cluster: self.name.clone(),
            run: run.clone(),
            slots: slots.clone(),
        };
        let complete = dispatch.run().await;
        let finished = async {
            session.finish(run.keep).await.map_err(|e| e.to_string())?;
            let note = if run.keep {
                "kept"
            } else {
                "namespaces removed"
            };
            Ok(((), note.to_owned()))
        };
        self.phase(TEARDOWN, finished).await;
        let cluster = self.name.clone();
        run.send(RunEvent::ClusterEnded { cluster });
        complete
    }

    /// Runs a phase and reports its outcome. Returns `None` if it failed.
    async fn phase<T>(
        &self,
        name: &str,
        work: impl Future<Output = Result<(T, String), String>>,
    ) -> Option<T> {
        let began = Timestamp::now();
        self.run.send(RunEvent::PhaseBegun {
            cluster: self.name.clone(),
            name: name.to_owned(),
        });
        let ended = tokio::select! {
            ended = work => ended,
            () = self.run.stop.timed_out(), if name != TEARDOWN => Err("the run timed out; raise --timeout".to_owned()),
        };
        let (value, note, error) = match ended {
            Ok((value, note)) => (Some(value), note, None),
            Err(error) => (None, String::new(), Some(error)),
        };
        self.run.send(RunEvent::PhaseEnded {
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
    use std::time::Duration;

    use rstest::rstest;

    use super::super::plan::Plan;
    use super::*;
    use crate::catalogue::model::Catalogue;
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

    fn example(repeat: u32, timeout: Option<Duration>) -> (Run, UnboundedReceiver<RunEvent>) {
        let (run, received) = Run::example(Catalogue::default(), Plan::default());
        let run = Run {
            repeat,
            timeout,
            ..run
        };
        (run, received)
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
        let (run, received) = example(2, None);
        let place = Broken::new(false);
        assert_eq!(
            Arc::new(run).drive(std::slice::from_ref(&place)).await,
            None
        );
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
        let (mut run, mut received) = example(2, Some(Duration::from_secs(30)));
        run.clusters = 2;
        let barrier = Arc::new(tokio::sync::Barrier::new(2));
        let places = [Paired("a", barrier.clone()), Paired("b", barrier)];
        assert_eq!(Arc::new(run).drive(&places).await, None);
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
        let (run, received) = example(3, Some(Duration::from_millis(20)));
        let place = Broken::new(true);
        let stopped = Arc::new(run).drive(std::slice::from_ref(&place)).await;
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
