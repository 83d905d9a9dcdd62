//! Checks whether an existing cluster has the requested shape and is healthy.

use super::config::digest;
use super::state::Stage;
use super::{Shape, node, state};
use crate::cluster::error::ClusterError;
use crate::cluster::node_image::Source;

/// A line for each node: its name and whether it is ready.
const READINESS: &str = r#"jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}"#;

/// The error is the reason why the cluster must be created again.
pub(super) fn check(shape: &Shape) -> Result<(), String> {
    let Shape { name, image, .. } = shape;
    let state = state::read(shape.cache, name).ok_or("it does not exist yet")?;
    if state.stage != Stage::Ready {
        return Err("its creation was interrupted".into());
    }
    if state.image.digest != image.digest {
        return Err(format!("it has a different node image ({})", state.image));
    }
    if state.config != digest(&shape.config) {
        return Err("it has a different configuration".into());
    }
    let text = |error: ClusterError| error.to_string();
    let nodes = node::names(name).map_err(text)?;
    let (running, expected) = (nodes.len(), usize::from(shape.profile.workers) + 1);
    if running != expected {
        return Err(format!("{running} of its {expected} nodes are running"));
    }
    for node in &nodes {
        let runs = node::image(node).map_err(text)?;
        if image.source == Source::Packages && runs != image.digest {
            return Err(format!("its node {node} runs a different image"));
        }
    }
    let args = ["get", "nodes", "-o", READINESS, "--request-timeout=10s"];
    let answer = shape.kubectl(&args);
    all_ready(
        &answer.map_err(|_| "its API server is unreachable")?,
        expected,
    )
}

/// Checks that a cluster has the expected number of nodes and all are ready.
fn all_ready(readiness: &str, expected: usize) -> Result<(), String> {
    let nodes = readiness.lines().count();
    if nodes != expected {
        return Err(format!("it has {nodes} nodes instead of {expected}"));
    }
    for line in readiness.lines() {
        let (name, ready) = line.split_once(' ').unwrap_or((line, ""));
        if ready != "True" {
            return Err(format!("its node {name} is not ready"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("a True\nb True", 2, None)]
    #[case("a True", 2, Some("it has 1 nodes instead of 2"))]
    #[case("", 1, Some("it has 0 nodes instead of 1"))]
    #[case("a True\nb Unknown", 2, Some("its node b is not ready"))]
    #[case("a", 1, Some("its node a is not ready"))]
    fn all_ready_names_the_problem(
        #[case] readiness: &str,
        #[case] nodes: usize,
        #[case] why: Option<&str>,
    ) {
        assert_eq!(all_ready(readiness, nodes).err().as_deref(), why);
    }
}
