//! `hookproof agent-image`.

use camino::Utf8PathBuf;

use crate::cluster::agent_image::assemble;
use crate::cluster::cache::Cache;

use super::exit::{Exit, Failure};

/// Save the agent image to a file, for clusters whose nodes must pull it
#[derive(Debug, clap::Args)]
pub(super) struct AgentImageArgs {
    /// Target file, in the format of `docker load` and `ctr images import`
    #[arg(long, value_name = "FILE")]
    save: Utf8PathBuf,
}

/// Prints the image's name to standard output.
pub(super) fn agent_image(args: &AgentImageArgs) -> Result<Exit, Failure> {
    let cache = Cache::open()?;
    let image = assemble(cache.root())?;
    std::fs::copy(&image.archive, &args.save)
        .map_err(|e| Failure::usage(format!("cannot write {}: {e}", args.save)))?;
    line!("{}", image.tag);
    Ok(Exit::AsExpected)
}
