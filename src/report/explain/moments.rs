//! The moments of a claim in plain English.

use std::collections::BTreeSet;

use crate::catalogue::model::{Matches, Moment, Scenario};
use crate::catalogue::pods::{CONTAINER_MOMENTS, POD_MOMENTS, Part, Pods, STAMPS};
use crate::expr::{beginnings, names_read};

/// The moments that expressions read, and declared ones that steps wait for, with their meaning.
pub(super) fn in_words(scenario: &Scenario, texts: &[&str]) -> Vec<(String, String)> {
    let known = &scenario.moments;
    let is_declared = |moment: &Moment| moment.place.line > 0;
    let mut used: BTreeSet<String> = BTreeSet::new();
    for text in texts {
        for name in names_read(text) {
            let name = beginnings(&name).find(|name| known.contains_key(*name));
            used.extend(name.map(str::to_owned));
        }
        // `'hook.ended' in moments` names a moment in text.
        let quoted = text.split(['\'', '"']).skip(1).step_by(2);
        used.extend(quoted.map(str::to_owned));
    }
    let awaited = scenario.awaited();
    let awaited = awaited.filter(|name| known.get(*name).is_some_and(is_declared));
    used.extend(awaited.map(str::to_owned));
    let meaning = |name: String| {
        let moment = known.get(&name)?;
        let meaning = if is_declared(moment) {
            declared_in_words(moment)
        } else {
            standard_in_words(&scenario.pods, &name, moment)?
        };
        Some((name, meaning))
    };
    used.into_iter().filter_map(meaning).collect()
}

fn declared_in_words(moment: &Moment) -> String {
    let mut condition = None;
    let text = match &moment.matches {
        Matches::Agent {
            role,
            stamp,
            pod,
            container,
            start,
            when,
        } => {
            condition = when.as_ref();
            let doing = stamp_in_words(stamp);
            match place(pod.as_deref(), container.as_deref(), *start).as_str() {
                "" => format!("{role} {doing}"),
                place => format!("{role} {doing} in {place}"),
            }
        }
        Matches::Pod { pod, when } => format!("{} is seen with {when}", pod_in_words(pod)),
        Matches::Event { reason, pod, when } => {
            condition = when.as_ref();
            let pod = pod.as_ref().map(|pod| format!(" of {}", pod_in_words(pod)));
            format!("the API shows an Event {reason}{}", pod.unwrap_or_default())
        }
        Matches::Line { output, contains } => {
            format!("{output} prints a line that contains \"{contains}\"")
        }
    };
    let condition = condition.map_or_else(String::new, |when| format!(" where {when}"));
    match moment.nth {
        0 => format!("{text}{condition}, the last time"),
        1 => format!("{text}{condition}"),
        nth => format!("{text}{condition}, time number {nth}"),
    }
}

/// A standard moment by its name: the pod, container, start or process, and what is seen of it.
fn standard_in_words(pods: &Pods, name: &str, moment: &Moment) -> Option<String> {
    let selected = |name: &str| match pods.resolve(name)? {
        Ok(Part::Selector(selector)) => Some(selector),
        _ => None,
    };
    let (owner, last) = name.rsplit_once('.')?;
    let selector = selected(owner)
        .or_else(|| selected(owner.rsplit_once('.')?.0))
        .or_else(|| selected(name.split('.').next()?))?;
    let (container, start) = (selector.container.as_deref(), selector.start);
    let place = place(Some(&selector.pod), container, start);
    Some(match &moment.matches {
        Matches::Agent { role, .. } => {
            let doing = match last {
                "first" => "makes its first stamp".to_owned(),
                "last" => "makes its last stamp".to_owned(),
                signal if signal.starts_with("SIG") => format!("receives {signal}"),
                stamp => stamp_in_words(&stamp.replace('_', "-")),
            };
            format!("{role} {doing} in {place}")
        }
        Matches::Event { reason, .. } => format!("the API shows an Event {reason} of {place}"),
        _ if owner.ends_with(".waiting") => format!("{place}: a container waits with {last}"),
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
    })
}

fn stamp_in_words(stamp: &str) -> String {
    match STAMPS.iter().find(|(name, _)| *name == stamp) {
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
