//! Connects to existing clusters and detects their capabilities.

use std::collections::BTreeMap;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config, ResourceExt};
use rustix::fs::{Access, access};
use serde_json::Value;

use crate::catalogue::capability::{
    DOCUMENTS, NGINX_IMAGE, NODE_SHELL, OUTSIDE, PROTECTED_PORTS, SPARE_LABEL, SPARE_NODE,
};
use crate::cluster::agent_image;
use crate::cluster::command::{blocking, capture, find, output};
use crate::cluster::docker::docker;
use crate::cluster::error::ClusterError;
use crate::cluster::nginx_image;
use crate::cluster::pod_image::PodImage;
use crate::evidence::ClusterFacts;
use crate::observe::command::{Kubectl, Server, ordinary_user};
use crate::observe::facts;
use crate::observe::outside::Outside;
use crate::observe::scratch::Scratch;
use crate::observe::session::{NodeShell, Target};

/// The name of the cluster that this process runs in.
pub(crate) const IN_CLUSTER: &str = "in-cluster";

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(
        "--in-cluster works only in a pod: KUBERNETES_SERVICE_HOST is not set; pass --context for an existing cluster"
    )]
    NotInCluster,
    #[error("cannot read the kubeconfig {path}: {source}")]
    Read {
        path: Utf8PathBuf,
        source: std::io::Error,
    },
    /// Without the parser's message, which quotes the file and so its secrets.
    #[error("invalid kubeconfig {place}: expected YAML as `kubectl config view` prints it")]
    Syntax {
        /// Path and, if known, line and column.
        place: String,
    },
    #[error("context `{context}` is not in {path}: {known}")]
    NoContext {
        context: String,
        path: Utf8PathBuf,
        known: String,
    },
    #[error("cannot use the kubeconfig {path}: {source}")]
    Kubeconfig {
        path: Utf8PathBuf,
        source: KubeconfigError,
    },
    #[error("cannot use kubectl {path}: {why}")]
    Kubectl { path: Utf8PathBuf, why: String },
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
        "no kubectl on PATH, which the claims about kubectl need; install it or pass --kubectl FILE"
    )]
    NoKubectl,
    /// Images can be loaded directly only onto kind nodes.
    #[error(
        "cannot load the agent image onto the nodes of {0}, which are not kind nodes; push it \
         with `hookproof agent-image push NAME` and pass --agent-image NAME"
    )]
    NeedsAgentImage(String),
    #[error("cannot create temporary files: {0}; check disk space")]
    Scratch(#[source] std::io::Error),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl ConnectError {
    /// Whether the user's request is invalid, as opposed to a failure of the machine or the cluster.
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            Self::Cluster(error) => error.is_usage(),
            Self::Read { .. }
            | Self::Syntax { .. }
            | Self::NoContext { .. }
            | Self::Kubeconfig { .. }
            | Self::Kubectl { .. }
            | Self::NotInCluster => true,
            _ => false,
        }
    }
}

/// An existing cluster, as selected by the user.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Default: the first file in `KUBECONFIG`, else `~/.kube/config`.
    pub kubeconfig: Option<Utf8PathBuf>,
    /// Default: the current context.
    pub context: Option<String>,
    /// The cluster of the pod that this process runs in, instead of a kubeconfig.
    pub in_cluster: bool,
    /// Default: the kubectl on PATH.
    pub kubectl: Option<Utf8PathBuf>,
    /// Images that the nodes pull themselves, by the name that manifests use.
    pub images: BTreeMap<String, String>,
    pub documents: Option<Utf8PathBuf>,
    /// Capabilities that the user allows.
    pub allowed: Vec<String>,
    /// Facts that are already known, such as the profile's name.
    pub facts: ClusterFacts,
}

