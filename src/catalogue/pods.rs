//! The pods of a scenario, their standard moments, and what expressions select of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::manifest::{Manifest, documents};
use super::moment::{Matches, Moment};
use super::place::Place;
use crate::expr::{Selector, compile, reads};

/// Stamps that the agent makes by itself, by the names that expressions use (`-` is written `_`).
const STAMPS: [&str; 33] = [
    "begun",
    "ended",
    "failed",
    "held",
    "released",
    "slept",
    "met",
    "alone",
    "wrote",
    "not-written",
    "file-seen",
    "file-missing",
    "listening",
    "connection",
    "request",
    "answered",
    "unanswered",
    "bad-request",
    "bad-handshake",
    "response",
    "no-response",
    "allocated",
    "burnt",
    "who",
    "signal",
    "SIGTERM",
    "SIGINT",
    "SIGQUIT",
    "SIGHUP",
    "SIGUSR1",
    "SIGUSR2",
    "first",
    "last",
];

/// Moments that every pod has, with a condition over `status`, `pod` and `deleted`.
pub(crate) const POD_MOMENTS: [(&str, &str, &str); 8] = [
    (
        "running",
        "status.phase == 'Running'",
        "the phase is Running",
    ),
    (
        "ready",
        "status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')",
        "the Ready condition is True",
    ),
    (
        "left_pending",
        "status.phase in ['Running', 'Succeeded', 'Failed']",
        "the phase is no longer Pending",
    ),
    (
        "succeeded",
        "status.phase == 'Succeeded'",
        "the phase is Succeeded",
    ),
    ("failed", "status.phase == 'Failed'", "the phase is Failed"),
    (
        "terminated",
        "has(status.containerStatuses) && status.containerStatuses.all(c, has(c.state.terminated))",
        "every container has terminated",
    ),
    (
        "deleted",
        "has(pod.metadata.deletionTimestamp)",
        "the pod has a deletionTimestamp",
    ),
    ("gone", "deleted", "the pod object is removed"),
];

/// Moments that every container has, with a condition over `c`, its state.
pub(crate) const CONTAINER_MOMENTS: [(&str, &str, &str); 3] = [
    (
        "running",
        "c.state == 'running'",
        "the container's state is running",
    ),
    ("ready", "c.ready", "the container is ready"),
    (
        "terminated",
        "c.state == 'terminated'",
        "the container's state is terminated",
    ),
];

/// The pods that a scenario's manifests and steps name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pods(BTreeMap<String, Pod>);

#[derive(Debug, Clone, Default)]
struct Pod {
    /// Its name; a trailing `*` for the pods of a controller.
    name: String,
    containers: BTreeSet<String>,
    /// Roles of the agent's processes, as its commands name them.
    roles: BTreeSet<String>,
    /// Stamps that its commands make.
    stamps: BTreeSet<String>,
    /// Nothing is known of what runs in it.
    open: bool,
}

/// What a dotted name means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    Moment(Matches, u32),
    /// A pod, or a container, a start or a process of it.
    Selector(Selector),
}

/// What the texts of a scenario refer to, by dotted name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Referenced {
    pub(crate) moments: BTreeMap<String, Moment>,
    pub(crate) selectors: BTreeMap<String, Selector>,
}

