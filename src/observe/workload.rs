//! Changes made to a scenario's manifests before they are applied: defaults, labels, image tags and the
//! agent's environment.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::catalogue::manifest::documents;

/// Label with the run's ID on every object that a run creates.
pub const RUN_LABEL: &str = "hookproof/run";
/// Label with the scenario on its namespace and objects.
pub const SCENARIO_LABEL: &str = "hookproof/scenario";
/// The agent image as named in manifests; the runner adds the tag.
pub use crate::cluster::agent_image::NAME as AGENT_IMAGE;
use crate::cluster::nginx_image::NAME as NGINX_IMAGE;
/// Images that the runner loads onto the nodes; no registry has them.
const OWN_IMAGES: [&str; 2] = [AGENT_IMAGE, NGINX_IMAGE];
/// Default `imagePullPolicy` of containers with one of [`OWN_IMAGES`]: without a tag the API server's
/// default is `Always`, which fails.
const PULL_POLICY: &str = "IfNotPresent";
/// Default `restartPolicy` of bare pods: a container that exits is not started again unless the
/// manifest asks for it.
const RESTART_POLICY: &str = "Never";
/// Default `terminationGracePeriodSeconds`: shortens the deletion of pods that ignore SIGTERM, for which the
/// API server's default allows 30 s.
const GRACE_PERIOD_SECONDS: u32 = 5;
pub const WITNESS_PORT: u16 = 8080;

/// What is added to a scenario's objects.
#[derive(Debug, Clone)]
pub struct Additions {
    /// The run's ID.
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

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{place}: invalid YAML: {what}")]
    Yaml {
        /// Path, line and column.
        place: String,
        /// The parser's message.
        what: String,
    },
    #[error("{path}: document {number} is not a Kubernetes object: expected apiVersion and kind")]
    NoObject {
        path: String,
        /// Number of the document in the file, from 1.
        number: usize,
    },
}

/// Parses the objects of a manifest. Octal file modes are numbers, as in kubectl.
///
/// # Errors
/// When the text is not YAML or a document is not a Kubernetes object.
pub fn objects(path: &str, text: &str) -> Result<Vec<Value>, ManifestError> {
    let documents = documents(text).map_err(|(line, column, what)| ManifestError::Yaml {
        place: format!("{path}:{line}:{column}"),
        what,
    })?;
    for (index, object) in documents.iter().enumerate() {
        if !object["apiVersion"].is_string() || !object["kind"].is_string() {
            return Err(ManifestError::NoObject {
                path: path.to_owned(),
                number: index + 1,
            });
        }
    }
    Ok(documents)
}

/// Fills in what the manifest leaves out of pods that run one of hookproof's images, bare or in a
/// template: [`PULL_POLICY`], [`GRACE_PERIOD_SECONDS`] and, in bare pods, [`RESTART_POLICY`]. A field
/// that the manifest sets to `null` is removed, in every pod: it keeps the API server's default.
pub fn with_defaults(object: &mut Value) {
    let (pod, restart_policy) = match object["kind"].as_str() {
        Some("Pod") => ("/spec", Some(RESTART_POLICY)),
        Some("Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicaSet") => {
            ("/spec/template/spec", None)
        }
        _ => return,
    };
    let Some(spec) = object.pointer_mut(pod).and_then(Value::as_object_mut) else {
        return;
    };
    let mut any_own = false;
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            let image = container.get("image").and_then(Value::as_str);
            let own = image.is_some_and(|image| OWN_IMAGES.contains(&image));
            any_own |= own;
            default_field(
                container,
                "imagePullPolicy",
                own.then(|| json!(PULL_POLICY)),
            );
        }
    }
    let restart_policy = restart_policy
        .filter(|_| any_own)
        .map(|policy| json!(policy));
    default_field(spec, "restartPolicy", restart_policy);
    let grace = any_own.then(|| json!(GRACE_PERIOD_SECONDS));
    default_field(spec, "terminationGracePeriodSeconds", grace);
}

/// Removes a field that is `null`; inserts the default where the field is missing.
fn default_field(fields: &mut Map<String, Value>, name: &str, default: Option<Value>) {
    match (fields.get(name), default) {
        (Some(Value::Null), _) => {
            fields.remove(name);
        }
        (None, Some(default)) => {
            fields.insert(name.to_owned(), default);
        }
        _ => {}
    }
}

impl Additions {
    /// Adds defaults, labels, image tags and the agent's environment to an object and its pod template.
    pub fn add_to(&self, object: &mut Value) {
        with_defaults(object);
        self.label(object);
        match object["kind"].as_str() {
            Some("Pod") => self.add_to_pod_spec(&mut object["spec"]),
            Some("Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicaSet") => {
                let template = &mut object["spec"]["template"];
                self.label(template);
                self.add_to_pod_spec(&mut template["spec"]);
            }
            _ => {}
        }
    }

    fn label(&self, object: &mut Value) {
        if !object["metadata"].is_object() {
            object["metadata"] = json!({});
        }
        let labels = &mut object["metadata"]["labels"];
        if !labels.is_object() {
            *labels = Value::Object(Map::new());
        }
        labels[RUN_LABEL] = json!(self.run);
        labels[SCENARIO_LABEL] = json!(self.scenario);
    }

