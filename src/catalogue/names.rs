//! What expressions may name, and what is known of it before there is evidence.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Action, Scenario};
use crate::observe::evidence::ClusterFacts;

/// What an expression may name, and what is known of it.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Names without known fields.
    pub(super) plain: BTreeMap<String, Type>,
    /// Names with the fields they have.
    pub(super) records: BTreeMap<String, BTreeMap<&'static str, Type>>,
    /// Full names of moments.
    pub(super) moments: BTreeSet<String>,
}

/// What is known of a value before there is evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Unknown,
    Bool,
    Number,
    Text,
    Time,
    Duration,
    List,
    Map,
}

impl Type {
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Unknown => "something",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "text",
            Self::Time => "a time",
            Self::Duration => "a duration",
            Self::List => "a list",
            Self::Map => "a map",
        }
    }
}

impl Names {
    /// What a condition of a moment sees.
    pub(super) fn of_condition(kind: &str) -> Self {
        let plain: &[(&str, Type)] = match kind {
            "pod" => &[
                ("pod", Type::Map),
                ("status", Type::Map),
                ("deleted", Type::Bool),
            ],
            "event" => &[("event", Type::Map)],
            _ => &[("stamp", Type::Map)],
        };
        let mut names = Self::default();
        names
            .plain
            .extend(plain.iter().map(|(name, kind)| ((*name).to_owned(), *kind)));
        if kind == "event" {
            names.plain.clear();
            names.record(
                "event",
                &[
                    ("at", Type::Time),
                    ("name", Type::Text),
                    ("kind", Type::Text),
                    ("pod", Type::Text),
                    ("container", Type::Text),
                    ("type", Type::Text),
                    ("reason", Type::Text),
                    ("message", Type::Text),
                    ("count", Type::Number),
                    ("component", Type::Text),
                    ("first", Type::Time),
                    ("last", Type::Time),
                ],
            );
        }
        names
    }

    /// What the checks of a scenario see.
    pub(super) fn of_checks(scenario: &Scenario) -> Self {
        let mut names = Self::default();
        for list in ["stamps", "events", "pods", "outputs", "notes"] {
            names.plain.insert(list.to_owned(), Type::List);
        }
        names.plain.insert("moments".to_owned(), Type::Map);
        names.records.insert("cluster".to_owned(), cluster_fields());
        for step in &scenario.steps {
            let Some(name) = &step.name else { continue };
            names.record(name, fields(&step.action));
            names.record(
                name,
                &[
                    ("name", Type::Text),
                    ("step", Type::Text),
                    ("begin", Type::Time),
                    ("end", Type::Time),
                ],
            );
        }
        names.moments = scenario.moments.keys().cloned().collect();
        names
    }

    fn record(&mut self, name: &str, fields: &[(&'static str, Type)]) {
        self.records
            .entry(name.to_owned())
            .or_default()
            .extend(fields.iter().copied());
    }

    pub(super) fn known(&self) -> impl Iterator<Item = &str> {
        let all = self
            .plain
            .keys()
            .chain(self.records.keys())
            .chain(&self.moments);
        all.map(String::as_str)
    }
}

/// What a step keeps beside its times.
fn fields(action: &Action) -> &'static [(&'static str, Type)] {
    match action {
        Action::Kubectl { .. } | Action::Node { .. } => &[
            ("argv", Type::List),
            ("exit_code", Type::Number),
            ("stdout", Type::Text),
            ("stderr", Type::Text),
            ("lines", Type::List),
        ],
        Action::Http { .. } => &[
            ("status", Type::Number),
            ("body", Type::Text),
            ("error", Type::Text),
        ],
        Action::Apply { .. } | Action::Delete { .. } => &[
            ("accepted", Type::Bool),
            ("code", Type::Number),
            ("message", Type::Text),
        ],
        Action::Get { .. } => &[("object", Type::Map)],
        _ => &[],
    }
}

fn cluster_fields() -> BTreeMap<&'static str, Type> {
    let ClusterFacts {
        name: _,
        profile: _,
        kubernetes: _,
        kubelets: _,
        kubectl: _,
        container_runtimes: _,
        node_image: _,
        gates: _,
        gates_seen: _,
        capabilities: _,
        nodes: _,
        clock_offset: _,
    } = ClusterFacts::default();
    BTreeMap::from([
        ("name", Type::Text),
        ("profile", Type::Text),
        ("kubernetes", Type::Text),
        ("kubelets", Type::List),
        ("kubectl", Type::Text),
        ("container_runtimes", Type::List),
        ("node_image", Type::Unknown),
        ("gates", Type::Map),
        ("gates_seen", Type::Map),
        ("capabilities", Type::List),
        ("nodes", Type::Number),
        ("clock_offset", Type::Number),
        ("minor", Type::Number),
    ])
}
