//! The command line interface.

/// Prints a line to standard output; see [`print::out`].
macro_rules! line {
    ($($words:tt)*) => {
        $crate::cli::print::out(&format!("{}\n", format_args!($($words)*)))
    };
}

/// Prints a line to standard error; see [`print::note`].
macro_rules! note {
    ($($words:tt)*) => {
        $crate::cli::print::note(&format!($($words)*))
    };
}

mod accept;
mod annotate;
mod check;
mod cite;
mod cluster;
mod cluster_args;
mod completions;
mod coverage;
mod diff;
mod doctor;
mod exit;
mod explain;
mod images;
mod init;
mod judge;
mod k8s_job;
mod links;
mod lint;
mod list;
mod matrix;
mod new;
mod node_image;
mod print;
mod profiles;
mod rbac;
mod record;
mod report;
mod run;
mod sandbox;
mod site;
mod suites;

use std::process::ExitCode;

use anstream::ColorChoice;
use clap::{CommandFactory as _, Parser};
use tracing_subscriber::EnvFilter;

use exit::Exit::{self, AsExpected, Changed, Infrastructure, Interrupted, Usage};
use exit::{Failure, codes};

/// Test documented statements about container lifecycle hooks on real Kubernetes clusters
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = codes(&[
    (AsExpected, "success; all verdicts are as expected"),
    UNEXPECTED,
    NOT_OBSERVED,
    (Interrupted, "interrupted"),
]))]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    color: Color,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Color {
    /// On a terminal, unless `NO_COLOR` is set; elsewhere if `CLICOLOR_FORCE` is set
    #[default]
    Auto,
    Always,
    Never,
}

const UNEXPECTED: (Exit, &str) = (Changed, "a verdict is unexpected");
const EXPECTED: (Exit, &str) = (AsExpected, "all verdicts are as expected");
const NOT_OBSERVED: (Exit, &str) = (
    Infrastructure,
    "a cluster could not be set up or observed, or output could not be written",
);
const NOT_DONE: (Exit, &str) = (
    Infrastructure,
    "the machine or a cluster failed, or output could not be written",
);

#[derive(Debug, clap::Subcommand)]
enum Command {
    #[command(after_help = codes(&[
        EXPECTED, UNEXPECTED,
        (Infrastructure, "a cluster could not be set up or observed, the run timed out, or output could not be written"),
        (Interrupted, "interrupted; partial results are written"),
    ]))]
    Run(Box<run::RunArgs>),
    #[command(after_help = codes(&[]))]
    List(list::ListArgs),
    #[command(after_help = codes(&[]))]
    Explain(explain::ExplainArgs),
    #[command(after_help = codes(&[]))]
    Matrix(matrix::MatrixArgs),
    #[command(after_help = codes(&[(Usage, "invalid usage, or a file exists; nothing was written")]))]
    New(new::NewArgs),
    #[command(after_help = codes(&[(Usage, "a file exists; nothing was written")]))]
    Init(init::InitArgs),
    #[command(after_help = codes(&[(AsExpected, "no problems"), (Usage, "invalid usage, or problems in suites or citations")]))]
    Lint(lint::LintArgs),
    #[command(after_help = codes(&[
        (AsExpected, "nothing remains"),
        (Changed, "a sentence is neither cited nor accounted for"),
    ]))]
    Coverage(coverage::CoverageArgs),
    #[command(after_help = codes(&[]))]
    Cite(cite::CiteArgs),
    #[command(after_help = codes(&[EXPECTED, UNEXPECTED, NOT_OBSERVED]))]
    Judge(judge::JudgeArgs),
    #[command(after_help = codes(&[(Usage, "invalid usage, or evidence that cannot be recorded; nothing was written")]))]
    Record(record::RecordArgs),
    #[command(after_help = codes(&[(AsExpected, "all verdicts and alterations are as predicted"), (Changed, "a verdict or an alteration is not as predicted")]))]
    Check(check::CheckArgs),
    #[command(after_help = codes(&[
        (AsExpected, "no cited claim is refuted or qualified"),
        (Changed, "a cited claim is refuted or qualified, or a passage changed since it was tested"),
        (Usage, "invalid usage, document or results folder, or a document that no claim of the results cites"),
    ]))]
    Annotate(annotate::AnnotateArgs),
    #[command(after_help = codes(&[EXPECTED, UNEXPECTED, NOT_OBSERVED]))]
    Report(report::ReportArgs),
    #[command(after_help = codes(&[NOT_DONE]))]
    Site(site::SiteArgs),
    #[command(after_help = codes(&[(AsExpected, "no difference"), (Changed, "the results differ")]))]
    Diff(diff::DiffArgs),
    /// Create, list and delete kind clusters
    #[command(after_help = codes(&[NOT_DONE]))]
    Cluster(cluster::ClusterCommand),
    /// Build and list node images
    #[command(after_help = codes(&[NOT_DONE]))]
    NodeImage(node_image::NodeImageCommand),
    #[command(after_help = codes(&[]))]
    Profiles(profiles::ProfilesArgs),
    #[command(after_help = codes(&[]))]
    Rbac(rbac::RbacArgs),
    /// Build the agent image, which the pods of experiments run, and print its name
    #[command(after_help = codes(&[NOT_DONE]))]
    AgentImage(images::Delivery),
    /// Build the nginx image, which some experiments run, and print its name
    #[command(after_help = codes(&[NOT_DONE]))]
    NginxImage(images::Delivery),
    #[command(after_help = codes(&[NOT_DONE]))]
    RunnerImage(images::RunnerImageArgs),
    #[command(after_help = codes(&[
        EXPECTED, UNEXPECTED,
        (Infrastructure, "a shard could not be run or collected, or output could not be written"),
    ]))]
    K8sJob(Box<k8s_job::JobArgs>),
    /// Remove clusters and leftovers of runs and, optionally, node images and the cache
    #[command(after_help = codes(&[NOT_DONE]))]
    Clean(cluster::CleanArgs),
    /// Check whether this machine can run hookproof
    #[command(after_help = codes(&[
        (AsExpected, "the machine can run hookproof"),
        (Infrastructure, "the machine cannot run hookproof, or output could not be written"),
    ]))]
    Doctor(doctor::DoctorArgs),
    #[command(after_help = codes(&[]))]
    Completions(completions::CompletionsArgs),
    #[command(after_help = codes(&[]))]
    Man(completions::ManArgs),
    #[command(hide = true)]
    Sandbox(sandbox::SandboxArgs),
}

