//! Changes made to a scenario's manifests before they are applied: defaults, labels, image tags and the
//! agent's environment.

use std::collections::BTreeMap;

use hookproof_protocol::env;
use serde_json::{Map, Value, json};

use super::failure::Failure;
use crate::catalogue::manifest::{documents, with_defaults};

/// Label with the run's ID on every object that a run creates.
pub const RUN_LABEL: &str = "hookproof/run";
/// Label with the scenario on its namespace and objects.
pub const SCENARIO_LABEL: &str = "hookproof/scenario";
/// The agent image as named in manifests; the runner adds the tag.
pub(crate) use crate::cluster::agent_image::NAME as AGENT_IMAGE;

/// What is added to a scenario's objects.
#[derive(Debug, Clone)]
pub struct Additions {
    pub run: String,
    /// The scenario as a label value.
    pub scenario: String,
    /// Images with tags, by the names that manifests use.
    pub images: BTreeMap<String, String>,
    /// Base URL of the witness, `http://IP:PORT`.
    pub witness: String,
    /// The token that agents send to the witness.
    pub token: String,
}

/// Parses the objects of a manifest. Octal file modes are numbers, as in kubectl.
pub fn objects(path: &str, text: &str) -> Result<Vec<Value>, Failure> {
    let documents = documents(text)
        .map_err(|(line, column, what)| format!("{path}:{line}:{column}: invalid YAML: {what}"))?;
    let is_object = |object: &Value| object["apiVersion"].is_string() && object["kind"].is_string();
    match documents.iter().position(|object| !is_object(object)) {
        Some(index) => Err(Failure::from(format!(
            "{path}: document {} is not a Kubernetes object: expected apiVersion and kind",
            index + 1
        ))),
        None => Ok(documents),
    }
}

impl Additions {
    /// Adds defaults, labels, image tags and the agent's environment to an object and its pod template.
    pub fn add_to(&self, object: &mut Value) {
        with_defaults(object);
        self.label(object);
        let spec = match object["kind"].as_str() {
            Some("Pod") => &mut object["spec"],
            Some("Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicaSet") => {
                let template = &mut object["spec"]["template"];
                self.label(template);
                &mut template["spec"]
            }
            _ => return,
        };
        for container in containers(spec) {
            self.add_to_container(container);
        }
    }

    fn label(&self, object: &mut Value) {
        if !object["metadata"].is_object() {
            object["metadata"] = json!({});
        }
        let labels = &mut object["metadata"]["labels"];
        if !labels.is_object() {
            *labels = json!({});
        }
        labels[RUN_LABEL] = json!(self.run);
        labels[SCENARIO_LABEL] = json!(self.scenario);
    }

    fn add_to_container(&self, container: &mut Value) {
        let image = container["image"].as_str().unwrap_or_default().to_owned();
        let Some(tagged) = self.images.get(&image) else {
            return;
        };
        container["image"] = json!(tagged);
        if image != AGENT_IMAGE {
            return;
        }
        let name = container["name"].as_str().unwrap_or_default().to_owned();
        let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
        let mut variables = vec![
            json!({"name": env::WITNESS, "value": self.witness}),
            json!({"name": env::TOKEN, "value": self.token}),
            json!({"name": env::CONTAINER, "value": name}),
            json!({"name": env::NAMESPACE, "valueFrom": field("metadata.namespace")}),
            json!({"name": env::POD, "valueFrom": field("metadata.name")}),
            json!({"name": env::POD_UID, "valueFrom": field("metadata.uid")}),
        ];
        if let Some(own) = container["env"].as_array() {
            variables.extend(own.iter().cloned());
        }
        container["env"] = Value::Array(variables);
    }
}

/// Removes from an object the API server's `managedFields` and the variables added by the runner.
pub fn without_bookkeeping(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    for container in object.get_mut("spec").into_iter().flat_map(containers) {
        if let Some(variables) = container.get_mut("env").and_then(Value::as_array_mut) {
            variables.retain(|variable| {
                let name = variable["name"].as_str().unwrap_or_default();
                !name.starts_with(env::PREFIX)
            });
        }
    }
}

