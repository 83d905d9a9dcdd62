//! The list of steps and the names of their outputs.

use std::collections::BTreeMap;

use serde_saphyr::Location;

use super::super::finding::Finding;
use super::super::form::Written;
use super::super::moment::Matches;
use super::super::step::{KINDS, Steps};
use super::super::yaml::At;
use super::names::{nested, unfit};

pub(super) fn read(known: &mut Steps<'_, '_>, steps: Vec<At<Written>>) {
    let mut names: BTreeMap<String, Location> = BTreeMap::new();
    for At { value: step, at } in steps {
        let Some((kind, given)) = step.read(known.reader, at, &KINDS) else {
            continue;
        };
        if let Some(At { value: name, at }) = given.option("as") {
            if let Some(message) = fault(name, &names, known) {
                known.reader.find(*at, message);
            }
            names.insert(name.clone(), *at);
        }
        known.add(kind, given);
    }
    for (name, moment) in known.moments {
        if let Matches::Line { output, .. } = &moment.matches
            && !names.contains_key(output)
        {
            let message = format!("`{name}`: no step is named `{output}`");
            let finding = Finding::new(&moment.place, message);
            let finding = finding.with_near(output, names.keys().map(String::as_str));
            known.reader.findings.push(finding);
        }
    }
}

fn fault(name: &str, names: &BTreeMap<String, Location>, known: &Steps<'_, '_>) -> Option<String> {
    let mut moments = known.moments.keys();
    unfit(name, known.pods).or_else(|| match names.get(name) {
        Some(first) => Some(format!(
            "duplicate name `{name}`, first on line {}",
            first.line()
        )),
        None if moments.any(|moment| moment == name || nested(moment, name)) => {
            Some(format!("`{name}` is a moment: choose another name"))
        }
        None => None,
    })
}
