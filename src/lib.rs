//! hookproof tests documented statements about container lifecycle hooks on real Kubernetes clusters.
//!
//! Data flows through the modules in this order, and imports point the other way: `evidence` and `expr` are the
//! shared types and the expression language, the `catalogue` defines claims and scenarios, `cluster` provides
//! clusters, `observe` runs scenarios and records evidence, `judge` decides from the evidence alone, and `report`
//! renders the results. `run` drives them; `cli` is the command line interface. All are private, so that the
//! compiler reports what nothing uses.

// If standard error is closed, eprintln! panics.
#![warn(clippy::print_stderr)]

mod catalogue;
mod cli;
mod cluster;
mod document;
mod evidence;
mod expr;
mod file;
#[cfg(test)]
mod fixture;
mod gates;
mod id;
mod judge;
mod observe;
mod project;
mod report;
mod run;
mod version;

pub use cli::main;

/// What integration tests and benchmarks use. Not an API.
#[doc(hidden)]
pub mod testing {
    pub use crate::catalogue::load::{Source, catalogue, load};
    pub use crate::catalogue::model::{Catalogue, Citation, Claim, Scenario, Verdict};
    pub use crate::cli::command;
    pub use crate::evidence::{ClusterFacts, Evidence};
    pub use crate::file::write_atomic;
    pub use crate::judge::judgement::Judgement;
    pub use crate::judge::recorded::check;
    pub use crate::judge::verdict::{judge, untestable};
    pub use crate::observe::store::{files, read};
    pub use crate::report::json::{read_results, write_results};
    pub use crate::report::matrix::causes::built_in as causes;
    pub use crate::report::matrix::data::Matrix;
    pub use crate::report::matrix::markdown::page as matrix_page;
    pub use crate::report::matrix::view::View;
    pub use crate::report::results::{ClaimInfo, ClusterResults, Phase, Results};
    pub use crate::report::text::count;
    pub use crate::report::view::{Cell, State, bare_reason};
    pub use crate::run::plan::claims;
}
