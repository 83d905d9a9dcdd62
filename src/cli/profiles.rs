//! `hookproof profiles`.

use serde_json::json;

use super::{Exit, Failure, print};
use crate::cluster::kind::nightly;

/// List the versions, feature gates and runtimes that `hookproof run --profile nightly` tests
#[derive(Debug, clap::Args)]
pub(super) struct ProfilesArgs {
    /// Print JSON, for the matrix of a CI system
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ProfilesArgs) -> Result<Exit, Failure> {
    let profiles = nightly()?;
    if !args.json {
        for profile in &profiles {
            line!("{:35} {}", profile.id(), profile.args().join(" "));
        }
        return Ok(Exit::AsExpected);
    }
    // The name is for `--profile`, unique, and usable in file names; the arguments are those of `hookproof run`.
    let listed = profiles.iter().map(|profile| {
        json!({
            "name": profile.id(), "kubernetes": profile.kubernetes, "gates": profile.gates,
            "runtime": profile.runtime, "args": profile.args(),
        })
    });
    print::json(&listed.collect::<Vec<_>>())?;
    Ok(Exit::AsExpected)
}
