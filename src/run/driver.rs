//! Drives a run: each cluster in each round, from provisioning to teardown.

use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use super::dispatch::{Dispatch, Options};
use super::plan::Plan;
use crate::catalogue::model::Catalogue;
use crate::cluster::kind::Cluster;
use crate::judge::verdict::untestable;
use crate::observe::session::{self, Session, Target};
use crate::observe::{outside, scratch};
use crate::report::error::ReportError;
use crate::report::event::RunEvent;
use crate::report::reports::Reports;
use crate::report::results::Phase;
use crate::report::text::count;

/// Where a run finds a cluster.
pub(crate) trait Place {
    /// The cluster's name in events and results.
    fn name(&self) -> String;

    /// Connects to the cluster, and creates it first if necessary. `say` reports progress.
    async fn provide(
        &self,
        say: impl Fn(String) + Clone + Send + 'static,
    ) -> Result<Provided, String>;
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
    /// Number of rounds on each cluster.
    pub(crate) repeat: u32,
    pub(crate) events: UnboundedSender<RunEvent>,
    pub(crate) stop: CancellationToken,
}

impl Driver {
    /// Failures of clusters are events and do not end the run.
    pub(crate) async fn run<P: Place>(self, places: &[P]) {
        let id = crate::id::random_id(6);
        let rounds: Vec<Round<P>> = (1..=self.repeat)
            .flat_map(|number| places.iter().map(move |place| Round { place, number }))
            .collect();
        send(
            &self.events,
            RunEvent::Begun {
                run: id.clone(),
                claims: self.plan.infos(&self.catalogue),
                clusters: rounds.iter().map(Round::name).collect(),
            },
        );
        for round in &rounds {
            if self.stop.is_cancelled() {
                break;
            }
            let one = OneCluster {
                id: &round.run(&id),
                round,
                driver: &self,
            };
            Box::pin(one.run()).await;
        }
        send(
            &self.events,
            RunEvent::Ended {
                interrupted: self.stop.is_cancelled(),
            },
        );
    }
}

/// Writes the reports until the last event, and passes each event to `show` first.
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
    /// The name in events and results.
    fn name(&self) -> String {
        self.numbered(self.place.name())
    }

    /// Appends the number of the repetition, except for the first.
    fn numbered(&self, words: String) -> String {
        match self.number {
            1 => words,
            number => format!("{words} #{number}"),
        }
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
}

impl<P: Place> OneCluster<'_, P> {
    async fn run(self) {
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
            return;
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
            return;
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
            return;
        };
        for judgement in plan.wanted(untestable(catalogue)) {
            send(
                events,
                RunEvent::Judged {
                    cluster: cluster.clone(),
                    judgement: Box::new(judgement),
                },
            );
        }
        let dispatch = Dispatch {
            session: session.clone(),
            cluster: cluster.clone(),
            catalogue: catalogue.clone(),
            plan: plan.clone(),
            options: options.clone(),
            events: events.clone(),
            stop: stop.clone(),
        };
        dispatch.run().await;
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
        self.phase("teardown", finished).await;
        send(events, RunEvent::ClusterEnded { cluster });
    }

    /// Runs a phase and reports its outcome. Returns `None` if it failed.
    async fn phase<T>(
        &self,
        name: &str,
        work: impl Future<Output = Result<(T, String), String>>,
    ) -> Option<T> {
        let began = Timestamp::now();
        send(
            &self.driver.events,
            RunEvent::Provisioning {
                cluster: self.round.name(),
                doing: name.to_owned(),
            },
        );
        let (value, note, error) = match work.await {
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
        send(
            &self.driver.events,
            RunEvent::PhaseEnded {
                cluster: self.round.name(),
                phase,
            },
        );
        value
    }

    async fn provision(&self) -> Result<(Provided, String), String> {
        let events = self.driver.events.clone();
        let cluster = self.round.name();
        let say = move |doing: String| {
            send(
                &events,
                RunEvent::Provisioning {
                    cluster: cluster.clone(),
                    doing,
                },
            );
        };
        let mut provided = self.round.place.provide(say).await?;
        let facts = &mut provided.target.facts;
        facts.profile = self.round.numbered(std::mem::take(&mut facts.profile));
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
