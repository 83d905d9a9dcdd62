//! What there is to find out: documents, citations, claims, scenarios. All of it is data from
//! `suites/` and `manifests/`; loading it checks it.

pub mod model;
