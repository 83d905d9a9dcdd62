//! The clusters of a run on the command line.

use camino::Utf8PathBuf;

use crate::catalogue::capability::{LITERAL, PUBLISHED_IMAGES};
use crate::cluster::agent_image;
use crate::cluster::error::ClusterError;
use crate::cluster::kind::{Profile, WORKERS};
use crate::cluster::nginx_image;
use crate::cluster::node_image::Sources;
use crate::cluster::node_image::versions::select;
use crate::run::provide::{Clusters, Where};

use super::exit::Failure;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ClusterArgs {
    /// Kubernetes versions to run on, one kind cluster after the other, such as 1.34,1.36.1, 1.28..1.37 or all
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
    /// Allowed sources of node images
    #[arg(long, value_enum, default_value_t)]
    source: Sources,
    /// Use the existing cluster of this kubeconfig context
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,
    /// Kubeconfig that contains the context
    #[arg(long, value_name = "FILE", requires = "context")]
    kubeconfig: Option<Utf8PathBuf>,
    /// kubectl to test
    #[arg(long, value_name = "FILE")]
    kubectl: Option<Utf8PathBuf>,
    /// Agent image that the nodes can pull
    #[arg(long, value_name = "NAME", requires = "context")]
    agent_image: Option<String>,
    /// nginx image that the nodes can pull, with curl, fortune, strfile, and killall in
    /// /usr/local/bin
    #[arg(long, value_name = "NAME", requires = "context")]
    nginx_image: Option<String>,
    /// Allow something that is off by default
    #[arg(long, value_enum, value_name = "WHAT")]
    allow: Vec<Allow>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Allow {
    /// Run scenarios with the documents' original durations, which take minutes
    Literal,
    /// Let the nodes pull published images
    PublishedImages,
}

impl ClusterArgs {
    /// The clusters that the arguments select. Nothing is created yet.
    pub(super) async fn clusters(
        &self,
        nginx: bool,
        documents: Option<Utf8PathBuf>,
    ) -> Result<Clusters, Failure> {
        let profile = |version| {
            let profile = Profile::new(version, self.gates.iter().cloned(), WORKERS)?;
            Ok(Where::Profile(profile))
        };
        let places = match &self.context {
            Some(context) => vec![Where::Context(context.clone())],
            None => select(&self.kubernetes)?
                .into_iter()
                .map(profile)
                .collect::<Result<_, ClusterError>>()?,
        };
        let images = [
            (agent_image::NAME, &self.agent_image),
            (nginx_image::NAME, &self.nginx_image),
        ];
        let images = images.into_iter();
        let allowed = self.allow.iter().map(|allow| match allow {
            Allow::Literal => LITERAL.to_owned(),
            Allow::PublishedImages => PUBLISHED_IMAGES.to_owned(),
        });
        let clusters = Clusters {
            places,
            sources: self.source,
            kubeconfig: self.kubeconfig.clone(),
            kubectl: self.kubectl.clone(),
            images: images
                .filter_map(|(name, image)| Some((name.to_owned(), image.clone()?)))
                .collect(),
            allowed: allowed.collect(),
            nginx,
            documents,
        };
        clusters.check().await?;
        Ok(clusters)
    }
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
    use rstest::rstest;

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
