//! What goes between agent and witness, as JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The header that carries the run's token.
pub(crate) const TOKEN_HEADER: &str = "x-hookproof-token";

/// Something that happened, in the words of the process that it happened to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// When it happened, by the node's clock.
    pub(crate) at: String,
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) pod_uid: String,
    pub(crate) container: String,
    pub(crate) instance: String,
    pub(crate) role: String,
    pub(crate) process: String,
    pub(crate) pid: u32,
    /// From 1; a gap tells that a stamp was lost.
    pub(crate) seq: u64,
    pub(crate) stamp: String,
    #[serde(default)]
    pub(crate) data: Value,
}

/// A stamp as the witness keeps and shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptStamp {
    /// Order of arrival, from 1.
    pub(crate) n: u64,
    /// Which start of its container the stamp comes from, from 1.
    pub(crate) start: u64,
    /// When it arrived, by the witness's clock.
    pub(crate) received: String,
    #[serde(flatten)]
    pub(crate) stamp: Stamp,
}

/// The witness's answer to a stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) n: u64,
    pub(crate) start: u64,
}

/// Someone waits to be released.
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

/// The runner lets go: everyone in the namespace who holds under this name, or only those whom the
/// other fields name.
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

/// A process waits for another one of its container in the same round.
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

/// The one who was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) process: String,
    pub(crate) role: String,
    pub(crate) pid: u32,
}
