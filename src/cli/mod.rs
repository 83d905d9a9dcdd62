//! What a user types.

pub mod cluster;
pub mod doctor;
pub mod node_image;

use std::process::ExitCode;

use clap::Subcommand;

use crate::cluster::error::ClusterError;
use crate::cluster::progress::Progress;

/// Exit code for a wrong wish: an unknown version, a wrong option.
pub const EXIT_USAGE: u8 = 2;
/// Exit code for a machine or a cluster that does not play along.
pub const EXIT_INFRASTRUCTURE: u8 = 3;

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Node images: which there are, and building one.
    NodeImage(node_image::Args),
    /// Clusters that were made here: create, list, delete.
    Cluster(cluster::Args),
    /// Removes what was made here: clusters, and node images if wanted.
    Clean(cluster::CleanArgs),
    /// What this machine has and lacks for a run, and what mends it.
    Doctor(doctor::Args),
}

/// Does it; an error is told in words.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    let result = match command {
        Command::NodeImage(args) => node_image::run(args),
        Command::Cluster(args) => cluster::run(args),
        Command::Clean(args) => cluster::clean(&args),
        Command::Doctor(args) => doctor::run(&args),
    };
    result.unwrap_or_else(|error| explain(&error))
}

/// Prints an error with its causes; gives its exit code.
#[must_use]
pub fn explain(error: &ClusterError) -> ExitCode {
    let mut text = format!("error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    eprintln!("{text}");
    ExitCode::from(if error.is_usage() {
        EXIT_USAGE
    } else {
        EXIT_INFRASTRUCTURE
    })
}

/// Prints what long work tells, a line each.
fn print(progress: Progress) {
    eprintln!("{progress}");
}
