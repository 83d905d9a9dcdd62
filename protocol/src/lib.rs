//! What the runner, the agents in pods, and the witness say to each other: environment variables, paths of the
//! witness, and JSON messages. Messages that only agents send are in the agent.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Environment variables of the agent.
pub mod env {
    /// What the names of all of them begin with.
    pub const PREFIX: &str = "HOOKPROOF_";
    /// Base URL of the witness, `http://ADDRESS:PORT`.
    pub const WITNESS: &str = "HOOKPROOF_WITNESS";
    /// The run's token.
    pub const TOKEN: &str = "HOOKPROOF_TOKEN";
    pub const NAMESPACE: &str = "HOOKPROOF_NAMESPACE";
    pub const POD: &str = "HOOKPROOF_POD";
    pub const POD_UID: &str = "HOOKPROOF_POD_UID";
    pub const CONTAINER: &str = "HOOKPROOF_CONTAINER";
}

/// Paths of the witness's HTTP API.
pub mod path {
    /// `POST` a [`Stamp`](crate::Stamp); `GET` with `?from=N` a stream of [`KeptStamp`](crate::KeptStamp)s, one per line.
    pub const STAMPS: &str = "/stamps";
    /// `POST` a [`Release`](crate::Release).
    pub const RELEASE: &str = "/release";
    /// `GET` the [`Time`](crate::Time).
    pub const TIME: &str = "/time";
    pub const HOLD: &str = "/hold";
    pub const MEET: &str = "/meet";
    /// `GET` without a token.
    pub const HEALTH: &str = "/healthz";
}

/// The header that carries the run's token.
pub const TOKEN_HEADER: &str = "x-hookproof-token";
/// The stamp with which the witness reports that it accepts no more stamps.
pub const FULL: &str = "witness-full";
/// The name in a [`Release`] that means every hold.
pub const EVERY: &str = "*";

/// An event reported by a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamp {
    /// Time of the event by the node's clock, in RFC 3339.
    pub at: String,
    pub namespace: String,
    pub pod: String,
    pub pod_uid: String,
    pub container: String,
    /// Differs for every start of the container.
    pub instance: String,
    pub role: String,
    /// Random ID of the process.
    pub process: String,
    pub pid: u32,
    /// From 1; a gap means a lost stamp.
    pub seq: u64,
    #[serde(rename = "stamp")]
    pub name: String,
    #[serde(default)]
    pub data: Value,
}

/// A stamp as stored and returned by the witness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptStamp {
    /// Order of arrival, from 1.
    pub n: u64,
    /// Number of the container's start, from 1.
    pub start: u64,
    /// Time of arrival by the witness's clock, in RFC 3339.
    pub received: String,
    #[serde(flatten)]
    pub stamp: Stamp,
}

/// The runner releases the holds of this name in the namespace. The other fields, if set, restrict which.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    pub namespace: String,
    /// [`EVERY`] for all holds.
    pub name: String,
    #[serde(default)]
    pub pod: Option<String>,
    #[serde(default)]
    pub container: Option<String>,
    #[serde(default)]
    pub start: Option<u64>,
    #[serde(default)]
    pub role: Option<String>,
}

/// The witness's clock and its number of stamps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// In RFC 3339.
    pub now: String,
    pub stamps: u64,
}
