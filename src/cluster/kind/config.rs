//! The kind configuration of a cluster.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Profile;
use crate::catalogue::capability::SPARE_LABEL;
use crate::cluster::cache::Cache;
use crate::cluster::kernel::cgroup_v2;
use crate::cluster::node_image::versions::Version;
use crate::cluster::node_image::{NodeImage, Source};

/// From this minor version on, the kubelet rejects cgroup v1 by default.
const REFUSES_CGROUP_V1: u32 = 35;

/// The cluster name of a shape. It depends on the cache, so that users who share a docker daemon do
/// not share clusters.
pub(super) fn cluster_name(cache: &Cache, profile: &Profile, version: Version) -> String {
    let shape = format!(
        "{version} {:?} {} {} {}",
        profile.gates,
        profile.runtime,
        profile.workers,
        cache.root()
    );
    format!("hookproof-1-{}-{}", version.minor, &digest(&shape)[..6])
}

pub(super) fn digest(text: &str) -> String {
    format!("{:.16x}", Sha256::digest(text))
}

/// kind's configuration in JSON, which is YAML too.
pub(super) fn render(profile: &Profile, version: Version, image: &NodeImage) -> String {
    let config = config(profile, version, image.source, cgroup_v2());
    format!("{config:#}\n")
}

fn config(profile: &Profile, version: Version, source: Source, cgroup_v2: bool) -> Value {
    let mut kubelet = json!({
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        // No event may be lost. By default the kubelet sends five per second and drops the rest; 0 means the
        // default, because the client reads it as "not set".
        "eventRecordQPS": 500,
        "eventBurst": 1000,
        "serializeImagePulls": false,
        // The lowest verbosity at which the kubelet logs hooks.
        "logging": {"verbosity": 3},
    });
    if !cgroup_v2 && version.minor >= REFUSES_CGROUP_V1 {
        kubelet["failCgroupV1"] = json!(false);
    }
    if !cgroup_v2 && source == Source::Packages {
        // As the node's entrypoint configures containerd.
        kubelet["cgroupDriver"] = json!("cgroupfs");
    }
    let mut patches = vec![kubelet.to_string()];
    let mut nodes = vec![json!({"role": "control-plane"})];
    nodes.resize(usize::from(profile.workers) + 1, json!({"role": "worker"}));
    if let [_, .., spare] = &mut nodes[..] {
        // The node for scenarios that disrupt a node. All other pods run on the control plane.
        let taint = json!({"key": SPARE_LABEL, "value": "true", "effect": "NoSchedule"});
        spare["labels"] = json!({SPARE_LABEL: "true"});
        spare["kubeadmConfigPatches"] = json!([registration("JoinConfiguration", &json!([taint]))]);
        patches.push(registration("InitConfiguration", &json!([])));
    }
    json!({
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        // Built nodes include their own CNI configuration.
        "networking": {"disableDefaultCNI": source == Source::Packages},
        "featureGates": profile.gates,
        "nodes": nodes,
        "kubeadmConfigPatches": patches,
    })
}

/// A patch of kubeadm's configuration that sets the taints of a node.
fn registration(kind: &str, taints: &Value) -> String {
    json!({"kind": kind, "nodeRegistration": {"taints": taints}}).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cluster::node_image::Runtime;

    fn profile(gates: &[(&str, bool)], workers: u8) -> Profile {
        Profile {
            name: "default".into(),
            kubernetes: "1.36".into(),
            gates: gates
                .iter()
                .map(|(gate, on)| ((*gate).to_owned(), *on))
                .collect(),
            runtime: Runtime::default(),
            workers,
        }
    }

    const V36: Version = Version {
        minor: 36,
        patch: 3,
    };
    const V34: Version = Version {
        minor: 34,
        patch: 4,
    };

    /// The configuration with readable patches.
    fn readable(gates: &[(&str, bool)], workers: u8, source: Source, cgroup_v2: bool) -> String {
        fn parse(patches: &mut Value) {
            for patch in patches.as_array_mut().unwrap() {
                *patch = serde_json::from_str(patch.as_str().unwrap()).unwrap();
            }
        }
        let mut config = config(&profile(gates, workers), V36, source, cgroup_v2);
        parse(&mut config["kubeadmConfigPatches"]);
        for node in config["nodes"].as_array_mut().unwrap() {
            node.get_mut("kubeadmConfigPatches").map(parse);
        }
        serde_saphyr::to_string(&config).unwrap()
    }

    #[test]
    fn config_for_built_image_with_cgroup_v1() {
        insta::assert_snapshot!(readable(&[], 0, Source::Packages, false));
    }

    #[test]
    fn config_for_published_image_with_gates_and_workers() {
        let gates = [("B", true), ("A", false)];
        insta::assert_snapshot!(readable(&gates, 2, Source::Published, true));
    }

    #[test]
    fn older_kubelets_get_no_cgroup_setting() {
        let config = config(&profile(&[], 0), V34, Source::Packages, false);
        assert!(!config.to_string().contains("failCgroupV1"), "{config}");
    }

    #[test]
    fn cluster_name_depends_on_shape_and_cache() {
        let ((_one, one), (_two, two)) = (Cache::temporary(), Cache::temporary());
        let name = cluster_name(&one, &profile(&[], 0), V36);
        assert!(name.starts_with("hookproof-1-36-"), "{name}");
        assert_eq!(name, cluster_name(&one, &profile(&[], 0), V36));
        assert_ne!(name, cluster_name(&one, &profile(&[], 1), V36));
        assert_ne!(name, cluster_name(&one, &profile(&[("A", true)], 0), V36));
        assert_ne!(name, cluster_name(&two, &profile(&[], 0), V36));
        let older = Profile {
            runtime: Runtime::Containerd1,
            ..profile(&[], 0)
        };
        assert_ne!(name, cluster_name(&one, &older, V36));
    }
}
