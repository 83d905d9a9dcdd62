//! Evidence as CEL values, and CEL values as text.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, Map};
use chrono::{DateTime, FixedOffset};
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
        Json::String(text) => string(text),
        Json::Array(items) => list(items.iter().map(from_json)),
        Json::Object(fields) => {
            let fields = fields.iter();
            map(fields.map(|(name, value)| (name.as_str(), from_json(value))))
        }
    }
}

fn serialized(value: &impl Serialize) -> HashMap<Key, Value> {
    match serde_json::to_value(value).as_ref().map(from_json) {
        Ok(Value::Map(map)) => Arc::unwrap_or_clone(map.map),
        _ => HashMap::new(),
    }
}

pub(crate) fn string(text: &str) -> Value {
    Value::String(Arc::new(text.to_owned()))
}

pub(crate) fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::List(Arc::new(items.into_iter().collect()))
}

pub(crate) fn map<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let fields = fields.into_iter();
    build(fields.map(|(name, value)| (key(name), value)).collect())
}

fn build(fields: HashMap<Key, Value>) -> Value {
    Value::Map(Map {
        map: Arc::new(fields),
    })
}

fn key(name: &str) -> Key {
    Key::String(Arc::new(name.to_owned()))
}

pub(crate) fn timestamp(at: Timestamp) -> Value {
    let nanos = u32::try_from(at.subsec_nanosecond().rem_euclid(1_000_000_000)).unwrap_or(0);
    // Before 1970 both jiff's second and its fraction are negative.
    let second = at.as_second() - i64::from(at.subsec_nanosecond() < 0);
    DateTime::from_timestamp(second, nanos)
        .map_or(Value::Null, |at| Value::Timestamp(at.fixed_offset()))
}

fn with_time(mut fields: HashMap<Key, Value>, at: Timestamp) -> Value {
    fields.insert(key("at"), timestamp(at));
    build(fields)
}

/// An entry as an item of `stamps`, `events`, `pods`, `outputs`, or `notes`.
pub(crate) fn entry(entry: &Entry) -> Value {
    match &entry.seen {
        Seen::Agent(stamp) => with_time(serialized(stamp), entry.at),
        Seen::Event(event) => {
            let mut fields = serialized(event);
            for (name, time) in [("first", event.first), ("last", event.last)] {
                fields.insert(key(name), time.map_or(Value::Null, timestamp));
            }
            with_time(fields, entry.at)
        }
        Seen::Pod(pod) => {
            let phase = pod.object.pointer("/status/phase");
            let mut fields = serialized(pod);
            fields.insert(key("phase"), phase.map_or_else(|| string(""), from_json));
            with_time(fields, entry.at)
        }
        Seen::Output(out) => output(out),
        Seen::Runner(note) => with_time(serialized(note), entry.at),
    }
}

/// An output. Null fields, such as the exit code of a killed command, are absent: `exit_code != 0` must not be true.
pub(crate) fn output(output: &Output) -> Value {
    let there = output.data.iter().filter(|(_, value)| !value.is_null());
    let mut fields: HashMap<Key, Value> = there
        .map(|(name, value)| (key(name), from_json(value)))
        .collect();
    if let Some(Json::Array(lines)) = output.data.get("lines") {
        fields.insert(key("lines"), list(lines.iter().map(line)));
    }
    fields.insert(key("name"), string(&output.name));
    fields.insert(key("step"), string(&output.step));
    fields.insert(key("begin"), timestamp(output.begin));
    fields.insert(key("end"), timestamp(output.end));
    build(fields)
}

fn line(line: &Json) -> Value {
    let at = line["at"].as_str().and_then(|at| at.parse().ok());
    match (from_json(line), at) {
        (Value::Map(map), Some(at)) => with_time(Arc::unwrap_or_clone(map.map), at),
        (value, _) => value,
    }
}

/// The facts of a cluster, with its minor version as a number.
pub(crate) fn cluster(facts: &ClusterFacts) -> Value {
    let mut fields = serialized(facts);
    // Not serialized when empty, but `cluster.gates_seen` must not be an error.
    fields.entry(key("gates_seen")).or_insert_with(|| map([]));
    if let Some((_, minor)) = version(&facts.kubernetes) {
        fields.insert(key("minor"), Value::Int(i64::from(minor)));
    }
    build(fields)
}

/// Moments and selectors nested at the dots of their names: `hook.begun` is `begun` of the map `hook`. A group in which
/// nothing occurred is an empty map, so that `has(hook.begun)` works.
pub(crate) fn nested(
    moments: &BTreeMap<String, Option<Timestamp>>,
    selectors: &BTreeMap<String, Selector>,
) -> Vec<(String, Value)> {
    #[derive(Default)]
    struct Tree<'a> {
        inner: BTreeMap<String, Tree<'a>>,
        at: Option<Timestamp>,
        selector: Option<&'a Selector>,
    }

    fn value(tree: &Tree<'_>) -> Option<Value> {
        if tree.inner.is_empty() && tree.selector.is_none() {
            return tree.at.map(timestamp);
        }
        let inner = tree.inner.iter();
        let inner = inner.filter_map(|(name, tree)| Some((name.as_str(), value(tree)?)));
        Some(map(inner.chain(tree.selector.map(Selector::hidden))))
    }

    fn at<'t, 'a>(root: &'t mut Tree<'a>, name: &str) -> &'t mut Tree<'a> {
        name.split('.').fold(root, |tree, part| {
            tree.inner.entry(part.to_owned()).or_default()
        })
    }

    let mut root = Tree::default();
    for (name, time) in moments {
        at(&mut root, name).at = *time;
    }
    for (name, selector) in selectors {
        at(&mut root, name).selector = Some(selector);
    }
    let groups = root.inner.iter();
    groups
        .filter_map(|(name, tree)| Some((name.clone(), value(tree)?)))
        .collect()
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
        Value::Timestamp(at) => offset(at, zero),
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
pub(crate) fn names(map: &Map) -> Vec<String> {
    map.map
        .keys()
        .map(ToString::to_string)
        .sorted()
        .collect_vec()
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
    let before = text[..at].chars().rev().take(CONTEXT + 1).collect_vec();
    let after = text[at + needle.len()..]
        .chars()
        .take(CONTEXT + 1)
        .collect_vec();
    let mut shown = String::new();
    if before.len() > CONTEXT {
        shown.push('…');
    }
    shown.extend(before.iter().take(CONTEXT).rev());
    shown.push_str(needle);
    shown.extend(after.iter().take(CONTEXT));
    if after.len() > CONTEXT {
        shown.push('…');
    }
    let shown = shown.trim().replace('\n', "⏎");
    Some(format!("\"{shown}\""))
}

fn offset(at: &DateTime<FixedOffset>, zero: Timestamp) -> String {
    let Value::Timestamp(zero) = timestamp(zero) else {
        return at.to_rfc3339();
    };
    let offset = at.signed_duration_since(zero);
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
        return format!("{sign}{:.6}s", duration_micros(nanos));
    }
    format!("{sign}{}.{:03}s", millis / 1000, millis % 1000)
}

#[allow(clippy::cast_precision_loss, reason = "below a millisecond")]
fn duration_micros(nanos: i64) -> f64 {
    nanos.unsigned_abs() as f64 / 1e9
}

/// A value for reports: durations in seconds, times as offsets.
pub(crate) fn measured(value: &Value, zero: Timestamp) -> Json {
    let mut json = match value {
        Value::Duration(_) | Value::Timestamp(_) => Json::String(short(value, zero)),
        other => other
            .json()
            .unwrap_or_else(|_| Json::String(short(other, zero))),
    };
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
