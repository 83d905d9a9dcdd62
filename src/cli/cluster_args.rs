//! The clusters of a run on the command line.

use camino::Utf8PathBuf;
use clap::ValueEnum as _;
use clap::builder::RangedU64ValueParser;

use crate::cluster::agent_image;
use crate::cluster::doctor::clusters_in_memory;
use crate::cluster::error::ClusterError;
use crate::cluster::kind::{Profile, named};
use crate::cluster::nginx_image;
use crate::cluster::node_image::{Runtime, Sources};
use crate::evidence::ClusterFacts;
use crate::observe::connect;
use crate::project::{self, Project};
use crate::run::provide::Clusters;

use super::exit::Failure;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ClusterArgs {
    /// Kubernetes versions to run on, each in a kind cluster, such as 1.34,1.36.1, 1.28..1.37 or all
    #[arg(
        long,
        value_name = "VERSIONS",
        value_delimiter = ',',
        default_value = "newest",
        conflicts_with = "context"
    )]
    kubernetes: Vec<String>,
    /// Set a feature gate on the kind clusters, such as PodLifecycleSleepAction=false
    #[arg(long = "gate", value_name = "NAME=BOOL", value_parser = gate, conflicts_with = "context")]
    gates: Vec<(String, bool)>,
    /// Container runtime of the kind clusters
    #[arg(long, value_enum, default_value_t, conflicts_with = "context")]
    runtime: Runtime,
    /// Versions, gates and runtimes by name: nightly for all, those that `hookproof profiles` lists, or those of the project
    #[arg(long = "profile", value_name = "NAMES", value_delimiter = ',', conflicts_with_all = ["context", "kubernetes", "gates", "runtime"])]
    profiles: Vec<String>,
    /// Kind clusters that run at a time [default: one per two cores, if the memory suffices]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    clusters: Option<usize>,
    /// Allowed sources of node images
    #[arg(long, value_enum, default_value_t)]
    source: Sources,
    /// Use the existing cluster of this kubeconfig context
    #[arg(long, value_name = "CONTEXT", group = "existing")]
    context: Option<String>,
    /// Use the cluster that this process runs in, with the service account of its pod
    #[arg(long, group = "existing", conflicts_with_all = ["kubernetes", "gates", "runtime", "profiles"])]
    in_cluster: bool,
    /// Kubeconfig that contains the context
    #[arg(long, value_name = "FILE", requires = "context")]
    kubeconfig: Option<Utf8PathBuf>,
    /// kubectl to test
    #[arg(long, value_name = "FILE")]
    kubectl: Option<Utf8PathBuf>,
    /// Agent image that the nodes can pull
    #[arg(long, value_name = "NAME", requires = "existing")]
    agent_image: Option<String>,
    /// nginx image that the nodes can pull, with curl, fortune, strfile, and killall in
    /// /usr/local/bin
    #[arg(long, value_name = "NAME", requires = "existing")]
    nginx_image: Option<String>,
    /// Allow something that is off by default
    #[arg(long, value_enum, value_name = "WHAT")]
    allow: Vec<Allow>,
}

/// Capabilities, by their names.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Allow {
    /// Run scenarios with the documents' original durations, which take minutes
    Literal,
    /// Let the nodes pull published images
    PublishedImages,
    /// Let suites run commands as root on nodes
    NodeShell,
    /// Let suites start containers on the nodes' network
    Outside,
    /// Let suites create pods that the Pod Security level `baseline` forbids
    PrivilegedPods,
    /// Let suites create priority classes and read nodes and namespaces
    ClusterObjects,
}

impl ClusterArgs {
    /// The clusters that the arguments select. Nothing is created yet.
    pub(super) async fn clusters(
        &self,
        nginx: bool,
        project: &Project,
    ) -> Result<Clusters, Failure> {
        let profiles = if self.context.is_some() || self.in_cluster {
            Vec::new()
        } else {
            self.profiles(project)?
        };
        let images = [
            (agent_image::NAME, &self.agent_image),
            (nginx_image::NAME, &self.nginx_image),
        ];
        let images = images.into_iter();
        let allowed = self.allow.iter().filter_map(Allow::to_possible_value);
        let clusters = Clusters {
            profiles,
            parallel: self.clusters.unwrap_or_else(default_clusters),
            sources: self.source,
            nginx,
            wanted: connect::Wanted {
                kubeconfig: self.kubeconfig.clone(),
                context: self.context.clone(),
                in_cluster: self.in_cluster,
                kubectl: self.kubectl.clone(),
                images: images
                    .filter_map(|(name, image)| Some((name.to_owned(), image.clone()?)))
                    .collect(),
                allowed: allowed.map(|allow| allow.get_name().to_owned()).collect(),
                documents: project.documents.clone(),
                facts: ClusterFacts::default(),
            },
        };
        clusters.check().await?;
        Ok(clusters)
    }

    fn profiles(&self, project: &Project) -> Result<Vec<Profile>, ClusterError> {
        if self.profiles.is_empty() {
            return project::Profile {
                kubernetes: self.kubernetes.clone(),
                gates: self.gates.iter().cloned().collect(),
                runtime: self.runtime,
            }
            .clusters();
        }
        let clusters = |name: &String| match project.profiles.get(name) {
            Some(own) => own.clusters(),
            None => named(name),
        };
        let clusters: Result<Vec<_>, _> = self.profiles.iter().map(clusters).collect();
        Ok(clusters?.concat())
    }
}

fn default_clusters() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // The scenarios of one cluster use two cores.
    (cores / 2).min(clusters_in_memory()).max(1)
}

/// Parses `NAME=BOOL`.
pub(super) fn gate(text: &str) -> Result<(String, bool), String> {
    let (name, on) = text
        .split_once('=')
        .ok_or("expected `NAME=BOOL`, for example `PodLifecycleSleepAction=false`")?;
    let on = on
        .to_ascii_lowercase()
        .parse()
        .map_err(|_| format!("expected `true` or `false`, found `{on}`"))?;
    Ok((name.to_owned(), on))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::capability::remedy;
    use rstest::rstest;

    #[test]
    fn what_is_allowed_is_a_capability() {
        for allow in Allow::value_variants() {
            let name = allow.to_possible_value();
            assert!(
                name.is_some_and(|name| remedy(name.get_name()).is_some()),
                "{allow:?}"
            );
        }
    }

    #[rstest]
    #[case("A=true", Ok(("A".to_owned(), true)))]
    #[case("A=False", Ok(("A".to_owned(), false)))]
    #[case("A=1", Err("expected `true` or `false`, found `1`".to_owned()))]
    #[case("A", Err("expected `NAME=BOOL`, for example `PodLifecycleSleepAction=false`".to_owned()))]
    fn gate_parses_name_and_value(
        #[case] text: &str,
        #[case] expected: Result<(String, bool), String>,
    ) {
        assert_eq!(gate(text), expected);
    }
}
