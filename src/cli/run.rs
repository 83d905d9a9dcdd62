//! `hookproof run`.

use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use clap::builder::RangedU64ValueParser;
use jiff::SignedDuration;
use tokio::sync::mpsc;

use crate::catalogue::capability::NGINX_IMAGE;
use crate::report::event::{Message, Planned, RunEvent, Stopped};
use crate::report::json::read_results;
use crate::report::output::{clear, own};
use crate::report::progress::{Progress, Verbosity};
use crate::report::reports::Reports;
use crate::report::results::Shards;
use crate::report::terminal::{self, Layout};
use crate::run::Run;
use crate::run::driver::collect;
use crate::run::plan::{Plan, Shard, failed};
use crate::run::stop::Stop;

use super::accept::accept;
use super::cluster_args::ClusterArgs;
use super::links::Links;
use super::suites::Selection;
use super::{Exit, Failure, print};

/// Run experiments and report verdicts
#[allow(clippy::struct_excessive_bools, reason = "flags")]
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    selection: Selection,
    /// Select what was unexpected or had an error last time, from the results in --out
    #[arg(long)]
    failed: bool,
    /// Run one of several shards, such as 1/3
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    #[command(flatten)]
    clusters: ClusterArgs,
    /// Print what would run, with the expected time; create nothing
    #[arg(long)]
    dry_run: bool,
    /// Scenarios to run in parallel [default: four per core; more of them delay the kubelet]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    jobs: Option<usize>,
    /// Maximum attempts at a scenario that has a problem, is undecided, or gives an unexpected verdict
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
    /// Run everything N times on each cluster, with separate results
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Start no further scenario after an unexpected verdict or an error
    #[arg(long)]
    fail_fast: bool,
    /// Limit of the whole run, such as 30m; then the run cleans up
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// Limit of an attempt at a scenario, such as 5m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    scenario_timeout: Option<Duration>,
    /// Heading of this run in reports; shards of one run need the same label [default: version and profile]
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Continue an interrupted run in --out: scenarios with evidence of the same experiment and cluster are not repeated
    #[arg(long, conflicts_with = "failed")]
    resume: bool,
    /// Write unexpected verdicts into your own suites as the expected ones
    #[arg(long)]
    accept: bool,
    /// Keep namespaces after the run
    #[arg(long)]
    keep: bool,
    /// Folder for the results; results of an earlier run are replaced [default: results]
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
    #[command(flatten)]
    links: Links,
    /// Print only unexpected verdicts, errors and the last line
    #[arg(short, long)]
    quiet: bool,
    /// Print every verdict and step
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,
    /// Format of standard output
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    message_format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A summary at the end
    #[default]
    Human,
    /// An event per line
    Json,
}

/// Returns an error only for invalid input: failures of machines and clusters are in the results
/// and give [`Exit::Infrastructure`].
pub(super) async fn run(args: RunArgs) -> Result<Exit, Failure> {
    let suites = args.selection.suites.open()?;
    if args.accept {
        suites.writable()?;
    }
    let out = args.out.unwrap_or_else(|| suites.project.results.clone());
    let last = (args.failed || args.resume).then(|| read_results(&out));
    let last = last.transpose().map_err(Failure::usage)?;
    let catalogue = suites.load()?;
    let mut claims = args.selection.words.select(&catalogue)?;
    if let (Some(last), true) = (last, args.failed) {
        let failed = failed(&last);
        claims.retain(|claim| failed.contains(claim));
        if claims.is_empty() {
            note!("nothing to run: no selected claim was unexpected or had an error in {out}");
            return Ok(Exit::AsExpected);
        }
    }
    let plan = Plan::new(&catalogue, &claims, args.shard);
    if plan.claims.is_empty() {
        let message = "no claim selected; `hookproof list` shows all claims";
        return Err(Failure::usage(message));
    }
    let nginx = plan.needs(&catalogue, NGINX_IMAGE);
    let clusters = args.clusters.clusters(nginx, &suites.project).await?;
    let places = clusters.chosen();
    let verbosity = match (args.quiet, args.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let (events, received) = mpsc::unbounded_channel();
    let run = Arc::new(Run {
        catalogue,
        plan,
        shards: args.shard.map(|shard| Shards {
            parts: [shard.index].into(),
            of: shard.count,
        }),
        clusters: clusters.parallel,
        repeat: args.repeat,
        jobs: args.jobs.unwrap_or_else(default_jobs),
        attempts: args.attempts,
        fail_fast: args.fail_fast,
        timeout: args.timeout,
        scenario_timeout: args.scenario_timeout,
        keep: args.keep,
        resume: args.resume,
        label: args.label,
        out: out.clone(),
        events,
        stop: Stop::default(),
    });
    let json = args.message_format == Format::Json;
    if args.dry_run {
        print_plan(run.planned(&places), json);
        return Ok(Exit::AsExpected);
    }
    args.links.apply();
    own(&out)
        .and_then(|()| clear(&out, args.resume))
        .map_err(Failure::usage)?;
    let again = || std::process::exit(Exit::Interrupted.code().into());
    run.stop.on_signals(again);
    let mut progress = Progress::for_stderr(verbosity);
    let show = move |event: &RunEvent| {
        progress.on(event);
        if json {
            print_message(event);
        }
    };
    let reports = Reports::new(out, args.links.base());
    let collected = tokio::spawn(collect(received, reports, show));
    let stopped = Box::pin(run.drive(&places)).await;
    let (reports, unwritten) = collected.await.map_err(Failure::infrastructure)?;
    let results = reports.results();
    if !json {
        let layout = Layout::for_stdout();
        print::page(&match verbosity {
            Verbosity::Quiet => terminal::brief(results, layout),
            _ => terminal::summary(results, Some(&reports.page()), layout),
        });
    }
    let accepted = args.accept && accept(&suites, &run.catalogue, results)?;
    match (stopped, unwritten) {
        (Some(Stopped::Interrupted), _) => Ok(Exit::Interrupted),
        (_, Some(error)) => Err(Failure::infrastructure(error)),
        (Some(Stopped::TimedOut), None) => Ok(Exit::Infrastructure),
        (stopped, None) => Ok(match Exit::of(results, stopped.is_some()) {
            Exit::Changed if accepted => Exit::AsExpected,
            exit => exit,
        }),
    }
}

fn print_plan(clusters: Vec<Planned>, json: bool) {
    if json {
        print_message(&RunEvent::Planned { clusters });
    } else {
        print::out(&terminal::plan(&clusters));
    }
}

fn print_message(event: &RunEvent) {
    match serde_json::to_string(&Message::now(event)) {
        Ok(line) => line!("{line}"),
        // Every type has a JSON form.
        Err(error) => note!("warning: {error}"),
    }
}

fn default_jobs() -> usize {
    4 * std::thread::available_parallelism().map_or(2, usize::from)
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Option<SignedDuration> = text.parse().ok();
    let positive = parsed.and_then(|duration| Duration::try_from(duration).ok());
    positive
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "expected a duration such as `90s`, `5m` or `1h30m`".to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("90s", Some(90))]
    #[case("1h30m", Some(5400))]
    #[case("2 minutes", Some(120))]
    #[case("0s", None)]
    #[case("-5s", None)]
    #[case("5", None)]
    #[case("soon", None)]
    fn durations(#[case] text: &str, #[case] seconds: Option<u64>) {
        assert_eq!(duration(text).ok(), seconds.map(Duration::from_secs));
    }
}
