//! What a user types.

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
mod node_image;
mod report;
mod run;
mod show;
mod suites;

use std::process::ExitCode;

use clap::Parser;

pub use exit::{Exit, Failure};

/// Finds out on real Kubernetes clusters whether statements about container lifecycle hooks are true.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    every verdict is the expected one
  1    a verdict changed
  2    wrong usage, suite, document or results folder; nothing was started
  3    a cluster could not be set up, or something could not be observed
  130  interrupted; what was found until then is written";

#[derive(Debug, clap::Subcommand)]
enum Command {
    Run(Box<run::RunArgs>),
    List(list::ListArgs),
    Explain(explain::ExplainArgs),
    Lint(lint::LintArgs),
    Judge(judge::JudgeArgs),
    Check(check::CheckArgs),
    Annotate(annotate::AnnotateArgs),
    Report(report::ReportArgs),
    /// Clusters that were made here: create, list, delete
    Cluster(cluster::ClusterCommand),
    /// Node images: which there are, and building one
    NodeImage(node_image::NodeImageCommand),
    AgentImage(agent_image::AgentImageArgs),
    /// Remove what was made here: clusters, and node images if wanted
    Clean(cluster::CleanArgs),
    /// What this machine has and lacks for a run, and what mends it
    Doctor(doctor::DoctorArgs),
}

/// Does what the command line says.
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
            eprintln!("error: no threads can be started: {error}");
            return Exit::Infrastructure.into();
        }
    };
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Run(args) => Box::pin(run::run(*args)).await,
            Command::List(args) => list::list(&args),
            Command::Explain(args) => explain::explain(&args),
            Command::Lint(args) => lint::lint(&args),
            Command::Annotate(args) => annotate::annotate(&args),
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

/// Prints to standard output. A reader that has seen enough, such as `head`, is no error.
fn out(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
