//! The catalogue: scenarios, claims, and citations, loaded from `suites/` and `manifests/` and checked.

pub mod capability;
pub mod citations;
mod digest;
pub mod finding;
mod form;
pub mod load;
pub mod manifest;
pub mod matcher;
pub mod model;
mod moment;
pub mod parse;
mod place;
pub mod placeholder;
pub mod pods;
pub mod select;
pub(crate) mod step;
pub(crate) mod suite;
mod yaml;
