//! Placeholders in manifests and arguments: what is known only once the scenario is under way,
//! such as another pod's address.

use serde_json::Value;

use super::api::{ApiError, ApiServer};

/// The words that a placeholder can begin with, for messages and the reference.
pub const WORDS: &[&str] = &[
    "namespace",
    "manifest",
    "pod_ip",
    "pod_uid",
    "host_ip",
    "node_name",
    "container_id",
    "cluster_ip",
];

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

/// A placeholder found in a text: `{word}` or `{word:name}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Placeholder<'a> {
    word: &'a str,
    name: Option<&'a str>,
}

/// Splits a text into plain parts and placeholders. Braces with other words in them are plain.
fn split(text: &str) -> Vec<Result<Placeholder<'_>, &str>> {
    let (mut parts, mut plain_from, mut at) = (Vec::new(), 0, 0);
    while let Some(open) = text[at..].find('{').map(|i| at + i) {
        let Some(close) = text[open..].find('}').map(|i| open + i) else {
            break;
        };
        let inside = &text[open + 1..close];
        let (word, name) = match inside.split_once(':') {
            Some((word, name)) => (word, Some(name)),
            None => (inside, None),
        };
        if WORDS.contains(&word) {
            parts.push(Err(&text[plain_from..open]));
            parts.push(Ok(Placeholder { word, name }));
            plain_from = close + 1;
            at = close + 1;
        } else {
            at = open + 1;
        }
    }
    parts.push(Err(&text[plain_from..]));
    parts
}

/// Whether a text names a manifest, which only a kubectl step can fill in.
#[must_use]
pub fn manifests_in(text: &str) -> Vec<Option<&str>> {
    split(text)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|p| p.word == "manifest")
        .map(|p| p.name)
        .collect()
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("plain", 0)]
    #[case("a {namespace} b {pod_ip:web}", 2)]
    #[case("awk '{print $1}' {pod_uid}", 1)]
    #[case("{json} {\"a\": 1} {unclosed", 0)]
    #[case("jsonpath={.status.podIP}{namespace}", 1)]
    fn only_known_words_are_placeholders(#[case] text: &str, #[case] count: usize) {
        assert_eq!(split(text).into_iter().flatten().count(), count);
    }

    proptest::proptest! {
        #[test]
        fn nothing_of_the_text_is_lost(text in ".*") {
            let again: String = split(&text)
                .into_iter()
                .map(|part| match part {
                    Err(plain) => plain.to_owned(),
                    Ok(Placeholder { word, name: None }) => format!("{{{word}}}"),
                    Ok(Placeholder { word, name: Some(name) }) => format!("{{{word}:{name}}}"),
                })
                .collect();
            proptest::prop_assert_eq!(again, text);
        }
    }
}
