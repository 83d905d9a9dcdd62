//! `hookproof node-image`.

use clap::Subcommand;

use super::exit::{Exit, Failure};
use crate::cluster::cache::Cache;
use crate::cluster::node_image::versions::{NEWEST, PINNED, resolve};
use crate::cluster::node_image::{Runtime, Sources, Wanted, get, list};
use crate::cluster::progress::Reporter;

#[derive(Debug, clap::Args)]
pub(super) struct NodeImageCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build a node image for `kind create cluster --image` and print its name
    Build {
        /// Kubernetes version, such as 1.36 or 1.36.3
        #[arg(default_value = "newest")]
        version: String,
        /// Container runtime of the image
        #[arg(long, value_enum, default_value_t)]
        runtime: Runtime,
        /// Allowed sources of the image
        #[arg(long, value_enum, default_value_t = Sources::Packages)]
        source: Sources,
    },
    /// List the images that were built on this machine
    List,
    /// List the pinned version of each Kubernetes minor version
    Versions,
}

pub(super) fn run(args: NodeImageCommand) -> Result<Exit, Failure> {
    match args.command {
        Command::Build {
            version,
            runtime,
            source,
        } => {
            let version = resolve(&version)?;
            let wanted = Wanted { version, runtime };
            let reporter = &Reporter::new(&|progress| note!("{progress}"));
            let image = get(&Cache::open()?, wanted, source, reporter)?;
            line!("{}", image.reference);
        }
        Command::List => {
            for image in list(&Cache::open()?)? {
                line!("{}  {}  {image}", image.version, image.reference);
            }
        }
        Command::Versions => {
            for version in PINNED {
                let default = if version == NEWEST { "  (default)" } else { "" };
                line!("{version}{default}");
            }
        }
    }
    Ok(Exit::AsExpected)
}
