//! Runs scenarios on a cluster and records evidence. Observing never judges.

pub(crate) mod access;
pub mod api;
pub mod command;
pub(crate) mod connect;
pub mod facts;
pub mod failure;
#[cfg(test)]
pub(crate) mod fake;
pub mod fill;
mod forbidden;
pub mod http;
pub mod listing;
pub(crate) mod outside;
pub(crate) mod rbac;
pub mod recorder;
pub mod scenario;
pub mod scratch;
mod secrets;
pub mod session;
pub mod store;
pub mod timeline;
pub mod watch;
pub mod witness;
pub mod workload;
