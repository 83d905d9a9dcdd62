//! `hookproof agent-image`: the agent's image, for clusters that cannot be given it directly.

use camino::Utf8PathBuf;

use crate::cluster::agent_image::assemble;
use crate::cluster::cache::Cache;

use super::exit::{Exit, Failure};

/// Writes the agent's image, for clusters whose nodes have to pull it
#[derive(Debug, clap::Args)]
pub(super) struct AgentImageArgs {
    /// Where to; `docker load` and `ctr images import` read it
    #[arg(long, value_name = "FILE")]
    save: Utf8PathBuf,
}

/// Writes it and prints its name.
///
/// # Errors
/// It cannot be put together or written.
pub(super) fn agent_image(args: &AgentImageArgs) -> Result<Exit, Failure> {
    let cache = Cache::open()?;
    let image = assemble(cache.root()).map_err(Failure::infrastructure)?;
    std::fs::copy(&image.archive, &args.save)
        .map_err(|e| Failure::usage(format!("{} cannot be written: {e}", args.save)))?;
    println!("{}", image.tag);
    Ok(Exit::AsExpected)
}
