//! `hookproof run`.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::mpsc;

use crate::catalogue::capability::NGINX_IMAGE;
use crate::report::progress::Progress;
use crate::report::reports::Reports;
use crate::report::terminal;
use crate::run::dispatch::Options;
use crate::run::driver::{Driver, collect};
use crate::run::plan::{Plan, Shard};
use crate::run::signals::stop_on_signals;

use super::clusters::{ClusterArgs, Extras};
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
    let extras = Extras {
        nginx: plan.needs(&catalogue, NGINX_IMAGE),
        documents: args.suites.documents.clone(),
    };
    let places = args.clusters.places(&extras)?;
    prepare_folder(&args.out)?;
    let stop = stop_on_signals(|| std::process::exit(i32::from(Exit::Interrupted.code())));
    let (events, received) = mpsc::unbounded_channel();
    let mut progress = Progress::for_stderr();
    let reports = Reports::new(args.out.clone());
    let collected = tokio::spawn(collect(received, reports, move |event| progress.on(event)));
    let driver = Driver {
        catalogue,
        plan,
        options: Options {
            jobs: args.jobs.unwrap_or_else(default_jobs),
            attempts: args.attempts.max(1),
            keep: args.keep,
            out: args.out,
        },
        repeat: args.repeat,
        events,
        stop: stop.clone(),
    };
    Box::pin(driver.run(&places)).await;
    let (reports, failed) = collected.await.map_err(Failure::infrastructure)?;
    let (results, layout) = (reports.results(), terminal::Layout::for_stdout());
    text!(
        "{}",
        terminal::summary(results, Some(&reports.page()), layout)
    );
    match failed {
        _ if stop.is_cancelled() => Ok(Exit::Interrupted),
        Some(error) => Err(Failure::infrastructure(error)),
        None => Ok(Exit::of(results)),
    }
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
