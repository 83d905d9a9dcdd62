//! Steps of scenarios. `kinds` defines them; `words` puts them in words; `observe::scenario` runs them.

mod kinds;
mod kubectl;
mod words;

use std::time::Duration;

use schemars::{Schema, json_schema};

pub(crate) use kinds::{Action, Kind, Step};
pub(super) use kinds::{KINDS, Known, OUTSIDE};
pub(crate) use kubectl::refused;
pub(crate) use words::{command, duration};

use super::form::{Argument, Form, Given};
use super::parse;
use super::yaml::{At, Reader, Several};

/// Default limit of a step.
const CAP: Duration = Duration::from_secs(60);

/// The JSON schema of steps.
pub(super) fn schema(_: &mut schemars::SchemaGenerator) -> Schema {
    json_schema!({"type": ["array", "null"], "items": Form::schema(&KINDS)})
}

impl Kind {
    /// Adds the step to those known, or one for each item of a list.
    pub(super) fn add_to(
        &'static self,
        known: &mut Known<'_>,
        reader: &mut Reader<'_>,
        mut given: Given,
    ) {
        let At { value, at } = given.argument.clone();
        let arguments = match value {
            Several::Many(items) if matches!(self.argument, Argument::Several(_)) => {
                if items.is_empty() {
                    reader.find(at, "the list is empty");
                }
                if let Some(name) = given.option("as") {
                    reader.find(name.at, "`as` names one output: make a step of each object");
                }
                let one = |At { value, at }| At {
                    value: Several::One(value),
                    at,
                };
                items.into_iter().map(one).collect()
            }
            value => vec![At { value, at }],
        };
        for argument in arguments {
            given.argument = argument;
            let step = self.step(reader, &given, known);
            known.steps.extend(step);
        }
    }

    fn step(
        &'static self,
        reader: &mut Reader<'_>,
        given: &Given,
        known: &mut Known<'_>,
    ) -> Option<Step> {
        if let (Some(_), Some(within)) = (given.option("cap"), given.option("within")) {
            reader.find(within.at, "`within` and `cap`: keep one of them");
        }
        let cap = given.option("within").or(given.option("cap"));
        let cap = reader.parsed(cap, parse::duration).unwrap_or(CAP);
        let action = (self.read)(&mut kinds::Reading {
            reader,
            given,
            known,
        })?;
        // A pause is not limited by the cap.
        let cap = match &action {
            Action::Pause { time, .. } => time.saturating_add(CAP),
            _ => cap,
        };
        Some(Step {
            place: reader.place(given.at),
            kind: self,
            action,
            name: given.text("as"),
            cap,
            kubernetes: reader.parsed(given.option("kubernetes"), parse::version_range),
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