/// Prepares an existing cluster for a run: connects, loads images onto kind nodes and detects
/// capabilities.
pub(crate) async fn target(wanted: Wanted, images: &[PodImage]) -> Result<Target, ConnectError> {
    let scratch = Scratch::new().map_err(ConnectError::Scratch)?;
    let kubeconfig = match wanted.kubeconfig {
        _ if wanted.in_cluster => write_in_cluster(scratch.path())?,
        given => given.unwrap_or_else(default_kubeconfig),
    };
    let context = match &wanted.context {
        Some(context) => context.clone(),
        None => read(&kubeconfig)?.current_context.unwrap_or_default(),
    };
    let config = config(Some(&kubeconfig), wanted.context.as_deref()).await?;
    let client = client_of(config.clone())?;
    let unreachable = |source| ConnectError::Unreachable {
        context: context.clone(),
        source: Box::new(source),
    };

    let program = match wanted.kubectl {
        Some(path) => path,
        None => find("kubectl").ok_or(ConnectError::NoKubectl)?,
    };
    let mut facts = facts::gather(&client, wanted.facts)
        .await
        .map_err(unreachable)?;
    if facts.name.is_empty() {
        facts.name.clone_from(&context);
    }
    facts.kubectl = kubectl_version(&program).await?;

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
        && are_nodes_here(&nodes.items).await
    {
        facts.capabilities.push(NODE_SHELL.to_owned());
        Some(NodeShell {
            prefix: vec!["docker".into(), "exec".into()],
            nodes: kind_nodes.clone(),
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
        return Err(ConnectError::NeedsAgentImage(context));
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
    let kubectl = Kubectl {
        ordinary: ordinary_user(&program, scratch.path()).map_err(ConnectError::Scratch)?,
        program,
        server: Server::of(&config),
        cache: scratch.path().join("kubectl-cache"),
        sandbox: Some(own_program().map_err(ConnectError::Scratch)?),
    };
    std::fs::create_dir(&kubectl.cache).map_err(ConnectError::Scratch)?;
    Ok(Target {
        client,
        kubectl,
        facts,
        images: known,
        node_shell,
        outside,
        documents: wanted.documents,
        allowed: wanted.allowed,
        _scratch: scratch,
    })
}

/// A kubeconfig for the service account of the pod that this process runs in. It names the files of the account, so
/// that a renewed token is used.
pub(crate) fn in_cluster() -> Result<String, ConnectError> {
    const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let address = ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"].map(std::env::var);
    let [Ok(host), Ok(port)] = address else {
        return Err(ConnectError::NotInCluster);
    };
    Ok(kubeconfig_of(&host, &port, ACCOUNT))
}

fn write_in_cluster(folder: &Utf8Path) -> Result<Utf8PathBuf, ConnectError> {
    let path = folder.join(IN_CLUSTER);
    std::fs::write(&path, in_cluster()?).map_err(ConnectError::Scratch)?;
    Ok(path)
}

fn kubeconfig_of(host: &str, port: &str, account: &str) -> String {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": IN_CLUSTER,
        "clusters": [{"name": IN_CLUSTER, "cluster": {
            "server": format!("https://{host}:{port}"), "certificate-authority": format!("{account}/ca.crt")}}],
        "users": [{"name": IN_CLUSTER, "user": {"tokenFile": format!("{account}/token")}}],
        "contexts": [{"name": IN_CLUSTER, "context": {"cluster": IN_CLUSTER, "user": IN_CLUSTER}}],
    })
    .to_string()
}

/// Creates a client for a context, by default the current one of the default kubeconfig.
pub(crate) async fn client(
    kubeconfig: Option<&Utf8Path>,
    context: Option<&str>,
) -> Result<Client, ConnectError> {
    client_of(config(kubeconfig, context).await?)
}

fn client_of(mut config: Config) -> Result<Client, ConnectError> {
    // A watch may be silent for minutes; requests that must be fast have their own timeouts.
    config.read_timeout = None;
    Client::try_from(config).map_err(|e| ConnectError::Client(Box::new(e)))
}

/// The configuration of a client, see [`client`]. The cluster is not contacted.
pub(crate) async fn config(
    kubeconfig: Option<&Utf8Path>,
    context: Option<&str>,
) -> Result<Config, ConnectError> {
    let path = kubeconfig.map_or_else(default_kubeconfig, Utf8Path::to_owned);
    let kubeconfig = read(&path)?;
    if let Some(context) = context {
        let mut known = kubeconfig.contexts.iter().map(|known| known.name.as_str());
        if !known.clone().any(|known| known == context) {
            let known = known.by_ref().collect::<Vec<_>>().join(", ");
            return Err(ConnectError::NoContext {
                context: context.to_owned(),
                path,
                known: if known.is_empty() {
                    "it has no contexts".to_owned()
                } else {
                    format!("contexts are {known}")
                },
            });
        }
    }
    let options = KubeConfigOptions {
        context: context.map(ToOwned::to_owned),
        ..Default::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    config.map_err(|source| ConnectError::Kubeconfig { path, source })
}

fn read(path: &Utf8Path) -> Result<Kubeconfig, ConnectError> {
    let path = path.to_owned();
    Kubeconfig::read_from(&path).map_err(|error| match error {
        KubeconfigError::ReadConfig(source, _) => ConnectError::Read { path, source },
        KubeconfigError::Parse(error) => {
            let at = error
                .location()
                .map(|at| format!(":{}:{}", at.line(), at.column()));
            let place = format!("{path}{}", at.unwrap_or_default());
            ConnectError::Syntax { place }
        }
        source => ConnectError::Kubeconfig { path, source },
    })
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

/// Whether the nodes are containers on this machine that kind created for this cluster. What nodes say of themselves
/// does not suffice: commands run in these containers.
async fn are_nodes_here(nodes: &[Node]) -> bool {
    let here = nodes.iter().filter_map(|node| {
        let id = node.spec.as_ref()?.provider_id.as_deref()?;
        let (cluster, _) = id.strip_prefix("kind://docker/")?.split_once('/')?;
        Some((node.name_any(), cluster.to_owned()))
    });
    let (names, clusters): (Vec<String>, Vec<String>) = here.unzip();
    if names.len() != nodes.len() || clusters.iter().any(|cluster| *cluster != clusters[0]) {
        return false;
    }
    let format = "--format={{index .Config.Labels \"io.x-k8s.kind.cluster\"}}";
    let inspect = move || output(docker(["inspect", "--type=container", format]).args(&names));
    let Ok(inspected) = blocking(inspect).await else {
        return false;
    };
    let labels = String::from_utf8_lossy(&inspected.stdout).into_owned();
    let labels: Vec<&str> = labels.lines().collect();
    inspected.status.success() && labels == clusters
}

/// The path of this program, which runs kubectl in a sandbox.
fn own_program() -> std::io::Result<Utf8PathBuf> {
    Utf8PathBuf::from_path_buf(std::env::current_exe()?)
        .map_err(|path| std::io::Error::other(format!("{} is not UTF-8", path.display())))
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
) -> Result<(), ConnectError> {
    for image in images {
        if known.contains_key(image.name) {
            continue;
        }
        for node in nodes {
            let (node, image) = (node.clone(), image.clone());
            blocking(move || image.load_onto(&node)).await?;
        }
        known.insert(image.name.to_owned(), image.tag.clone());
    }
    Ok(())
}

/// The version of a kubectl.
pub(crate) async fn kubectl_version(program: &Utf8Path) -> Result<String, ConnectError> {
    let unfit = |why: String| ConnectError::Kubectl {
        path: program.to_owned(),
        why,
    };
    if !program.exists() {
        return Err(unfit("no such file".to_owned()));
    }
    if !program.is_file() || access(program.as_std_path(), Access::EXEC_OK).is_err() {
        return Err(unfit("not an executable file".to_owned()));
    }
    let mut ask = Command::new(program);
    ask.args(["version", "--client", "-o", "json"]);
    let ask = move || capture("asking for its version", &mut ask);
    let answer = blocking(ask).await.map_err(|e| unfit(e.to_string()))?;
    let version: Value = serde_json::from_str(&answer).unwrap_or_default();
    let version = version["clientVersion"]["gitVersion"].as_str();
    let version =
        version.ok_or_else(|| unfit("it does not print a version as kubectl does".into()))?;
    Ok(version.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("10.96.0.1", "https://10.96.0.1:443/")]
    #[case("fd00::1", "https://[fd00::1]:443/")]
    #[tokio::test]
    async fn the_cluster_of_this_process(#[case] host: &str, #[case] url: &str) {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        std::fs::write(folder.join("token"), TOKEN).unwrap();
        std::fs::write(folder.join("ca.crt"), "").unwrap();
        let path = folder.join("config");
        std::fs::write(&path, kubeconfig_of(host, "443", folder.as_str())).unwrap();
        let config = config(Some(&path), None).await.unwrap();
        assert_eq!(config.cluster_url.to_string(), url);
    }

    const TOKEN: &str = "c2VjcmV0";

    /// A kubeconfig whose user has a token.
    fn kubeconfig(user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: a\n  cluster: {{server: 'https://127.0.0.1'}}\n\
             contexts:\n- name: a\n  context: {{cluster: a, user: a}}\n\
             - name: b\n  context: {{cluster: missing, user: a}}\nusers:\n- name: a\n  user:\n{user}"
        )
    }

    #[rstest]
    #[case::syntax(&format!("    token: {TOKEN}: x\n"), ":14:")]
    #[case::unclosed(&format!("    token: \"{TOKEN}\n"), ":")]
    #[case::type_of_user(&format!("  - {TOKEN}\n"), ":")]
    #[case::type_of_token(&format!("    token: [{TOKEN}]\n"), ":")]
    #[case::type_of_exec(&format!("    exec: {TOKEN}\n"), ":")]
    #[tokio::test]
    async fn a_malformed_kubeconfig_does_not_leak_its_token(#[case] user: &str, #[case] at: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("config");
        std::fs::write(&path, kubeconfig(user)).unwrap();
        let error = config(Some(&path), Some("a")).await.unwrap_err();
        let (shown, all) = (error.to_string(), format!("{error:?}"));
        assert!(error.is_usage());
        assert!(
            !shown.contains(TOKEN) && !all.contains(TOKEN),
            "{shown} {all}"
        );
        assert!(shown.contains(&format!("{path}{at}")), "{shown}");
    }

    #[rstest]
    #[case("a", None)]
    #[case("c", Some("context `c` is not in CONFIG: contexts are a, b"))]
    #[case("b", Some("cannot use the kubeconfig CONFIG: "))]
    #[tokio::test]
    async fn contexts_are_checked(#[case] context: &str, #[case] expected: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("config");
        std::fs::write(&path, kubeconfig("    token: x\n")).unwrap();
        let error = config(Some(&path), Some(context)).await.err();
        let shown = error.map(|error| error.to_string().replace(path.as_str(), "CONFIG"));
        match (shown, expected) {
            (None, None) => {}
            (Some(shown), Some(expected)) => assert!(shown.starts_with(expected), "{shown}"),
            other => panic!("{other:?}"),
        }
    }
}
