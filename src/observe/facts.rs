//! Facts about a cluster, as reported by its API server.

use std::collections::BTreeMap;

use itertools::Itertools as _;
use k8s_openapi::api::core::v1::{Node, NodeSystemInfo};
use kube::api::ListParams;
use kube::{Api, Client};

use crate::evidence::ClusterFacts;
use crate::gates::affects_hooks;

/// Reads versions, nodes, container runtimes and, if the metrics are readable, feature gates. Also returns the nodes.
pub async fn gather(
    client: &Client,
    mut facts: ClusterFacts,
) -> Result<(ClusterFacts, Vec<Node>), kube::Error> {
    facts.kubernetes = client.apiserver_version().await?.git_version;
    let nodes = Api::<Node>::all(client.clone());
    let nodes = nodes.list(&ListParams::default()).await?.items;
    facts.nodes = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
    let infos = nodes
        .iter()
        .filter_map(|node| node.status.as_ref()?.node_info.as_ref());
    let distinct = |of: fn(&NodeSystemInfo) -> &String| -> Vec<String> {
        infos.clone().map(of).sorted().dedup().cloned().collect()
    };
    facts.kubelets = distinct(|info| &info.kubelet_version);
    facts.container_runtimes = distinct(|info| &info.container_runtime_version);
    if let Ok(request) = http::Request::get("/metrics").body(Vec::new())
        && let Ok(metrics) = client.request_text(request).await
    {
        facts.gates_seen = gates_in(&metrics);
    }
    Ok((facts, nodes))
}

/// Parses `kubernetes_feature_enabled{name="X",stage="Y"} 1`.
fn gates_in(metrics: &str) -> BTreeMap<String, bool> {
    metrics
        .lines()
        .filter_map(|line| line.strip_prefix("kubernetes_feature_enabled{"))
        .filter_map(|line| {
            let (labels, value) = line.split_once('}')?;
            let name = labels.split("name=\"").nth(1)?.split('"').next()?;
            affects_hooks(name).then(|| (name.to_owned(), value.trim() == "1"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_read_from_metrics() {
        let metrics = "# HELP x\n\
            kubernetes_feature_enabled{name=\"PodLifecycleSleepAction\",stage=\"\"} 1\n\
            kubernetes_feature_enabled{name=\"SidecarContainers\",stage=\"BETA\"} 0\n\
            kubernetes_feature_enabled{name=\"Other\",stage=\"\"} 1\n";
        let gates = gates_in(metrics);
        assert_eq!(gates.get("PodLifecycleSleepAction"), Some(&true));
        assert_eq!(gates.get("SidecarContainers"), Some(&false));
        assert_eq!(gates.len(), 2);
    }
}
