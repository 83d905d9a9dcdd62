//! Checks whether an existing cluster has the requested shape and is healthy.

use kube::ResourceExt as _;

use super::config::digest;
use super::state::{Stage, State};
use super::{Shape, kubectl, node, state};
use crate::cluster::cache::Cache;

/// The error is the reason why the cluster must be created again.
pub(super) fn check(cache: &Cache, shape: &Shape) -> Result<(), String> {
    let state = state::read(cache, shape.name).ok_or("it does not exist yet")?;
    matches(&state, shape)?;
    let nodes = node::names(shape.name).map_err(|error| error.to_string())?;
    let expected = usize::from(shape.profile.workers) + 1;
    if nodes.len() != expected {
        return Err(format!(
            "{} of its {expected} nodes are running",
            nodes.len()
        ));
    }
    for name in &nodes {
        let image = node::image(name).map_err(|error| error.to_string())?;
        let digest = &shape.image.digest;
        let published = shape.image.source == crate::cluster::node_image::Source::Published;
        if !published && image != *digest {
            return Err(format!("its node {name} runs a different image"));
        }
    }
    let kubeconfig = state::kubeconfig(cache, shape.name);
    let args = ["get", "nodes", "-o", "json", "--request-timeout=10s"];
    let answer = kubectl(&shape.image.kubectl, &kubeconfig, &args)
        .map_err(|_| "its API server is unreachable".to_owned())?;
    all_ready(&answer, expected)
}

/// Whether the recorded cluster was completed and has this shape.
fn matches(state: &State, shape: &Shape) -> Result<(), String> {
    if state.stage != Stage::Ready {
        return Err("its creation was interrupted".into());
    }
    if state.image.digest != shape.image.digest {
        return Err(format!("it has a different node image ({})", state.image));
    }
    if state.config != digest(&shape.config) {
        return Err("it has a different configuration".into());
    }
    Ok(())
}

/// Checks that `list`, a list of nodes in JSON, has the expected number of nodes and all are ready.
fn all_ready(list: &str, expected: usize) -> Result<(), String> {
    let nodes =
        node::parse(list).map_err(|error| format!("failed to parse its node list: {error}"))?;
    if nodes.len() != expected {
        return Err(format!(
            "it has {} nodes instead of {expected}",
            nodes.len()
        ));
    }
    for node in &nodes {
        let conditions = node.status.iter().flat_map(|status| &status.conditions);
        let mut conditions = conditions.flatten();
        if !conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True") {
            return Err(format!("its node {} is not ready", node.name_any()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const READY: &str = r#"{"items":[{"metadata":{"name":"n"},
        "status":{"conditions":[{"type":"Ready","status":"True"}]}}]}"#;

    #[rstest]
    #[case(READY, 1, None)]
    #[case(READY, 2, Some("it has 1 nodes instead of 2"))]
    #[case(
        r#"{"items":[{"metadata":{"name":"n"}}]}"#,
        1,
        Some("its node n is not ready")
    )]
    #[case("nonsense", 1, Some("failed to parse"))]
    fn all_ready_names_the_problem(
        #[case] list: &str,
        #[case] nodes: usize,
        #[case] why: Option<&str>,
    ) {
        match (all_ready(list, nodes), why) {
            (Ok(()), None) => {}
            (Err(reason), Some(why)) => assert!(reason.contains(why), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}
