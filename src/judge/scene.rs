//! What the expressions of a scenario's claims see of one evidence file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cel::{Context, Value};
use jiff::Timestamp;

use super::moments::MomentMatcher;
use super::reasons;
use crate::catalogue::model::Scenario;
use crate::expr::{self, values};
use crate::observe::evidence::{Entry, Evidence, Seen};

/// The variables, ready for many expressions.
pub(super) struct Scene {
    pub(super) context: Context<'static, 'static>,
    /// All moments of the scenario, those that never came as `None`.
    pub(super) moments: BTreeMap<String, Option<Timestamp>>,
    /// Steps whose output is there.
    pub(super) outputs: BTreeSet<String>,
    /// Steps that keep their output, by the suite.
    pub(super) steps: BTreeSet<String>,
    /// Named values, or why they have none.
    pub(super) values: BTreeMap<String, Result<Value, String>>,
    /// From where times are counted.
    pub(super) zero: Timestamp,
}

impl Scene {
    /// Sets the scene. The timeline is taken in order of time, however it is stored.
    pub(super) fn new(scenario: &Scenario, evidence: &Evidence) -> Self {
        let mut timeline = evidence.timeline.clone();
        timeline.sort_by_key(|entry| entry.at);
        let moments: BTreeMap<String, Option<Timestamp>> = scenario
            .moments
            .iter()
            .map(|(name, moment)| {
                let came = MomentMatcher::new(moment)
                    .ok()
                    .and_then(|m| m.first_time(&timeline));
                (name.clone(), came)
            })
            .collect();
        let timeline: Arc<[Entry]> = Arc::from(timeline);
        let mut context = expr::context(&timeline);
        for (name, kind) in KINDS {
            let entries = timeline.iter().filter(|entry| kind(&entry.seen));
            context.add_variable_from_value(name, values::list(entries.map(values::entry)));
        }
        context.add_variable_from_value("cluster", values::cluster(&evidence.cluster));
        let came = moments
            .iter()
            .filter_map(|(name, at)| Some((name.as_str(), values::timestamp((*at)?))));
        context.add_variable_from_value("moments", values::map(came));
        for (name, value) in values::nested(&moments, &scenario.selectors) {
            context.add_variable_from_value(name, value);
        }
        let mut outputs = BTreeSet::new();
        for Entry { seen, .. } in timeline.iter() {
            let Seen::Output(output) = seen else { continue };
            outputs.insert(output.name.clone());
            context.add_variable_from_value(output.name.as_str(), values::output(output));
        }
        let plain = moments
            .iter()
            .filter(|(name, at)| at.is_some() && !name.contains('.'));
        let there = plain
            .map(|(name, _)| name.as_str())
            .chain(outputs.iter().map(String::as_str));
        let there = values::map(there.map(|name| (name, Value::Bool(true))));
        context.add_variable_from_value(expr::THERE, there);
        let steps = scenario
            .steps
            .iter()
            .filter_map(|step| step.name.clone())
            .collect();
        let mut scene = Self {
            context,
            moments,
            outputs,
            steps,
            values: BTreeMap::new(),
            zero: evidence.began,
        };
        for (name, expression) in &scenario.values {
            let value = reasons::evaluate(&expression.text, &scene);
            if let Ok(value) = &value {
                scene
                    .context
                    .add_variable_from_value(name.as_str(), value.clone());
            }
            scene.values.insert(name.clone(), value);
        }
        scene
    }

    /// Why an expression could not be evaluated, by what it reads: a moment that never came, a
    /// step without output.
    pub(super) fn missing(&self, expression: &cel::IdedExpr) -> Option<String> {
        let mut missing: Vec<String> = Vec::new();
        for read in expr::reads(expression) {
            if read.tested {
                continue;
            }
            let what = self
                .moment_of(&read.names)
                .filter(|(_, at)| at.is_none())
                .map_or_else(
                    || {
                        let name = read.names[0];
                        if let Some(Err(why)) = self.values.get(name) {
                            return Some(format!("`{name}` has no value: {why}"));
                        }
                        (self.steps.contains(name) && !self.outputs.contains(name))
                            .then(|| format!("there is no output of `{name}`"))
                    },
                    |(name, _)| Some(format!("the moment `{name}` never came")),
                );
            if let Some(what) = what
                && !missing.contains(&what)
            {
                missing.push(what);
            }
        }
        (!missing.is_empty()).then(|| missing.join(" and "))
    }

    /// The moment that a chain of names begins with.
    fn moment_of(&self, names: &[&str]) -> Option<(&str, Option<Timestamp>)> {
        (1..=names.len())
            .find_map(|n| self.moments.get_key_value(&names[..n].join(".")))
            .map(|(name, at)| (name.as_str(), *at))
    }

    pub(super) fn short(&self, value: &Value) -> String {
        values::short(value, self.zero)
    }
}

type Kind = fn(&Seen) -> bool;

const KINDS: [(&str, Kind); 5] = [
    ("stamps", |seen| matches!(seen, Seen::Agent(_))),
    ("events", |seen| matches!(seen, Seen::Event(_))),
    ("pods", |seen| matches!(seen, Seen::Pod(_))),
    ("outputs", |seen| matches!(seen, Seen::Output(_))),
    ("notes", |seen| matches!(seen, Seen::Runner(_))),
];
