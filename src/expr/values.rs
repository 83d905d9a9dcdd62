//! Evidence as CEL values, and CEL values as text.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use cel::Value;
use cel::objects::{Key, Map};
use chrono::{DateTime, FixedOffset, Utc};
use itertools::Itertools as _;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;

use super::selector::Selector;
use crate::evidence::{ClusterFacts, Entry, Output, Seen};
use crate::version::version;

/// JSON as a CEL value. Whole numbers become `int` if they fit, so that `exit_code == 0` compares ints.
pub(crate) fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => number
            .as_i64()
            .map(Value::Int)
            .or_else(|| number.as_u64().map(Value::UInt))
            .or_else(|| number.as_f64().map(Value::Float))
            .unwrap_or(Value::Null),
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => list(items.iter().map(from_json)),
        Json::Object(fields) => {
            let fields = fields.iter();
            map(fields.map(|(name, value)| (name.as_str(), from_json(value))))
        }
    }
}

fn serialized(value: &impl Serialize) -> Value {
    from_json(&serde_json::to_value(value).unwrap_or_default())
}

pub(crate) fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::List(Arc::new(items.into_iter().collect()))
}

pub(crate) fn map<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    with(Value::Null, fields)
}

/// A map with more fields, or with other values of them.
fn with<'a>(base: Value, fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let mut all = match base {
        Value::Map(map) => Arc::unwrap_or_clone(map.map),
        _ => HashMap::new(),
    };
    all.extend(fields.into_iter().map(|(name, value)| (name.into(), value)));
    Value::Map(Map { map: Arc::new(all) })
}

/// A time as CEL has it.
pub(super) fn chrono(at: Timestamp) -> DateTime<FixedOffset> {
    DateTime::<Utc>::from(SystemTime::from(at)).fixed_offset()
}

pub(crate) fn timestamp(at: Timestamp) -> Value {
    Value::Timestamp(chrono(at))
}

/// An entry as an item of `stamps`, `events`, `pods`, `outputs`, or `notes`.
pub(crate) fn entry(entry: &Entry) -> Value {
    let at = ("at", timestamp(entry.at));
    match &entry.seen {
        Seen::Agent(stamp) => with(serialized(stamp), [at]),
        Seen::Event(event) => {
            let time = |time: Option<Timestamp>| time.map_or(Value::Null, timestamp);
            let times = [("first", time(event.first)), ("last", time(event.last))];
            with(serialized(event), times.into_iter().chain([at]))
        }
        Seen::Pod(pod) => {
            let phase = pod.object.pointer("/status/phase");
            let phase = phase.map_or_else(|| "".into(), from_json);
            with(serialized(pod), [("phase", phase), at])
        }
        Seen::Output(out) => output(out),
        Seen::Runner(note) => with(serialized(note), [at]),
    }
}

/// An output. Null fields, such as the exit code of a killed command, are absent: `exit_code != 0` must not be true.
pub(crate) fn output(output: &Output) -> Value {
    let there = output.data.iter().filter(|(_, value)| !value.is_null());
    let there = there.map(|(name, value)| match (name.as_str(), value) {
        ("lines", Json::Array(lines)) => ("lines", list(lines.iter().map(line))),
        (name, value) => (name, from_json(value)),
    });
    map(there.chain([
        ("name", output.name.as_str().into()),
        ("step", output.step.as_str().into()),
        ("begin", timestamp(output.begin)),
        ("end", timestamp(output.end)),
    ]))
}

fn line(line: &Json) -> Value {
    let at = line["at"].as_str().and_then(|at| at.parse().ok());
    match at {
        Some(at) => with(from_json(line), [("at", timestamp(at))]),
        None => from_json(line),
    }
}

/// The facts of a cluster, with its minor version as a number.
pub(crate) fn cluster(facts: &ClusterFacts) -> Value {
    // Not serialized when empty, but `cluster.gates_seen` must not be an error.
    let unseen = facts.gates_seen.is_empty();
    let unseen = unseen.then(|| ("gates_seen", map([])));
    let minor = version(&facts.kubernetes).map(|(_, minor)| ("minor", Value::Int(minor.into())));
    with(serialized(facts), unseen.into_iter().chain(minor))
}

/// Moments and selectors nested at the dots of their names: `hook.begun` is `begun` of the map `hook`. A group in which
/// nothing occurred is an empty map, so that `has(hook.begun)` works.
pub(crate) fn nested(
    moments: &BTreeMap<String, Option<Timestamp>>,
    selectors: &BTreeMap<String, Selector>,
) -> HashMap<Key, Value> {
    let mut groups = HashMap::new();
    for (name, at) in moments {
        insert(&mut groups, name, at.map(timestamp));
    }
    for (name, selector) in selectors {
        let (field, value) = selector.hidden();
        insert(&mut groups, &format!("{name}.{field}"), Some(value));
    }
    groups
}

