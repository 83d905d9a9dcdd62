//! Steps of scenarios. `kinds` defines them; `words` puts them in words; `observe::scenario` runs them.

mod kinds;
mod kubectl;
mod words;

use std::time::Duration;

use schemars::{Schema, json_schema};

pub(super) use kinds::Known;
pub(crate) use kinds::{Action, Kind, Step};
pub(crate) use kubectl::refused;
pub(crate) use words::{command, duration};

use super::form::{Form, Given, Written};
use super::parse;
use super::yaml::{At, Reader, Several};
use kinds::KINDS;

/// Default limit of a step.
const CAP: Duration = Duration::from_secs(60);

/// The JSON schema of steps.
pub(super) fn schema(_: &mut schemars::SchemaGenerator) -> Schema {
    json_schema!({"type": ["array", "null"], "items": Form::schema(&KINDS)})
}

/// A step whose kind is known.
pub(super) struct Draft {
    kind: &'static Kind,
    given: Given,
}

impl Draft {
    pub(super) fn of(reader: &mut Reader<'_>, written: At<Written>) -> Option<Self> {
        let (kind, given) = written.value.read(reader, written.at, &KINDS)?;
        Some(Self { kind, given })
    }

    /// The output's name.
    pub(super) fn name(&self) -> Option<&At<String>> {
        self.given.option("as")
    }

    /// The container that it starts outside the cluster.
    pub(super) fn outside(&self) -> Option<&str> {
        match &self.given.argument.value {
            Several::One(name) if self.kind.name == kinds::OUTSIDE => Some(name),
            _ => None,
        }
    }

    /// Adds the step to those known, or one for each item of a list.
    pub(super) fn add_to(self, reader: &mut Reader<'_>, known: &mut Known<'_>) {
        let mut given = self.given;
        match std::mem::replace(&mut given.argument.value, Several::Nothing) {
            Several::Many(items) if self.kind.takes_several() => {
                if items.is_empty() {
                    reader.find(given.argument.at, "the list is empty");
                }
                if let Some(name) = given.option("as") {
                    reader.find(name.at, "`as` names one output: make a step of each object");
                }
                for At { value, at } in items {
                    given.argument = At {
                        value: Several::One(value),
                        at,
                    };
                    let step = self.kind.step(reader, &given, known);
                    known.steps.extend(step);
                }
            }
            other => {
                given.argument.value = other;
                let step = self.kind.step(reader, &given, known);
                known.steps.extend(step);
            }
        }
    }
}

impl Kind {
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
            name: self.name,
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
