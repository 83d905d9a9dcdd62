//! Alterations of recorded evidence, which prove that a verdict depends on the right things.

use std::collections::BTreeMap;

use cel::Value as Cel;
use chrono::SecondsFormat;
use itertools::Itertools as _;
use jiff::{SignedDuration, Timestamp};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::scene::Scene;
use crate::catalogue::model::Scenario;
use crate::catalogue::parse;
use crate::catalogue::yaml::options;
use crate::evidence::{Entry, Evidence, Seen};
use crate::expr::{self, CHANNELS, Channel, values};
use crate::observe::timeline;

/// The alterations of one scenario's evidence, by claim.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alterations {
    pub(crate) claims: BTreeMap<String, OfClaim>,
}

/// The alterations for one claim.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfClaim {
    /// The claim is false: the verdict must become the opposite.
    pub(crate) opposite: Vec<Alteration>,
    /// The decisive part is missing: the verdict must become inconclusive.
    pub(crate) missing: Vec<Alteration>,
    /// Further ways in which the claim is false, by name: the verdict must become the opposite.
    #[serde(default)]
    pub(crate) breaks: BTreeMap<String, Vec<Alteration>>,
    /// Ways in which a cluster differs without making the claim false, by name: the verdict must not become the opposite.
    #[serde(default)]
    pub(crate) spares: BTreeMap<String, Vec<Alteration>>,
}

/// Values by dotted path (`data.code`, `object.status.phase`, a number for an item of a list); text that begins with
/// `=` is CEL over `it`, moments, and outputs.
type Fields = BTreeMap<String, Value>;

/// A change of the evidence. One that matches nothing is an error.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alteration {
    #[serde(rename = "in", deserialize_with = "target")]
    pub(crate) target: Option<&'static Channel>,
    /// Only the output of this step.
    pub(crate) name: Option<String>,
    /// Only entries for which this CEL condition over `it` is true.
    #[serde(rename = "where")]
    pub(crate) condition: Option<String>,
    /// Removes them.
    #[serde(default)]
    pub(crate) drop: bool,
    /// Keeps them and changes copies.
    #[serde(default)]
    pub(crate) copy: bool,
    #[serde(default)]
    pub(crate) set: Fields,
    /// Paths to remove.
    #[serde(default)]
    pub(crate) unset: Vec<String>,
    /// Moves them in time: `2s`, `-300ms`.
    pub(crate) shift: Option<String>,
    /// A new entry; values as in `set`. `at` is its time.
    pub(crate) add: Option<Fields>,
}

/// The channel of this name; `None` for the facts of the cluster.
fn target<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'static Channel>, D::Error> {
    let name = String::deserialize(from)?;
    let channel = CHANNELS.iter().find(|channel| channel.name == name);
    if channel.is_none() && name != "cluster" {
        let known = CHANNELS.iter().map(|channel| channel.name).join(", ");
        let message = format!("unknown `in: {name}`: expected {known} or cluster");
        return Err(D::Error::custom(message));
    }
    Ok(channel)
}

impl Alteration {
    fn expressions(&self) -> impl Iterator<Item = &str> {
        let added = self.add.iter().flatten();
        let values = self.set.iter().chain(added);
        let computed = values.filter_map(|(_, value)| value.as_str()?.strip_prefix('='));
        self.condition.as_deref().into_iter().chain(computed)
    }
}

impl Alterations {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str_with_options(text, options())
            .map_err(|error| format!("invalid alterations: {error}"))
    }
}

/// The evidence with all changes applied in order.
pub(crate) fn alter(
    scenario: &Scenario,
    evidence: &Evidence,
    alterations: &[Alteration],
) -> Result<Evidence, String> {
    let scenario = &scenario.knowing(alterations.iter().flat_map(Alteration::expressions));
    let mut altered = evidence.clone();
    for (n, alteration) in (1..).zip(alterations) {
        let before = altered.clone();
        let scene = Scene::new(scenario, &before);
        one(alteration, &scene, &mut altered).map_err(|why| format!("change {n}: {why}"))?;
        if altered == before {
            return Err(format!("change {n} matches no entry"));
        }
    }
    Ok(altered)
}

fn one(alteration: &Alteration, scene: &Scene, evidence: &mut Evidence) -> Result<(), String> {
    let Some(channel) = alteration.target else {
        let mut facts = serde_json::to_value(&evidence.cluster).map_err(|e| e.to_string())?;
        let it = values::cluster(&evidence.cluster);
        change(&mut facts, alteration, &it, scene)?;
        evidence.cluster = serde_json::from_value(facts).map_err(|e| e.to_string())?;
        return Ok(());
    };
    let (mut entries, mut dropped) = (Vec::new(), Vec::new());
    for entry in std::mem::take(&mut evidence.timeline) {
        if alteration.add.is_some()
            || !(channel.contains)(&entry.seen)
            || !means(alteration, &entry, scene)?
        {
            entries.push(entry);
            continue;
        }
        if alteration.copy {
            entries.push(entry.clone());
        }
        if alteration.drop {
            dropped.push(entry);
        } else {
            entries.push(changed(alteration, &entry, scene)?);
        }
    }
    if let Some(fields) = &alteration.add {
        entries.push(added(channel, fields, scene)?);
    }
    close_gaps(&mut entries, &dropped);
    evidence.timeline = timeline::build(entries);
    Ok(())
}

