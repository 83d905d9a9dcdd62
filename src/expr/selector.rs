//! What `slow`, `slow.hook` or `again.start2.main` mean as arguments of domain functions.

use cel::Value;
use cel::objects::KeyRef;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

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
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match field(value, FIELD)? {
            Value::String(text) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }

    /// The value of the hidden field.
    pub(crate) fn hidden(&self) -> (&'static str, Value) {
        let text = serde_json::to_string(self).unwrap_or_default();
        (FIELD, text.into())
    }

    pub(crate) fn pod(&self, name: &str) -> bool {
        name_matches(&self.pod, name)
    }

    pub(super) fn container(&self, name: &str) -> bool {
        self.container.as_ref().is_none_or(|wanted| wanted == name)
    }

    /// Whether a start of a container, from 1, is selected.
    pub(super) fn start(&self, start: u64) -> bool {
        self.start.is_none_or(|wanted| u64::from(wanted) == start)
    }

    /// Whether a status in a pod object is of a selected container, in whichever start.
    pub(super) fn status(&self, status: &Json) -> bool {
        self.container(status["name"].as_str().unwrap_or_default())
    }

    pub(super) fn stamp(&self, stamp: &Stamp) -> bool {
        self.pod(&stamp.pod)
            && self.container(&stamp.container)
            && self.start(stamp.start.into())
            && self.role.as_ref().is_none_or(|role| *role == stamp.role)
    }
}

/// A field, if the value is a map.
pub(crate) fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Map(map) => map.get(&KeyRef::String(name)),
        _ => None,
    }
}

/// A name, or its beginning if the pattern ends in `*`.
pub(crate) fn name_matches(pattern: &str, name: &str) -> bool {
    let beginning = pattern.strip_suffix('*');
    beginning.map_or(name == pattern, |beginning| name.starts_with(beginning))
}
