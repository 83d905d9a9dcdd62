//! The channels of evidence. Each is a list in expressions and can be changed by alterations.

use serde_json::{Value, json};

use super::types::{CLUSTER, EVENT, NOTE, POD, STAMP, Type};
use crate::evidence::Seen;

/// The entries of a timeline from one source.
#[derive(Debug)]
pub struct Channel {
    /// The variable with the list of entries, and the word after `in:` in alterations.
    pub(crate) name: &'static str,
    pub(crate) list: Type,
    pub(crate) contains: fn(&Seen) -> bool,
    /// The fields of an added entry that an alteration may leave out, with the source and the clock as in evidence.
    pub(crate) defaults: fn() -> Value,
}

pub(crate) const CHANNELS: &[Channel] = &[
    Channel {
        name: "stamps",
        list: Type::Records(STAMP),
        contains: |seen| matches!(seen, Seen::Agent(_)),
        defaults: || {
            json!({"source": "agent", "clock": "node", "container": "main", "start": 1, "process": "added", "pid": 1,
                "seq": 1, "data": {}})
        },
    },
    Channel {
        name: "events",
        list: Type::Records(EVENT),
        contains: |seen| matches!(seen, Seen::Event(_)),
        defaults: || {
            json!({"source": "event", "clock": "runner", "name": "added", "kind": "Pod", "type": "Normal",
                "message": "", "count": 1, "component": "kubelet", "first": null, "last": null})
        },
    },
    Channel {
        name: "pods",
        list: Type::Records(POD),
        contains: |seen| matches!(seen, Seen::Pod(_)),
        defaults: || json!({"source": "pod", "clock": "runner", "change": "applied", "object": {}}),
    },
    Channel {
        name: "outputs",
        list: Type::List,
        contains: |seen| matches!(seen, Seen::Output(_)),
        defaults: || json!({"source": "output", "clock": "runner", "step": "kubectl"}),
    },
    Channel {
        name: "notes",
        list: Type::Records(NOTE),
        contains: |seen| matches!(seen, Seen::Runner(_)),
        defaults: || json!({"source": "runner", "clock": "runner", "text": ""}),
    },
];

/// Variables of every check, with their types. No step, moment or value may take one of these names.
pub(crate) fn variables() -> impl Iterator<Item = (&'static str, Type)> {
    let others = [("moments", Type::Map), ("cluster", Type::Record(CLUSTER))];
    let lists = CHANNELS.iter().map(|channel| (channel.name, channel.list));
    lists.chain(others)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::evidence::Entry;

    #[test]
    fn every_entry_is_in_one_channel() {
        for channel in CHANNELS {
            let mut entry = (channel.defaults)();
            entry["n"] = json!(0);
            for field in ["at", "begin", "end"] {
                entry[field] = json!("2026-01-01T00:00:00Z");
            }
            // What every `add` has to say.
            for field in ["pod", "role", "stamp", "reason", "name", "note"] {
                entry[field] = json!("x");
            }
            let entry: Entry = serde_json::from_value(entry).unwrap();
            let of_entry = CHANNELS
                .iter()
                .filter(|channel| (channel.contains)(&entry.seen));
            let names: Vec<&str> = of_entry.map(|channel| channel.name).collect();
            assert_eq!(names, [channel.name]);
        }
    }
}
