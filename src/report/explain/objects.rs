//! The objects of an experiment's manifests: a line each, and as YAML.

use std::iter;
use std::time::Duration;

use itertools::Itertools as _;
use serde_json::Value;

use crate::catalogue::manifest::{documents, with_defaults};
use crate::catalogue::model::{Manifest, Scenario};
use crate::catalogue::step::{command, duration};

/// The agent's image, which needs no mention.
const AGENT: &str = "hookproof/agent";

/// A manifest as it is applied, as YAML: with the defaults that hookproof fills in.
pub fn applied(manifest: &Manifest) -> Result<String, String> {
    let path = &manifest.path;
    let invalid = |message: &dyn std::fmt::Display| format!("invalid manifest {path}: {message}");
    let objects = documents(&manifest.text).map_err(|(_, _, message)| invalid(&message))?;
    let mut parts = Vec::new();
    for mut object in objects {
        with_defaults(&mut object);
        let yaml = serde_saphyr::to_string(&object).map_err(|error| invalid(&error))?;
        let yaml = yaml.trim_start_matches("---\n").trim_end();
        parts.push(format!("{yaml}\n"));
    }
    Ok(format!("# {path}, as applied\n{}", parts.join("---\n")))
}

/// A line for each object that a scenario's manifests describe.
pub(super) fn in_words(scenario: &Scenario) -> Vec<String> {
    let manifests = scenario.manifests.iter();
    let objects = manifests.flat_map(Manifest::objects);
    objects.map(object_in_words).collect()
}

fn object_in_words(mut object: Value) -> String {
    with_defaults(&mut object);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match object["kind"].as_str().unwrap_or_default() {
        "Pod" => pod_in_words(name, &object["spec"], "Always"),
        kind @ ("Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicaSet") => {
            let replicas = object["spec"]["replicas"].as_i64();
            let replicas = replicas.map_or_else(String::new, |n| format!(", replicas {n}"));
            let policy = if kind == "Job" { "OnFailure" } else { "Always" };
            let pod = pod_in_words("", &object["spec"]["template"]["spec"], policy);
            format!("{kind} {name}{replicas} {pod}")
        }
        kind => format!("{kind} {name}"),
    }
}

/// `NAME (restart policy, grace period): container: command; hook: …`
fn pod_in_words(name: &str, spec: &Value, policy: &str) -> String {
    let policy = spec["restartPolicy"].as_str().unwrap_or(policy);
    let grace = spec["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
    let mut containers = Vec::new();
    for (list, kind) in [("initContainers", "init container "), ("containers", "")] {
        for container in spec[list].as_array().into_iter().flatten() {
            let sidecar = list == "initContainers" && container["restartPolicy"] == "Always";
            let kind = if sidecar { "sidecar container " } else { kind };
            containers.push(format!("{kind}{}", container_in_words(container)));
        }
    }
    let grace = duration(Duration::from_secs(grace));
    let containers = containers.join("; ");
    let text = format!("{name} (restart policy {policy}, grace period {grace}): {containers}");
    text.trim_start().to_owned()
}

fn container_in_words(container: &Value) -> String {
    let name = container["name"].as_str().unwrap_or_default();
    let words = [strings(&container["command"]), strings(&container["args"])].concat();
    let runs = match words.as_slice() {
        [] => format!("{name} runs its image's command"),
        words => format!("{name} runs `{}`", command(words)),
    };
    let image = container["image"].as_str().unwrap_or_default();
    let image = (image != AGENT).then(|| format!("image {image}"));
    let handlers = [
        ("/lifecycle/postStart", "postStart"),
        ("/lifecycle/preStop", "preStop"),
        ("/startupProbe", "startup probe"),
        ("/readinessProbe", "readiness probe"),
        ("/livenessProbe", "liveness probe"),
    ];
    let handlers = handlers.into_iter().filter_map(|(field, called)| {
        let handler = container.pointer(field)?;
        Some(format!("{called} {}", handler_in_words(handler)))
    });
    let signal = container["lifecycle"]["stopSignal"].as_str();
    let signal = signal.map(|signal| format!("stop signal {signal}"));
    let parts = iter::once(runs).chain(image).chain(handlers);
    parts.chain(signal).join(", ")
}

fn handler_in_words(handler: &Value) -> String {
    let actions = handler.as_object().into_iter().flatten();
    let mut words = actions.filter_map(|(kind, action)| {
        let port = action["port"].to_string().replace('"', "");
        let host = action["host"].as_str().unwrap_or("POD");
        Some(match kind.as_str() {
            "exec" => format!("`{}`", command(&strings(&action["command"]))),
            "httpGet" => {
                let scheme = action["scheme"].as_str().unwrap_or("http").to_lowercase();
                let path = action["path"].as_str().unwrap_or("/");
                format!("GET {scheme}://{host}:{port}{path}")
            }
            "tcpSocket" => format!("TCP connection to {host}:{port}"),
            "sleep" => format!("sleep {} s", action["seconds"]),
            _ => return None,
        })
    });
    words.next().unwrap_or_else(|| handler.to_string())
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::catalogue::load::{Source, load};

    #[rstest]
    #[case(json!({"exec": {"command": ["agent", "hook", "print=a b"]}}), "`agent hook 'print=a b'`")]
    #[case(json!({"httpGet": {"port": 80, "path": "/x"}}), "GET http://POD:80/x")]
    #[case(json!({"httpGet": {"port": "web", "host": "h", "scheme": "HTTPS"}}), "GET https://h:web/")]
    #[case(json!({"tcpSocket": {"port": 80}}), "TCP connection to POD:80")]
    #[case(json!({"sleep": {"seconds": 4}}), "sleep 4 s")]
    fn handlers(#[case] handler: Value, #[case] expected: &str) {
        assert_eq!(handler_in_words(&handler), expected);
    }

    #[test]
    fn manifests_read_back_as_they_are_applied() {
        let catalogue = load(&[Source::BuiltIn]).catalogue;
        for scenario in catalogue.scenarios.values() {
            for manifest in &scenario.manifests {
                let yaml = applied(manifest).unwrap();
                let mut wanted = documents(&manifest.text).unwrap();
                wanted.iter_mut().for_each(with_defaults);
                assert_eq!(documents(&yaml).unwrap(), wanted, "{}", manifest.path);
            }
        }
    }
}
