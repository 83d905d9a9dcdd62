//! Requirements.

use super::super::capability::{KNOWN, remedy};
use super::super::model::Needs;
use super::super::parse;
use super::super::yaml::Reader;
use super::raw::RawNeeds;

pub(super) fn needs(reader: &mut Reader<'_>, raw: RawNeeds) -> Needs {
    let capabilities = raw.capabilities.map(|at| at.value).unwrap_or_default();
    for name in capabilities
        .iter()
        .filter(|name| remedy(&name.value).is_none())
    {
        let message = format!("unknown capability `{}`", name.value);
        let known = KNOWN.iter().map(|(name, _)| *name);
        reader.find_near(name.at, message, &name.value, known);
    }
    let gates = raw.gates.map(|at| at.value.0).unwrap_or_default();
    Needs {
        kubernetes: reader.parsed(raw.kubernetes.as_ref(), parse::version_range),
        gates: gates
            .into_iter()
            .map(|(name, on)| (name.value, on.value))
            .collect(),
        capabilities: capabilities.into_iter().map(|name| name.value).collect(),
    }
}
