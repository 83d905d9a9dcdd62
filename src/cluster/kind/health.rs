//! Checks whether an existing cluster has the requested shape and is healthy.

use serde::Deserialize;

use super::config::digest;
use super::state::{Stage, State};
use super::{Shape, kubectl, node, state};
use crate::cluster::cache::Cache;

/// The error is the reason why the cluster must be created again.
pub(super) fn check(cache: &Cache, shape: &Shape) -> Result<(), String> {
    let state = state::read(cache, shape.name).ok_or("it does not exist yet")?;
    matches(&state, shape)?;
    let nodes = node::names(shape.name).map_err(|error| error.with_causes())?;
    let expected = usize::from(shape.profile.workers) + 1;
    if nodes.len() != expected {
        return Err(format!(
            "{} of its {expected} nodes are running",
            nodes.len()
        ));
    }
    for name in &nodes {
        let image = node::image(name).map_err(|error| error.with_causes())?;
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

#[derive(Deserialize)]
struct List {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize, Default)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

/// Checks that `list`, a `NodeList` in JSON, has the expected number of nodes and all are ready.
fn all_ready(list: &str, expected: usize) -> Result<(), String> {
    let list: List = serde_json::from_str(list)
        .map_err(|error| format!("failed to parse its node list: {error}"))?;
    if list.items.len() != expected {
        return Err(format!(
            "it has {} nodes instead of {expected}",
            list.items.len()
        ));
    }
    for item in &list.items {
        let mut conditions = item.status.conditions.iter();
        if !conditions.any(|condition| condition.r#type == "Ready" && condition.status == "True") {
            return Err(format!("its node {} is not ready", item.metadata.name));
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
