//! Types of expressions before there is evidence, and the fields of what evidence consists of.

/// Fields of a record with their types.
pub(crate) type Fields = &'static [(&'static str, Type)];

/// What is known of a value before there is evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Type {
    Unknown,
    Bool,
    Number,
    Text,
    Time,
    Duration,
    /// A map without known fields, such as a Kubernetes object.
    Map,
    /// A map with exactly these fields.
    Record(Fields),
    List,
    Records(Fields),
    /// A pod of the scenario, or a container, a start or a process of it.
    Pod,
}

impl Type {
    /// With its article, for messages.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Unknown => "a value",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Text => "text",
            Self::Time => "a time",
            Self::Duration => "a duration",
            Self::Map | Self::Record(_) => "a map",
            Self::List | Self::Records(_) => "a list",
            Self::Pod => "a pod",
        }
    }

    /// Whether values of both types can be equal.
    pub(super) fn may_equal(self, other: Self) -> bool {
        use Type::{List, Map, Record, Records, Unknown};
        matches!(
            (self, other),
            (Unknown, _)
                | (_, Unknown)
                | (Map | Record(_), Map | Record(_))
                | (List | Records(_), List | Records(_))
        ) || self == other
    }
}

macro_rules! fields {
    ($($name:ident: $type:ident),+) => {
        &[$((stringify!($name), Type::$type)),+]
    };
}

pub(crate) const STAMP: Fields = fields! {
    at: Time, pod: Text, container: Text, start: Number, role: Text, process: Text, pid: Number, seq: Number,
    stamp: Text, data: Map
};

pub(crate) const EVENT: Fields = fields! {
    at: Time, name: Text, kind: Text, pod: Text, container: Text, type: Text, reason: Text, message: Text,
    count: Number, component: Text, first: Unknown, last: Unknown
};

/// A pod as the watch showed it.
pub(crate) const POD: Fields =
    fields! { at: Time, pod: Text, change: Text, phase: Text, object: Map };

/// A container as the API reported it.
pub(crate) const STATE: Fields = fields! {
    at: Time, pod: Text, phase: Text, container: Text, state: Text, reason: Text, message: Text, exit_code: Number,
    restarts: Number, ready: Bool
};

pub(crate) const NOTE: Fields = fields! { at: Time, note: Text, text: Text };

/// A line that a command printed.
pub(crate) const LINE: Fields = fields! { at: Time, stream: Text, text: Text };

pub(crate) const CLUSTER: Fields = fields! {
    name: Text, profile: Text, kubernetes: Text, kubelets: List, kubectl: Text, container_runtimes: List,
    node_image: Unknown, gates: Map, gates_seen: Map, capabilities: List, nodes: Number, clock_offset: Number,
    minor: Number
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cel::Value;
    use rstest::rstest;
    use serde_json::json;

    use super::super::values;
    use super::*;
    use crate::evidence::{ClusterFacts, Entry};

    fn names(value: &Value) -> BTreeSet<String> {
        match value {
            Value::Map(map) => map.map.keys().map(ToString::to_string).collect(),
            _ => BTreeSet::new(),
        }
    }

    fn known(fields: Fields) -> BTreeSet<String> {
        fields.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    /// A field that evidence has and the type checker does not know would be a finding in every suite that reads it.
    #[rstest]
    #[case::stamp(STAMP, json!({"source": "agent", "pod": "p", "container": "c", "start": 1, "role": "r", "process": "x",
        "pid": 1, "seq": 1, "stamp": "begun", "data": {}}))]
    #[case::event(EVENT, json!({"source": "event", "name": "e", "kind": "Pod", "pod": "p", "type": "Normal", "reason": "r",
        "message": "m", "count": 1, "component": "kubelet", "first": null, "last": null}))]
    #[case::pod(POD, json!({"source": "pod", "pod": "p", "change": "applied", "object": {}}))]
    #[case::note(NOTE, json!({"source": "runner", "note": "step", "text": "t"}))]
    fn fields_of_entries(#[case] fields: Fields, #[case] mut entry: serde_json::Value) {
        entry["n"] = json!(0);
        entry["at"] = json!("2026-01-01T00:00:00Z");
        entry["clock"] = json!("node");
        let entry = serde_json::from_value::<Entry>(entry).map(|entry| values::entry(&entry));
        let found = entry.map(|value| names(&value)).unwrap_or_default();
        assert_eq!(found, known(fields));
    }

    #[test]
    fn fields_of_the_cluster() {
        let facts = ClusterFacts {
            kubernetes: "v1.36.3".to_owned(),
            ..ClusterFacts::default()
        };
        assert_eq!(names(&values::cluster(&facts)), known(CLUSTER));
    }
}
