//! Resolves placeholders in manifests and arguments: values known only while the scenario runs, such as
//! another pod's IP address.

use serde_json::Value;

use super::api::{ApiError, ApiServer};
use crate::catalogue::placeholder::{Placeholder, split};

#[derive(Debug, thiserror::Error)]
pub enum FillError {
    #[error("{{{placeholder}}}: {source}")]
    Api {
        placeholder: String,
        source: ApiError,
    },
    /// The object has no such value yet.
    #[error("{{{0}}} has no value yet; add an `until` step before this one")]
    Unknown(String),
}

/// Sources of placeholder values.
pub struct Filler<'a> {
    pub api: &'a ApiServer,
    pub namespace: &'a str,
    /// The pod of placeholders without a name.
    pub pod: Option<&'a str>,
    /// Files with prepared manifests, by path as in the suite; the first one is `{manifest}`.
    pub manifests: &'a [(String, String)],
    /// Files with listings of documents, by name.
    pub listings: &'a [(String, String)],
    /// Addresses of containers outside the cluster, by name.
    pub outside: &'a [(String, String)],
}

impl Filler<'_> {
    /// Resolves every placeholder in `text`.
    pub async fn fill(&self, text: &str) -> Result<String, FillError> {
        let mut filled = String::new();
        for part in split(text) {
            match part {
                Err(plain) => filled.push_str(plain),
                Ok(placeholder) => filled.push_str(&self.value(placeholder).await?),
            }
        }
        Ok(filled)
    }

    /// Resolves every placeholder in each of `texts`.
    pub async fn fill_all(&self, texts: &[String]) -> Result<Vec<String>, FillError> {
        let mut filled = Vec::with_capacity(texts.len());
        for text in texts {
            filled.push(self.fill(text).await?);
        }
        Ok(filled)
    }

    async fn value(&self, placeholder: Placeholder<'_>) -> Result<String, FillError> {
        let shown = match placeholder.name {
            Some(name) => format!("{}:{name}", placeholder.word),
            None => placeholder.word.to_owned(),
        };
        let unknown = || FillError::Unknown(shown.clone());
        match placeholder.word {
            "namespace" => return Ok(self.namespace.to_owned()),
            word @ ("manifest" | "listing" | "outside_ip") => {
                let mut known = match word {
                    "manifest" => self.manifests.iter(),
                    "listing" => self.listings.iter(),
                    _ => self.outside.iter(),
                };
                let found = match placeholder.name {
                    Some(name) => known.find(|(known, _)| known == name),
                    None => known.next().filter(|_| word == "manifest"),
                };
                return found.map(|(_, value)| value.clone()).ok_or_else(unknown);
            }
            _ => {}
        }
        let name = placeholder.name.or(self.pod).ok_or_else(unknown)?;
        let kind = if placeholder.word == "cluster_ip" {
            "service"
        } else {
            "pod"
        };
        let object = self
            .api
            .get(&format!("{kind}/{name}"), self.namespace)
            .await;
        let object = object.map_err(|source| FillError::Api {
            placeholder: shown.clone(),
            source,
        })?;
        let value: &Value = match placeholder.word {
            "pod_ip" => &object["status"]["podIP"],
            "pod_uid" => &object["metadata"]["uid"],
            "host_ip" => &object["status"]["hostIP"],
            "node_name" => &object["spec"]["nodeName"],
            "container_id" => &object["status"]["containerStatuses"][0]["containerID"],
            _ => &object["spec"]["clusterIP"],
        };
        let text = value
            .as_str()
            .filter(|text| !text.is_empty())
            .ok_or_else(unknown)?;
        // `containerd://ID`
        Ok(text.rsplit("://").next().unwrap_or(text).to_owned())
    }
}
