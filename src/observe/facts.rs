//! Facts about a cluster, as reported by its API server.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client};

use crate::evidence::ClusterFacts;
use crate::gates::affects_hooks;

/// Reads versions, nodes, container runtimes and, if the metrics are readable, feature gates.
pub async fn gather(client: &Client, mut facts: ClusterFacts) -> Result<ClusterFacts, kube::Error> {
    facts.kubernetes = client.apiserver_version().await?.git_version;
    let nodes = Api::<Node>::all(client.clone())
        .list(&ListParams::default())
        .await?;
    facts.nodes = u32::try_from(nodes.items.len()).unwrap_or(u32::MAX);
    let mut kubelets = BTreeSet::new();
    let mut runtimes = BTreeSet::new();
    for info in nodes
        .items
        .into_iter()
        .filter_map(|node| node.status?.node_info)
    {
        kubelets.insert(info.kubelet_version);
        runtimes.insert(info.container_runtime_version);
    }
    facts.kubelets = kubelets.into_iter().collect();
    facts.container_runtimes = runtimes.into_iter().collect();
    if let Ok(request) = http::Request::get("/metrics").body(Vec::new())
        && let Ok(metrics) = client.request_text(request).await
    {
        facts.gates_seen = gates_in(&metrics);
    }
    Ok(facts)
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
