//! The pods of a scenario, their standard moments, and what expressions select of them.

use std::collections::{BTreeMap, BTreeSet};

use itertools::Itertools as _;
use serde_json::Value;

use super::manifest::{self, Manifest};
use super::moment::Matches;
use crate::expr::Selector;

/// Stamps that the agent makes by itself, with what its process does then. Expressions write `-` as `_`.
pub(crate) const STAMPS: [(&str, &str); 25] = [
    ("begun", "begins"),
    ("ended", "ends"),
    ("failed", "fails"),
    ("held", "starts to wait for its release"),
    ("released", "is released"),
    ("slept", "has slept"),
    ("met", "meets another process"),
    ("alone", "meets no other process"),
    ("wrote", "has written a file"),
    ("not-written", "fails to write a file"),
    ("file-seen", "sees the file that it waits for"),
    ("file-missing", "stops waiting for a file"),
    ("listening", "starts to listen on a port"),
    ("connection", "accepts a connection without a request"),
    ("request", "receives an HTTP request"),
    ("answered", "has answered an HTTP request"),
    ("unanswered", "fails to answer an HTTP request"),
    ("bad-request", "receives data that is not HTTP"),
    ("bad-handshake", "receives data that is not TLS"),
    ("response", "receives an HTTP response"),
    ("no-response", "receives no HTTP response"),
    ("allocated", "has allocated memory"),
    ("burnt", "has used the CPU"),
    ("who", "reports its identity and environment"),
    ("signal", "receives a signal"),
];

