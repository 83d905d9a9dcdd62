//! `hookproof doctor`.

use super::{Exit, Failure, print};
use crate::cluster::cache::Cache;
use crate::cluster::doctor::{examine, fit, render};

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DoctorArgs) -> Result<Exit, Failure> {
    let checks = examine(&Cache::open()?);
    if args.json {
        print::json(&checks)?;
    } else {
        print::out(&render(&checks));
    }
    Ok(if fit(&checks) {
        Exit::AsExpected
    } else {
        Exit::Infrastructure
    })
}
