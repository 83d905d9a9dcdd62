//! Declared moments.

use std::collections::BTreeMap;

use schemars::{Schema, SchemaGenerator, json_schema};

use super::super::form::{Argument, Field, Form, Given, Written};
use super::super::moment::{Matches, Moment};
use super::super::pods::Pods;
use super::super::yaml::{At, Reader};
use super::lint;
use super::names::{is_identifier, nested, taken};

const CONTAINER: Field = Field::text("container", "name of the container");
const CONTAINS: Field = Field::text("contains", "text in the line").required();
const EVENT_WHEN: Field = Field::text("when", "a condition over `event`");
const NTH: Field = Field::number(
    "nth",
    "which of the matching entries, from 1; 0 is the last",
);
const POD: Field = Field::text("pod", "name of the pod (a trailing `*` matches any rest)");
const POD_WHEN: Field = Field::text(
    "when",
    "a condition over `pod`, `status`, `deleted`, and `containers` (as from `states`)",
)
.required();
const STAMP: Field = Field::text(
    "stamp",
    "the stamp's name (a trailing `*` matches any rest)",
)
.required();
const STAMP_WHEN: Field = Field::text("when", "a condition over `stamp`");
const START: Field = Field::number("start", "start of the container, from 1");

type Kind = Form<fn(&mut Reader<'_>, String, &Given) -> Option<Matches>>;

static KINDS: [Kind; 4] = [
    Form {
        name: "agent",
        argument: Argument::One("ROLE"),
        does: "agent stamps of that role",
        options: &[STAMP, POD, CONTAINER, START, STAMP_WHEN, NTH],
        output: &[],
        read: |reader, role, given| {
            Some(Matches::Agent {
                role,
                stamp: given.text("stamp")?,
                pod: given.text("pod"),
                container: given.text("container"),
                start: given.number(reader, "start"),
                when: given.text("when"),
            })
        },
    },
    Form {
        name: "event",
        argument: Argument::One("REASON"),
        does: "Events with that reason",
        options: &[POD, EVENT_WHEN, NTH],
        output: &[],
        read: |_, reason, given| {
            let (pod, when) = (given.text("pod"), given.text("when"));
            Some(Matches::Event { reason, pod, when })
        },
    },
    Form {
        name: "line",
        argument: Argument::One("STEP"),
        does: "lines that a background step prints",
        options: &[CONTAINS, NTH],
        output: &[],
        read: |_, output, given| {
            let contains = given.text("contains")?;
            Some(Matches::Line { output, contains })
        },
    },
    Form {
        name: "pod",
        argument: Argument::One("NAME"),
        does: "pod states from the API watch (a trailing `*` matches any rest of the name)",
        options: &[POD_WHEN, NTH],
        output: &[],
        read: |_, pod, given| {
            let when = given.text("when")?;
            Some(Matches::Pod { pod, when })
        },
    },
];

pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    let moment = Form::schema(&KINDS);
    json_schema!({"type": ["object", "null"], "additionalProperties": moment})
}

pub(super) fn moments(
    reader: &mut Reader<'_>,
    raw: Vec<(At<String>, At<Written>)>,
    pods: &Pods,
) -> BTreeMap<String, Moment> {
    let mut moments: BTreeMap<String, Moment> = BTreeMap::new();
    for (At { value: name, at }, written) in raw {
        for message in unfit(&name, pods) {
            reader.find(at, message);
        }
        if let Some(other) = moments.keys().find(|other| nested(other, &name)) {
            let message =
                format!("`{name}` and `{other}`: one name cannot be a prefix of the other");
            reader.find(at, message);
        }
        if let Some(moment) = moment(reader, written) {
            moments.insert(name, moment);
        }
    }
    moments
}

/// Why a moment must not have this name.
fn unfit(name: &str, pods: &Pods) -> Vec<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let invalid = !parts.iter().all(|part| is_identifier(part));
    let invalid = invalid.then(|| {
        format!("invalid moment name `{name}`: expected letters, digits, and `_`, in parts joined by dots")
    });
    // A pod's name may begin the names of its own moments.
    let own = parts.len() > 1 && pods.contains(parts[0]);
    let taken = if own { None } else { taken(parts[0], pods) };
    let standard = matches!(pods.resolve(name), Some(Ok(_)));
    let standard = standard.then(|| format!("`{name}` is a standard moment: choose another name"));
    [invalid, taken, standard].into_iter().flatten().collect()
}

fn moment(reader: &mut Reader<'_>, At { value, at }: At<Written>) -> Option<Moment> {
    let (kind, given) = value.read(reader, at, &KINDS)?;
    let argument = given.argument(reader)?.value;
    let matches = (kind.read)(reader, argument, &given)?;
    if let Some(condition) = given.option("when") {
        lint::condition(&matches, condition, reader);
    }
    let nth = match given.option("nth") {
        None => 1,
        Some(_) => given.number(reader, "nth")?,
    };
    Some(Moment {
        place: reader.place(at),
        matches,
        nth,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_lists_every_kind_with_its_options() {
        for kind in &KINDS {
            crate::fixture::in_reference(&format!("{} |", kind.reference()));
        }
    }
}
