//! `hookproof node-image`.

use clap::Subcommand;

use super::exit::{Exit, Failure};
use super::print;
use crate::cluster::cache::Cache;
use crate::cluster::node_image::versions::{RELEASES, newest, resolve};
use crate::cluster::node_image::{Sources, get, list};
use crate::cluster::progress::Teller;

/// Arguments of `hookproof node-image`.
#[derive(Debug, clap::Args)]
pub(super) struct NodeImageCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a node image for `kind create cluster --image`, and prints its name.
    Build {
        /// Kubernetes version: a minor such as 1.36, or with the patch version.
        #[arg(default_value = "newest")]
        version: String,
        /// Where it may come from.
        #[arg(long, value_enum, default_value_t = Sources::Packages)]
        source: Sources,
    },
    /// Lists the images that were built here.
    List,
    /// Lists the Kubernetes versions that can be built.
    Versions,
}

/// Runs it.
///
/// # Errors
/// No image can be had; the cache cannot be used.
pub(super) fn run(args: NodeImageCommand) -> Result<Exit, Failure> {
    match args.command {
        Command::Build { version, source } => {
            let wanted = resolve(&version)?;
            let mut tell = print;
            let mut teller = Teller::new(&mut tell);
            let image = get(&Cache::open()?, &wanted, source, &mut teller)?;
            println!("{}", image.reference);
        }
        Command::List => {
            for image in list(&Cache::open()?)? {
                println!("{}  {}  {image}", image.version, image.reference);
            }
        }
        Command::Versions => {
            for release in &RELEASES {
                let default = if release == newest() {
                    "  (default)"
                } else {
                    ""
                };
                let note = release
                    .note()
                    .map_or_else(String::new, |note| format!("  ({note})"));
                println!("{}{note}{default}", release.version);
            }
        }
    }
    Ok(Exit::AsExpected)
}
