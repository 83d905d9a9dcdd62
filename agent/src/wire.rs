//! JSON messages between agent and witness that the runner does not use.

use serde::{Deserialize, Serialize};

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
