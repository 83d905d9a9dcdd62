//! Placeholders in manifests and arguments: what is known only once the scenario is under way,
//! such as another pod's address.

use serde_json::Value;

use super::api::{ApiError, ApiServer};
use crate::catalogue::placeholder::{Placeholder, split};

/// A placeholder that could not be filled in.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// The object could not be read.
    #[error("{{{placeholder}}}: {source}")]
    Api {
        /// The placeholder.
        placeholder: String,
        /// Why.
        source: ApiError,
    },
    /// The object has no such value yet.
    #[error("{{{0}}} is not known yet; wait for it with `until` before this step")]
    Unknown(String),
}

/// Where the values come from.
pub struct Filler<'a> {
    /// The API to ask.
    pub api: &'a ApiServer,
    /// The scenario's namespace.
    pub namespace: &'a str,
    /// The pod that placeholders without a name mean.
    pub pod: Option<&'a str>,
    /// Files that stand for manifests, by path as the suite gives it; the first one is `{manifest}`.
    pub manifests: &'a [(String, String)],
    /// Files that stand for listings of documents, by name.
    pub listings: &'a [(String, String)],
    /// Addresses of containers beside the nodes, by name.
    pub outside: &'a [(String, String)],
}

impl Filler<'_> {
    /// The text with every placeholder filled in.
    ///
    /// # Errors
    /// When a value is not known (yet).
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

    /// The same for each of several texts.
    ///
    /// # Errors
    /// As for [`Filler::fill`].
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
            "manifest" => {
                let found = match placeholder.name {
                    Some(name) => self.manifests.iter().find(|(path, _)| path == name),
                    None => self.manifests.first(),
                };
                return found.map(|(_, file)| file.clone()).ok_or_else(unknown);
            }
            "listing" | "outside_ip" => {
                let known = if placeholder.word == "listing" {
                    self.listings
                } else {
                    self.outside
                };
                let name = placeholder.name.ok_or_else(unknown)?;
                let found = known.iter().find(|(known, _)| known == name);
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
            .await
            .map_err(|source| FillError::Api {
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
