//! Verdicts from evidence: a pure function of evidence and catalogue.

pub(crate) mod alter;
pub mod judgement;
mod reasons;
pub mod recorded;
mod scene;
mod search;
pub mod verdict;
