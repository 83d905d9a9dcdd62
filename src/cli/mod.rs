//! The command line interface.

/// Prints a line to standard output; see [`out`].
macro_rules! line {
    ($($words:tt)*) => {
        $crate::cli::out(&format!("{}\n", format_args!($($words)*)))
    };
}

/// Prints text to standard output; see [`out`].
macro_rules! text {
    ($($words:tt)*) => {
        $crate::cli::out(&format!($($words)*))
    };
}

mod agent_image;
mod annotate;
mod check;
mod cluster;
mod clusters;
mod doctor;
mod exit;
mod explain;
mod judge;
mod lint;
mod list;
mod new;
mod node_image;
mod record;
mod report;
mod run;
mod suites;

use std::process::ExitCode;

use clap::Parser;

pub use exit::{Exit, Failure};

/// Test documented statements about container lifecycle hooks on real Kubernetes clusters
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    all verdicts are as expected
  1    a verdict changed
  2    invalid usage, suite, document or results folder; nothing was started
  3    infrastructure failure: a cluster could not be set up or observed
  130  interrupted; partial results are written";

#[derive(Debug, clap::Subcommand)]
enum Command {
    Run(Box<run::RunArgs>),
    List(list::ListArgs),
    Explain(explain::ExplainArgs),
    New(new::NewArgs),
    Lint(lint::LintArgs),
    Judge(judge::JudgeArgs),
    Record(record::RecordArgs),
    Check(check::CheckArgs),
    Annotate(annotate::AnnotateArgs),
    Report(report::ReportArgs),
    /// Create, list and delete kind clusters
    Cluster(cluster::ClusterCommand),
    /// Build and list node images
    NodeImage(node_image::NodeImageCommand),
    AgentImage(agent_image::AgentImageArgs),
    /// Remove clusters and leftovers of runs and, optionally, node images and the cache
    Clean(cluster::CleanArgs),
    /// Check whether this machine can run hookproof
    Doctor(doctor::DoctorArgs),
}

#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("HOOKPROOF_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off")),
        )
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: failed to start the async runtime: {error}");
            return Exit::Infrastructure.into();
        }
    };
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Run(args) => Box::pin(run::run(*args)).await,
            Command::List(args) => list::list(&args),
            Command::Explain(args) => explain::explain(&args),
            Command::New(args) => new::new(&args),
            Command::Lint(args) => lint::lint(&args),
            Command::Annotate(args) => annotate::annotate(&args),
            Command::Record(args) => record::record(&args),
            Command::Check(args) => check::check(&args),
            Command::Judge(args) => judge::judge(&args),
            Command::Report(args) => report::report(&args),
            Command::Cluster(args) => cluster::run(args),
            Command::NodeImage(args) => node_image::run(args),
            Command::Clean(args) => Box::pin(cluster::clean(&args)).await,
            Command::AgentImage(args) => agent_image::agent_image(&args),
            Command::Doctor(args) => doctor::run(&args),
        }
    });
    match ended {
        Ok(exit) => exit.into(),
        Err(Failure { exit, message }) => {
            eprintln!("error: {message}");
            exit.into()
        }
    }
}

/// Prints to standard output; ignores a closed pipe, as with `| head`.
fn out(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
