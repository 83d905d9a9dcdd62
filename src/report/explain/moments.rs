//! The moments of a claim in plain English.

use std::collections::BTreeSet;

use crate::catalogue::model::{Matches, Moment, Scenario};
use crate::catalogue::pods::{CONTAINER_MOMENTS, POD_MOMENTS, Part, Pods, STAMPS};
use crate::expr::{Selector, beginnings, names_read};

/// The moments that expressions read, and declared ones that steps wait for, with their meaning.
pub(super) fn in_words(scenario: &Scenario, texts: &[&str]) -> Vec<(String, String)> {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for text in texts {
        for name in names_read(text) {
            let known = beginnings(&name).find_map(|name| scenario.moments.get_key_value(name));
            used.extend(known.map(|(name, _)| name.as_str()));
        }
        // `'hook.ended' in moments` names a moment in text.
        let quoted = text.split(['\'', '"']).skip(1).step_by(2);
        let known = quoted.filter_map(|name| scenario.moments.get_key_value(name));
        used.extend(known.map(|(name, _)| name.as_str()));
    }
    let awaited = scenario.awaited();
    let awaited = awaited.filter_map(|name| scenario.moments.get_key_value(name));
    let declared = awaited.filter(|(_, moment)| moment.place.line > 0);
    used.extend(declared.map(|(name, _)| name.as_str()));
    let meaning = |name: &str| {
        let moment = scenario.moments.get(name)?;
        let meaning = if moment.place.line > 0 {
            declared_in_words(moment)
        } else {
            standard_in_words(&scenario.pods, name, moment)
        };
        Some((name.to_owned(), meaning))
    };
    used.into_iter().filter_map(meaning).collect()
}

fn declared_in_words(moment: &Moment) -> String {
    let text = match &moment.matches {
        Matches::Agent {
            role,
            stamp,
            pod,
            container,
            start,
            when,
        } => {
            let mut text = format!("{role} {}", stamp_in_words(stamp));
            let place = place(pod.as_deref(), container.as_deref(), *start);
            if !place.is_empty() {
                text = format!("{text} in {place}");
            }
            with_condition(&text, when.as_deref())
        }
        Matches::Pod { pod, when } => format!("{} is seen with {when}", pod_in_words(pod)),
        Matches::Event { reason, pod, when } => {
            let mut text = format!("the API shows an Event {reason}");
            if let Some(pod) = pod {
                text = format!("{text} of {}", pod_in_words(pod));
            }
            with_condition(&text, when.as_deref())
        }
        Matches::Line { output, contains } => {
            format!("{output} prints a line that contains \"{contains}\"")
        }
    };
    match moment.nth {
        0 => format!("{text}, the last time"),
        1 => text,
        nth => format!("{text}, time number {nth}"),
    }
}

fn with_condition(text: &str, when: Option<&str>) -> String {
    match when {
        Some(when) => format!("{text} where {when}"),
        None => text.to_owned(),
    }
}

/// A standard moment by its name: the pod, container, start or process, and what is seen of it.
fn standard_in_words(pods: &Pods, name: &str, moment: &Moment) -> String {
    let names: Vec<&str> = name.split('.').collect();
    let selected = |without: usize| {
        let prefix = names.get(..names.len().checked_sub(without)?)?;
        match pods.resolve(&prefix.join("."))? {
            Ok(Part::Selector(selector)) => Some(selector),
            _ => None,
        }
    };
    let last = names.last().copied().unwrap_or_default();
    let selector = selected(1).or_else(|| selected(2));
    let selector = selector.unwrap_or_else(|| Selector {
        pod: names[0].to_owned(),
        ..Selector::default()
    });
    let (pod, container, start) = (selector.pod, selector.container, selector.start);
    let place = place(Some(&pod), container.as_deref(), start);
    let before = names.len().checked_sub(2).and_then(|n| names.get(n));
    match (&moment.matches, before.copied()) {
        (Matches::Agent { role, .. }, _) => {
            let doing = match last {
                "first" => "makes its first stamp".to_owned(),
                "last" => "makes its last stamp".to_owned(),
                signal if signal.starts_with("SIG") => format!("receives {signal}"),
                stamp => stamp_in_words(&stamp.replace('_', "-")),
            };
            format!("{role} {doing} in {place}")
        }
        (Matches::Event { reason, .. }, _) => format!("the API shows an Event {reason} of {place}"),
        (_, Some("waiting")) => format!("{place}: a container waits with {last}"),
        _ => {
            let known: &[_] = match (container, start) {
                (None, None) => &POD_MOMENTS,
                _ => &CONTAINER_MOMENTS,
            };
            let meaning = known.iter().find(|(name, ..)| *name == last);
            let meaning = meaning.map_or(last, |(_, _, meaning)| *meaning);
            let meaning = meaning.strip_prefix("the container's ").unwrap_or(meaning);
            format!("{place}: {meaning}")
        }
    }
}

fn stamp_in_words(stamp: &str) -> String {
    let known = STAMPS.iter().find(|(name, _)| *name == stamp);
    match known {
        _ if stamp == "*" => "makes a stamp".to_owned(),
        Some((_, words)) => (*words).to_owned(),
        None => format!("stamps {stamp}"),
    }
}

fn pod_in_words(pod: &str) -> String {
    match pod.strip_suffix('*') {
        Some(beginning) => format!("a pod {beginning}…"),
        None => format!("pod {pod}"),
    }
}

fn place(pod: Option<&str>, container: Option<&str>, start: Option<u32>) -> String {
    let container = container.map(|name| format!("container {name}"));
    let start = start.map(|start| format!("start {start}"));
    let parts = [pod.map(pod_in_words), container, start];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
