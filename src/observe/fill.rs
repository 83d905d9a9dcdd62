//! Resolves placeholders in manifests and arguments: values known only while the scenario runs, such as
//! another pod's IP address.

use serde_json::Value;

use super::api::ApiServer;
use super::failure::Failure;
use crate::catalogue::placeholder::{Placeholder, split};

/// Sources of placeholder values.
pub struct Filler<'a> {
    pub api: &'a ApiServer,
    /// The pod of placeholders without a name.
    pub pod: Option<&'a str>,
    pub known: Vec<Known>,
}

/// A value that the runner knows without asking the API server.
pub struct Known {
    /// The word of the placeholder: `manifest` or `listing`, whose value is a file, or `outside_ip`.
    pub word: &'static str,
    /// The path of the manifest in the suite, or the name of the listing or of the container outside the cluster.
    pub name: String,
    pub value: String,
}

impl Filler<'_> {
    /// Resolves every placeholder in `text`.
    pub async fn fill(&self, text: &str) -> Result<String, Failure> {
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
    pub async fn fill_all(&self, texts: &[String]) -> Result<Vec<String>, Failure> {
        let mut filled = Vec::with_capacity(texts.len());
        for text in texts {
            filled.push(self.fill(text).await?);
        }
        Ok(filled)
    }

    async fn value(&self, Placeholder { word, name }: Placeholder<'_>) -> Result<String, Failure> {
        let shown = match name {
            Some(name) => format!("{{{word}:{name}}}"),
            None => format!("{{{word}}}"),
        };
        let unknown = || format!("{shown} has no value yet; add an `until` step before this one");
        let (kind, path) = match word {
            "namespace" => return Ok(self.api.namespace.clone()),
            "manifest" | "listing" | "outside_ip" => {
                let mut known = self.known.iter().filter(|known| known.word == word);
                let found = match name {
                    Some(name) => known.find(|known| known.name == name),
                    // The first manifest.
                    None => known.next().filter(|_| word == "manifest"),
                };
                return Ok(found.ok_or_else(unknown)?.value.clone());
            }
            "pod_ip" => ("pod", "/status/podIP"),
            "pod_uid" => ("pod", "/metadata/uid"),
            "host_ip" => ("pod", "/status/hostIP"),
            "node_name" => ("pod", "/spec/nodeName"),
            "container_id" => ("pod", "/status/containerStatuses/0/containerID"),
            _ => ("service", "/spec/clusterIP"),
        };
        let name = name.or(self.pod).ok_or_else(unknown)?;
        let object = format!("{kind}/{name}");
        let found = self.api.get(&object).await;
        let object = found.map_err(|e| format!("{shown}: {e}"))?;
        let value = object.pointer(path).and_then(Value::as_str);
        let value = value.filter(|text| !text.is_empty()).ok_or_else(unknown)?;
        // `containerd://ID`
        Ok(value.rsplit("://").next().unwrap_or(value).to_owned())
    }
}
