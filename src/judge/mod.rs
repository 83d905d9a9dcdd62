//! Verdicts from evidence: a pure function of evidence and catalogue.

pub mod alter;
pub mod expr;
pub mod judgement;
pub mod moments;
mod reasons;
mod scene;
mod search;
pub mod values;
pub mod verdict;
