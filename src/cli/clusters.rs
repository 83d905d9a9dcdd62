//! Which clusters a command is about.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

use crate::catalogue::capability::{LITERAL, PUBLISHED_IMAGES};
use crate::cluster::agent_image;
use crate::cluster::cache::Cache;
use crate::cluster::error::ClusterError;
use crate::cluster::existing;
use crate::cluster::kind::{self, Cluster, Options, Profile, WORKERS};
use crate::cluster::nginx_image;
use crate::cluster::node_image::Sources;
use crate::cluster::node_image::versions::resolve;
use crate::cluster::pod_image::PodImage;
use crate::cluster::progress::{Progress, Teller};
use crate::observe::evidence::ClusterFacts;
use crate::observe::session::Target;

use super::cluster::gate;
use super::exit::Failure;

/// Where experiments are made.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ClusterArgs {
    /// Kubernetes versions to make kind clusters of, one after the other, such as 1.34,1.36
    #[arg(
        long,
        value_name = "VERSIONS",
        value_delimiter = ',',
        default_value = "newest",
        conflicts_with = "context"
    )]
    kubernetes: Vec<String>,
    /// Feature gate for those clusters, such as PodLifecycleSleepAction=false
    #[arg(long = "gate", value_name = "NAME=BOOL", value_parser = gate, conflicts_with = "context")]
    gates: Vec<(String, bool)>,
    /// Where their node images may come from
    #[arg(long, value_enum, default_value_t)]
    source: Sources,
    /// Use an existing cluster, by its context in the kubeconfig
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,
    /// The kubeconfig for --context
    #[arg(long, value_name = "FILE", requires = "context")]
    kubeconfig: Option<Utf8PathBuf>,
    /// The kubectl to put to the test
    #[arg(long, value_name = "FILE")]
    kubectl: Option<Utf8PathBuf>,
    /// The agent's image, where the nodes can pull it
    #[arg(long, value_name = "NAME", requires = "context")]
    agent_image: Option<String>,
    /// An nginx image with curl, and killall in /usr/local/bin, where the nodes can pull it
    #[arg(long, value_name = "NAME", requires = "context")]
    nginx_image: Option<String>,
    /// What the run may do beyond what it does by itself
    #[arg(long, value_enum, value_name = "WHAT")]
    allow: Vec<Allow>,
}

/// What a run may do only where the user allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Allow {
    /// Take as long as the documents' own numbers do, some minutes
    Literal,
    /// Have the nodes pull published images
    PublishedImages,
}

/// What the chosen experiments need of a cluster beyond what every one is given.
#[derive(Debug, Clone, Default)]
pub(super) struct Extras {
    /// The nginx image.
    pub(super) nginx: bool,
    /// The folder with the documents.
    pub(super) documents: Option<Utf8PathBuf>,
}

/// One cluster of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Where {
    /// An existing one.
    Context(String),
    /// One that kind makes.
    Profile(Profile),
}

/// A cluster that can be used for as long as this lives.
pub(super) struct Provided {
    /// The cluster.
    pub(super) target: Target,
    /// How it came about, in words.
    pub(super) note: String,
    /// Keeps other processes from removing it.
    pub(super) lease: Option<Cluster>,
}

impl Where {
    /// Its name in events and results.
    #[must_use]
    pub(super) fn name(&self) -> String {
        match self {
            Self::Context(context) => context.clone(),
            Self::Profile(profile) => format!("{} {}", profile.kubernetes, profile.name),
        }
    }
}

impl ClusterArgs {
    /// The clusters that the arguments name.
    ///
    /// # Errors
    /// A version that cannot be had.
    pub(super) fn places(&self) -> Result<Vec<Where>, Failure> {
        if let Some(context) = &self.context {
            return Ok(vec![Where::Context(context.clone())]);
        }
        let gates: BTreeMap<String, bool> = self.gates.iter().cloned().collect();
        self.kubernetes
            .iter()
            .map(|text| {
                let wanted = resolve(text)?;
                Ok(Where::Profile(Profile {
                    name: profile_name(&gates),
                    kubernetes: wanted.version.to_string(),
                    gates: gates.clone(),
                    workers: WORKERS,
                }))
            })
            .collect()
    }