    fn add_to_pod_spec(&self, spec: &mut Value) {
        for list in ["initContainers", "containers"] {
            let Some(containers) = spec.get_mut(list).and_then(Value::as_array_mut) else {
                continue;
            };
            for container in containers {
                self.add_to_container(container);
            }
        }
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
        let mut env = vec![
            json!({"name": "HOOKPROOF_WITNESS", "value": self.witness}),
            json!({"name": "HOOKPROOF_TOKEN", "value": self.token}),
            json!({"name": "HOOKPROOF_CONTAINER", "value": name}),
            json!({"name": "HOOKPROOF_NAMESPACE", "valueFrom": field("metadata.namespace")}),
            json!({"name": "HOOKPROOF_POD", "valueFrom": field("metadata.name")}),
            json!({"name": "HOOKPROOF_POD_UID", "valueFrom": field("metadata.uid")}),
        ];
        if let Some(own) = container["env"].as_array() {
            env.extend(own.iter().cloned());
        }
        container["env"] = Value::Array(env);
    }
}

/// Removes from an object the API server's `managedFields` and the variables added by the runner.
pub fn without_bookkeeping(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    for list in ["initContainers", "containers"] {
        let containers = object
            .pointer_mut(&format!("/spec/{list}"))
            .and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) {
                env.retain(|variable| {
                    !variable["name"]
                        .as_str()
                        .is_some_and(|name| name.starts_with("HOOKPROOF_"))
                });
            }
        }
    }
}

/// Reduces a pod to the fields that a verdict can depend on, to keep evidence small.
#[must_use]
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
    use rstest::rstest;

    use super::*;

    fn additions() -> Additions {
        Additions {
            run: "r1".into(),
            scenario: "poststart-slow".into(),
            images: [("agent", "abc"), ("nginx", "def")]
                .map(|(name, tag)| {
                    let name = format!("hookproof/{name}");
                    (name.clone(), format!("{name}:{tag}"))
                })
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

    #[rstest]
    #[case::all_left_out(
        json!({"containers": [{"image": "hookproof/agent"}]}),
        json!({"containers": [{"image": "hookproof/agent", "imagePullPolicy": "IfNotPresent"}],
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 5})
    )]
    #[case::all_given(
        json!({"containers": [{"image": "hookproof/nginx", "imagePullPolicy": "Never"}],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 0}),
        json!({"containers": [{"image": "hookproof/nginx", "imagePullPolicy": "Never"}],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 0})
    )]
    #[case::all_null(
        json!({"containers": [{"image": "hookproof/agent", "imagePullPolicy": null}],
            "restartPolicy": null, "terminationGracePeriodSeconds": null}),
        json!({"containers": [{"image": "hookproof/agent"}]})
    )]
    #[case::own_image_in_one_init_container(
        json!({"initContainers": [{"image": "hookproof/agent"}], "containers": [{"image": "other"}]}),
        json!({"initContainers": [{"image": "hookproof/agent", "imagePullPolicy": "IfNotPresent"}],
            "containers": [{"image": "other"}],
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 5})
    )]
    #[case::tagged_image_is_not_ours(
        json!({"containers": [{"image": "hookproof/agent:1"}]}),
        json!({"containers": [{"image": "hookproof/agent:1"}]})
    )]
    #[case::other_images(
        json!({"containers": [{"image": "other"}]}),
        json!({"containers": [{"image": "other"}]})
    )]
    #[case::other_images_with_null(
        json!({"containers": [{"image": "other", "imagePullPolicy": null}],
            "restartPolicy": null, "terminationGracePeriodSeconds": null}),
        json!({"containers": [{"image": "other"}]})
    )]
    #[case::malformed(json!({"containers": "none"}), json!({"containers": "none"}))]
    fn bare_pods_get_defaults(#[case] spec: Value, #[case] expected: Value) {
        let mut pod = json!({"kind": "Pod", "spec": spec});
        with_defaults(&mut pod);
        assert_eq!(pod, json!({"kind": "Pod", "spec": expected}));
    }

    #[rstest]
    #[case::all_left_out(
        json!({"containers": [{"image": "hookproof/agent"}]}),
        json!({"containers": [{"image": "hookproof/agent", "imagePullPolicy": "IfNotPresent"}],
            "terminationGracePeriodSeconds": 5})
    )]
    #[case::all_given(
        json!({"containers": [{"image": "hookproof/agent", "imagePullPolicy": "Always"}],
            "restartPolicy": "OnFailure", "terminationGracePeriodSeconds": 9}),
        json!({"containers": [{"image": "hookproof/agent", "imagePullPolicy": "Always"}],
            "restartPolicy": "OnFailure", "terminationGracePeriodSeconds": 9})
    )]
    #[case::all_null(
        json!({"containers": [{"image": "hookproof/agent", "imagePullPolicy": null}],
            "restartPolicy": null, "terminationGracePeriodSeconds": null}),
        json!({"containers": [{"image": "hookproof/agent"}]})
    )]
    #[case::other_images(
        json!({"containers": [{"image": "other"}]}),
        json!({"containers": [{"image": "other"}]})
    )]
    fn pod_templates_get_defaults(
        #[values("Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet")] kind: &str,
        #[case] spec: Value,
        #[case] expected: Value,
    ) {
        let mut object = json!({"kind": kind, "spec": {"template": {"spec": spec}}});
        with_defaults(&mut object);
        assert_eq!(
            object,
            json!({"kind": kind, "spec": {"template": {"spec": expected}}})
        );
    }

    #[rstest]
    #[case::no_spec(json!({"kind": "Pod"}))]
    #[case::no_template(json!({"kind": "Deployment", "spec": {}}))]
    #[case::other_kind(json!({"kind": "Service", "spec": {"containers": [{"image": "hookproof/agent"}]}}))]
    fn objects_without_pods_get_no_defaults(#[case] object: Value) {
        let mut changed = object.clone();
        with_defaults(&mut changed);
        assert_eq!(changed, object);
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
        assert_eq!(
            deployment["spec"]["template"]["metadata"]["labels"][SCENARIO_LABEL],
            "poststart-slow"
        );
    }
}
