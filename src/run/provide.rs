//! Provides the clusters of a run: connects to existing ones, creates or reuses kind clusters.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use camino::Utf8PathBuf;

use super::driver::{Place, Provided};
use crate::catalogue::capability::{DOCUMENTS, GUARDED};
use crate::cluster::agent_image;
use crate::cluster::cache::Cache;
use crate::cluster::command::blocking;
use crate::cluster::error::ClusterError;
use crate::cluster::kind::{self, Options, Profile};
use crate::cluster::nginx_image;
use crate::cluster::node_image::Sources;
use crate::cluster::pod_image::PodImage;
use crate::cluster::progress::{Progress, Reporter};
use crate::evidence::ClusterFacts;
use crate::observe::connect::{self, ConnectError, IN_CLUSTER, Wanted};

/// The clusters of a run, as the user requests them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clusters {
    pub(crate) places: Vec<Where>,
    /// Number of clusters that run at a time.
    pub(crate) parallel: usize,
    /// Allowed sources of node images.
    pub(crate) sources: Sources,
    pub(crate) kubeconfig: Option<Utf8PathBuf>,
    /// Default: the one of the kind cluster, or on PATH.
    pub(crate) kubectl: Option<Utf8PathBuf>,
    /// Images that the nodes pull themselves, by the name that manifests use.
    pub(crate) images: BTreeMap<String, String>,
    /// Capabilities that are off by default.
    pub(crate) allowed: Vec<String>,
    /// Whether the selected scenarios need the nginx image.
    pub(crate) nginx: bool,
    pub(crate) documents: Option<Utf8PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Where {
    /// An existing cluster, by its kubeconfig context.
    Context(String),
    /// The cluster that this process runs in.
    InCluster,
    /// A kind cluster.
    Profile(Profile),
}

/// One cluster of a run.
pub(crate) struct Chosen<'a> {
    clusters: &'a Clusters,
    place: &'a Where,
    /// Name of the kind cluster, if this run created it.
    created: OnceLock<String>,
}

impl Clusters {
    pub(crate) fn chosen(&self) -> Vec<Chosen<'_>> {
        let chosen = |place| Chosen {
            clusters: self,
            place,
            created: OnceLock::new(),
        };
        self.places.iter().map(chosen).collect()
    }

    /// Checks what can be checked before anything is created: contexts and kubectl.
    pub(crate) async fn check(&self) -> Result<(), ConnectError> {
        for place in &self.places {
            match place {
                Where::Context(context) => {
                    connect::config(self.kubeconfig.as_deref(), Some(context)).await?;
                }
                Where::InCluster => drop(connect::in_cluster()?),
                Where::Profile(_) => {}
            }
        }
        if let Some(kubectl) = &self.kubectl {
            connect::kubectl_version(kubectl).await?;
        }
        Ok(())
    }
}

impl Place for Chosen<'_> {
    fn name(&self) -> String {
        match self.place {
            Where::Context(context) => context.clone(),
            Where::InCluster => IN_CLUSTER.to_owned(),
            Where::Profile(profile) => format!("{} {}", profile.kubernetes, profile.name),
        }
    }

    fn known(&self) -> ClusterFacts {
        let mut capabilities = self.clusters.allowed.clone();
        if self.clusters.documents.is_some() {
            capabilities.push(DOCUMENTS.to_owned());
        }
        let (kubernetes, gates) = match self.place {
            Where::Context(_) | Where::InCluster => Default::default(),
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
        self.connect(say).await.map_err(|error| error.to_string())
    }

    /// Idle clusters take time from others, so a run on several removes those that it created. A run on one
    /// leaves it to the next run.
    async fn leave(&self) -> Result<(), String> {
        let several = self.clusters.places.len() > 1;
        let Some(name) = self.created.get().filter(|_| several).cloned() else {
            return Ok(());
        };
        let delete = move || kind::delete(&Cache::open()?, &name);
        blocking(delete).await.map_err(|error| error.to_string())
    }
}

impl Chosen<'_> {
    async fn connect(
        &self,
        say: impl Fn(String) + Clone + Send + 'static,
    ) -> Result<Provided, ConnectError> {
        let clusters = self.clusters;
        let cache = Cache::open()?;
        let mut images = vec![agent_image::assemble(cache.root())?];
        if clusters.nginx && !clusters.images.contains_key(nginx_image::NAME) {
            let (cache, say) = (cache.clone(), say.clone());
            images.extend(blocking(move || nginx(&cache, &say)).await?);
        }
        // The cluster itself shows whether it offers what is guarded.
        let offered = clusters
            .allowed
            .iter()
            .filter(|name| !GUARDED.contains(&name.as_str()));
        let facts = ClusterFacts {
            capabilities: offered.cloned().collect(),
            ..ClusterFacts::default()
        };
        let (wanted, note, lease) = match self.place {
            Where::Context(_) | Where::InCluster => {
                say("connecting".to_owned());
                let wanted = Wanted {
                    kubeconfig: clusters.kubeconfig.clone(),
                    context: match self.place {
                        Where::Context(context) => Some(context.clone()),
                        _ => None,
                    },
                    in_cluster: *self.place == Where::InCluster,
                    kubectl: clusters.kubectl.clone(),
                    images: clusters.images.clone(),
                    documents: clusters.documents.clone(),
                    allowed: clusters.allowed.clone(),
                    facts: ClusterFacts {
                        profile: "existing".to_owned(),
                        ..facts
                    },
                };
                (wanted, "connected".to_owned(), None)
            }
            Where::Profile(profile) => {
                let options = Options::new(cache);
                let options = Options {
                    sources: clusters.sources,
                    max_clusters: options.max_clusters.max(clusters.parallel),
                    ..options
                };
                let wanted = profile.clone();
                let ensure = move || {
                    let on_progress = |progress: Progress| say(progress.text);
                    kind::ensure(&wanted, &options, &Reporter::new(&on_progress))
                };
                let cluster = blocking(ensure).await?;
                let note = match &cluster.created {
                    Some(reason) => {
                        let _ = self.created.set(cluster.name.clone());
                        format!("created: {reason}")
                    }
                    None => "reused".to_owned(),
                };
                let kubectl = clusters.kubectl.as_ref().unwrap_or(&cluster.image.kubectl);
                let wanted = Wanted {
                    kubeconfig: Some(cluster.kubeconfig.clone()),
                    context: None,
                    in_cluster: false,
                    kubectl: Some(kubectl.clone()),
                    images: BTreeMap::new(),
                    documents: clusters.documents.clone(),
                    allowed: clusters.allowed.clone(),
                    facts: ClusterFacts {
                        name: cluster.name.clone(),
                        profile: profile.name.clone(),
                        node_image: Some(cluster.image.to_string()),
                        gates: profile.gates.clone(),
                        ..facts
                    },
                };
                (wanted, note, Some(cluster))
            }
        };
        Ok(Provided {
            target: connect::target(wanted, &images).await?,
            note,
            lease,
        })
    }
}

/// Builds the nginx image. Returns `None` if a build tool is missing; only the scenarios that need
/// the image are then skipped.
fn nginx(cache: &Cache, say: &impl Fn(String)) -> Result<Option<PodImage>, ClusterError> {
    let on_progress = |progress: Progress| say(progress.text);
    match nginx_image::assemble(cache, &Reporter::new(&on_progress)) {
        Err(error @ ClusterError::Missing { .. }) => {
            say(error.to_string());
            Ok(None)
        }
        image => image.map(Some),
    }
}