/// Adds a value at a dotted path; without a value only the groups of the path.
fn insert(groups: &mut HashMap<Key, Value>, path: &str, value: Option<Value>) {
    if let Some((name, rest)) = path.split_once('.') {
        let group = groups.entry(name.into()).or_insert(Value::Null);
        if !matches!(group, Value::Map(_)) {
            *group = map([]);
        }
        if let Value::Map(group) = group {
            insert(Arc::make_mut(&mut group.map), rest, value);
        }
    } else if let Some(value) = value {
        groups.insert(path.into(), value);
    }
}

/// A value in a few characters, with times as seconds since `zero`.
pub(crate) fn short(value: &Value, zero: Timestamp) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::UInt(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Timestamp(at) => offset(*at, zero),
        Value::Duration(duration) => span(*duration),
        Value::List(items) if items.is_empty() => "an empty list".to_owned(),
        Value::List(items) => {
            let all = items.iter().map(|item| short(item, zero)).join(", ");
            if all.chars().count() <= 78 {
                format!("[{all}]")
            } else {
                format!("a list of {}", items.len())
            }
        }
        Value::Map(map) => cut(&format!("{{{}}}", names(map).join(", ")), 80),
        other => other.type_of().to_string(),
    }
}

/// The names of a map's fields in alphabetical order.
pub(crate) fn names(map: &Map) -> impl Iterator<Item = String> {
    map.map.keys().map(ToString::to_string).sorted()
}

fn quoted(text: &str) -> String {
    let one_line = text.trim_end().replace('\n', "⏎");
    format!("\"{}\"", cut(&one_line, 80))
}

/// A text of at most `limit` characters.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit - 1).chain(['…']).collect()
}

/// The first occurrence of `needle` in a text, with some context.
pub(crate) fn around(text: &str, needle: &str) -> Option<String> {
    const CONTEXT: usize = 30;
    let at = text.find(needle)?;
    let end = at + needle.len();
    let before = text[..at].char_indices().nth_back(CONTEXT - 1);
    let from = before.map_or(0, |(from, _)| from);
    let after = text[end..].char_indices().nth(CONTEXT);
    let to = after.map_or(text.len(), |(length, _)| end + length);
    let dots = |cut| if cut { "…" } else { "" };
    let (before, after) = (dots(from > 0), dots(to < text.len()));
    let shown = format!("{before}{}{after}", &text[from..to]);
    Some(format!("\"{}\"", shown.trim().replace('\n', "⏎")))
}

fn offset(at: DateTime<FixedOffset>, zero: Timestamp) -> String {
    let offset = at.signed_duration_since(chrono(zero));
    // A time on another day is not part of the scenario.
    if offset.num_hours().abs() >= 24 {
        return at.to_rfc3339();
    }
    let text = span(offset);
    if text.starts_with('-') {
        text
    } else {
        format!("+{text}")
    }
}

/// A duration in seconds with milliseconds.
pub(crate) fn span(duration: chrono::Duration) -> String {
    let Some(nanos) = duration.num_nanoseconds() else {
        return format!("{}s", duration.num_seconds());
    };
    let sign = if nanos < 0 { "-" } else { "" };
    let millis = (nanos.unsigned_abs() + 500_000) / 1_000_000;
    if millis == 0 && nanos != 0 {
        return format!("{sign}{:.6}s", duration.abs().as_seconds_f64());
    }
    format!("{sign}{}.{:03}s", millis / 1000, millis % 1000)
}

/// A value for reports: durations in seconds, times as offsets.
pub(crate) fn measured(value: &Value, zero: Timestamp) -> Json {
    let json = match value {
        Value::Duration(_) | Value::Timestamp(_) => None,
        other => other.json().ok(),
    };
    let mut json = json.unwrap_or_else(|| short(value, zero).into());
    // The expression language orders the fields of maps at random.
    json.sort_all_objects();
    json
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    proptest! {
        #[test]
        fn whole_numbers_are_ints(number in any::<i64>()) {
            prop_assert_eq!(from_json(&Json::from(number)), Value::Int(number));
        }

        #[test]
        fn times_keep_their_nanoseconds(nanos in -62_135_596_800_000_000_000_i128..253_402_207_200_000_000_000) {
            let at = Timestamp::from_nanosecond(nanos).unwrap_or_default();
            let Value::Timestamp(cel) = timestamp(at) else { return Err(TestCaseError::fail("no time")) };
            let seconds = i128::from(cel.timestamp());
            prop_assert_eq!(seconds * 1_000_000_000 + i128::from(cel.timestamp_subsec_nanos()), nanos);
        }
    }

    #[test]
    fn fields_of_measured_values_are_sorted() {
        let map = ('a'..='z').map(|name| (name.to_string(), Json::from(1)));
        let map: serde_json::Map<_, _> = map.collect();
        let sorted = Json::Object(map.clone()).to_string();
        let value = from_json(&Json::Object(map));
        assert_eq!(measured(&value, Timestamp::UNIX_EPOCH).to_string(), sorted);
    }

    #[rstest]
    #[case(0, "0.000s")]
    #[case(1_234_500_000, "1.235s")]
    #[case(-250_000_000, "-0.250s")]
    #[case(12_300, "0.000012s")]
    fn spans(#[case] nanos: i64, #[case] text: &str) {
        assert_eq!(span(chrono::Duration::nanoseconds(nanos)), text);
    }
}
