//! The variables of a scenario's expressions, from one evidence file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cel::{Context, ExecutionError, IdedExpr, Value};
use itertools::Itertools as _;
use jiff::Timestamp;

use crate::catalogue::model::Scenario;
use crate::catalogue::moment::MomentMatcher;
use crate::evidence::{Entry, Evidence, Seen};
use crate::expr::{self, values};

/// The variables for a scenario's expressions.
pub(super) struct Scene {
    pub(super) context: Context<'static, 'static>,
    /// All moments of the scenario; `None` if one never occurred.
    pub(super) moments: BTreeMap<String, Option<Timestamp>>,
    /// Steps without the output that they should have.
    silent: BTreeSet<String>,
    /// Named values, or why they cannot be computed.
    values: BTreeMap<String, Result<Value, String>>,
    /// The zero point of displayed times.
    pub(super) zero: Timestamp,
}

impl Scene {
    /// Prepares the variables. The timeline is sorted by time first.
    pub(super) fn new(scenario: &Scenario, evidence: &Evidence) -> Self {
        let mut timeline = evidence.timeline.clone();
        timeline.sort_by_key(|entry| entry.at);
        let moments = scenario.moments.iter().map(|(name, moment)| {
            let matcher = MomentMatcher::new(moment).ok();
            (name.clone(), matcher.and_then(|m| m.first_time(&timeline)))
        });
        let moments: BTreeMap<String, Option<Timestamp>> = moments.collect();
        let timeline: Arc<[Entry]> = Arc::from(timeline);
        let mut context = expr::context(&timeline);
        for channel in expr::CHANNELS {
            let entries = timeline.iter();
            let entries = entries.filter(|entry| (channel.contains)(&entry.seen));
            context.add_variable_from_value(channel.name, values::list(entries.map(values::entry)));
        }
        context.add_variable_from_value("cluster", values::cluster(&evidence.cluster));
        let came = moments.iter();
        let came = came.filter_map(|(name, at)| Some((name.as_str(), values::timestamp((*at)?))));
        context.add_variable_from_value("moments", values::map(came.clone()));
        for (name, value) in values::nested(&moments, &scenario.selectors) {
            context.add_variable_from_value(name.to_string(), value);
        }
        let plain = came.filter(|(name, _)| !name.contains('.'));
        let mut there: Vec<String> = plain.map(|(name, _)| name.to_owned()).collect();
        let steps = scenario.steps.iter();
        let mut silent: BTreeSet<String> = steps.filter_map(|step| step.name.clone()).collect();
        let steps = silent.clone();
        for Entry { seen, .. } in timeline.iter() {
            // An output that no step names could hide a pod.
            if let Seen::Output(output) = seen
                && steps.contains(&output.name)
            {
                silent.remove(&output.name);
                there.push(output.name.clone());
                context.add_variable_from_value(output.name.as_str(), values::output(output));
            }
        }
        context.add_variable_from_value(expr::THERE, present(&there));
        let mut scene = Self {
            context,
            moments,
            silent,
            values: BTreeMap::new(),
            zero: evidence.began,
        };
        for (name, expression) in &scenario.values {
            let value = scene.evaluate(&expression.text);
            if let Ok(value) = &value {
                there.push(name.clone());
                let context = &mut scene.context;
                context.add_variable_from_value(name.as_str(), value.clone());
                context.add_variable_from_value(expr::THERE, present(&there));
            }
            scene.values.insert(name.clone(), value);
        }
        scene
    }

    /// Evaluates `text` to any value.
    pub(super) fn evaluate(&self, text: &str) -> Result<Value, String> {
        let program = expr::compiled(text).map_err(|why| format!("does not compile: {why}"))?;
        program.execute(&self.context).map_err(|error| {
            self.missing(program.expression())
                .unwrap_or_else(|| in_words(&error))
        })
    }

    /// The value of a part of an expression, if it has one.
    pub(super) fn resolve(&self, expression: &IdedExpr) -> Option<Value> {
        expr::evaluate(expression, &self.context).ok()
    }

    /// Why an expression could not be evaluated: a missing moment, output, or value.
    fn missing(&self, expression: &IdedExpr) -> Option<String> {
        let why = |read: expr::Read<'_>| {
            let name = read.names[0];
            let dotted = read.names.join(".");
            let mut beginnings = expr::beginnings(&dotted);
            let moment = beginnings.find_map(|name| self.moments.get_key_value(name));
            match (moment, self.values.get(name)) {
                (Some((moment, None)), _) => Some(format!("the moment `{moment}` never occurred")),
                (_, Some(Err(why))) => Some(format!("the value `{name}` is missing: {why}")),
                _ if self.silent.contains(name) => Some(format!("`{name}` has no output")),
                _ => None,
            }
        };
        let reads = expr::reads(expression).into_iter();
        let missing = reads.filter(|read| !read.tested).filter_map(why);
        let missing = missing.unique().join(" and ");
        (!missing.is_empty()).then_some(missing)
    }

    pub(super) fn short(&self, value: &Value) -> String {
        values::short(value, self.zero)
    }
}

/// The map that `has(name)` asks.
fn present(names: &[String]) -> Value {
    values::map(names.iter().map(|name| (name.as_str(), Value::Bool(true))))
}

fn in_words(error: &ExecutionError) -> String {
    use ExecutionError::{FunctionError, IndexOutOfBounds, NoSuchKey, UndeclaredReference};
    match error {
        NoSuchKey(name) | UndeclaredReference(name) => format!("no `{name}`"),
        FunctionError { function, message } => format!("{function}: {message}"),
        IndexOutOfBounds(Value::Int(index)) => format!("no item {index}"),
        IndexOutOfBounds(_) => "no such item".to_owned(),
        other => other.to_string().chars().take(160).collect(),
    }
}
