//! Which clusters a command is about.

use camino::Utf8PathBuf;

use crate::cluster::existing::{self, AgentArchive};
use crate::observe::evidence::ClusterFacts;
use crate::observe::session::Target;

use super::exit::Failure;

/// Where experiments are made.
#[derive(Debug, Clone, clap::Args)]
pub struct ClusterArgs {
    /// Kubernetes versions to make kind clusters of, one after the other, such as 1.34,1.36
    #[arg(long, value_name = "VERSIONS", value_delimiter = ',', conflicts_with = "context")]
    kubernetes: Vec<String>,
    /// Feature gate for those clusters, such as PodLifecycleSleepAction=false
    #[arg(long = "gate", value_name = "NAME=BOOL", conflicts_with = "context")]
    gates: Vec<String>,
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
}

/// One cluster of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// An existing one.
    Context(String),
}

impl Where {
    /// Its name in events and results.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Context(context) => context.clone(),
        }
    }
}

impl ClusterArgs {
    /// The clusters that the arguments name.
    ///
    /// # Errors
    /// Arguments that name none.
    pub fn places(&self) -> Result<Vec<Where>, Failure> {
        match &self.context {
            Some(context) => Ok(vec![Where::Context(context.clone())]),
            None => Err(Failure::usage("not yet")),
        }
    }

    /// Makes a cluster ready to be used.
    ///
    /// # Errors
    /// What keeps it from being used, in a sentence.
    pub async fn provide(
        &self,
        place: &Where,
        say: impl Fn(String),
    ) -> Result<(Target, String), String> {
        match place {
            Where::Context(context) => {
                say("connecting".to_owned());
                let wanted = existing::Wanted {
                    kubeconfig: self.kubeconfig.clone(),
                    context: Some(context.clone()),
                    kubectl: self.kubectl.clone(),
                    agent_image: self.agent_image.clone(),
                    facts: ClusterFacts { profile: "existing".to_owned(), ..ClusterFacts::default() },
                };
                let image = agent_archive()?;
                let target = existing::target(wanted, &image).await.map_err(|e| e.to_string())?;
                Ok((target, "connected".to_owned()))
            }
        }
    }
}

fn agent_archive() -> Result<AgentArchive, String> {
    Err("todo".into())
}
