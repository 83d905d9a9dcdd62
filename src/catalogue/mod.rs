//! What there is to find out: documents, citations, claims, scenarios. All of it is data from
//! `suites/` and `manifests/`; loading it checks it.

mod decode;
pub mod finding;
mod lint;
pub mod load;
mod lower;
pub mod manifest;
pub mod model;
mod node;
pub mod parse;
mod raw;
pub mod select;
mod steps;
