//! `hookproof run`.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use crate::catalogue::capability::NGINX_IMAGE;
use crate::catalogue::model::Catalogue;
use crate::judge::verdict::untestable;
use crate::observe::session::{self, Session};
use crate::observe::{outside, scratch};
use crate::report::event::RunEvent;
use crate::report::results::Phase;
use crate::report::text::count;
use crate::run::dispatch::{Dispatch, Options};
use crate::run::plan::{Plan, Shard};

use super::clusters::{ClusterArgs, Extras, Provided, Where};
use super::exit::{Exit, Failure};
use super::suites::SuiteArgs;

/// Run experiments and report verdicts
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Claims, scenarios, suites or documents to select [default: all]
    words: Vec<String>,
    #[command(flatten)]
    suites: SuiteArgs,
    #[command(flatten)]
    clusters: ClusterArgs,
    /// Scenarios to run in parallel [default: four per core; more of them delay the kubelet]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Maximum attempts at a scenario that has a problem, is undecided, or gives an unexpected verdict
    #[arg(long, value_name = "N", default_value_t = 2)]
    attempts: u32,
    /// Run everything N times on each cluster, with separate results
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Run one of several shards, such as 1/3
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Keep namespaces after the run
    #[arg(long)]
    keep: bool,
    /// Folder for the results; results of an earlier run are replaced
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: Utf8PathBuf,
}

/// Returns an error only for invalid input: failures of machines and clusters are in the results
/// and give [`Exit::Infrastructure`].
pub(super) async fn run(args: RunArgs) -> Result<Exit, Failure> {
    let catalogue = Arc::new(args.suites.load()?);
    let claims = SuiteArgs::select(&catalogue, &args.words)?;
    let plan = Plan::new(&catalogue, &claims, args.shard);
    if plan.claims.is_empty() {
        return Err(Failure::usage(
            "no claim selected; `hookproof list` shows all claims",
        ));
    }
    let places = args.clusters.places()?;
    let rounds: Vec<Round> = (1..=args.repeat)
        .flat_map(|number| {
            let places = places.iter().cloned();
            places.map(move |place| Round { place, number })
        })
        .collect();
    let extras = Extras {
        nginx: plan.needs(&catalogue, NGINX_IMAGE),
        documents: args.suites.documents.clone(),
    };
    prepare_folder(&args.out)?;
    let id = crate::id::random_id(6);
    let stop = stop_on_signals();
    let (events, received) = mpsc::unbounded_channel();
    let reports = tokio::spawn(super::show::show(received, args.out.clone()));

    send(
        &events,
        RunEvent::Begun {
            run: id.clone(),
            claims: plan.infos(&catalogue),
            clusters: rounds.iter().map(Round::name).collect(),
        },
    );
    for round in &rounds {
        if stop.is_cancelled() {
            break;
        }
        let one = OneCluster {
            id: &round.run(&id),
            round,
            catalogue: &catalogue,
            plan: &plan,
            options: Options {
                jobs: args.jobs.unwrap_or_else(default_jobs),
                attempts: args.attempts.max(1),
                keep: args.keep,
                out: args.out.clone(),
            },
            clusters: &args.clusters,
            extras: &extras,
            events: &events,
            stop: &stop,
        };
        Box::pin(one.run()).await;
    }
    send(
        &events,
        RunEvent::Ended {
            interrupted: stop.is_cancelled(),
        },
    );
    drop(events);
    let shown = reports.await.map_err(Failure::infrastructure)?;
    if stop.is_cancelled() {
        return Ok(Exit::Interrupted);
    }
    shown
}

/// One repetition on one cluster.
struct Round {
    place: Where,
    /// From 1.
    number: u32,
}

impl Round {
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

struct OneCluster<'a> {
    id: &'a str,
    round: &'a Round,
    catalogue: &'a Arc<Catalogue>,
    plan: &'a Plan,
    options: Options,
    clusters: &'a ClusterArgs,
    extras: &'a Extras,
    events: &'a UnboundedSender<RunEvent>,
    stop: &'a CancellationToken,
}

