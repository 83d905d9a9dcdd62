//! The command `hookproof`.

use std::process::ExitCode;

use clap::Parser;
use hookproof::cli::{Command, run};

/// Finds out on real Kubernetes clusters whether statements about lifecycle hooks are true.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    run(Cli::parse().command)
}
