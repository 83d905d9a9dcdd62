//! Node containers.

use std::time::Duration;

use camino::Utf8Path;

use crate::cluster::docker;
use crate::cluster::error::Result;

/// kind's label on its containers.
const LABEL: &str = "io.x-k8s.kind.cluster";

/// Names of a cluster's running nodes, control plane first.
pub(crate) fn names(cluster: &str) -> Result<Vec<String>> {
    let label = format!("{LABEL}={cluster}");
    let mut names = docker::containers(&label, &["--format={{.Names}}"])?;
    names.sort_by_key(|name| (!name.contains("control-plane"), name.clone()));
    Ok(names)
}

/// Ids of all node containers, running or not.
pub(super) fn containers(cluster: &str) -> Result<Vec<String>> {
    let label = format!("{LABEL}={cluster}");
    docker::containers(&label, &["--all", "--quiet", "--no-trunc"])
}

pub(super) fn remove(containers: &[String]) -> Result<()> {
    std::thread::scope(|scope| {
        let removal = scope.spawn(|| docker::remove(containers));
        while !removal.is_finished() {
            thaw(Utf8Path::new("/sys/fs/cgroup/freezer"), containers);
            std::thread::sleep(Duration::from_millis(200));
        }
        let removed = removal.join();
        removed.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// With cgroup v1, runc briefly freezes a container during setup. If the node is killed at that moment,
/// the container stays frozen, and frozen processes cannot be killed.
fn thaw(freezer: &Utf8Path, containers: &[String]) {
    let Ok(entries) = freezer.read_dir_utf8() else {
        return;
    };
    for folder in entries.flatten().filter(|entry| entry.path().is_dir()) {
        let folder = folder.path();
        let mut ids = containers.iter();
        if ids.any(|id| folder.as_str().contains(id)) && frozen(folder) {
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
    let inspect = ["inspect", "--format={{.Image}}", node];
    docker::run("inspecting a node", inspect)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
}
