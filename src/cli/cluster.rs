//! `hookproof cluster` and `hookproof clean`.

use camino::Utf8PathBuf;
use clap::Subcommand;

use super::cluster_args::gate;
use super::{Exit, Failure, print};
use crate::cluster::cache::Cache;
use crate::cluster::error::{ClusterError, Result as ClusterResult};
use crate::cluster::kind::{MAX_CLUSTERS, Options, Profile, WORKERS, delete, ensure, list};
use crate::cluster::node_image::versions::resolve;
use crate::cluster::node_image::{Runtime, Sources, Wanted, remove_images};
use crate::cluster::progress::Reporter;
use crate::observe::connect;
use crate::observe::{outside, scratch, session};

#[derive(Debug, clap::Args)]
pub(super) struct ClusterCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a cluster, or reuse a matching one, and print how to connect to it
    Create {
        /// Kubernetes version, such as 1.36 or 1.36.3
        #[arg(long, default_value = "newest")]
        kubernetes: String,
        /// Set a feature gate on every component
        #[arg(long = "gate", value_name = "NAME=BOOL", value_parser = gate)]
        gates: Vec<(String, bool)>,
        /// Number of worker nodes
        #[arg(long, default_value_t = WORKERS)]
        workers: u8,
        /// Container runtime of the nodes
        #[arg(long, value_enum, default_value_t)]
        runtime: Runtime,
        /// Allowed sources of the node image
        #[arg(long, value_enum, default_value_t)]
        source: Sources,
        /// Maximum number of clusters; the least recently used one is evicted
        #[arg(long, default_value_t = MAX_CLUSTERS)]
        max_clusters: usize,
        /// Keep a cluster whose creation failed, for debugging
        #[arg(long)]
        keep: bool,
    },
    /// List the clusters that hookproof created
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete clusters that hookproof created
    Delete {
        /// Names of the clusters
        #[arg(required_unless_present = "all")]
        names: Vec<String>,
        /// Delete all of them
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CleanArgs {
    /// Remove only leftovers of runs on this existing cluster
    #[arg(long, value_name = "CONTEXT", conflicts_with_all = ["images", "cache"])]
    context: Option<String>,
    /// Kubeconfig that contains the context
    #[arg(long, value_name = "FILE", requires = "context")]
    kubeconfig: Option<Utf8PathBuf>,
    /// Also remove the node images; building them takes minutes
    #[arg(long)]
    images: bool,
    /// Also remove the node images and the whole cache, including the compiled programs
    #[arg(long)]
    cache: bool,
}

pub(super) fn run(args: ClusterCommand) -> Result<Exit, Failure> {
    let cache = Cache::open()?;
    match args.command {
        Command::Create {
            kubernetes,
            gates,
            workers,
            runtime,
            source,
            max_clusters,
            keep,
        } => {
            let version = resolve(&kubernetes)?;
            let profile = Profile::new(Wanted { version, runtime }, gates, workers)?;
            let options = Options {
                cache,
                sources: source,
                max_clusters,
                keep_failed: keep,
            };
            let cluster = ensure(
                &profile,
                &options,
                &Reporter::new(&|progress| note!("{progress}")),
            )?;
            line!("cluster     {}", cluster.name);
            line!("kubernetes  {}", cluster.image.version);
            line!("node image  {}", cluster.image);
            line!("nodes       {}", cluster.nodes.join(" "));
            line!("kubeconfig  {}", cluster.kubeconfig);
            line!("kubectl     {}", cluster.image.kubectl);
        }
        Command::List { json } => {
            let found = list(&cache)?;
            if json {
                print::json(&found)?;
                return Ok(Exit::AsExpected);
            }
            for listed in found {
                let use_ = if listed.in_use { "  in use" } else { "" };
                let state = &listed.state;
                let nodes = listed.running.len();
                let version = &state.image.version;
                line!("{}  {version}  {nodes} nodes{use_}", state.name);
                for (gate, on) in &state.profile.gates {
                    line!("    gate {gate}={on}");
                }
                line!("    runtime {}", state.profile.runtime);
                line!("    kubeconfig {}", listed.kubeconfig);
            }
        }
        Command::Delete { names, all } => {
            let names = if all { created(&cache)? } else { names };
            for name in names {
                delete(&cache, &name)?;
                line!("removed {name}");
            }
        }
    }
    Ok(Exit::AsExpected)
}

fn created(cache: &Cache) -> ClusterResult<Vec<String>> {
    let listed = list(cache)?.into_iter();
    Ok(listed.map(|listed| listed.state.name).collect())
}

pub(super) async fn clean(args: &CleanArgs) -> Result<Exit, Failure> {
    let folders = scratch::clean();
    if folders > 0 {
        line!("removed {folders} temporary folders");
    }
    let containers = outside::clean().await;
    if containers > 0 {
        line!("removed {containers} containers outside the cluster");
    }
    if let Some(context) = &args.context {
        let client = connect::client(args.kubeconfig.as_deref(), Some(context)).await?;
        let runs = session::clean(&client, true)
            .await
            .map_err(Failure::infrastructure)?;
        line!("removed the leftovers of {} runs on {context}", runs.len());
        return Ok(Exit::AsExpected);
    }
    let cache = Cache::open()?;
    for name in created(&cache)? {
        delete(&cache, &name)?;
        line!("removed cluster {name}");
    }
    if args.images || args.cache {
        for image in remove_images()? {
            line!("removed image {image}");
        }
    }
    if args.cache {
        std::fs::remove_dir_all(cache.root())
            .map_err(ClusterError::file("cannot remove", cache.root()))?;
        line!("removed {}", cache.root());
    }
    Ok(Exit::AsExpected)
}
