//! Nodes, which are containers.

use std::time::Duration;

use camino::Utf8Path;

use crate::cluster::command::{capture, feed};
use crate::cluster::error::{ClusterError, Result};
use crate::cluster::node_image::docker;

/// The label by which kind marks its containers.
const LABEL: &str = "io.x-k8s.kind.cluster";

/// Names of a cluster's nodes that are running, the control plane's first.
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

/// Ids of all its containers, running or not.
pub(super) fn containers(cluster: &str) -> Result<Vec<String>> {
    let filter = format!("label={LABEL}={cluster}");
    let mut ps = docker();
    ps.args(["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]);
    Ok(capture("listing the cluster's containers", &mut ps)?
        .lines()
        .map(str::to_owned)
        .collect())
}

/// Removes containers with their volumes.
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
                reason: "it broke off".into(),
            })
        })
    })
    .map(drop)
}

/// With cgroups of version 1, runc freezes a container for a moment while it sets it up. A node
/// that is killed in that moment leaves it frozen, and what is frozen does not die.
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
            // Where this is not allowed, docker's own error says that the container stays.
            let _ = std::fs::write(folder.join("freezer.state"), "THAWED");
        }
        thaw(folder, containers);
    }
}

fn frozen(folder: &Utf8Path) -> bool {
    std::fs::read_to_string(folder.join("freezer.state"))
        .is_ok_and(|state| !state.starts_with("THAWED"))
}

/// The id of the image that a node runs.
pub(super) fn image(node: &str) -> Result<String> {
    capture(
        "looking at a node",
        docker().args(["inspect", "--format", "{{.Image}}", node]),
    )
}

/// Puts an image into a node, unless it has it.
pub(super) fn load(node: &str, archive: &Utf8Path, tag: &str) -> Result<()> {
    if has_image(node, tag)? {
        return Ok(());
    }
    let mut import = docker();
    import.args([
        "exec", "-i", node, "ctr", "-n", "k8s.io", "images", "import", "-",
    ]);
    feed(
        &format!("loading the image {tag} into {node}"),
        &mut import,
        archive,
    )?;
    if has_image(node, tag)? {
        return Ok(());
    }
    Err(ClusterError::Command {
        step: format!("loading the image {tag} into {node}"),
        reason: format!("{archive} was imported but holds no image of that name"),
    })
}

fn has_image(node: &str, tag: &str) -> Result<bool> {
    let mut list = docker();
    list.args(["exec", node, "ctr", "-n", "k8s.io", "images", "list", "-q"]);
    let names = capture(&format!("listing the images of {node}"), &mut list)?;
    Ok(names.lines().any(|name| is_called(name, tag)))
}

/// Whether a full name is the one that `tag` is short for.
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
    fn only_what_belongs_to_the_container_is_thawed() {
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
    fn short_names_stand_for_full_ones(#[case] name: &str, #[case] same: bool) {
        assert_eq!(is_called(name, "hookproof/agent:1"), same);
    }
}