impl OneCluster<'_> {
    async fn run(self) {
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
        let cleaned = async {
            let _ = scratch::clean();
            let _ = outside::clean().await;
            let removed = session::clean(&client, false)
                .await
                .map_err(|e| e.to_string())?;
            Ok((
                removed.len(),
                format!("{} removed", count(removed.len(), "earlier run")),
            ))
        };
        // Leftovers of a killed run would take up the node's capacity.
        if self.phase("clean", cleaned).await.is_none() {
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
        for judgement in self.plan.wanted(untestable(self.catalogue)) {
            send(
                self.events,
                RunEvent::Judged {
                    cluster: cluster.clone(),
                    judgement: Box::new(judgement),
                },
            );
        }
        let dispatch = Dispatch {
            session: session.clone(),
            cluster: cluster.clone(),
            catalogue: self.catalogue.clone(),
            plan: self.plan.clone(),
            options: self.options.clone(),
            events: self.events.clone(),
            stop: self.stop.clone(),
        };
        dispatch.run().await;
        let keep = self.options.keep;
        let finished = async {
            session.finish(keep).await.map_err(|e| e.to_string())?;
            Ok((
                (),
                if keep {
                    "kept".to_owned()
                } else {
                    "namespaces removed".to_owned()
                },
            ))
        };
        self.phase("teardown", finished).await;
        send(self.events, RunEvent::ClusterEnded { cluster });
    }

    /// Runs a phase and reports its outcome. Returns `None` if it failed.
    async fn phase<T>(
        &self,
        name: &str,
        work: impl Future<Output = Result<(T, String), String>>,
    ) -> Option<T> {
        let began = Timestamp::now();
        send(
            self.events,
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
            self.events,
            RunEvent::PhaseEnded {
                cluster: self.round.name(),
                phase,
            },
        );
        value
    }

    async fn provision(&self) -> Result<(Provided, String), String> {
        let events = self.events.clone();
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
        let mut provided = self
            .clusters
            .provide(&self.round.place, self.extras.clone(), say)
            .await?;
        let facts = &mut provided.target.facts;
        facts.profile = self.round.numbered(std::mem::take(&mut facts.profile));
        let note = provided.note.clone();
        Ok((provided, note))
    }
}

fn send(events: &UnboundedSender<RunEvent>, event: RunEvent) {
    // The receiver outlives the sender.
    let _ = events.send(event);
}

fn default_jobs() -> usize {
    4 * std::thread::available_parallelism().map_or(2, usize::from)
}

/// Creates the results folder, or clears earlier results. A folder with other content is an error.
fn prepare_folder(out: &Utf8Path) -> Result<(), Failure> {
    let fail = |e: std::io::Error| {
        Failure::usage(format!(
            "cannot use {out} for results: {e}; choose another folder with --out"
        ))
    };
    if out.exists() {
        let ours = out.join("results.json").is_file();
        let mut entries = out.read_dir_utf8().map_err(fail)?;
        if !ours && entries.next().is_some() {
            return Err(Failure::usage(format!(
                "{out} contains files other than results; choose another folder with --out"
            )));
        }
        for part in ["evidence", "junit"] {
            if out.join(part).exists() {
                std::fs::remove_dir_all(out.join(part)).map_err(fail)?;
            }
        }
    }
    std::fs::create_dir_all(out).map_err(fail)
}

/// Cancels the run on Ctrl-C or SIGTERM; a second signal exits without cleanup. The next run or
/// `hookproof clean` removes what remains on the cluster.
fn stop_on_signals() -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let Ok(mut term) =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        else {
            return;
        };
        let mut asked = 0;
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = term.recv() => {}
            }
            asked += 1;
            if asked > 1 {
                std::process::exit(i32::from(Exit::Interrupted.code()));
            }
            eprintln!("stopping and cleaning up; press Ctrl-C again to exit immediately");
            token.cancel();
        }
    });
    stop
}

pub(super) type Events = UnboundedReceiver<RunEvent>;
