//! Clusters that are there already, with what they allow.

use std::collections::BTreeMap;
use std::process::Stdio;

use camino::{Utf8Path, Utf8PathBuf};
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use tokio::process::Command;

use super::agent_image;
use super::command::find;
use super::nginx_image;
use super::pod_image::PodImage;
use crate::catalogue::capability::{
    DOCUMENTS, NGINX_IMAGE, NODE_SHELL, OUTSIDE, PROTECTED_PORTS, SPARE_NODE,
};
use crate::observe::command::{Kubectl, ordinary_user};
use crate::observe::evidence::ClusterFacts;
use crate::observe::facts;
use crate::observe::outside::Outside;
use crate::observe::scratch::Scratch;
use crate::observe::session::{NodeShell, Target};

/// The label on a node that may be disturbed.
pub const SPARE_LABEL: &str = "hookproof/spare";

/// What keeps a cluster from being used.
#[derive(Debug, thiserror::Error)]
pub enum ExistingError {
    /// The kubeconfig is missing, broken, or lacks the context.
    #[error("the kubeconfig cannot be used: {0}. `kubectl config get-contexts` lists what it has")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// No client can be made of it.
    #[error("no connection can be made from the kubeconfig: {0}")]
    Client(#[source] Box<kube::Error>),
    /// The API server cannot be reached.
    #[error(
        "the API server of {context} did not answer: {source}. Is the cluster up? \
         `kubectl --context {context} version` should work"
    )]
    Unreachable {
        /// The context.
        context: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// No kubectl.
    #[error(
        "kubectl was not found; the claims about it need the real one. Install it, or name it with --kubectl PATH"
    )]
    NoKubectl,
    /// The nodes are not kind's, so the image has to come from a registry of the user's.
    #[error(
        "the nodes of {0} are not kind's, so the agent's image cannot be put there directly. Push it \
         where they can pull it from and give its name with --agent-image NAME \
         (`hookproof agent-image --save FILE` writes it)"
    )]
    NeedsAgentImage(String),
    /// The run's temporary files could not be made.
    #[error("temporary files could not be made: {0}. Is the disk full?")]
    Scratch(#[source] std::io::Error),
    /// Putting the image on a node failed.
    #[error("the image {image} could not be put on node {node}: {why}")]
    Load {
        /// The image.
        image: String,
        /// The node.
        node: String,
        /// What the command said.
        why: String,
    },
}

/// How an existing cluster is named by the user.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The kubeconfig; the usual places where none.
    pub kubeconfig: Option<Utf8PathBuf>,
    /// The context; the current one where none.
    pub context: Option<String>,
    /// kubectl; the one on PATH where none.
    pub kubectl: Option<Utf8PathBuf>,
    /// Images that the nodes can get by themselves, by the names that manifests use.
    pub images: BTreeMap<String, String>,
    /// The folder with the documents.
    pub documents: Option<Utf8PathBuf>,
    /// What is known already, such as the profile's name.
    pub facts: ClusterFacts,
}

/// Makes an existing cluster usable for a run: connects, puts the images on kind's nodes, and finds
/// out what it allows.
///
/// # Errors
/// See [`ExistingError`]; nothing is left behind on the cluster but the images.
pub async fn target(wanted: Wanted, images: &[PodImage]) -> Result<Target, ExistingError> {
    let kubeconfig = wanted.kubeconfig.unwrap_or_else(default_kubeconfig);
    let context = match &wanted.context {
        Some(context) => context.clone(),
        None => Kubeconfig::read_from(&kubeconfig)?
            .current_context
            .unwrap_or_default(),
    };
    let client = client(Some(&kubeconfig), wanted.context.as_deref()).await?;
    let unreachable = |source| ExistingError::Unreachable {
        context: context.clone(),
        source: Box::new(source),
    };

    let program = match wanted.kubectl {
        Some(path) => path,
        None => find("kubectl").ok_or(ExistingError::NoKubectl)?,
    };
    let mut facts = facts::gather(&client, wanted.facts)
        .await
        .map_err(unreachable)?;
    if facts.name.is_empty() {
        facts.name.clone_from(&context);
    }
    facts.kubectl = kubectl_version(&program)
        .await
        .ok_or(ExistingError::NoKubectl)?;

    let nodes = Api::<Node>::all(client.clone());
    let nodes = nodes
        .list(&ListParams::default())
        .await
        .map_err(unreachable)?;
    let kind_nodes: Vec<String> = nodes
        .iter()
        .filter(|node| is_kind(node))
        .map(ResourceExt::name_any)
        .collect();
    let node_shell = if kind_nodes.len() == nodes.items.len() && has_docker(&kind_nodes).await {
        facts.capabilities.push(NODE_SHELL.to_owned());
        Some(NodeShell {
            prefix: vec!["docker".into(), "exec".into()],
        })
    } else {
        None
    };
    if nodes
        .iter()
        .any(|node| node.labels().contains_key(SPARE_LABEL))
    {
        facts.capabilities.push(SPARE_NODE.to_owned());
    }
    let mut known = wanted.images;
    if node_shell.is_some() {
        load_all(&kind_nodes, images, &mut known).await?;
    }
    if !known.contains_key(agent_image::NAME) {
        return Err(ExistingError::NeedsAgentImage(context));
    }
    if known.contains_key(nginx_image::NAME) {
        facts.capabilities.push(NGINX_IMAGE.to_owned());
    }
    let agent = images.iter().find(|image| image.name == agent_image::NAME);
    let outside = agent.filter(|_| node_shell.is_some()).map(|agent| Outside {
        network: docker_network(),
        image: agent.tag.clone(),
        archive: agent.archive.clone(),
    });
    if outside.is_some() {
        facts.capabilities.push(OUTSIDE.to_owned());
    }
    if wanted.documents.is_some() {
        facts.capabilities.push(DOCUMENTS.to_owned());
    }
    if ports_are_protected() {
        facts.capabilities.push(PROTECTED_PORTS.to_owned());
    }
    let scratch = Scratch::new().map_err(ExistingError::Scratch)?;
    let kubectl = Kubectl {
        ordinary: ordinary_user(&program, &kubeconfig, scratch.path())
            .map_err(ExistingError::Scratch)?,
        program,
        kubeconfig,
        context: wanted.context,
        cache: scratch.path().join("kubectl-cache"),
    };
    Ok(Target {
        client,
        kubectl,
        facts,
        images: known,
        node_shell,
        outside,
        documents: wanted.documents,
        scratch,
    })
}

