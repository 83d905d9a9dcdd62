//! hookproof finds out on real Kubernetes clusters whether what documents say about container
//! lifecycle hooks is true.
//!
//! The modules read along the way data takes: the [`catalogue`] says what to find out,
//! [`cluster`] provides where, [`observe`] writes down what happened, [`judge`] decides from
//! that alone, [`report`] shows it. [`run`] drives them; [`cli`] is what a user types.

pub mod catalogue;
pub mod cli;
pub mod cluster;
mod digest;
pub mod expr;
pub mod judge;
pub mod observe;
pub mod report;
pub mod run;
