//! Recognises what a cluster forbids: by RBAC, Pod Security, quotas, other admission control, and image pulls that
//! fail. The claims are then not applicable.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::evidence::{Entry, Seen};

/// How kubectl begins what it prints about a request that the API server forbids.
const BY_KUBECTL: &str = "Error from server (Forbidden): ";
/// Why a container whose image cannot be pulled waits.
const NO_IMAGE: [&str; 3] = ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"];

/// Whether the API server forbade a request.
pub(super) fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// What the API server forbade a kubectl command.
pub(super) fn by_kubectl(entries: &[Entry]) -> Option<(String, String)> {
    entries.iter().find_map(|entry| match &entry.seen {
        Seen::Output(output) if output.step == "kubectl" => {
            let printed = output.data.get("stderr")?.as_str()?;
            let (_, why) = printed.split_once(BY_KUBECTL)?;
            let why = why.lines().next().unwrap_or_default();
            Some((output.name.clone(), why.to_owned()))
        }
        _ => None,
    })
}

/// Why a moment never occurred, if the cluster forbids it: controllers may not create pods, or nodes cannot pull
/// an image.
pub(super) fn behind_a_timeout(entries: &[Entry]) -> Option<String> {
    let mut pods: BTreeMap<&str, Option<String>> = BTreeMap::new();
    for entry in entries {
        match &entry.seen {
            Seen::Event(event)
                if event.reason == "FailedCreate" && event.message.contains("forbidden") =>
            {
                return Some(event.message.clone());
            }
            Seen::Pod(seen) => {
                pods.insert(&seen.pod, no_image(&seen.object));
            }
            _ => {}
        }
    }
    pods.into_values().flatten().next()
}

fn no_image(pod: &Value) -> Option<String> {
    let lists = ["initContainerStatuses", "containerStatuses"];
    let lists = lists.map(|list| pod["status"][list].as_array());
    let mut containers = lists.into_iter().flatten().flatten();
    containers.find_map(|container| {
        let reason = container["state"]["waiting"]["reason"].as_str()?;
        let image = container["image"].as_str().unwrap_or_default();
        // The registries of experiments are part of what is observed.
        let own = image.starts_with("127.0.0.1:");
        (NO_IMAGE.contains(&reason) && !own)
            .then(|| format!("a node cannot pull the image {image} ({reason})"))
    })
}
