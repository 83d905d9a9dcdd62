//! hookproof tests documented statements about container lifecycle hooks on real Kubernetes clusters.
//!
//! Data flows through the modules in this order, and imports point the other way: [`evidence`] and [`expr`] are the
//! shared types and the expression language, the [`catalogue`] defines claims and scenarios,
//! [`cluster`] provides clusters, [`observe`] runs scenarios and records evidence, [`judge`] decides
//! from the evidence alone, and [`report`] renders the results. `run` drives them; [`cli`] is the
//! command line interface.

// If standard error is closed, eprintln! panics.
#![warn(clippy::print_stderr)]

pub mod catalogue;
pub mod cli;
mod cluster;
mod digest;
pub mod evidence;
pub mod expr;
pub mod file;
pub mod id;
pub mod judge;
pub mod observe;
pub mod report;
mod run;
pub mod version;
