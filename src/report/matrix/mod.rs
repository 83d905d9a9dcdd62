//! The matrix: the verdicts on all claims on all tested profiles, from the results of any number of runs.

pub mod causes;
pub mod data;
pub mod markdown;
pub(crate) mod ranges;
pub(crate) mod text;
pub mod view;