/// A name as expressions write it.
pub(crate) fn identifier(name: &str) -> String {
    name.trim_end_matches(['*', '-'])
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

impl Pods {
    /// The pods of manifests. What is not YAML has been reported by then.
    pub(crate) fn of<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> Self {
        let mut pods = Self::default();
        for manifest in manifests {
            for object in documents(&manifest.text).unwrap_or_default() {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                match object["kind"].as_str() {
                    Some("Pod") => pods.add(name, &object["spec"]),
                    Some("Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicaSet") => {
                        pods.add(&format!("{name}-*"), &object["spec"]["template"]["spec"]);
                    }
                    _ => {}
                }
            }
        }
        pods
    }

    fn add(&mut self, name: &str, spec: &Value) {
        let pod = self.0.entry(identifier(name)).or_default();
        name.clone_into(&mut pod.name);
        for list in ["initContainers", "containers"] {
            for container in spec[list].as_array().into_iter().flatten() {
                pod.containers
                    .extend(container["name"].as_str().map(str::to_owned));
            }
        }
        pod.commands(spec);
    }

    /// A pod that no manifest describes: one that a step creates, or a host outside the cluster.
    pub(crate) fn open(&mut self, name: &str) {
        let pod = self.0.entry(identifier(name)).or_default();
        name.clone_into(&mut pod.name);
        pod.open = true;
    }

    /// The identifiers of all pods.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether expressions know a pod by this identifier.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// What a dotted name means; `None` if it does not begin with a pod.
    pub(crate) fn resolve(&self, names: &[&str]) -> Option<Result<Part, Vec<String>>> {
        let pod = self.0.get(*names.first()?)?;
        Some(pod.resolve(&names[1..]).ok_or_else(|| pod.known()))
    }

    /// What may follow a selector's name: stamps after a process, else states, containers and roles.
    pub(crate) fn parts(&self, selector: &Selector, names: &[&str]) -> Vec<String> {
        let Some(pod) = names.first().and_then(|name| self.0.get(*name)) else {
            return Vec::new();
        };
        if selector.role.is_none() {
            return pod.known();
        }
        let own = pod.stamps.iter().map(String::as_str);
        STAMPS.iter().copied().chain(own).map(identifier).collect()
    }

    /// The standard moments and selectors that an expression names.
    pub(crate) fn references(&self, text: &str, referenced: &mut Referenced) {
        let Ok(compiled) = compile(text) else { return };
        for read in reads(compiled.expression()) {
            self.reference(&read.names, referenced);
        }
    }

    /// The same for one name, such as that of an `until`.
    pub(crate) fn reference(&self, names: &[&str], referenced: &mut Referenced) {
        let name = names.join(".");
        match self.resolve(names) {
            Some(Ok(Part::Moment(matches, nth))) => {
                let moment = Moment {
                    place: Place::default(),
                    matches,
                    nth,
                };
                referenced.moments.insert(name, moment);
            }
            Some(Ok(Part::Selector(selector))) => {
                referenced.selectors.insert(name, selector);
            }
            _ => {}
        }
    }
}

impl Pod {
    /// Notes the roles and stamps in the commands of the agent anywhere in a pod's specification.
    fn commands(&mut self, value: &Value) {
        match value {
            Value::Array(items) => {
                let words: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                self.words(&words);
                for item in items {
                    self.commands(item);
                }
            }
            Value::Object(fields) => fields.values().for_each(|field| self.commands(field)),
            Value::String(text) => {
                let words: Vec<&str> = text
                    .split(|c: char| c.is_whitespace() || "\"'();&|".contains(c))
                    .filter(|word| !word.is_empty())
                    .collect();
                if words.len() > 1 {
                    self.words(&words);
                }
            }
            _ => {}
        }
    }

    fn words(&mut self, words: &[&str]) {
        for pair in words.windows(2) {
            if pair[0] == "agent" || pair[0].ends_with("/agent") {
                self.roles.insert(pair[1].to_owned());
            }
        }
        let stamps = words.iter().filter_map(|word| word.strip_prefix("stamp="));
        self.stamps.extend(stamps.map(str::to_owned));
    }

    fn resolve(&self, rest: &[&str]) -> Option<Part> {
        let selector = |container| Selector {
            pod: self.name.clone(),
            container,
            start: None,
            role: None,
        };
        let container = rest.first().and_then(|name| {
            self.containers
                .iter()
                .find(|known| identifier(known) == *name)
        });
        container
            .and_then(|container| self.part(&rest[1..], selector(Some(container.clone()))))
            .or_else(|| self.part(rest, selector(None)))
    }

    fn part(&self, rest: &[&str], mut selector: Selector) -> Option<Part> {
        let mut rest = rest;
        if let Some(start) = rest.first().and_then(|name| name.strip_prefix("start"))
            && let Ok(start) = start.parse::<u32>()
            && start > 0
        {
            selector.start = Some(start);
            rest = &rest[1..];
        }
        match rest {
            [] => Some(Part::Selector(selector)),
            [name] => Self::state(name, &selector).or_else(|| {
                selector.role = Some(self.role(name)?);
                Some(Part::Selector(selector))
            }),
            ["event", reason] => Some(Part::Moment(
                Matches::Event {
                    reason: (*reason).to_owned(),
                    pod: Some(selector.pod),
                    when: selector
                        .container
                        .map(|name| format!("event.container == '{name}'")),
                },
                1,
            )),
            ["waiting", reason] => {
                let condition = format!("c.state == 'waiting' && c.reason == '{reason}'");
                Some(container_moment(&selector, &condition))
            }
            [role, stamp] => {
                selector.role = Some(self.role(role)?);
                self.stamp(stamp, selector)
            }
            _ => None,
        }
    }

    fn state(name: &str, selector: &Selector) -> Option<Part> {
        if selector.container.is_none() && selector.start.is_none() {
            let (_, when, _) = POD_MOMENTS.iter().find(|(known, ..)| *known == name)?;
            let when = (*when).to_owned();
            return Some(Part::Moment(
                Matches::Pod {
                    pod: selector.pod.clone(),
                    when,
                },
                1,
            ));
        }
        let (_, when, _) = CONTAINER_MOMENTS
            .iter()
            .find(|(known, ..)| *known == name)?;
        Some(container_moment(selector, when))
    }

    fn role(&self, name: &str) -> Option<String> {
        let known = self.roles.iter().find(|role| identifier(role) == name);
        known
            .cloned()
            .or_else(|| self.open.then(|| name.to_owned()))
    }

    fn stamp(&self, name: &str, selector: Selector) -> Option<Part> {
        let known = STAMPS
            .iter()
            .copied()
            .chain(self.stamps.iter().map(String::as_str));
        let found = known.into_iter().find(|known| identifier(known) == name);
        let found = found
            .map(str::to_owned)
            .or_else(|| self.open.then(|| name.to_owned()))?;
        let (stamp, when, nth) = match found.as_str() {
            "first" => ("*".to_owned(), None, 1),
            "last" => ("*".to_owned(), None, 0),
            signal if signal.starts_with("SIG") => {
                let when = format!("stamp.data.signal == '{}'", &signal[3..]);
                ("signal".to_owned(), Some(when), 1)
            }
            _ => (found, None, 1),
        };
        let matches = Matches::Agent {
            role: selector.role?,
            stamp,
            pod: Some(selector.pod),
            container: selector.container,
            start: selector.start,
            when,
        };
        Some(Part::Moment(matches, nth))
    }

    /// What may follow the pod's name.
    fn known(&self) -> Vec<String> {
        let states = POD_MOMENTS.iter().map(|(name, ..)| (*name).to_owned());
        let containers = self.containers.iter().map(|name| identifier(name));
        let roles = self.roles.iter().map(|name| identifier(name));
        states.chain(containers).chain(roles).collect()
    }
}

fn container_moment(selector: &Selector, condition: &str) -> Part {
    let mut when = condition.to_owned();
    if let Some(name) = &selector.container {
        when = format!("c.container == '{name}' && {when}");
    }
    if let Some(start) = selector.start {
        when = format!("c.restarts == {} && {when}", start - 1);
    }
    let when = format!("containers.exists(c, {when})");
    Part::Moment(
        Matches::Pod {
            pod: selector.pod.clone(),
            when,
        },
        1,
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;

    fn pods() -> Pods {
        let text = "
apiVersion: v1
kind: Pod
metadata: {name: with-hook}
spec:
  initContainers:
    - {name: side, command: [agent, up, stamp=is-up, wait]}
  containers:
    - name: main
      command: [agent, entrypoint, wait]
      lifecycle: {preStop: {exec: {command: [sh, -c, \"sleep 1; agent prestop stamp=said\"]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {containers: [{name: main, command: [agent, entrypoint]}]}}}
";
        Pods::of(&[Manifest {
            path: "m.yaml".into(),
            text: text.into(),
        }])
    }

    fn resolved(name: &str) -> Option<Result<Part, Vec<String>>> {
        pods().resolve(&name.split('.').collect::<Vec<_>>())
    }

    #[rstest]
    #[case("with_hook.running")]
    #[case("with_hook.main.running")]
    #[case("with_hook.start2.running")]
    #[case("with_hook.side.up.is_up")]
    #[case("with_hook.prestop.said")]
    #[case("with_hook.entrypoint.SIGTERM")]
    #[case("with_hook.start1.entrypoint.last")]
    #[case("with_hook.event.FailedPreStopHook")]
    #[case("with_hook.main.waiting.CrashLoopBackOff")]
    #[case("web.gone")]
    fn moments(#[case] name: &str) {
        let part = resolved(name);
        assert!(matches!(part, Some(Ok(Part::Moment(..)))), "{part:?}");
    }

    #[rstest]
    #[case("with_hook", None, None, None)]
    #[case("with_hook.side", Some("side"), None, None)]
    #[case("with_hook.prestop", None, None, Some("prestop"))]
    #[case(
        "with_hook.main.start2.entrypoint",
        Some("main"),
        Some(2),
        Some("entrypoint")
    )]
    fn selectors(
        #[case] name: &str,
        #[case] container: Option<&str>,
        #[case] start: Option<u32>,
        #[case] role: Option<&str>,
    ) {
        let wanted = Selector {
            pod: "with-hook".into(),
            container: container.map(Into::into),
            start,
            role: role.map(Into::into),
        };
        assert_eq!(resolved(name), Some(Ok(Part::Selector(wanted))));
    }

    #[rstest]
    #[case("with_hook.runing")]
    #[case("with_hook.prestop.begn")]
    #[case("with_hook.running.phase")]
    fn unknown_parts(#[case] name: &str) {
        assert!(matches!(resolved(name), Some(Err(_))));
    }

    #[test]
    fn names_that_are_not_pods_are_left_to_others() {
        assert_eq!(resolved("nothing.running"), None);
    }

    #[test]
    fn the_reference_lists_every_standard_moment() {
        let reference = include_str!("../../docs/suites.md");
        let pod = POD_MOMENTS.map(|(name, _, words)| format!("| `POD.{name}` | {words} |"));
        let container = CONTAINER_MOMENTS
            .map(|(name, _, words)| format!("| `POD.CONTAINER.{name}` | {words} |"));
        for row in pod.into_iter().chain(container) {
            assert!(
                reference.contains(&row),
                "docs/suites.md lacks this row:\n{row}"
            );
        }
    }

    #[test]
    fn conditions_of_standard_moments_compile() {
        let container = CONTAINER_MOMENTS.map(|(_, when, _)| when);
        for when in POD_MOMENTS
            .map(|(_, when, _)| when)
            .into_iter()
            .chain(container)
        {
            assert!(compile(when).is_ok(), "{when}");
        }
    }
}
