//! Connects to existing clusters and detects their capabilities.

use std::collections::BTreeMap;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use itertools::Itertools as _;
use k8s_openapi::api::core::v1::Node;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config, ResourceExt};
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
use crate::observe::command::{Kubectl, Server};
use crate::observe::facts;
use crate::observe::outside::Outside;
use crate::observe::scratch::Scratch;
use crate::observe::session::{NodeShell, Target};

/// The name of the cluster that this process runs in.
pub(crate) const IN_CLUSTER: &str = "in-cluster";

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The user's request is invalid. Never with the message of a kubeconfig's parser, which quotes the file and so its
    /// secrets.
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Failed(String),
    #[error(
        "no kubectl on PATH, which the claims about kubectl need; install it or pass --kubectl FILE"
    )]
    NoKubectl,
    #[error("cannot create temporary files: {0}; check disk space")]
    Scratch(#[from] std::io::Error),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl ConnectError {
    /// Whether the user's request is invalid, as opposed to a failure of the machine or the cluster.
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            Self::Cluster(error) => error.is_usage(),
            Self::Usage(_) => true,
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
    let scratch = Scratch::new()?;
    let (config, context) = if wanted.in_cluster {
        (in_cluster()?, IN_CLUSTER.to_owned())
    } else {
        let kubeconfig = wanted.kubeconfig.unwrap_or_else(default_kubeconfig);
        let config = config(Some(&kubeconfig), wanted.context.as_deref()).await?;
        let context = match wanted.context {
            Some(context) => context,
            None => read(&kubeconfig)?.current_context.unwrap_or_default(),
        };
        (config, context)
    };
    let client = client_of(config.clone())?;
    let program = wanted.kubectl.or_else(|| find("kubectl"));
    let program = program.ok_or(ConnectError::NoKubectl)?;
    let gathered = facts::gather(&client, wanted.facts).await;
    let (mut facts, nodes) = gathered.map_err(|error| {
        ConnectError::Failed(format!(
            "the API server of {context} is unreachable: {error}; check with `kubectl --context {context} version`"
        ))
    })?;
    if facts.name.is_empty() {
        facts.name.clone_from(&context);
    }
    facts.kubectl = kubectl_version(&program).await?;

    let names: Vec<String> = nodes.iter().map(ResourceExt::name_any).collect();
    let mut known = wanted.images;
    let node_shell = if are_nodes_here(&nodes, &names).await {
        load_all(&names, images, &mut known).await?;
        Some(NodeShell {
            prefix: vec!["docker".into(), "exec".into()],
            nodes: names,
        })
    } else {
        None
    };
    if !known.contains_key(agent_image::NAME) {
        // Images can be loaded directly only onto kind nodes.
        return Err(ConnectError::Failed(format!(
            "cannot load the agent image onto the nodes of {context}, which are not kind nodes; push it \
             with `hookproof agent-image push NAME` and pass --agent-image NAME"
        )));
    }
    let network = std::env::var("KIND_EXPERIMENTAL_DOCKER_NETWORK");
    let agent = images.iter().find(|image| image.name == agent_image::NAME);
    let outside = agent.filter(|_| node_shell.is_some()).map(|agent| Outside {
        network: network.unwrap_or_else(|_| "kind".to_owned()),
        image: agent.tag.clone(),
        archive: agent.archive.clone(),
    });
    let is_spare = |node: &Node| node.labels().contains_key(SPARE_LABEL);
    let capabilities = [
        (NODE_SHELL, node_shell.is_some()),
        (SPARE_NODE, nodes.iter().any(is_spare)),
        (NGINX_IMAGE, known.contains_key(nginx_image::NAME)),
        (OUTSIDE, outside.is_some()),
        (DOCUMENTS, wanted.documents.is_some()),
        (PROTECTED_PORTS, ports_are_protected()),
    ];
    let capabilities = capabilities.iter().filter(|(_, has)| *has);
    facts
        .capabilities
        .extend(capabilities.map(|(name, _)| (*name).to_owned()));
    Ok(Target {
        client,
        kubectl: Kubectl::new(program, Server::of(&config), &scratch.path)?,
        facts,
        images: known,
        node_shell,
        outside,
        documents: wanted.documents,
        allowed: wanted.allowed,
        _scratch: scratch,
    })
}

