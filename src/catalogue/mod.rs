//! The catalogue: scenarios, claims, and citations, loaded from `suites/` and `manifests/` and checked.

pub(crate) mod accept;
pub(crate) mod capability;
pub(crate) mod citations;
mod digest;
pub mod finding;
mod form;
pub mod load;
pub(crate) mod manifest;
pub mod model;
pub(crate) mod moment;
pub(crate) mod parse;
pub(crate) mod placeholder;
pub(crate) mod pods;
pub(crate) mod select;
pub(crate) mod step;
pub(crate) mod suggest;
pub(crate) mod suite;
pub(crate) mod yaml;
