//! Verdicts from evidence: a pure function of evidence and catalogue.

pub mod judgement;
