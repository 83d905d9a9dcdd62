//! Nodes, which are containers.

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
    ps.args(["ps", "--all", "--quiet", "--filter", &filter]);
    Ok(capture("listing the cluster's containers", &mut ps)?
        .lines()
        .map(str::to_owned)
        .collect())
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
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("host/hookproof/agent:1", true)]
    #[case("hookproof/agent:1", true)]
    #[case("other-hookproof/agent:1", false)]
    #[case("host/hookproof/agent:12", false)]
    fn short_names_stand_for_full_ones(#[case] name: &str, #[case] same: bool) {
        assert_eq!(is_called(name, "hookproof/agent:1"), same);
    }
}
