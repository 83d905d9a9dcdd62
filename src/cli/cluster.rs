//! `hookproof cluster` and `hookproof clean`.

use camino::Utf8PathBuf;
use clap::Subcommand;

use super::exit::{Exit, Failure};
use crate::cluster::cache::Cache;
use crate::cluster::error::{ClusterError, Result as ClusterResult};
use crate::cluster::existing;
use crate::cluster::kind::{Options, Profile, WORKERS, delete, ensure, list};
use crate::cluster::node_image::{Sources, remove_images};
use crate::observe::{outside, scratch, session};

/// Arguments of `hookproof cluster`.
#[derive(Debug, clap::Args)]
pub(super) struct ClusterCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a cluster, or finds the one of this shape, and says how to use it.
    Create {
        /// Kubernetes version: a minor such as 1.36, or with the patch version.
        #[arg(long, default_value = "newest")]
        kubernetes: String,
        /// A feature gate for every component.
        #[arg(long = "gate", value_name = "NAME=BOOL", value_parser = gate)]
        gates: Vec<(String, bool)>,
        /// Nodes beside the control plane's.
        #[arg(long, default_value_t = WORKERS)]
        workers: u8,
        /// Where the node image may come from.
        #[arg(long, value_enum, default_value_t)]
        source: Sources,
        /// How many clusters there may be; the least recently used makes room.
        #[arg(long, default_value_t = 4)]
        max_clusters: usize,
        /// Leaves a cluster that could not be made as it is.
        #[arg(long)]
        keep: bool,
    },
    /// Lists the clusters that were made here.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Removes clusters that were made here.
    Delete {
        /// Their names.
        #[arg(required_unless_present = "all")]
        names: Vec<String>,
        /// All of them.
        #[arg(long)]
        all: bool,
    },
}

/// Arguments of `hookproof clean`.
#[derive(Debug, clap::Args)]
pub(super) struct CleanArgs {
    /// Only what runs left on this existing cluster
    #[arg(long, value_name = "CONTEXT", conflicts_with_all = ["images", "cache"])]
    context: Option<String>,
    /// The kubeconfig for --context
    #[arg(long, value_name = "FILE", requires = "context")]
    kubeconfig: Option<Utf8PathBuf>,
    /// The node images too; building them takes minutes.
    #[arg(long)]
    images: bool,
    /// The whole cache too: the programs that node images are made of.
    #[arg(long)]
    cache: bool,
}

/// Understands `NAME=BOOL`.
///
/// # Errors
/// It is written otherwise.
pub(super) fn gate(text: &str) -> std::result::Result<(String, bool), String> {
    let (name, on) = text
        .split_once('=')
        .ok_or("write it like PodLifecycleSleepAction=false")?;
    let on = on
        .to_ascii_lowercase()
        .parse()
        .map_err(|_| format!("`{on}` is neither true nor false"))?;
    Ok((name.to_owned(), on))
}

/// Runs it.
///
/// # Errors
/// There is no docker, no node image, no such cluster …
pub(super) fn run(args: ClusterCommand) -> Result<Exit, Failure> {
    let cache = Cache::open()?;
    match args.command {
        Command::Create {
            kubernetes,
            gates,
            workers,
            source,
            max_clusters,
            keep,
        } => {
            let profile = Profile {
                name: "default".into(),
                kubernetes,
                gates: gates.into_iter().collect(),
                workers,
            };
            let options = Options {
                sources: source,
                max_clusters,
                keep_failed: keep,
                ..Options::new(cache)
            };
            let cluster = ensure(&profile, &options, &mut |progress| eprintln!("{progress}"))?;
            println!("cluster     {}", cluster.name);
            println!("kubernetes  {}", cluster.version);
            println!("node image  {}", cluster.image);
            println!("nodes       {}", cluster.nodes.join(" "));
            println!("kubeconfig  {}", cluster.kubeconfig);
            println!("kubectl     {}", cluster.kubectl);
        }
        Command::List { json } => {
            let found = list(&cache)?;
            if json {
                let text = serde_json::to_string_pretty(&found).unwrap_or_default();
                println!("{text}");
                return Ok(Exit::AsExpected);
            }
            for listed in found {
                let use_ = if listed.in_use { "  in use" } else { "" };
                let state = &listed.state;
                let nodes = listed.running.len();
                println!(
                    "{}  {}  {nodes} nodes{use_}",
                    state.name, state.image.version
                );
                for (gate, on) in &state.profile.gates {
                    println!("    gate {gate}={on}");
                }
                println!("    kubeconfig {}", listed.kubeconfig);
            }
        }
        Command::Delete { names, all } => {
            let names = if all { own(&cache)? } else { names };
            for name in names {
                delete(&cache, &name)?;
                println!("removed {name}");
            }
        }
    }
    Ok(Exit::AsExpected)
}

fn own(cache: &Cache) -> ClusterResult<Vec<String>> {
    Ok(list(cache)?
        .into_iter()
        .map(|listed| listed.state.name)
        .collect())
}

/// Runs `hookproof clean`.
///
/// # Errors
/// A cluster is in use, or docker refuses.
pub(super) async fn clean(args: &CleanArgs) -> Result<Exit, Failure> {
    let folders = scratch::clean();
    if folders > 0 {
        println!("removed {folders} folders of temporary files");
    }
    let containers = outside::clean().await;
    if containers > 0 {
        println!("removed {containers} containers that stood beside nodes");
    }
    if let Some(context) = &args.context {
        let client = existing::client(args.kubeconfig.as_deref(), Some(context))
            .await
            .map_err(Failure::infrastructure)?;
        let runs = session::clean(&client, true)
            .await
            .map_err(Failure::infrastructure)?;
        println!("removed what {} runs left on {context}", runs.len());
        return Ok(Exit::AsExpected);
    }
    let cache = Cache::open()?;
    for name in own(&cache)? {
        delete(&cache, &name)?;
        println!("removed cluster {name}");
    }
    if args.images || args.cache {
        for image in remove_images()? {
            println!("removed image {image}");
        }
    }
    if args.cache {
        std::fs::remove_dir_all(cache.root())
            .map_err(ClusterError::file("cannot remove", cache.root()))?;
        println!("removed {}", cache.root());
    }
    Ok(Exit::AsExpected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("A=true", Ok(("A".to_owned(), true)))]
    #[case("A=False", Ok(("A".to_owned(), false)))]
    #[case("A=1", Err("`1` is neither true nor false".to_owned()))]
    #[case("A", Err("write it like PodLifecycleSleepAction=false".to_owned()))]
    fn gates_are_understood(
        #[case] text: &str,
        #[case] expected: std::result::Result<(String, bool), String>,
    ) {
        assert_eq!(gate(text), expected);
    }
}
