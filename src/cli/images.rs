//! `hookproof agent-image`, `hookproof nginx-image` and `hookproof runner-image`.

use camino::Utf8PathBuf;

use crate::cluster::cache::Cache;
use crate::cluster::command::find;
use crate::cluster::error::ClusterError;
use crate::cluster::pod_image::PodImage;
use crate::cluster::progress::Reporter;
use crate::cluster::{agent_image, kind, nginx_image, runner_image};
use crate::observe::connect::ConnectError;

use super::exit::{Exit, Failure};

/// Build the image that runs hookproof in a cluster, and print its name
#[derive(Debug, clap::Args)]
pub(super) struct RunnerImageArgs {
    /// kubectl to put into the image; it must be statically linked [default: the one on PATH]
    #[arg(long, value_name = "FILE")]
    kubectl: Option<Utf8PathBuf>,
    #[command(flatten)]
    delivery: Delivery,
}

/// Where an image goes. By default it stays in the cache.
#[derive(Debug, clap::Args)]
pub(super) struct Delivery {
    /// Save the image to a file, in the format of `docker load` and `ctr images import`
    #[arg(long, value_name = "FILE")]
    save: Option<Utf8PathBuf>,
    #[command(subcommand)]
    target: Option<Target>,
}

#[derive(Debug, clap::Subcommand)]
enum Target {
    /// Push the image to a registry with docker, and print its complete name
    Push {
        /// Name in the registry; without a tag it gets the image's
        name: String,
    },
    /// Load the image onto the nodes of a kind cluster on this machine
    Load {
        /// Name of the kind cluster
        cluster: String,
    },
}

pub(super) fn agent_image(delivery: &Delivery) -> Result<Exit, Failure> {
    let image = agent_image::assemble(Cache::open()?.root())?;
    delivery.deliver(&image)
}

pub(super) fn nginx_image(delivery: &Delivery) -> Result<Exit, Failure> {
    let reporter = &Reporter::new(&|progress| note!("{progress}"));
    let image = nginx_image::assemble(&Cache::open()?, reporter)?;
    delivery.deliver(&image)
}

pub(super) fn runner_image(args: &RunnerImageArgs) -> Result<Exit, Failure> {
    let kubectl = args.kubectl.clone().or_else(|| find("kubectl"));
    let kubectl = kubectl.ok_or(ConnectError::NoKubectl)?;
    let image = runner_image::assemble(Cache::open()?.root(), &kubectl)?;
    args.delivery.deliver(&image)
}

impl Delivery {
    /// Delivers the image and prints its name to standard output.
    fn deliver(&self, image: &PodImage) -> Result<Exit, Failure> {
        let mut name = image.tag.clone();
        if let Some(file) = &self.save {
            std::fs::copy(&image.archive, file)
                .map_err(|e| Failure::usage(format!("cannot write {file}: {e}")))?;
        }
        match &self.target {
            Some(Target::Push { name: wanted }) => name = image.push(wanted)?,
            Some(Target::Load { cluster }) => {
                let nodes = kind::nodes(cluster)?;
                if nodes.is_empty() {
                    let what = format!("no kind cluster `{cluster}` on this machine");
                    return Err(ClusterError::Refused(what).into());
                }
                for node in nodes {
                    image.load_onto(&node)?;
                }
            }
            None => {}
        }
        line!("{name}");
        Ok(Exit::AsExpected)
    }
}
