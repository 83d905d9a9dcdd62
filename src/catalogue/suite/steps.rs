//! The list of steps and the names of their outputs.

use std::collections::BTreeMap;

use serde_saphyr::Location;

use super::super::finding::Finding;
use super::super::form::Written;
use super::super::moment::{Matches, Moment};
use super::super::pods::Pods;
use super::super::step::{KINDS, Known};
use super::super::yaml::{At, Reader};
use super::names::{nested, unfit};

/// Reads the steps into `known`.
pub(super) fn steps(reader: &mut Reader<'_>, steps: Vec<At<Written>>, known: &mut Known<'_>) {
    let mut names: BTreeMap<String, Location> = BTreeMap::new();
    for At { value: step, at } in steps {
        let Some((kind, given)) = step.read(reader, at, &KINDS) else {
            continue;
        };
        if let Some(At { value: name, at }) = given.option("as") {
            if let Some(message) = fault(name, &names, known.moments, known.pods) {
                reader.find(*at, message);
            }
            names.insert(name.clone(), *at);
        }
        kind.add_to(known, reader, given);
    }
    for (name, moment) in known.moments {
        if let Matches::Line { output, .. } = &moment.matches
            && !names.contains_key(output)
        {
            let message = format!("`{name}`: no step is named `{output}`");
            let finding = Finding::new(&moment.place, message);
            let finding = finding.with_near(output, names.keys().map(String::as_str));
            reader.findings.push(finding);
        }
    }
}

/// Why an output must not have this name.
fn fault(
    name: &str,
    names: &BTreeMap<String, Location>,
    moments: &BTreeMap<String, Moment>,
    pods: &Pods,
) -> Option<String> {
    if let Some(message) = unfit(name, pods) {
        return Some(message);
    }
    if let Some(first) = names.get(name) {
        return Some(format!(
            "duplicate name `{name}`, first on line {}",
            first.line()
        ));
    }
    let moment = moments
        .keys()
        .any(|moment| moment == name || nested(moment, name));
    moment.then(|| format!("`{name}` is a moment: choose another name"))
}
