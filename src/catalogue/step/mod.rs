//! Steps of scenarios. `kinds` defines them; `words` puts them in words; `observe::scenario` runs them.

mod kinds;
mod kubectl;
mod words;

use std::time::Duration;

use schemars::{Schema, json_schema};

pub(crate) use kinds::{Action, Kind, Step};
pub(super) use kinds::{KINDS, OUTSIDE, Steps};
pub(crate) use kubectl::refused;
pub(crate) use words::{command, duration};

use super::form::{Argument, Form, Given};
use super::parse;
use super::yaml::{At, Several};

const CAP: Duration = Duration::from_secs(60);

pub(super) fn schema(_: &mut schemars::SchemaGenerator) -> Schema {
    json_schema!({"type": ["array", "null"], "items": Form::schema(&KINDS)})
}

impl Steps<'_, '_> {
    /// Adds a step, or one for each item of a list.
    pub(super) fn add(&mut self, kind: &'static Kind, mut given: Given) {
        let At { value, at } = given.argument.clone();
        let arguments = match value {
            Several::Many(items) if matches!(kind.argument, Argument::Several(_)) => {
                if items.is_empty() {
                    self.reader.find(at, "the list is empty");
                }
                if let Some(name) = given.option("as") {
                    let message = "`as` names one output: make a step of each object";
                    self.reader.find(name.at, message);
                }
                let items = items
                    .into_iter()
                    .map(|At { value, at }| (Several::One(value), at));
                items.collect()
            }
            value => vec![(value, at)],
        };
        for (value, at) in arguments {
            given.argument = At { value, at };
            let step = self.step(kind, &given);
            self.before.extend(step);
        }
    }

    fn step(&mut self, kind: &'static Kind, given: &Given) -> Option<Step> {
        if let (Some(_), Some(within)) = (given.option("cap"), given.option("within")) {
            self.reader
                .find(within.at, "`within` and `cap`: keep one of them");
        }
        let cap = given.option("within").or(given.option("cap"));
        let cap = self.reader.parsed(cap, parse::duration).unwrap_or(CAP);
        let action = (kind.read)(self, given)?;
        // A pause is not limited by the cap.
        let cap = match &action {
            Action::Pause { time, .. } => time.saturating_add(CAP),
            _ => cap,
        };
        let kubernetes = given.option("kubernetes");
        Some(Step {
            place: self.reader.place(given.at),
            kind,
            action,
            name: given.text("as"),
            cap,
            kubernetes: self.reader.parsed(kubernetes, parse::version_range),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_lists_every_kind_with_its_options_and_output() {
        for kind in &KINDS {
            let own = kind.output.iter().skip(kinds::COMMON.len());
            let output: Vec<String> = own.map(|(name, _)| format!("`{name}`")).collect();
            let row = format!("{} | {} |", kind.reference(), output.join(", "));
            crate::fixture::in_reference(&row);
        }
    }
}
