//! Selection and provisioning of the clusters of a run.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

use crate::catalogue::capability::{DOCUMENTS, LITERAL, PUBLISHED_IMAGES};
use crate::cluster::agent_image;
use crate::cluster::cache::Cache;
use crate::cluster::error::ClusterError;
use crate::cluster::kind::{self, Cluster, Options, Profile, WORKERS};
use crate::cluster::nginx_image;
use crate::cluster::node_image::Sources;
use crate::cluster::node_image::versions::resolve;
use crate::cluster::pod_image::PodImage;
use crate::cluster::progress::{Progress, Reporter};
use crate::evidence::ClusterFacts;
use crate::observe::connect;
use crate::run::driver::{Place, Provided};

use super::cluster::gate;
use super::exit::Failure;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ClusterArgs {
    /// Kubernetes versions to run on, one kind cluster after the other, such as 1.34,1.36
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
    /// nginx image that the nodes can pull, with curl, and killall in /usr/local/bin
    #[arg(long, value_name = "NAME", requires = "context")]
    nginx_image: Option<String>,
    /// Allow something that is off by default
    #[arg(long, value_enum, value_name = "WHAT")]
    allow: Vec<Allow>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Allow {
    /// Run scenarios with the documents' original durations, which take minutes
    Literal,
    /// Let the nodes pull published images
    PublishedImages,
}

/// Optional resources that the selected scenarios need.
#[derive(Debug, Clone, Default)]
pub(super) struct Extras {
    pub(super) nginx: bool,
    pub(super) documents: Option<Utf8PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Where {
    Context(String),
    Profile(Profile),
}

/// One cluster of a run.
pub(super) struct Chosen<'a> {
    args: &'a ClusterArgs,
    extras: &'a Extras,
    place: Where,
}

impl Place for Chosen<'_> {
    fn name(&self) -> String {
        match &self.place {
            Where::Context(context) => context.clone(),
            Where::Profile(profile) => format!("{} {}", profile.kubernetes, profile.name),
        }
    }

    fn known(&self) -> ClusterFacts {
        let mut capabilities = self.args.allowed();
        if self.extras.documents.is_some() {
            capabilities.push(DOCUMENTS.to_owned());
        }
        let (kubernetes, gates) = match &self.place {
            Where::Context(_) => Default::default(),
            Where::Profile(profile) => (profile.kubernetes.clone(), profile.gates.clone()),
        };
        ClusterFacts {
            kubernetes,
            gates,
            capabilities,
            ..ClusterFacts::default()
        }
    }

    async fn provide(
        &self,
        say: impl Fn(String) + Clone + Send + 'static,
    ) -> Result<Provided, String> {
        let extras = self.extras.clone();
        self.args.provide(&self.place, extras, say).await
    }
}

impl ClusterArgs {
    pub(super) fn places<'a>(&'a self, extras: &'a Extras) -> Result<Vec<Chosen<'a>>, Failure> {
        let chosen = |place| Chosen {
            args: self,
            extras,
            place,
        };
        if let Some(context) = &self.context {
            return Ok(vec![chosen(Where::Context(context.clone()))]);
        }
        let gates: BTreeMap<String, bool> = self.gates.iter().cloned().collect();
        self.kubernetes
            .iter()
            .map(|text| {
                let wanted = resolve(text)?;
                Ok(chosen(Where::Profile(Profile {
                    name: profile_name(&gates),
                    kubernetes: wanted.version.to_string(),
                    gates: gates.clone(),
                    workers: WORKERS,
                })))
            })
            .collect()
    }

    /// Images that the nodes pull themselves, by the name that manifests use.
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

    /// Connects to an existing cluster, or creates or reuses a kind cluster.
    async fn provide(
        &self,
        place: &Where,
        extras: Extras,
        say: impl Fn(String) + Clone + Send + 'static,
    ) -> Result<Provided, String> {
        let cache = Cache::open().map_err(|e| e.with_causes())?;
        let mut images = vec![agent_image::assemble(cache.root()).map_err(|e| e.to_string())?];
        if extras.nginx && self.nginx_image.is_none() {
            images.extend(nginx(cache.clone(), say.clone()).await?);
        }
        let (wanted, note, lease) = match place {
            Where::Context(context) => {
                say("connecting".to_owned());
                let wanted = connect::Wanted {
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
                let wanted = connect::Wanted {
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
        let target = connect::target(wanted, &images)
            .await
            .map_err(|e| e.to_string())?;
        Ok(Provided {
            target,
            note,
            lease,
        })
    }
}

/// Builds the nginx image. Returns `None` if a build tool is missing; only the scenarios that need
/// the image are then skipped.
async fn nginx(
    cache: Cache,
    say: impl Fn(String) + Send + 'static,
) -> Result<Option<PodImage>, String> {
    let made = tokio::task::spawn_blocking(move || {
        let mut on_progress = |progress: Progress| say(progress.text);
        match nginx_image::assemble(&cache, &mut Reporter::new(&mut on_progress)) {
            Err(error @ ClusterError::Missing { .. }) => {
                on_progress(Progress {
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
        .map_err(|e| e.with_causes())
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
        .map_err(|e| e.with_causes())
}

/// `default`, or the gates that are set, such as `PodLifecycleSleepAction-off`.
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
