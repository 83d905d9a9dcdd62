//! Lowers declared moments.

use std::collections::BTreeMap;

use super::decode::{At, Entries};
use super::lint;
use super::lower::Lower;
use super::model::{Matches, Moment, Place};
use super::pods::Pods;
use super::raw::RawMoment;
use crate::expr::{self, THERE};

/// Why a step, moment or value must not have this name.
pub(super) fn taken(name: &str, pods: &Pods) -> Option<String> {
    if name == THERE || expr::variables().any(|(known, _)| known == name) {
        return Some(format!(
            "`{name}` is a variable of expressions: choose another name"
        ));
    }
    pods.contains(name)
        .then(|| format!("`{name}` is a pod of the scenario: choose another name"))
}

pub(super) fn moments(
    lower: &mut Lower<'_>,
    raw: Entries<RawMoment>,
    pods: &Pods,
) -> BTreeMap<String, Moment> {
    let mut moments: BTreeMap<String, Moment> = BTreeMap::new();
    for (name, at) in raw.0 {
        let (Some(text), place) = (name.value, name.place) else {
            continue;
        };
        if !text.split('.').all(is_identifier) {
            lower.find(&place, format!("invalid moment name `{text}`: expected letters, digits, and `_`, in parts joined by dots"));
        }
        let parts: Vec<&str> = text.split('.').collect();
        // A pod's name may begin the names of its own moments.
        let first = if parts.len() > 1 && pods.contains(parts[0]) {
            ""
        } else {
            parts[0]
        };
        if let Some(message) = taken(first, pods) {
            lower.find(&place, message);
        }
        if let Some(Ok(_)) = pods.resolve(&parts) {
            lower.find(
                &place,
                format!("`{text}` is a standard moment: choose another name"),
            );
        }
        if let Some(other) = moments.keys().find(|other| nested(other, &text)) {
            lower.find(
                &place,
                format!("`{text}` and `{other}`: one name cannot be a prefix of the other"),
            );
        }
        let Some(raw) = at.value else { continue };
        if let Some(moment) = moment(lower, at.place, raw) {
            moments.insert(text, moment);
        }
    }
    moments
}

pub(super) fn nested(a: &str, b: &str) -> bool {
    let within = |short: &str, long: &str| {
        long.strip_prefix(short)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    within(a, b) || within(b, a)
}

/// Whether CEL accepts a word as a name.
pub(super) fn is_identifier(word: &str) -> bool {
    const TAKEN: [&str; 4] = ["in", "true", "false", "null"];
    let mut chars = word.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !TAKEN.contains(&word)
}

fn moment(lower: &mut Lower<'_>, place: Place, raw: RawMoment) -> Option<Moment> {
    let condition = raw.when.clone();
    let when = raw.when.and_then(|at| at.value);
    let pod = raw.pod.and_then(|at| at.value);
    let nth = raw.nth.map_or(Some(1), |at| at.value);
    let kinds = [raw.agent.is_some(), raw.event.is_some(), raw.line.is_some()];
    if kinds.iter().filter(|given| **given).count() > 1 {
        lower.find(
            &place,
            "expected one of `agent`, `event`, `line`, and `pod`",
        );
        return None;
    }
    let (needless, kind): (Vec<(&str, bool)>, _) = if let Some(agent) = raw.agent {
        let stamp = lower.must(raw.stamp, &place, "missing `stamp`");
        let matches = agent
            .value
            .zip(stamp)
            .map(|(role, (stamp, _))| Matches::Agent {
                role,
                stamp,
                pod,
                container: raw.container.and_then(|at| at.value),
                start: raw.start.and_then(|at| at.value),
                when,
            });
        (vec![("contains", raw.contains.is_some())], matches)
    } else {
        let mut needless = vec![
            ("stamp", raw.stamp.is_some()),
            ("container", raw.container.is_some()),
            ("start", raw.start.is_some()),
        ];
        if let Some(event) = raw.event {
            needless.push(("contains", raw.contains.is_some()));
            (
                needless,
                event
                    .value
                    .map(|reason| Matches::Event { reason, pod, when }),
            )
        } else if let Some(line) = raw.line {
            needless.extend([("pod", pod.is_some()), ("when", when.is_some())]);
            let contains = lower.must(raw.contains, &place, "missing `contains`");
            let matches = line
                .value
                .zip(contains)
                .map(|(output, (contains, _))| Matches::Line { output, contains });
            (needless, matches)
        } else {
            needless.push(("contains", raw.contains.is_some()));
            let Some(pod) = pod else {
                lower.find(&place, "expected `agent` with `stamp`, `pod` with `when`, `event`, or `line` with `contains`");
                return None;
            };
            let matches = when.map(|when| Matches::Pod { pod, when });
            if matches.is_none() {
                lower.find(
                    &place,
                    "missing `when`: a condition over `pod`, `status`, `deleted`, and `containers`",
                );
            }
            (needless, matches)
        }
    };
    for (field, _) in needless.into_iter().filter(|(_, given)| *given) {
        lower.find(
            &place,
            format!("`{field}` does not apply to this kind of moment"),
        );
    }
    let matches = kind?;
    if let Some(At {
        value: Some(text),
        place,
    }) = condition
    {
        lint::condition(&matches, &place, &text, lower.source, lower.findings);
    }
    Some(Moment {
        place,
        matches,
        nth: nth?,
    })
}