/// The configuration for the service account of the pod that this process runs in.
pub(crate) fn in_cluster() -> Result<Config, ConnectError> {
    let not_in_pod = "--in-cluster works only in a pod: KUBERNETES_SERVICE_HOST is not set; \
        pass --context for an existing cluster";
    let config = Config::incluster().map_err(|error| match error {
        InClusterError::ReadEnvironmentVariable(_) => not_in_pod.to_owned(),
        error => format!("cannot use the service account of this pod: {error}"),
    });
    config.map_err(ConnectError::Usage)
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
    let text = "cannot create a client for the cluster";
    Client::try_from(config).map_err(|error| ConnectError::Failed(format!("{text}: {error}")))
}

/// The configuration of a client, see [`client`]. The cluster is not contacted.
pub(crate) async fn config(
    kubeconfig: Option<&Utf8Path>,
    context: Option<&str>,
) -> Result<Config, ConnectError> {
    let path = kubeconfig.map_or_else(default_kubeconfig, Utf8Path::to_owned);
    let kubeconfig = read(&path)?;
    if let Some(context) = context {
        let known: Vec<&str> = kubeconfig
            .contexts
            .iter()
            .map(|known| &*known.name)
            .collect();
        if !known.contains(&context) {
            let known = match known.as_slice() {
                [] => "it has no contexts".to_owned(),
                known => format!("contexts are {}", known.join(", ")),
            };
            let text = format!("context `{context}` is not in {path}: {known}");
            return Err(ConnectError::Usage(text));
        }
    }
    let options = KubeConfigOptions {
        context: context.map(ToOwned::to_owned),
        ..Default::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    config.map_err(|error| unusable(&path, &error))
}

fn read(path: &Utf8Path) -> Result<Kubeconfig, ConnectError> {
    Kubeconfig::read_from(path).map_err(|error| match error {
        KubeconfigError::ReadConfig(error, _) => {
            ConnectError::Usage(format!("cannot read the kubeconfig {path}: {error}"))
        }
        KubeconfigError::Parse(error) => {
            let at = error
                .location()
                .map_or_else(String::new, |at| format!(":{}:{}", at.line(), at.column()));
            ConnectError::Usage(format!(
                "invalid kubeconfig {path}{at}: expected YAML as `kubectl config view` prints it"
            ))
        }
        error => unusable(path, &error),
    })
}

fn unusable(kubeconfig: &Utf8Path, error: &KubeconfigError) -> ConnectError {
    ConnectError::Usage(format!("cannot use the kubeconfig {kubeconfig}: {error}"))
}

fn default_kubeconfig() -> Utf8PathBuf {
    let paths = std::env::var("KUBECONFIG").unwrap_or_default();
    let home = std::env::var("HOME").unwrap_or_default();
    match paths.split(':').find(|path| !path.is_empty()) {
        Some(first) => first.into(),
        None => Utf8PathBuf::from(home).join(".kube/config"),
    }
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
async fn are_nodes_here(nodes: &[Node], names: &[String]) -> bool {
    let cluster_of = |node: &Node| {
        let id = node.spec.as_ref()?.provider_id.as_deref()?;
        let (cluster, _) = id.strip_prefix("kind://docker/")?.split_once('/')?;
        Some(cluster.to_owned())
    };
    let clusters: Option<Vec<String>> = nodes.iter().map(cluster_of).collect();
    let clusters = clusters.unwrap_or_default();
    if clusters.is_empty() || !clusters.iter().all_equal() {
        return false;
    }
    let names = names.to_owned();
    let format = "--format={{index .Config.Labels \"io.x-k8s.kind.cluster\"}}";
    let inspect = move || output(docker(["inspect", "--type=container", format]).args(&names));
    let Ok(inspected) = blocking(inspect).await else {
        return false;
    };
    let labels = String::from_utf8_lossy(&inspected.stdout);
    inspected.status.success() && labels.lines().eq(&clusters)
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
    let unfit = |why: String| ConnectError::Usage(format!("cannot use kubectl {program}: {why}"));
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
