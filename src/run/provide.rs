//! Provides the clusters of a run: connects to existing ones, creates or reuses kind clusters.

use std::sync::OnceLock;

use super::driver::{Place, Provided};
use crate::catalogue::capability::{DOCUMENTS, GUARDED};
use crate::cluster::agent_image;
use crate::cluster::cache::Cache;
use crate::cluster::command::blocking;
use crate::cluster::error::ClusterError;
use crate::cluster::kind::{self, MAX_CLUSTERS, Options, Profile};
use crate::cluster::nginx_image;
use crate::cluster::node_image::Sources;
use crate::cluster::pod_image::PodImage;
use crate::cluster::progress::{Progress, Reporter};
use crate::evidence::ClusterFacts;
use crate::observe::connect::{self, ConnectError, IN_CLUSTER, Wanted};

/// The clusters of a run, as the user requests them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clusters {
    /// The kind clusters; if empty, the run uses the existing cluster of `wanted`.
    pub(crate) profiles: Vec<Profile>,
    /// Number of clusters that run at a time.
    pub(crate) parallel: usize,
    /// Allowed sources of node images.
    pub(crate) sources: Sources,
    /// Whether the selected scenarios need the nginx image.
    pub(crate) nginx: bool,
    /// How to connect to each cluster, and what scenarios may do there.
    pub(crate) wanted: Wanted,
}

/// One cluster of a run.
pub(crate) struct Chosen<'a> {
    clusters: &'a Clusters,
    /// `None` for an existing cluster.
    profile: Option<&'a Profile>,
    /// Name of the kind cluster, if this run created it.
    created: OnceLock<String>,
}

impl Clusters {
    pub(crate) fn chosen(&self) -> Vec<Chosen<'_>> {
        let chosen = |profile| Chosen {
            clusters: self,
            profile,
            created: OnceLock::new(),
        };
        if self.profiles.is_empty() {
            return vec![chosen(None)];
        }
        self.profiles.iter().map(Some).map(chosen).collect()
    }

    /// Checks what can be checked before anything is created: contexts and kubectl.
    pub(crate) async fn check(&self) -> Result<(), ConnectError> {
        let wanted = &self.wanted;
        if wanted.in_cluster {
            connect::in_cluster()?;
        } else if wanted.context.is_some() {
            connect::config(wanted.kubeconfig.as_deref(), wanted.context.as_deref()).await?;
        }
        if let Some(kubectl) = &wanted.kubectl {
            connect::kubectl_version(kubectl).await?;
        }
        Ok(())
    }
}

impl Place for Chosen<'_> {
    fn name(&self) -> String {
        match (self.profile, &self.clusters.wanted.context) {
            (Some(profile), _) => format!("{} {}", profile.kubernetes, profile.name),
            (None, Some(context)) => context.clone(),
            (None, None) => IN_CLUSTER.to_owned(),
        }
    }

    fn known(&self) -> ClusterFacts {
        let wanted = &self.clusters.wanted;
        let mut facts = ClusterFacts {
            capabilities: wanted.allowed.clone(),
            ..ClusterFacts::default()
        };
        if wanted.documents.is_some() {
            facts.capabilities.push(DOCUMENTS.to_owned());
        }
        if let Some(profile) = self.profile {
            facts.kubernetes.clone_from(&profile.kubernetes);
            facts.gates.clone_from(&profile.gates);
        }
        facts
    }

    async fn provide(
        &self,
        say: impl Fn(String) + Clone + Send + 'static,
    ) -> Result<(Provided, String), ConnectError> {
        let cache = Cache::open()?;
        let mut wanted = self.clusters.wanted.clone();
        let mut images = vec![agent_image::assemble(cache.root())?];
        if self.clusters.nginx && !wanted.images.contains_key(nginx_image::NAME) {
            let (cache, say) = (cache.clone(), say.clone());
            images.extend(blocking(move || nginx(&cache, say)).await?);
        }
        // The cluster itself shows whether it offers what is guarded.
        let offered = wanted.allowed.iter();
        let offered = offered.filter(|name| !GUARDED.contains(&name.as_str()));
        let facts = &mut wanted.facts;
        facts.capabilities.extend(offered.cloned());
        let (note, lease) = match self.profile {
            None => {
                say("connecting".to_owned());
                "existing".clone_into(&mut facts.profile);
                ("connected".to_owned(), None)
            }
            Some(profile) => {
                let options = Options {
                    cache,
                    sources: self.clusters.sources,
                    max_clusters: MAX_CLUSTERS.max(self.clusters.parallel),
                    keep_failed: false,
                };
                let shape = profile.clone();
                let ensure = move || {
                    let on_progress = |progress: Progress| say(progress.text);
                    kind::ensure(&shape, &options, &Reporter::new(&on_progress))
                };
                let cluster = blocking(ensure).await?;
                facts.name.clone_from(&cluster.name);
                facts.profile.clone_from(&profile.name);
                facts.node_image = Some(cluster.image.to_string());
                facts.gates.clone_from(&profile.gates);
                wanted.kubeconfig = Some(cluster.kubeconfig.clone());
                let kubectl = &cluster.image.kubectl;
                wanted.kubectl.get_or_insert_with(|| kubectl.clone());
                wanted.images.clear();
                let note = match &cluster.created {
                    Some(reason) => {
                        let _ = self.created.set(cluster.name.clone());
                        format!("created: {reason}")
                    }
                    None => "reused".to_owned(),
                };
                (note, Some(cluster))
            }
        };
        let target = connect::target(wanted, &images).await?;
        Ok((Provided { target, lease }, note))
    }

    /// Idle clusters take time from others, so a run on several removes those that it created. A run on one
    /// leaves it to the next run.
    async fn leave(&self) -> Result<(), String> {
        let several = self.clusters.profiles.len() > 1;
        let Some(name) = self.created.get().filter(|_| several).cloned() else {
            return Ok(());
        };
        let delete = move || kind::delete(&Cache::open()?, &name);
        blocking(delete).await.map_err(|error| error.to_string())
    }
}

/// Builds the nginx image. Returns `None` if a build tool is missing; only the scenarios that need
/// the image are then skipped.
fn nginx(cache: &Cache, say: impl Fn(String)) -> Result<Option<PodImage>, ClusterError> {
    let on_progress = |progress: Progress| say(progress.text);
    match nginx_image::assemble(cache, &Reporter::new(&on_progress)) {
        Err(error @ ClusterError::Missing { .. }) => {
            say(error.to_string());
            Ok(None)
        }
        image => image.map(Some),
    }
}
