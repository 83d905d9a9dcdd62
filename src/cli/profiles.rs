//! `hookproof profiles`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::exit::{Exit, Failure};
use crate::cluster::kind::nightly;
use crate::cluster::node_image::Runtime;

/// List the versions, feature gates and runtimes that `hookproof run --profile nightly` tests
#[derive(Debug, clap::Args)]
pub(super) struct ProfilesArgs {
    /// Print JSON, for the matrix of a CI system
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listed {
    /// For `--profile`; unique, and usable in file names.
    name: String,
    kubernetes: String,
    gates: BTreeMap<String, bool>,
    runtime: Runtime,
    /// Arguments of `hookproof run`.
    args: Vec<String>,
}

pub(super) fn run(args: &ProfilesArgs) -> Result<Exit, Failure> {
    let profiles = nightly()?;
    if !args.json {
        for profile in &profiles {
            line!("{:35} {}", profile.id(), profile.args().join(" "));
        }
        return Ok(Exit::AsExpected);
    }
    let listed = profiles.into_iter().map(|profile| Listed {
        name: profile.id(),
        args: profile.args(),
        kubernetes: profile.kubernetes,
        gates: profile.gates,
        runtime: profile.runtime,
    });
    let text = serde_json::to_string_pretty(&listed.collect::<Vec<_>>());
    line!("{}", text.map_err(Failure::infrastructure)?);
    Ok(Exit::AsExpected)
}