/// A client for a context of a kubeconfig; of the usual one, and the current one, where none is given.
///
/// # Errors
/// The kubeconfig is missing or broken, or lacks the context.
pub async fn client(
    kubeconfig: Option<&Utf8Path>,
    context: Option<&str>,
) -> Result<Client, ExistingError> {
    let path = kubeconfig.map_or_else(default_kubeconfig, Utf8Path::to_owned);
    let kubeconfig = Kubeconfig::read_from(&path)?;
    let options = KubeConfigOptions {
        context: context.map(ToOwned::to_owned),
        ..Default::default()
    };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    // A watch is silent for minutes; what has to answer soon has a cap of its own.
    config.read_timeout = None;
    Client::try_from(config).map_err(|e| ExistingError::Client(Box::new(e)))
}

fn default_kubeconfig() -> Utf8PathBuf {
    let first = std::env::var("KUBECONFIG").ok().and_then(|paths| {
        paths
            .split(':')
            .find(|path| !path.is_empty())
            .map(Utf8PathBuf::from)
    });
    let home = std::env::var("HOME").unwrap_or_default();
    first.unwrap_or_else(|| Utf8PathBuf::from(home).join(".kube/config"))
}

fn is_kind(node: &Node) -> bool {
    let provider = node
        .spec
        .as_ref()
        .and_then(|spec| spec.provider_id.as_deref());
    provider.is_some_and(|id| id.starts_with("kind://docker/"))
}

/// Whether the kernel keeps low ports from ordinary users here; containers often lift that.
fn ports_are_protected() -> bool {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .ok()
        .and_then(|text| text.trim().parse::<u16>().ok())
        .is_some_and(|start| start > 80)
}

async fn has_docker(nodes: &[String]) -> bool {
    let inspected = Command::new("docker")
        .arg("inspect")
        .args(nodes)
        .output()
        .await;
    !nodes.is_empty() && inspected.is_ok_and(|output| output.status.success())
}

/// The docker network that kind's nodes are on.
fn docker_network() -> String {
    let named = std::env::var("KIND_EXPERIMENTAL_DOCKER_NETWORK");
    named.unwrap_or_else(|_| "kind".to_owned())
}

/// Puts on every node the images that it is not known to get by itself.
async fn load_all(
    nodes: &[String],
    images: &[PodImage],
    known: &mut BTreeMap<String, String>,
) -> Result<(), ExistingError> {
    for image in images {
        if known.contains_key(image.name) {
            continue;
        }
        for node in nodes {
            load(node, image).await?;
        }
        known.insert(image.name.to_owned(), image.tag.clone());
    }
    Ok(())
}

async fn load(node: &str, image: &PodImage) -> Result<(), ExistingError> {
    let fail = |why: String| ExistingError::Load {
        image: image.tag.clone(),
        node: node.to_owned(),
        why,
    };
    let here = Command::new("docker")
        .args(["exec", node, "crictl", "inspecti", "-q", &image.tag])
        .output()
        .await;
    if here.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    let archive =
        std::fs::File::open(&image.archive).map_err(|e| fail(format!("{}: {e}", image.archive)))?;
    let output = Command::new("docker")
        .args([
            "exec",
            "-i",
            node,
            "ctr",
            "--namespace=k8s.io",
            "images",
            "import",
            "-",
        ])
        .stdin(Stdio::from(archive))
        .output()
        .await
        .map_err(|e| fail(e.to_string()))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(fail(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }
}

async fn kubectl_version(program: &Utf8Path) -> Option<String> {
    let output = Command::new(program)
        .args(["version", "--client", "-o", "json"])
        .output()
        .await
        .ok()?;
    let version: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    version["clientVersion"]["gitVersion"]
        .as_str()
        .map(ToOwned::to_owned)
}