/// The containers of a pod's spec.
fn containers(spec: &mut Value) -> impl Iterator<Item = &mut Value> {
    let fields = spec.as_object_mut().into_iter().flatten();
    let lists =
        fields.filter(|(name, _)| ["initContainers", "containers"].contains(&name.as_str()));
    lists.filter_map(|(_, list)| list.as_array_mut()).flatten()
}

/// Reduces a pod to the fields that a verdict can depend on, to keep evidence small.
pub fn essential(pod: &Value) -> Value {
    let pick = |from: &Value, keys: &[&str]| -> Value {
        keys.iter()
            .filter_map(|key| from.get(*key).map(|v| ((*key).to_owned(), v.clone())))
            .collect::<Map<_, _>>()
            .into()
    };
    let mut metadata = pick(
        &pod["metadata"],
        &[
            "name",
            "uid",
            "generation",
            "labels",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ],
    );
    if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
        labels.retain(|key, _| !key.starts_with("hookproof/"));
    }
    json!({
        "metadata": metadata,
        "spec": pick(&pod["spec"], &["nodeName", "terminationGracePeriodSeconds", "restartPolicy"]),
        "status": pod["status"],
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn additions() -> Additions {
        Additions {
            run: "r1".into(),
            scenario: "poststart-slow".into(),
            images: [
                ("hookproof/agent".into(), "hookproof/agent:abc".into()),
                ("hookproof/nginx".into(), "hookproof/nginx:def".into()),
            ]
            .into(),
            witness: "http://10.0.0.1:8080".into(),
            token: "t".into(),
        }
    }

    #[test]
    fn octal_modes_are_numbers_as_in_kubectl() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmode: 0555\n";
        assert_eq!(objects("m.yaml", text).unwrap()[0]["mode"], json!(365));
    }

    #[test]
    fn the_error_numbers_the_invalid_document() {
        let error = objects("m.yaml", "apiVersion: v1\nkind: Pod\n---\n- a\n").unwrap_err();
        assert!(error.to_string().contains("document 2"), "{error}");
    }

    #[test]
    fn only_agent_containers_get_the_environment() {
        let mut pod = json!({"kind": "Pod", "spec": {"containers": [
            {"name": "a", "image": "hookproof/agent", "env": [{"name": "OWN", "value": "1"}]},
            {"name": "b", "image": "other"},
            {"name": "c", "image": "hookproof/nginx"},
        ]}});
        additions().add_to(&mut pod);
        let containers = &pod["spec"]["containers"];
        assert_eq!(containers[0]["image"], "hookproof/agent:abc");
        assert_eq!(containers[0]["env"].as_array().unwrap().len(), 7);
        assert_eq!(containers[1], json!({"name": "b", "image": "other"}));
        assert_eq!(
            containers[2],
            json!({"name": "c", "image": "hookproof/nginx:def", "imagePullPolicy": "IfNotPresent"})
        );
        assert_eq!(pod["metadata"]["labels"][RUN_LABEL], "r1");
    }

    #[test]
    fn bookkeeping_includes_the_token() {
        let mut pod = json!({"metadata": {"name": "p", "managedFields": [1]}, "spec": {"containers": [
            {"name": "a", "env": [{"name": "HOOKPROOF_TOKEN", "value": "t"}, {"name": "OWN"}]}]}});
        without_bookkeeping(&mut pod);
        assert_eq!(
            pod,
            json!({"metadata": {"name": "p"},
                "spec": {"containers": [{"name": "a", "env": [{"name": "OWN"}]}]}})
        );
    }

    #[test]
    fn pod_templates_are_labelled() {
        let mut deployment =
            json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": []}}}});
        additions().add_to(&mut deployment);
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        assert_eq!(labels[SCENARIO_LABEL], "poststart-slow");
    }
}