    /// Images that the nodes are said to get by themselves.
    fn images(&self) -> BTreeMap<String, String> {
        let named = [
            (agent_image::NAME, &self.agent_image),
            (nginx_image::NAME, &self.nginx_image),
        ];
        let given = named.into_iter();
        given
            .filter_map(|(name, image)| Some((name.to_owned(), image.clone()?)))
            .collect()
    }

    fn allowed(&self) -> Vec<String> {
        let name = |allow: &Allow| match allow {
            Allow::Literal => LITERAL.to_owned(),
            Allow::PublishedImages => PUBLISHED_IMAGES.to_owned(),
        };
        self.allow.iter().map(name).collect()
    }

    /// Makes a cluster ready to be used.
    ///
    /// # Errors
    /// What keeps it from being used, in a sentence.
    pub(super) async fn provide(
        &self,
        place: &Where,
        extras: Extras,
        say: impl Fn(String) + Clone + Send + 'static,
    ) -> Result<Provided, String> {
        let cache = Cache::open().map_err(|e| e.to_string())?;
        let mut images = vec![agent_image::assemble(cache.root()).map_err(|e| e.to_string())?];
        if extras.nginx && self.nginx_image.is_none() {
            images.extend(nginx(cache.clone(), say.clone()).await?);
        }
        let (wanted, note, lease) = match place {
            Where::Context(context) => {
                say("connecting".to_owned());
                let wanted = existing::Wanted {
                    kubeconfig: self.kubeconfig.clone(),
                    context: Some(context.clone()),
                    kubectl: self.kubectl.clone(),
                    images: self.images(),
                    documents: extras.documents,
                    facts: ClusterFacts {
                        capabilities: self.allowed(),
                        profile: "existing".to_owned(),
                        ..ClusterFacts::default()
                    },
                };
                (wanted, "connected".to_owned(), None)
            }
            Where::Profile(profile) => {
                let options = Options {
                    sources: self.source,
                    ..Options::new(cache)
                };
                let cluster = ensure(profile.clone(), options, say).await?;
                let note = match &cluster.created {
                    Some(reason) => format!("created: {reason}"),
                    None => "reused".to_owned(),
                };
                let wanted = existing::Wanted {
                    kubeconfig: Some(cluster.kubeconfig.clone()),
                    context: None,
                    kubectl: self
                        .kubectl
                        .clone()
                        .or_else(|| Some(cluster.kubectl.clone())),
                    images: BTreeMap::new(),
                    documents: extras.documents,
                    facts: ClusterFacts {
                        capabilities: self.allowed(),
                        name: cluster.name.clone(),
                        profile: profile.name.clone(),
                        node_image: Some(cluster.image.to_string()),
                        gates: profile.gates.clone(),
                        ..ClusterFacts::default()
                    },
                };
                (wanted, note, Some(cluster))
            }
        };
        let target = existing::target(wanted, &images)
            .await
            .map_err(|e| e.to_string())?;
        Ok(Provided {
            target,
            note,
            lease,
        })
    }
}

/// The nginx image; none where this machine lacks what builds it, so that only what needs the
/// image is left out.
async fn nginx(
    cache: Cache,
    say: impl Fn(String) + Send + 'static,
) -> Result<Option<PodImage>, String> {
    let made = tokio::task::spawn_blocking(move || {
        let mut tell = |progress: Progress| say(progress.text);
        match nginx_image::assemble(&cache, &mut Teller::new(&mut tell)) {
            Err(error @ ClusterError::Missing { .. }) => {
                tell(Progress {
                    elapsed: std::time::Duration::ZERO,
                    text: error.to_string(),
                });
                Ok(None)
            }
            other => other.map(Some),
        }
    });
    made.await
        .map_err(|e| e.to_string())?
        .map_err(|e| e.whole())
}

async fn ensure(
    profile: Profile,
    options: Options,
    say: impl Fn(String) + Send + 'static,
) -> Result<Cluster, String> {
    let made = tokio::task::spawn_blocking(move || {
        kind::ensure(&profile, &options, &mut |progress| say(progress.text))
    });
    made.await
        .map_err(|e| e.to_string())?
        .map_err(|e| e.to_string())
}

/// `default`, or the gates that differ: `PodLifecycleSleepAction-off`.
fn profile_name(gates: &BTreeMap<String, bool>) -> String {
    if gates.is_empty() {
        return "default".to_owned();
    }
    let names: Vec<String> = gates
        .iter()
        .map(|(gate, on)| format!("{gate}-{}", if *on { "on" } else { "off" }))
        .collect();
    names.join("-")
}
