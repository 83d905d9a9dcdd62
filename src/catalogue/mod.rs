//! The catalogue: scenarios, claims, and citations, loaded from `suites/` and `manifests/` and checked.

pub mod capability;
pub mod citations;
mod decode;
mod digest;
pub mod finding;
mod lint;
pub mod load;
mod lower;
pub mod manifest;
pub mod matcher;
pub mod model;
mod moments;
mod names;
mod node;
pub mod parse;
pub mod placeholder;
pub mod pods;
mod raw;
pub mod schema;
pub mod select;
mod steps;
