//! `hookproof doctor`.

use std::process::ExitCode;

use super::EXIT_INFRASTRUCTURE;
use crate::cluster::cache::Cache;
use crate::cluster::doctor::{examine, fit, render};
use crate::cluster::error::Result;

/// Arguments of `hookproof doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it.
///
/// # Errors
/// The cache cannot be used.
pub fn run(args: &Args) -> Result<ExitCode> {
    let checks = examine(&Cache::open()?);
    if args.json {
        println!(
            "{}",
            serde_json::to_string_pretty(&checks).unwrap_or_default()
        );
    } else {
        print!("{}", render(&checks));
    }
    Ok(if fit(&checks) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_INFRASTRUCTURE)
    })
}
