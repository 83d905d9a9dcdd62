//! Connects to existing clusters and detects their capabilities.

use std::collections::BTreeMap;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};

use crate::catalogue::capability::{
    DOCUMENTS, NGINX_IMAGE, NODE_SHELL, OUTSIDE, PROTECTED_PORTS, SPARE_LABEL, SPARE_NODE,
};
use crate::cluster::agent_image;
use crate::cluster::command::{blocking, capture, feed, find, output};
use crate::cluster::docker::docker;
use crate::cluster::error::ClusterError;
use crate::cluster::nginx_image;
use crate::cluster::pod_image::PodImage;
use crate::evidence::ClusterFacts;
use crate::observe::command::{Kubectl, ordinary_user};
use crate::observe::facts;
use crate::observe::outside::Outside;
use crate::observe::scratch::Scratch;
use crate::observe::session::{NodeShell, Target};

#[derive(Debug, thiserror::Error)]
pub enum ExistingError {
    #[error("cannot use the kubeconfig: {0}; list its contexts with `kubectl config get-contexts`")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    #[error("cannot create a client from the kubeconfig: {0}")]
    Client(#[source] Box<kube::Error>),
    #[error(
        "the API server of {context} is unreachable: {source}; \
         check with `kubectl --context {context} version`"
    )]
    Unreachable {
        context: String,
        source: Box<kube::Error>,
    },
    #[error(
        "no working kubectl found, which the claims about kubectl need; install it or pass --kubectl FILE"
    )]
    NoKubectl,
    /// Images can be loaded directly only onto kind nodes.
    #[error(
        "cannot load the agent image onto the nodes of {0}, which are not kind nodes; save the image with \
         `hookproof agent-image --save FILE`, push it to a registry and pass --agent-image NAME"
    )]
    NeedsAgentImage(String),
    #[error("cannot create temporary files: {0}; check disk space")]
    Scratch(#[source] std::io::Error),
    #[error("failed to load the images onto the nodes: {0}")]
    Load(#[from] ClusterError),
}

/// An existing cluster, as selected by the user.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Default: the first file in `KUBECONFIG`, else `~/.kube/config`.
    pub kubeconfig: Option<Utf8PathBuf>,
    /// Default: the current context.
    pub context: Option<String>,
    /// Default: the kubectl on PATH.
    pub kubectl: Option<Utf8PathBuf>,
    /// Images that the nodes pull themselves, by the name that manifests use.
    pub images: BTreeMap<String, String>,
    pub documents: Option<Utf8PathBuf>,
    /// Facts that are already known, such as the profile's name.
    pub facts: ClusterFacts,
}

/// Prepares an existing cluster for a run: connects, loads images onto kind nodes and detects
/// capabilities.
///
/// # Errors
/// See [`ExistingError`]. Only images remain on the cluster after a failure.
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
    let node_shell = if !kind_nodes.is_empty()
        && kind_nodes.len() == nodes.items.len()
        && has_docker(kind_nodes.clone()).await
    {
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

/// Creates a client for a context, by default the current one of the default kubeconfig.
///
/// # Errors
/// Fails if the kubeconfig is missing or invalid, or lacks the context.
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
    // A watch may be silent for minutes; requests that must be fast have their own timeouts.
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

/// Whether the kernel reserves low ports for root here; container runtimes often lift that.
fn ports_are_protected() -> bool {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .ok()
        .and_then(|text| text.trim().parse::<u16>().ok())
        .is_some_and(|start| start > 80)
}

async fn has_docker(nodes: Vec<String>) -> bool {
    let inspect = move || output(docker(["inspect"]).args(&nodes));
    let inspected = blocking(inspect).await;
    inspected.is_ok_and(|output| output.status.success())
}

/// The docker network of kind nodes.
fn docker_network() -> String {
    let named = std::env::var("KIND_EXPERIMENTAL_DOCKER_NETWORK");
    named.unwrap_or_else(|_| "kind".to_owned())
}

/// Loads the images that are not in `known` onto every node.
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
            let (node, image) = (node.clone(), image.clone());
            blocking(move || load(&node, &image)).await?;
        }
        known.insert(image.name.to_owned(), image.tag.clone());
    }
    Ok(())
}

fn load(node: &str, image: &PodImage) -> Result<(), ClusterError> {
    let mut ask = docker(["exec", node, "crictl", "inspecti", "-q", &image.tag]);
    if output(&mut ask)?.status.success() {
        return Ok(());
    }
    let mut import = docker(["exec", "-i", node, "ctr", "--namespace=k8s.io"]);
    import.args(["images", "import", "-"]);
    let step = format!("loading {} onto {node}", image.tag);
    feed(&step, &mut import, &image.archive).map(drop)
}

async fn kubectl_version(program: &Utf8Path) -> Option<String> {
    let mut ask = Command::new(program);
    ask.args(["version", "--client", "-o", "json"]);
    let answer = blocking(move || capture("asking kubectl for its version", &mut ask)).await;
    let version: serde_json::Value = serde_json::from_str(&answer.ok()?).ok()?;
    version["clientVersion"]["gitVersion"]
        .as_str()
        .map(ToOwned::to_owned)
}
