//! Requests of scenarios to the API server. Rejections are returned as answers, not as errors.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, Resource as _};
use serde::Serialize;
use serde_json::{Value, json};

use super::failure::Failure;

/// The server's answer to a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    pub accepted: bool,
    pub code: u16,
    /// Message of a rejection.
    pub message: String,
    /// Reason of a rejection, such as `Invalid`.
    pub reason: String,
}

impl Answer {
    pub(super) fn is_forbidden(&self) -> bool {
        self.code == 403
    }

    pub(super) fn accepted(code: u16) -> Self {
        Self {
            accepted: true,
            code,
            ..Self::default()
        }
    }
}

/// The kinds that were looked up, shared by all scenarios.
pub(super) type Kinds = Arc<Mutex<HashMap<GroupVersionKind, (ApiResource, Scope)>>>;

/// The API server in the namespace of a scenario, with the only account that the scenario's steps use.
pub struct ApiServer {
    pub(super) namespace: String,
    pub(super) client: Client,
    /// The credential of the client.
    pub(super) token: String,
    pub(super) kinds: Kinds,
}

impl ApiServer {
    /// The path of the collection of a kind's objects. Kinds are looked up once.
    async fn collection(&self, gvk: &GroupVersionKind) -> Result<String, Failure> {
        let kinds = || self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kinds().get(gvk).cloned();
        let (resource, scope) = if let Some(known) = known {
            known
        } else {
            let found = pinned_kind(&self.client, gvk).await;
            let (resource, capabilities) =
                found.map_err(Failure::to(format!("look up kind {}", gvk.kind)))?;
            let found = (resource, capabilities.scope);
            kinds().insert(gvk.clone(), found.clone());
            found
        };
        let namespace = (scope == Scope::Namespaced).then_some(&*self.namespace);
        Ok(DynamicObject::url_path(&resource, namespace))
    }

    /// Creates an object with strict field validation, as `kubectl create` does.
    pub async fn create(&self, object: &Value, dry_run: bool) -> Result<Answer, Failure> {
        let path = self.collection(&gvk_of(object)?).await?;
        let dry = if dry_run { "&dryRun=All" } else { "" };
        let uri = format!("{path}?fieldManager=hookproof&fieldValidation=Strict{dry}");
        let body = serde_json::to_vec(object).map_err(|e| e.to_string())?;
        self.change(http::Method::POST, uri, body).await
    }

    /// Deletes `kind/name`.
    pub async fn delete(&self, object: &str, grace: Option<i64>) -> Result<Answer, Failure> {
        let uri = self.find(object).await?;
        let body = grace.map_or(json!({}), |seconds| json!({"gracePeriodSeconds": seconds}));
        let body = body.to_string().into_bytes();
        self.change(http::Method::DELETE, uri, body).await
    }

    /// Reads `kind/name`.
    pub async fn get(&self, object: &str) -> Result<Value, Failure> {
        let uri = self.find(object).await?;
        let doing = format!("get {object}");
        let request = http::Request::get(uri).body(Vec::new());
        let request = request.map_err(|e| format!("failed to {doing}: {e}"))?;
        let found = self.client.request(request).await;
        found.map_err(Failure::to(doing))
    }

    /// Reads `kind/name` if it exists.
    pub async fn get_opt(&self, object: &str) -> Result<Option<Value>, Failure> {
        // The kind first, so that only the object can be what is not found.
        self.find(object).await?;
        match self.get(object).await {
            Err(failure) if failure.is_not_found() => Ok(None),
            found => found.map(Some),
        }
    }

    /// The path of `kind/name`.
    async fn find(&self, object: &str) -> Result<String, Failure> {
        let (kind, name) = object.split_once('/').ok_or_else(|| {
            format!("invalid object `{object}`: expected KIND/NAME, for example pod/web")
        })?;
        let path = self.collection(&gvk_by_word(kind)?).await?;
        Ok(format!("{path}/{name}"))
    }

    async fn change(
        &self,
        method: http::Method,
        uri: String,
        body: Vec<u8>,
    ) -> Result<Answer, Failure> {
        let doing = format!("{method} {}", uri.split('?').next().unwrap_or_default());
        let request = http::Request::builder()
            .method(method)
            .uri(uri)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|e| format!("failed to {doing}: {e}"))?;
        match self.client.request::<Value>(request).await {
            Ok(_) => Ok(Answer::accepted(200)),
            Err(kube::Error::Api(status)) => Ok(Answer {
                accepted: false,
                code: status.code,
                message: status.message,
                reason: status.reason,
            }),
            Err(e) => Err(Failure::to(doing)(e)),
        }
    }
}

pub(super) fn gvk_of(object: &Value) -> Result<GroupVersionKind, &'static str> {
    let text = |field: &str| object[field].as_str();
    let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
        return Err("an object of the manifest has no apiVersion or kind");
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    Ok(GroupVersionKind::gvk(group, version, kind))
}

/// API groups of the kinds that steps name, in version v1.
const KINDS: [(&str, &str); 10] = [
    ("", "Pod"),
    ("", "Service"),
    ("", "Node"),
    ("", "ConfigMap"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("batch", "Job"),
    ("scheduling.k8s.io", "PriorityClass"),
];

/// The kinds that steps name, with the word for each.
pub(super) fn kinds() -> impl Iterator<Item = (String, GroupVersionKind)> {
    let gvk = |group, kind| GroupVersionKind::gvk(group, "v1", kind);
    let kinds = KINDS.iter();
    kinds.map(move |(group, kind)| (kind.to_ascii_lowercase(), gvk(group, kind)))
}

fn gvk_by_word(word: &str) -> Result<GroupVersionKind, Failure> {
    let found = kinds().find(|(known, _)| known == word);
    found.map(|(_, gvk)| gvk).ok_or_else(|| {
        Failure::from(format!(
            "unsupported kind `{word}`: expected pod, service, node, configmap, \
             deployment, replicaset, statefulset, daemonset, job or priorityclass"
        ))
    })
}
