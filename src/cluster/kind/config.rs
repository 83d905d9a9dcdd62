//! The kind configuration of a cluster.

use crate::catalogue::capability::SPARE_LABEL;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::Profile;
use crate::cluster::cache::Cache;
use crate::cluster::error::{ClusterError, Result};
use crate::cluster::kernel::cgroup_v2;
use crate::cluster::node_image::versions::Version;
use crate::cluster::node_image::{NodeImage, Source};

/// From this minor version on, the kubelet rejects cgroup v1 by default.
const REFUSES_CGROUP_V1: u16 = 35;

/// Rejects gate names that could inject other YAML.
pub(super) fn check_gates(profile: &Profile) -> Result<()> {
    for gate in profile.gates.keys() {
        if gate.is_empty() || !gate.chars().all(|char| char.is_ascii_alphanumeric()) {
            return Err(ClusterError::Refused(format!(
                "invalid feature gate `{gate}`: expected `NAME=BOOL`, for example `PodLifecycleSleepAction=false`"
            )));
        }
    }
    Ok(())
}

/// The cluster name of a shape. It depends on the cache, so that users who share a docker daemon do
/// not share clusters.
pub(super) fn cluster_name(cache: &Cache, profile: &Profile, version: Version) -> String {
    let shape = format!(
        "{version} {:?} {} {}",
        profile.gates,
        profile.workers,
        cache.root()
    );
    format!("hookproof-1-{}-{}", version.minor, &digest(&shape)[..6])
}

pub(super) fn digest(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest[..8].iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn render(profile: &Profile, version: Version, image: &NodeImage) -> String {
    render_for(profile, version, image.source, cgroup_v2())
}

fn render_for(profile: &Profile, version: Version, source: Source, cgroup_v2: bool) -> String {
    let mut text = String::from("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n");
    if source == Source::Packages {
        // Built nodes include their own CNI configuration.
        text.push_str("networking:\n  disableDefaultCNI: true\n");
    }
    if !profile.gates.is_empty() {
        text.push_str("featureGates:\n");
        for (gate, on) in &profile.gates {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {gate}: {on}");
        }
    }
    text.push_str("nodes:\n- role: control-plane\n");
    for number in 1..=profile.workers {
        text.push_str("- role: worker\n");
        if number == profile.workers {
            // The node for scenarios that disrupt a node.
            let _ = write!(
                text,
                "  labels:\n    {SPARE_LABEL}: \"true\"\n  kubeadmConfigPatches:\n  - |\n    \
                 kind: JoinConfiguration\n    nodeRegistration:\n      taints:\n      \
                 - {{key: {SPARE_LABEL}, value: \"true\", effect: NoSchedule}}\n"
            );
        }
    }
    text.push_str("kubeadmConfigPatches:\n");
    if profile.workers > 0 {
        // All other pods run on the control plane.
        text.push_str("- |\n  kind: InitConfiguration\n  nodeRegistration:\n    taints: []\n");
    }
    text.push_str(
        "- |\n  kind: KubeletConfiguration\n  \
         apiVersion: kubelet.config.k8s.io/v1beta1\n",
    );
    // No event may be lost. By default the kubelet sends five per second and drops the rest; 0 means the
    // default, because the client reads it as "not set".
    text.push_str("  eventRecordQPS: 500\n  eventBurst: 1000\n  serializeImagePulls: false\n");
    // The lowest verbosity at which the kubelet logs hooks.
    text.push_str("  logging:\n    verbosity: 3\n");
    if !cgroup_v2 && version.minor >= REFUSES_CGROUP_V1 {
        text.push_str("  failCgroupV1: false\n");
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use camino::Utf8PathBuf;

    fn profile(gates: &[(&str, bool)], workers: u8) -> Profile {
        Profile {
            name: "default".into(),
            kubernetes: "1.36".into(),
            gates: gates
                .iter()
                .map(|(gate, on)| ((*gate).to_owned(), *on))
                .collect(),
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

    #[test]
    fn config_for_built_image_with_cgroup_v1() {
        insta::assert_snapshot!(render_for(&profile(&[], 0), V36, Source::Packages, false), @r"
        kind: Cluster
        apiVersion: kind.x-k8s.io/v1alpha4
        networking:
          disableDefaultCNI: true
        nodes:
        - role: control-plane
        kubeadmConfigPatches:
        - |
          kind: KubeletConfiguration
          apiVersion: kubelet.config.k8s.io/v1beta1
          eventRecordQPS: 500
          eventBurst: 1000
          serializeImagePulls: false
          logging:
            verbosity: 3
          failCgroupV1: false
        ");
    }

    #[test]
    fn config_for_published_image_with_gates_and_workers() {
        let profile = profile(&[("B", true), ("A", false)], 2);
        insta::assert_snapshot!(render_for(&profile, V36, Source::Published, true), @r#"
        kind: Cluster
        apiVersion: kind.x-k8s.io/v1alpha4
        featureGates:
          A: false
          B: true
        nodes:
        - role: control-plane
        - role: worker
        - role: worker
          labels:
            hookproof/spare: "true"
          kubeadmConfigPatches:
          - |
            kind: JoinConfiguration
            nodeRegistration:
              taints:
              - {key: hookproof/spare, value: "true", effect: NoSchedule}
        kubeadmConfigPatches:
        - |
          kind: InitConfiguration
          nodeRegistration:
            taints: []
        - |
          kind: KubeletConfiguration
          apiVersion: kubelet.config.k8s.io/v1beta1
          eventRecordQPS: 500
          eventBurst: 1000
          serializeImagePulls: false
          logging:
            verbosity: 3
        "#);
    }

    #[test]
    fn older_kubelets_get_no_cgroup_setting() {
        let text = render_for(&profile(&[], 0), V34, Source::Packages, false);
        assert!(!text.contains("failCgroupV1"), "{text}");
    }

    #[test]
    fn cluster_name_depends_on_shape_and_cache() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        let (one, two) = (
            Cache::at(root.join("1")).unwrap(),
            Cache::at(root.join("2")).unwrap(),
        );
        let name = cluster_name(&one, &profile(&[], 0), V36);
        assert!(name.starts_with("hookproof-1-36-"), "{name}");
        assert_eq!(name, cluster_name(&one, &profile(&[], 0), V36));
        assert_ne!(name, cluster_name(&one, &profile(&[], 1), V36));
        assert_ne!(name, cluster_name(&one, &profile(&[("A", true)], 0), V36));
        assert_ne!(name, cluster_name(&two, &profile(&[], 0), V36));
    }

    #[test]
    fn gate_names_are_alphanumeric() {
        assert!(check_gates(&profile(&[("PodLifecycleSleepAction", true)], 0)).is_ok());
        let error = check_gates(&profile(&[("A: true\n  B", true)], 0)).unwrap_err();
        assert!(error.is_usage());
    }
}