/// Renumbers the stamps after removed ones: a gap would mean that a stamp was lost.
fn close_gaps(entries: &mut [Entry], dropped: &[Entry]) {
    let gone = dropped.iter().filter_map(|entry| match &entry.seen {
        Seen::Agent(stamp) => Some(stamp),
        _ => None,
    });
    for gone in gone.sorted_by_key(|stamp| std::cmp::Reverse(stamp.seq)) {
        for entry in &mut *entries {
            if let Seen::Agent(stamp) = &mut entry.seen
                && (&stamp.pod, &stamp.process) == (&gone.pod, &gone.process)
                && stamp.seq > gone.seq
            {
                stamp.seq -= 1;
            }
        }
    }
}

fn means(alteration: &Alteration, entry: &Entry, scene: &Scene) -> Result<bool, String> {
    if let Some(name) = &alteration.name
        && !matches!(&entry.seen, Seen::Output(output) if output.name == *name)
    {
        return Ok(false);
    }
    let Some(condition) = &alteration.condition else {
        return Ok(true);
    };
    // A condition about a field that an entry lacks does not match it.
    let met = evaluate(condition, Some(&values::entry(entry)), scene)?;
    Ok(met == Ok(Cel::Bool(true)))
}

fn changed(alteration: &Alteration, entry: &Entry, scene: &Scene) -> Result<Entry, String> {
    let mut json = serde_json::to_value(entry).map_err(|error| error.to_string())?;
    let invalid = |error| format!("produces an invalid entry: {error}");
    if let Some(shift) = &alteration.shift {
        move_by(&mut json, span(shift)?)?;
    }
    let moved: Entry = serde_json::from_value(json.clone()).map_err(invalid)?;
    change(&mut json, alteration, &values::entry(&moved), scene)?;
    serde_json::from_value(json).map_err(invalid)
}

fn change(json: &mut Value, by: &Alteration, it: &Cel, scene: &Scene) -> Result<(), String> {
    set(json, &by.set, Some(it), scene)?;
    for path in &by.unset {
        let (parent, name) = match path.rsplit_once('.') {
            Some((parent, name)) => (at_path(json, parent)?, name),
            None => (&mut *json, path.as_str()),
        };
        if let Value::Object(fields) = parent {
            fields.remove(name);
        }
    }
    Ok(())
}

fn added(channel: &Channel, fields: &Fields, scene: &Scene) -> Result<Entry, String> {
    let mut json = (channel.defaults)();
    json["n"] = Value::from(0);
    json["at"] = Value::from(scene.zero.to_string());
    set(&mut json, fields, None, scene)?;
    serde_json::from_value(json)
        .map_err(|error| format!("`add` produces an invalid entry: {error}"))
}

/// The most parts of a path.
const DEEPEST: usize = 32;

/// The value at a dotted path; missing maps are created, lists must exist.
fn at_path<'a>(json: &'a mut Value, path: &str) -> Result<&'a mut Value, String> {
    if path.split('.').nth(DEEPEST).is_some() {
        return Err(format!("`{path}`: more than {DEEPEST} parts"));
    }
    path.split('.').try_fold(json, |json, part| {
        if let Value::Array(items) = json {
            let index: usize = part
                .parse()
                .map_err(|_| format!("`{path}`: expected the number of an item, found `{part}`"))?;
            return items
                .get_mut(index)
                .ok_or_else(|| format!("`{path}`: no item {index}"));
        }
        if json.is_null() {
            *json = json!({});
        }
        let fields = json
            .as_object_mut()
            .ok_or_else(|| format!("`{path}` does not exist"))?;
        Ok(fields.entry(part).or_insert(Value::Null))
    })
}

/// Sets fields to values as written, or computed.
fn set(json: &mut Value, fields: &Fields, it: Option<&Cel>, scene: &Scene) -> Result<(), String> {
    for (path, value) in fields {
        let value = match value.as_str().and_then(|text| text.strip_prefix('=')) {
            None => value.clone(),
            Some(text) => match evaluate(text, it, scene)?? {
                Cel::Timestamp(at) => {
                    let at = at.to_utc().to_rfc3339_opts(SecondsFormat::Nanos, true);
                    Value::String(at)
                }
                value => value.json().map_err(|error| error.to_string())?,
            },
        };
        *at_path(json, path)? = value;
    }
    Ok(())
}

/// The outer error is a syntax error, the inner one an evaluation error.
fn evaluate(text: &str, it: Option<&Cel>, scene: &Scene) -> Result<Result<Cel, String>, String> {
    let program =
        expr::compiled(text).map_err(|why| format!("`{text}` does not compile: {why}"))?;
    let mut context = scene.context.new_inner_scope();
    if let Some(it) = it {
        context.add_variable_from_value("it", it.clone());
    }
    Ok(program
        .execute(&context)
        .map_err(|error| format!("`{text}`: {error}")))
}

fn span(text: &str) -> Result<SignedDuration, String> {
    let positive = text.strip_prefix('-');
    let span = parse::duration(positive.unwrap_or(text))?;
    let span = SignedDuration::try_from(span).map_err(|e| e.to_string())?;
    Ok(if positive.is_some() { -span } else { span })
}

/// Moves all times of an entry.
fn move_by(entry: &mut Value, by: SignedDuration) -> Result<(), String> {
    let lines = entry["lines"].as_array().map_or(0, Vec::len);
    let times = ["/at", "/begin", "/end", "/first", "/last"].map(str::to_owned);
    let of_lines = (0..lines).map(|n| format!("/lines/{n}/at"));
    for pointer in times.into_iter().chain(of_lines) {
        if let Some(at) = entry.pointer_mut(&pointer)
            && let Some(Ok(time)) = at.as_str().map(str::parse::<Timestamp>)
        {
            let moved = time.checked_add(by).map_err(|error| error.to_string())?;
            *at = Value::String(moved.to_string());
        }
    }
    Ok(())
}