/// Other moments of a process: its signals, and its first and last stamp.
const OTHERS: [&str; 8] = [
    "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "first", "last",
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

/// A name as expressions write it.
pub(crate) fn identifier(name: &str) -> String {
    let name = name.trim_end_matches(['*', '-']);
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

impl Pods {
    pub(super) fn of(manifests: &[Manifest]) -> Self {
        let mut pods = Self::default();
        for manifest in manifests {
            for object in manifest.objects() {
                let Some((path, is_bare)) = manifest::pods(&object) else {
                    continue;
                };
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let rest = if is_bare { "" } else { "-*" };
                let pod = pods.named(&format!("{name}{rest}"));
                let spec = object.pointer(path).unwrap_or_default();
                for list in ["initContainers", "containers"] {
                    let containers = spec[list].as_array().into_iter().flatten();
                    let names = containers.filter_map(|container| container["name"].as_str());
                    pod.containers.extend(names.map(str::to_owned));
                }
                pod.commands(spec);
            }
        }
        pods
    }

    fn named(&mut self, name: &str) -> &mut Pod {
        let pod = self.0.entry(identifier(name)).or_default();
        name.clone_into(&mut pod.name);
        pod
    }

    /// A pod that no manifest describes: one that a step creates, or a host outside the cluster.
    pub(crate) fn open(&mut self, name: &str) {
        self.named(name).open = true;
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
    pub(crate) fn resolve(&self, name: &str) -> Option<Result<Part, Vec<String>>> {
        let mut names = name.split('.');
        let pod = self.0.get(names.next()?)?;
        let rest: Vec<&str> = names.collect();
        Some(pod.resolve(&rest).ok_or_else(|| pod.known()))
    }

    /// What may follow a selector's name: stamps after a process, else states, containers and roles.
    pub(crate) fn parts(&self, selector: &Selector, pod: &str) -> Vec<String> {
        match self.0.get(pod) {
            None => Vec::new(),
            Some(pod) if selector.role.is_none() => pod.known(),
            Some(pod) => pod.stamps().map(identifier).collect(),
        }
    }
}

impl Pod {
    /// Notes the roles and stamps in the commands of the agent anywhere in a pod's specification.
    fn commands(&mut self, value: &Value) {
        match value {
            Value::Array(items) => {
                self.words(&items.iter().filter_map(Value::as_str).collect_vec());
                for item in items {
                    self.commands(item);
                }
            }
            Value::Object(fields) => fields.values().for_each(|field| self.commands(field)),
            Value::String(text) => {
                let ends = |c: char| c.is_whitespace() || "\"'();&|".contains(c);
                let words = text.split(ends).filter(|word| !word.is_empty());
                let words = words.collect_vec();
                if words.len() > 1 {
                    self.words(&words);
                }
            }
            _ => {}
        }
    }

    fn words(&mut self, words: &[&str]) {
        for (program, role) in words.iter().tuple_windows() {
            if *program == "agent" || program.ends_with("/agent") {
                self.roles.insert((*role).to_owned());
            }
        }
        let stamps = words.iter().filter_map(|word| word.strip_prefix("stamp="));
        self.stamps.extend(stamps.map(str::to_owned));
    }

    fn resolve(&self, rest: &[&str]) -> Option<Part> {
        let selector = |container| Selector {
            pod: self.name.clone(),
            container,
            ..Selector::default()
        };
        let mut containers = self.containers.iter();
        let container = containers.find(|known| Some(&*identifier(known)) == rest.first().copied());
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
            ["event", reason] => {
                let container = selector.container;
                let when = container.map(|name| format!("event.container == '{name}'"));
                let (reason, pod) = ((*reason).to_owned(), Some(selector.pod));
                Some(Part::Moment(Matches::Event { reason, pod, when }, 1))
            }
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
            return Some(pod_moment(selector, (*when).to_owned()));
        }
        let mut known = CONTAINER_MOMENTS.iter();
        let (_, when, _) = known.find(|(known, ..)| *known == name)?;
        Some(container_moment(selector, when))
    }

    fn role(&self, name: &str) -> Option<String> {
        self.known_as(name, self.roles.iter().map(String::as_str))
    }

    /// The name with this identifier; in a pod of which nothing is known, any.
    fn known_as<'a>(&self, name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
        let mut found = known.filter(|known| identifier(known) == name);
        let found = found.next().or(self.open.then_some(name));
        found.map(str::to_owned)
    }

    /// The names of the moments of its processes.
    fn stamps(&self) -> impl Iterator<Item = &str> {
        let standard = STAMPS.map(|(name, _)| name).into_iter().chain(OTHERS);
        standard.chain(self.stamps.iter().map(String::as_str))
    }

    fn stamp(&self, name: &str, selector: Selector) -> Option<Part> {
        let found = self.known_as(name, self.stamps())?;
        let (stamp, when, nth) = match found.as_str() {
            "first" => ("*", None, 1),
            "last" => ("*", None, 0),
            signal if signal.starts_with("SIG") => {
                let when = format!("stamp.data.signal == '{}'", &signal[3..]);
                ("signal", Some(when), 1)
            }
            other => (other, None, 1),
        };
        let matches = Matches::Agent {
            role: selector.role?,
            stamp: stamp.to_owned(),
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
    pod_moment(selector, format!("containers.exists(c, {when})"))
}

fn pod_moment(selector: &Selector, when: String) -> Part {
    let pod = selector.pod.clone();
    Part::Moment(Matches::Pod { pod, when }, 1)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::expr::compile;

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
        pods().resolve(name)
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
        let of_pods = POD_MOMENTS.iter().map(|moment| ("POD", moment));
        let of_containers = CONTAINER_MOMENTS.iter();
        let of_containers = of_containers.map(|moment| ("POD.CONTAINER", moment));
        for (owner, (name, _, words)) in of_pods.chain(of_containers) {
            crate::fixture::in_reference(&format!("| `{owner}.{name}` | {words} |"));
        }
    }

    #[test]
    fn conditions_of_standard_moments_compile() {
        let container = CONTAINER_MOMENTS.map(|(_, when, _)| when);
        let pod = POD_MOMENTS.map(|(_, when, _)| when);
        for when in pod.into_iter().chain(container) {
            assert!(compile(when).is_ok(), "{when}");
        }
    }
}
