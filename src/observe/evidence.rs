//! Evidence: everything seen during one scenario on one cluster, enough to judge again
//! without that cluster. This is the only thing the judge ever reads of a run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The value of [`Evidence::schema`] that this version writes and reads.
pub const SCHEMA: &str = "hookproof.evidence/1";

/// One scenario's evidence from one cluster: the content of one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Format of this file, see [`SCHEMA`].
    pub schema: String,
    /// The scenario's id, such as `poststart/slow-hook`.
    pub scenario: String,
    /// Digest of the suite file and manifests the scenario was run from.
    pub scenario_digest: String,
    /// Which run wrote this.
    pub run: String,
    /// What the cluster was.
    pub cluster: ClusterFacts,
    /// When the scenario began, by the runner's clock.
    #[schemars(with = "String")]
    pub began: Timestamp,
    /// When it ended.
    #[schemars(with = "String")]
    pub ended: Timestamp,
    /// Which attempt this was, from 1.
    pub attempt: u32,
    /// Everything that was seen, by time.
    pub timeline: Vec<Entry>,
    /// What could not be set up or observed. Not empty: no verdict may come of this evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// What a verdict may depend on about the cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterFacts {
    /// The cluster's name, or the kubeconfig context's.
    pub name: String,
    /// The profile that shaped it, such as `default`.
    pub profile: String,
    /// The API server's version, such as `v1.36.3`.
    pub kubernetes: String,
    /// Kubelet versions of the nodes (distinct).
    pub kubelets: Vec<String>,
    /// `kubectl`'s version.
    pub kubectl: String,
    /// Container runtimes of the nodes, such as `containerd://1.6.20`.
    pub container_runtimes: Vec<String>,
    /// Where the node image came from and its digest, such as `packages sha256:…`.
    pub node_image: Option<String>,
    /// Feature gates set on purpose (profile), by name.
    pub gates: BTreeMap<String, bool>,
    /// Feature gates as the API server and the kubelet report them in their metrics, where readable:
    /// `PodLifecycleSleepAction` → true.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gates_seen: BTreeMap<String, bool>,
    /// What the cluster allows beyond the plain API, such as `node-shell`.
    pub capabilities: Vec<String>,
    /// Number of nodes.
    pub nodes: u32,
    /// By how much the runner's clock was behind the nodes' (seconds), already added to the
    /// runner's times in the timeline.
    #[serde(default)]
    pub clock_offset: f64,
}

/// Something that could not be set up or observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What the runner was doing, such as `until running`.
    pub doing: String,
    /// What went wrong and what to do about it.
    pub what: String,
}

/// Whose clock an entry's time is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The node's real-time clock: taken where the thing happened.
    Node,
    /// The runner's: when it arrived or was done there.
    Runner,
}

/// One thing seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Its place in the timeline, from 0.
    pub n: u32,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// By which clock.
    pub clock: Clock,
    /// What.
    #[serde(flatten)]
    pub seen: Seen,
}

/// What an entry says, by the channel it came through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "source", rename_all = "lowercase")]
pub enum Seen {
    /// Something a process in a container reported of itself.
    Agent(Stamp),
    /// A pod as the API's watch showed it.
    Pod(PodSeen),
    /// A Kubernetes Event as the API's watch showed it.
    Event(EventSeen),
    /// What a step did and got back, kept under the step's `as` name.
    Output(Output),
    /// What the runner did, or noticed about its own watching (`gap`).
    Runner(Note),
}

/// A stamp of the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stamp {
    /// Pod name.
    pub pod: String,
    /// Container name.
    pub container: String,
    /// Which start of that container (from 1).
    pub start: u32,
    /// The role the process was given: `entrypoint`, `hook` …
    pub role: String,
    /// Random identity of the process.
    pub process: String,
    /// Its pid as it sees it.
    pub pid: u32,
    /// Per-process number, from 1: a gap means a lost stamp.
    pub seq: u32,
    /// The stamp's name: `begun`, `ended`, `signal`, `request` …
    pub stamp: String,
    /// What belongs to it: exit code, signal, request.
    #[serde(default)]
    pub data: Value,
}

/// A pod at one moment, cut down to what can matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PodSeen {
    /// Pod name.
    pub pod: String,
    /// `applied` or `deleted`.
    pub change: PodChange,
    /// `metadata` (name, uid, labels, ownerReferences, deletionTimestamp,
    /// deletionGracePeriodSeconds), `spec.nodeName`, `spec.terminationGracePeriodSeconds`, `status`.
    pub object: Value,
}

/// How the watch showed the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PodChange {
    /// It is there, as given.
    Applied,
    /// It is gone; the object is its last form.
    Deleted,
}

/// An Event object at one moment (they are counted up in place).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventSeen {
    /// The event object's own name: the same name seen again is the same event, counted up.
    pub name: String,
    /// Kind of the involved object, such as `Pod`.
    pub kind: String,
    /// Name of the involved object.
    pub pod: String,
    /// Container, from the field path; empty where the event is the pod's.
    #[serde(default)]
    pub container: String,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Such as `FailedPostStartHook`.
    pub reason: String,
    /// Its text.
    pub message: String,
    /// How often it has occurred so far.
    pub count: u32,
    /// Which component reported it.
    pub component: String,
    /// First occurrence, as the event says (whole seconds usually).
    #[schemars(with = "Option<String>")]
    pub first: Option<Timestamp>,
    /// Last occurrence.
    #[schemars(with = "Option<String>")]
    pub last: Option<Timestamp>,
}

/// What a step got back. `data` depends on the kind of step and is flattened, so that checks
/// write `logs.exit_code`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The step's `as` name.
    pub name: String,
    /// Kind of step: `kubectl`, `node`, `http`, `apply`, `delete`, `get`.
    pub step: String,
    /// When it began.
    #[schemars(with = "String")]
    pub begin: Timestamp,
    /// When it was over.
    #[schemars(with = "String")]
    pub end: Timestamp,
    /// Commands: `argv`, `exit_code` (null: killed by the runner), `stdout`, `stderr`, `lines`
    /// (`at`, `stream`, `text`). HTTP: `status`, `body`, `error`. Apply: `accepted`, `code`,
    /// `message`. Get: `object`.
    #[serde(flatten)]
    pub data: BTreeMap<String, Value>,
}

/// A note of the runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// `step`, `gap` (a watch had to list anew: changes may have been missed) …
    pub note: String,
    /// In words.
    pub text: String,
}

impl Evidence {
    /// Stamps with their times, in order.
    pub fn stamps(&self) -> impl Iterator<Item = (&Entry, &Stamp)> {
        self.timeline.iter().filter_map(|e| match &e.seen {
            Seen::Agent(stamp) => Some((e, stamp)),
            _ => None,
        })
    }

    /// Outputs of steps, in order.
    pub fn outputs(&self) -> impl Iterator<Item = &Output> {
        self.timeline.iter().filter_map(|e| match &e.seen {
            Seen::Output(output) => Some(output),
            _ => None,
        })
    }
}
