//! Requests of scenarios to the API server. Rejections are returned as answers, not as errors.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::Client;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::discovery::{Scope, pinned_kind};
use serde_json::{Value, json};

/// A request without a usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("failed to {doing}: {source}")]
    Request {
        doing: String,
        source: Box<kube::Error>,
    },
    #[error("failed to {doing}: {source}")]
    Build { doing: String, source: http::Error },
    /// An object without `apiVersion` or `kind`, or of an unsupported kind.
    #[error("{0}")]
    Object(String),
}

/// The server's answer to a change.
#[derive(Debug, Clone, PartialEq, Eq)]
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
            message: String::new(),
            reason: String::new(),
        }
    }
}

#[derive(Clone)]
pub struct ApiServer {
    client: Client,
    kinds: Arc<Mutex<HashMap<GroupVersionKind, (ApiResource, Scope)>>>,
}

impl ApiServer {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            kinds: Arc::default(),
        }
    }

    /// The same server with the permissions of another client.
    pub(crate) fn with(&self, client: Client) -> Self {
        Self {
            client,
            ..self.clone()
        }
    }

    /// The path of the collection of a kind's objects. Kinds are looked up once.
    async fn collection(
        &self,
        gvk: &GroupVersionKind,
        namespace: &str,
    ) -> Result<String, ApiError> {
        let kinds = || self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kinds().get(gvk).cloned();
        let (resource, scope) = if let Some(known) = known {
            known
        } else {
            let (resource, capabilities) = pinned_kind(&self.client, gvk)
                .await
                .map_err(|e| request(format!("look up kind {}", gvk.kind), e))?;
            let found = (resource, capabilities.scope);
            kinds().insert(gvk.clone(), found.clone());
            found
        };
        let namespace = (scope == Scope::Namespaced).then_some(namespace);
        Ok(<DynamicObject as kube::Resource>::url_path(
            &resource, namespace,
        ))
    }

    /// Creates an object with strict field validation, as `kubectl create` does.
    pub async fn create(
        &self,
        object: &Value,
        namespace: &str,
        dry_run: bool,
    ) -> Result<Answer, ApiError> {
        let path = self.collection(&gvk_of(object)?, namespace).await?;
        let dry = if dry_run { "&dryRun=All" } else { "" };
        let uri = format!("{path}?fieldManager=hookproof&fieldValidation=Strict{dry}");
        let body = serde_json::to_vec(object).map_err(|e| ApiError::Object(e.to_string()))?;
        self.change(http::Method::POST, uri, body).await
    }

    /// Deletes `kind/name`.
    pub async fn delete(
        &self,
        object: &str,
        namespace: &str,
        grace: Option<i64>,
    ) -> Result<Answer, ApiError> {
        let uri = self.find(object, namespace).await?;
        let body = match grace {
            Some(seconds) => json!({"gracePeriodSeconds": seconds}),
            None => json!({}),
        };
        self.change(http::Method::DELETE, uri, body.to_string().into_bytes())
            .await
    }

    /// Reads `kind/name`.
    pub async fn get(&self, object: &str, namespace: &str) -> Result<Value, ApiError> {
        let uri = self.find(object, namespace).await?;
        let doing = format!("get {object}");
        let request = http::Request::get(uri).body(Vec::new());
        let request = request.map_err(|source| ApiError::Build {
            doing: doing.clone(),
            source,
        })?;
        let found = self.client.request(request).await;
        found.map_err(|e| self::request(doing, e))
    }

    /// Reads `kind/name` if it exists.
    pub async fn get_opt(&self, object: &str, namespace: &str) -> Result<Option<Value>, ApiError> {
        // The kind first, so that only the object can be what is not found.
        self.find(object, namespace).await?;
        match self.get(object, namespace).await {
            Err(ApiError::Request { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.code == 404) => {
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    /// The path of `kind/name`.
    async fn find(&self, object: &str, namespace: &str) -> Result<String, ApiError> {
        let (kind, name) = object.split_once('/').ok_or_else(|| {
            ApiError::Object(format!(
                "invalid object `{object}`: expected KIND/NAME, for example pod/web"
            ))
        })?;
        let path = self.collection(&gvk_by_word(kind)?, namespace).await?;
        Ok(format!("{path}/{name}"))
    }

    async fn change(
        &self,
        method: http::Method,
        uri: String,
        body: Vec<u8>,
    ) -> Result<Answer, ApiError> {
        let doing = format!("{method} {}", uri.split('?').next().unwrap_or_default());
        let request = http::Request::builder()
            .method(method)
            .uri(uri)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|source| ApiError::Build {
                doing: doing.clone(),
                source,
            })?;
        match self.client.request::<Value>(request).await {
            Ok(_) => Ok(Answer::accepted(200)),
            Err(kube::Error::Api(status)) => Ok(Answer {
                accepted: false,
                code: status.code,
                message: status.message,
                reason: status.reason,
            }),
            Err(e) => Err(self::request(doing, e)),
        }
    }
}

fn request(doing: String, source: kube::Error) -> ApiError {
    ApiError::Request {
        doing,
        source: Box::new(source),
    }
}

fn gvk_of(object: &Value) -> Result<GroupVersionKind, ApiError> {
    let (Some(api_version), Some(kind)) = (object["apiVersion"].as_str(), object["kind"].as_str())
    else {
        return Err(ApiError::Object(
            "an object of the manifest has no apiVersion or kind".into(),
        ));
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    Ok(GroupVersionKind::gvk(group, version, kind))
}

/// The kinds that steps name: word, API group and version, kind, and the plural in paths and permissions.
pub(super) const KINDS: [(&str, &str, &str, &str, &str); 10] = [
    ("pod", "", "v1", "Pod", "pods"),
    ("service", "", "v1", "Service", "services"),
    ("node", "", "v1", "Node", "nodes"),
    ("configmap", "", "v1", "ConfigMap", "configmaps"),
    ("deployment", "apps", "v1", "Deployment", "deployments"),
    ("replicaset", "apps", "v1", "ReplicaSet", "replicasets"),
    ("statefulset", "apps", "v1", "StatefulSet", "statefulsets"),
    ("daemonset", "apps", "v1", "DaemonSet", "daemonsets"),
    ("job", "batch", "v1", "Job", "jobs"),
    (
        "priorityclass",
        "scheduling.k8s.io",
        "v1",
        "PriorityClass",
        "priorityclasses",
    ),
];

fn gvk_by_word(word: &str) -> Result<GroupVersionKind, ApiError> {
    let known = KINDS.iter().find(|(known, ..)| *known == word);
    known
        .map(|(_, group, version, kind, _)| GroupVersionKind::gvk(group, version, kind))
        .ok_or_else(|| {
            ApiError::Object(format!(
                "unsupported kind `{word}`: expected pod, service, node, configmap, \
                 deployment, replicaset, statefulset, daemonset, job or priorityclass"
            ))
        })
}
