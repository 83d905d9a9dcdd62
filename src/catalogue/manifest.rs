//! Manifests, read as kubectl reads them, and the defaults filled in on apply.

use serde_json::{Map, Value};

use super::finding::{Finding, Place};
use super::yaml::{options, place};

/// Images that the runner builds and puts on the nodes.
const OWN_IMAGES: [&str; 2] = ["hookproof/agent", "hookproof/nginx"];
/// Default `imagePullPolicy` of containers with one of [`OWN_IMAGES`]: without a tag the API server's
/// default is `Always`, which fails.
const PULL_POLICY: &str = "IfNotPresent";
/// Default `restartPolicy` of bare pods: a container that exits is not started again unless the
/// manifest asks for it.
const RESTART_POLICY: &str = "Never";
/// Default `terminationGracePeriodSeconds`: shortens the deletion of pods that ignore SIGTERM, for which the
/// API server's default allows 30 s.
const GRACE_PERIOD_SECONDS: u32 = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Path as the suite gives it, such as `manifests/poststart/slow-hook.yaml`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Manifest {
    /// Its objects. What is not YAML has been reported by [`check`].
    pub(crate) fn objects(&self) -> Vec<Value> {
        documents(&self.text).unwrap_or_default()
    }
}

/// The objects of a manifest, without empty documents. YAML is read the way kubectl does:
/// `0555` is an octal number, `yes` is true.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, (u32, u32, String)> {
    let mut options = options();
    options.legacy_octal_numbers = true;
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let at = error.location().map(|at| place("", at));
        let (line, column) = at.map_or((1, 1), |at| (at.line, at.column));
        (line, column, error.without_snippet().to_string())
    })
}

/// The JSON pointer to the specification of an object's pods, and whether the object is a bare pod.
pub(super) fn pods(object: &Value) -> Option<(&'static str, bool)> {
    match object["kind"].as_str()? {
        "Pod" => Some(("/spec", true)),
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicaSet" => {
            Some(("/spec/template/spec", false))
        }
        _ => None,
    }
}

/// Fills in what the manifest leaves out of pods that run one of hookproof's images, bare or in a
/// template: [`PULL_POLICY`], [`GRACE_PERIOD_SECONDS`] and, in bare pods, [`RESTART_POLICY`]. A field
/// that the manifest sets to `null` is removed, in every pod: it keeps the API server's default.
pub(crate) fn with_defaults(object: &mut Value) {
    let Some((path, is_bare)) = pods(object) else {
        return;
    };
    let Some(spec) = object.pointer_mut(path).and_then(Value::as_object_mut) else {
        return;
    };
    let mut any_own = false;
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        let containers = containers.into_iter().flatten();
        for container in containers.filter_map(Value::as_object_mut) {
            let image = container.get("image").and_then(Value::as_str);
            let own = image.is_some_and(|image| OWN_IMAGES.contains(&image));
            any_own |= own;
            default_field(container, "imagePullPolicy", own, PULL_POLICY);
        }
    }
    default_field(spec, "restartPolicy", any_own && is_bare, RESTART_POLICY);
    let grace = GRACE_PERIOD_SECONDS;
    default_field(spec, "terminationGracePeriodSeconds", any_own, grace);
}

/// Removes a field that is `null`; otherwise inserts the default, if it applies, where the field is missing.
fn default_field(
    fields: &mut Map<String, Value>,
    name: &str,
    applies: bool,
    default: impl Into<Value>,
) {
    match fields.get(name) {
        Some(Value::Null) => drop(fields.remove(name)),
        None if applies => drop(fields.insert(name.to_owned(), default.into())),
        _ => {}
    }
}

/// The first field of a pod that the Pod Security level `baseline` forbids, of those that manifests use to reach the
/// node. The API server enforces the level; this finds it before a run.
pub(super) fn beyond_baseline(manifest: &Manifest) -> Option<&'static str> {
    const FORBIDDEN: [&str; 6] = [
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "privileged",
        "hostPath",
        "hostPort",
    ];
    let mut rest = manifest.objects();
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(items) => rest.extend(items),
            Value::Object(fields) => {
                let is_set = |name: &&str| match fields.get(*name) {
                    Some(Value::Bool(set)) => *set,
                    Some(value) => value.is_object() || value.is_number(),
                    None => false,
                };
                if let Some(name) = FORBIDDEN.into_iter().find(is_set) {
                    return Some(name);
                }
                rest.extend(fields.into_iter().map(|(_, value)| value));
            }
            _ => {}
        }
    }
    None
}

/// The first kind of the manifest whose objects are in no namespace, of those that suites may be tempted to create.
pub(super) fn outside_namespace(manifest: &Manifest) -> Option<String> {
    const KINDS: [&str; 6] = [
        PRIORITY_CLASS,
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "Namespace",
        "PersistentVolume",
    ];
    let objects = manifest.objects();
    let mut kinds = objects.iter().filter_map(|object| object["kind"].as_str());
    kinds.find(|kind| KINDS.contains(kind)).map(str::to_owned)
}

/// The kind outside namespaces that scenarios may create, with the capability `cluster-objects`.
pub(super) const PRIORITY_CLASS: &str = "PriorityClass";

/// Reports what would keep a manifest from being applied.
pub(super) fn check(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let mut find = |line, column, message: String| {
        findings.push(Finding::new(&Place::new(path, line, column), message));
    };
    let documents = match documents(text) {
        Ok(documents) => documents,
        Err((line, column, message)) => {
            return find(line, column, format!("not YAML: {message}"));
        }
    };
    if documents.is_empty() {
        find(1, 1, "the manifest is empty".to_owned());
    }
    for (n, document) in (1..).zip(&documents) {
        for path in ["/apiVersion", "/kind", "/metadata/name"] {
            if document.pointer(path).and_then(Value::as_str).is_none() {
                let name = path.trim_start_matches('/').replace('/', ".");
                find(1, 1, format!("document {n}: missing `{name}`"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;
    use serde_json::json;

    use super::*;

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
    fn octal_numbers_and_booleans_are_read_as_by_kubectl() {
        let read = documents("mode: 0555\non: yes\nname: '0555'\n---\n---\nx: 1\n").unwrap();
        assert_eq!(
            read,
            [
                serde_json::json!({"mode": 365, "on": true, "name": "0555"}),
                serde_json::json!({"x": 1})
            ]
        );
    }
}