/// The definition of the command line, for documentation.
pub fn command() -> clap::Command {
    Cli::command()
}

pub fn main() -> ExitCode {
    let ended = match Cli::try_parse() {
        Ok(cli) => start(cli),
        // Help and version are errors of the parser, too.
        Err(error) if error.use_stderr() => {
            let _ = error.print();
            Ok(Usage)
        }
        Err(help) => {
            print::keep(help.print());
            Ok(AsExpected)
        }
    };
    let written = print::finish();
    let failures = [ended.as_ref().err(), written.as_ref().err()];
    for failure in failures.into_iter().flatten() {
        note!("error: {}", failure.message);
    }
    match (ended, written) {
        (Ok(exit), Ok(())) => exit,
        (Ok(Interrupted), Err(_)) => Interrupted,
        (Err(failure), _) | (Ok(_), Err(failure)) => failure.exit,
    }
    .code()
    .into()
}

fn start(cli: Cli) -> Result<Exit, Failure> {
    // Before anything else starts, as it restricts the process.
    if let Command::Sandbox(args) = &cli.command {
        return sandbox::sandbox(args);
    }
    match cli.color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    }
    .write_global();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(anstream::AutoStream::choice(&std::io::stderr()) != ColorChoice::Never)
        // It would panic if standard error is closed.
        .log_internal_errors(false)
        .with_env_filter(
            EnvFilter::try_from_env("HOOKPROOF_LOG").unwrap_or_else(|_| EnvFilter::new("off")),
        )
        .init();
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Failure::infrastructure(format!("failed to start the async runtime: {error}"))
    })?;
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Run(args) => Box::pin(run::run(*args)).await,
            Command::List(args) => list::list(&args),
            Command::Explain(args) => explain::explain(&args),
            Command::Matrix(args) => matrix::matrix(&args),
            Command::New(args) => new::new(&args),
            Command::Init(args) => init::init(&args),
            Command::Cite(args) => cite::cite(&args),
            Command::Lint(args) => lint::lint(&args),
            Command::Annotate(args) => annotate::annotate(&args),
            Command::Record(args) => record::record(&args),
            Command::Check(args) => check::check(&args),
            Command::Coverage(args) => coverage::coverage(&args),
            Command::Judge(args) => judge::judge(&args),
            Command::Report(args) => report::report(&args),
            Command::Site(args) => site::site(&args),
            Command::Diff(args) => diff::diff(&args),
            Command::Cluster(args) => cluster::run(args),
            Command::NodeImage(args) => node_image::run(args),
            Command::Profiles(args) => profiles::run(&args),
            Command::Clean(args) => Box::pin(cluster::clean(&args)).await,
            Command::Rbac(args) => rbac::rbac(&args),
            Command::AgentImage(args) => images::agent_image(&args),
            Command::NginxImage(args) => images::nginx_image(&args),
            Command::RunnerImage(args) => images::runner_image(&args),
            Command::K8sJob(args) => Box::pin(k8s_job::job(&args)).await,
            Command::Doctor(args) => doctor::run(&args),
            Command::Completions(args) => Ok(completions::completions(&args)),
            Command::Man(args) => completions::man(&args),
            Command::Sandbox(args) => sandbox::sandbox(&args),
        }
    });
    // After a timeout, provisioning may still be running in a thread.
    runtime.shutdown_background();
    ended
}
