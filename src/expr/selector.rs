//! What `slow`, `slow.hook` or `again.start2.main` mean as arguments of domain functions.

use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, Map};
use serde::{Deserialize, Serialize};

use crate::evidence::Stamp;

/// The hidden field of a pod's variable that carries its selector.
pub(super) const FIELD: &str = "·";

/// A pod of a scenario, or a container, a start or a process of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Selector {
    /// Pod name; a trailing `*` matches any rest.
    pub(crate) pod: String,
    /// Container; any if absent.
    pub(crate) container: Option<String>,
    /// Start of the container, from 1; any if absent.
    pub(crate) start: Option<u32>,
    /// Role of the agent's process; any if absent.
    pub(crate) role: Option<String>,
}

impl Selector {
    /// The selector that a value carries.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let Value::Map(map) = value else { return None };
        match field(map, FIELD) {
            Some(Value::String(text)) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }

    /// The value of the hidden field.
    pub(crate) fn hidden(&self) -> (&'static str, Value) {
        let text = serde_json::to_string(self).unwrap_or_default();
        (FIELD, Value::String(Arc::new(text)))
    }

    /// Whether a pod of this name is selected.
    pub(crate) fn pod(&self, name: &str) -> bool {
        name_matches(&self.pod, name)
    }

    /// Whether a container of this name is selected.
    pub(super) fn container(&self, name: &str) -> bool {
        self.container
            .as_deref()
            .is_none_or(|wanted| wanted == name)
    }

    /// Whether a stamp is from a selected process.
    pub(super) fn stamp(&self, stamp: &Stamp) -> bool {
        self.pod(&stamp.pod)
            && self.container(&stamp.container)
            && self.start.is_none_or(|start| start == stamp.start)
            && self.role.as_deref().is_none_or(|role| role == stamp.role)
    }
}

/// Whether a value is the variable of a pod or a part of it.
pub(crate) fn is_selector(value: &Value) -> bool {
    Selector::of(value).is_some()
}

/// A field of a map.
pub(crate) fn field<'a>(map: &'a Map, name: &str) -> Option<&'a Value> {
    map.map.get(&Key::String(Arc::new(name.to_owned())))
}

/// A name, or its beginning if the pattern ends in `*`.
pub(crate) fn name_matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}
