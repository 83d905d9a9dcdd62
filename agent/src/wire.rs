//! JSON messages between agent and witness.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The header that carries the run's token.
pub(crate) const TOKEN_HEADER: &str = "x-hookproof-token";

/// An event reported by a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Time of the event, by the node's clock.
    pub(crate) at: String,
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) pod_uid: String,
    pub(crate) container: String,
    pub(crate) instance: String,
    pub(crate) role: String,
    pub(crate) process: String,
    pub(crate) pid: u32,
    /// From 1; a gap means a lost stamp.
    pub(crate) seq: u64,
    #[serde(rename = "stamp")]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) data: Value,
}

/// A stamp as stored and returned by the witness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptStamp {
    /// Order of arrival, from 1.
    pub(crate) n: u64,
    /// Number of the container's start, from 1.
    pub(crate) start: u64,
    /// Time of arrival, by the witness's clock.
    pub(crate) received: String,
    #[serde(flatten)]
    pub(crate) stamp: Stamp,
}

/// The witness's response to a stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) n: u64,
    pub(crate) start: u64,
}

/// A process waits for a release.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hold {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) pod: String,
    pub(crate) container: String,
    pub(crate) start: u64,
    pub(crate) role: String,
    pub(crate) cap_ms: u64,
}

/// The runner releases the holds of this name in the namespace. The other fields, if set, restrict which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Release {
    pub(crate) namespace: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) pod: Option<String>,
    #[serde(default)]
    pub(crate) container: Option<String>,
    #[serde(default)]
    pub(crate) start: Option<u64>,
    #[serde(default)]
    pub(crate) role: Option<String>,
}

/// A process waits for another process of its container to reach the same round.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meet {
    pub(crate) namespace: String,
    pub(crate) pod_uid: String,
    pub(crate) container: String,
    pub(crate) instance: String,
    pub(crate) name: String,
    pub(crate) process: String,
    pub(crate) role: String,
    pub(crate) pid: u32,
    pub(crate) round: u32,
    pub(crate) cap_ms: u64,
}

/// The process that was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) process: String,
    pub(crate) role: String,
    pub(crate) pid: u32,
}
