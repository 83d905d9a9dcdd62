//! Node containers.

use std::time::Duration;

use camino::Utf8Path;

use crate::cluster::command::{capture, feed};
use crate::cluster::error::{ClusterError, Result};
use crate::cluster::node_image::docker;

/// kind's label on its containers.
const LABEL: &str = "io.x-k8s.kind.cluster";

/// Names of a cluster's running nodes, control plane first.
pub(super) fn names(cluster: &str) -> Result<Vec<String>> {
    let filter = format!("label={LABEL}={cluster}");
    let mut ps = docker();
    ps.args(["ps", "--filter", &filter, "--format", "{{.Names}}"]);
    let mut names: Vec<_> = capture("listing the cluster's nodes", &mut ps)?
        .lines()
        .map(str::to_owned)
        .collect();
    names.sort_by_key(|name| (!name.contains("control-plane"), name.clone()));
    Ok(names)
}

/// Ids of all node containers, running or not.
pub(super) fn containers(cluster: &str) -> Result<Vec<String>> {
    let filter = format!("label={LABEL}={cluster}");
    let mut ps = docker();
    ps.args(["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]);
    Ok(capture("listing the cluster's containers", &mut ps)?
        .lines()
        .map(str::to_owned)
        .collect())
}

pub(super) fn remove(step: &str, containers: &[String]) -> Result<()> {
    let mut rm = docker();
    rm.args(["rm", "--force", "--volumes"]).args(containers);
    std::thread::scope(|scope| {
        let removal = scope.spawn(|| capture(step, &mut rm));
        while !removal.is_finished() {
            thaw(Utf8Path::new("/sys/fs/cgroup/freezer"), containers);
            std::thread::sleep(Duration::from_millis(200));
        }
        removal.join().unwrap_or_else(|_| {
            Err(ClusterError::Command {
                step: step.to_owned(),
                reason: "the thread panicked".into(),
            })
        })
    })
    .map(drop)
}

/// With cgroup v1, runc briefly freezes a container during setup. If the node is killed at that moment,
/// the container stays frozen, and frozen processes cannot be killed.
fn thaw(freezer: &Utf8Path, containers: &[String]) {
    let Ok(entries) = freezer.read_dir_utf8() else {
        return;
    };
    for folder in entries.flatten().filter(|entry| entry.path().is_dir()) {
        let folder = folder.path();
        let ours = containers
            .iter()
            .any(|id| folder.as_str().contains(id.as_str()));
        if ours && frozen(folder) {
            // Without permission, docker reports that the container remains.
            let _ = std::fs::write(folder.join("freezer.state"), "THAWED");
        }
        thaw(folder, containers);
    }
}

fn frozen(folder: &Utf8Path) -> bool {
    std::fs::read_to_string(folder.join("freezer.state"))
        .is_ok_and(|state| !state.starts_with("THAWED"))
}

/// The id of a node's image.
pub(super) fn image(node: &str) -> Result<String> {
    capture(
        "inspecting a node",
        docker().args(["inspect", "--format", "{{.Image}}", node]),
    )
}

/// Loads an image into a node, unless the node has the tag.
pub(super) fn load(node: &str, archive: &Utf8Path, tag: &str) -> Result<()> {
    if has_image(node, tag)? {
        return Ok(());
    }
    let mut import = docker();
    import.args([
        "exec", "-i", node, "ctr", "-n", "k8s.io", "images", "import", "-",
    ]);
    feed(
        &format!("loading image {tag} into {node}"),
        &mut import,
        archive,
    )?;
    if has_image(node, tag)? {
        return Ok(());
    }
    Err(ClusterError::Command {
        step: format!("loading image {tag} into {node}"),
        reason: format!("{archive} contains no image of that name"),
    })
}

fn has_image(node: &str, tag: &str) -> Result<bool> {
    let mut list = docker();
    list.args(["exec", node, "ctr", "-n", "k8s.io", "images", "list", "-q"]);
    let names = capture(&format!("listing the images of {node}"), &mut list)?;
    Ok(names.lines().any(|name| is_called(name, tag)))
}

/// Whether `tag` is a short form of the full name.
fn is_called(name: &str, tag: &str) -> bool {
    name.strip_suffix(tag)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rstest::rstest;

    #[test]
    fn thaws_only_own_containers() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let (ours, other) = (root.join("docker/abc/pod/x"), root.join("docker/def"));
        for group in [&ours, &other] {
            std::fs::create_dir_all(group).unwrap();
            std::fs::write(group.join("freezer.state"), "FROZEN\n").unwrap();
        }
        thaw(root, &["abc".to_owned()]);
        assert!(!frozen(&ours));
        assert!(frozen(&other));
    }

    #[rstest]
    #[case("host/hookproof/agent:1", true)]
    #[case("hookproof/agent:1", true)]
    #[case("other-hookproof/agent:1", false)]
    #[case("host/hookproof/agent:12", false)]
    fn short_tags_match_full_names(#[case] name: &str, #[case] same: bool) {
        assert_eq!(is_called(name, "hookproof/agent:1"), same);
    }
}
