//! The names that suites give to moments, outputs and values, and those that expressions may use, with their types.

use std::collections::{BTreeMap, BTreeSet};

use super::super::finding::{nearest, suggestion};
use super::super::model::{Matches, Scenario};
use super::super::pods::{Part, Pods};
use super::super::step::Step;
use crate::expr::types::{EVENT, STAMP, STATE, Type};
use crate::expr::{self, Scope, THERE};

#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    pub(super) variables: BTreeMap<&'a str, Type>,
    moments: BTreeSet<&'a str>,
    pods: Pods,
}

impl<'a> Names<'a> {
    /// The variables of a moment's condition.
    pub(super) fn of_condition(matches: &Matches) -> Self {
        let variables = match matches {
            Matches::Pod { .. } => BTreeMap::from([
                ("pod", Type::Map),
                ("status", Type::Map),
                ("deleted", Type::Bool),
                ("containers", Type::Records(STATE)),
            ]),
            Matches::Event { .. } => BTreeMap::from([("event", Type::Record(EVENT))]),
            _ => BTreeMap::from([("stamp", Type::Record(STAMP))]),
        };
        Self {
            variables,
            ..Self::default()
        }
    }

    /// The names of a scenario's checks, without its values.
    pub(super) fn of_checks(scenario: &'a Scenario) -> Self {
        let output = |step: &'a Step| Some((step.name.as_deref()?, Type::Record(step.kind.output)));
        let mut variables: BTreeMap<&str, Type> = expr::variables().collect();
        variables.extend(scenario.steps.iter().filter_map(output));
        Self {
            variables,
            moments: scenario.moments.keys().map(String::as_str).collect(),
            pods: scenario.pods.clone(),
        }
    }

    fn suggestion(&self, shown: &str, root: &str) -> Option<String> {
        let moments = self.moments.iter().copied();
        let roots = self.variables.keys().copied().chain(self.pods.names());
        suggestion(shown, moments.clone()).or_else(|| suggestion(root, moments.chain(roots)))
    }
}

impl Scope for Names<'_> {
    fn resolve(&self, names: &[&str]) -> Result<(usize, Type), (String, Option<String>)> {
        for n in 1..=names.len() {
            if self.moments.contains(names[..n].join(".").as_str()) {
                return Ok((n, Type::Time));
            }
        }
        if let Some(found) = self.variables.get(names[0]) {
            return Ok((1, *found));
        }
        let shown = names.join(".");
        for n in (1..=names.len()).rev() {
            let owner = names[..n].join(".");
            match self.pods.resolve(&owner) {
                Some(Ok(Part::Moment(..))) => return Ok((n, Type::Time)),
                Some(Ok(Part::Selector(_))) if n == names.len() => return Ok((n, Type::Pod)),
                Some(Ok(Part::Selector(selector))) => {
                    let known = self.pods.parts(&selector, names[0]);
                    let help = match nearest(names[n], known.iter().map(String::as_str)) {
                        Some(near) => format!("did you mean `{owner}.{near}`?"),
                        None => format!("known: {}", known.join(", ")),
                    };
                    let message = format!("`{owner}` has no `{}`", names[n..].join("."));
                    return Err((message, Some(help)));
                }
                _ => {}
            }
        }
        let group = format!("{shown}.");
        if self.moments.iter().any(|moment| moment.starts_with(&group)) {
            return Ok((names.len(), Type::Map));
        }
        Err((
            format!("nothing is named `{shown}`"),
            self.suggestion(&shown, names[0]),
        ))
    }

    fn moment(&self, name: &str) -> Result<(), Option<String>> {
        let standard = || matches!(self.pods.resolve(name), Some(Ok(Part::Moment(..))));
        if self.moments.contains(name) || standard() {
            return Ok(());
        }
        Err(self.suggestion(name, name.split('.').next().unwrap_or_default()))
    }
}

/// Why a step, moment or value must not have this name.
pub(super) fn taken(name: &str, pods: &Pods) -> Option<String> {
    let owner = if name == THERE || expr::variables().any(|(known, _)| known == name) {
        "a variable of expressions"
    } else if pods.contains(name) {
        "a pod of the scenario"
    } else {
        return None;
    };
    Some(format!("`{name}` is {owner}: choose another name"))
}

/// Why an output or a value must not have this name.
pub(super) fn unfit(name: &str, pods: &Pods) -> Option<String> {
    let message = format!("invalid name `{name}`: expected letters, digits, and `_`");
    let invalid = (!is_identifier(name)).then_some(message);
    invalid.or_else(|| taken(name, pods))
}

/// Whether one name is the beginning of the other.
pub(super) fn nested(a: &str, b: &str) -> bool {
    a.starts_with(&format!("{b}.")) || b.starts_with(&format!("{a}."))
}

/// Whether CEL accepts a word as a name.
pub(super) fn is_identifier(word: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
    word.starts_with(starts)
        && word.chars().all(|c| starts(c) || c.is_ascii_digit())
        && !["in", "true", "false", "null"].contains(&word)
}
