//! Evidence: everything observed during one scenario on one cluster. It is the judge's only input, so
//! evidence can be judged again without the cluster.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The value of [`Evidence::schema`] that this version writes and reads.
pub const SCHEMA: &str = "hookproof.evidence/1";

/// The evidence of one scenario on one cluster: the content of one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Format of this file.
    pub schema: String,
    /// Scenario ID, such as `poststart/slow-hook`.
    pub scenario: String,
    /// Digest of the scenario's suite file and manifests.
    pub scenario_digest: String,
    /// ID of the run.
    pub run: String,
    pub cluster: ClusterFacts,
    /// Start of the scenario, by the runner's clock.
    #[schemars(with = "String")]
    pub began: Timestamp,
    /// End of the scenario, by the runner's clock.
    #[schemars(with = "String")]
    pub ended: Timestamp,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Everything observed, ordered by time.
    pub timeline: Vec<Entry>,
    /// What could not be set up or observed. Evidence with problems never confirms or refutes a claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// Facts about the cluster on which a verdict may depend.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterFacts {
    /// Name of the cluster or of the kubeconfig context.
    pub name: String,
    /// Cluster profile, such as `default`.
    pub profile: String,
    /// Version of the API server, such as `v1.36.3`.
    pub kubernetes: String,
    /// Distinct kubelet versions of the nodes.
    pub kubelets: Vec<String>,
    pub kubectl: String,
    /// Distinct container runtimes of the nodes, such as `containerd://1.6.20`.
    pub container_runtimes: Vec<String>,
    /// Source and digest of the node image, such as `packages sha256:…`.
    pub node_image: Option<String>,
    /// Feature gates set by the profile.
    pub gates: BTreeMap<String, bool>,
    /// Feature gates as reported by the API server's metrics, if readable, such as
    /// `PodLifecycleSleepAction: true`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gates_seen: BTreeMap<String, bool>,
    /// What the cluster supports beyond the Kubernetes API, such as `node-shell`.
    pub capabilities: Vec<String>,
    pub nodes: u32,
    /// Seconds by which the runner's clock was behind the nodes' clock. The timeline's runner times already
    /// include it.
    #[serde(default)]
    pub clock_offset: f64,
}

/// Something that could not be set up or observed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, JsonSchema)]
#[error("{doing}: {what}")]
pub struct Problem {
    /// What failed, such as the step `until running`.
    pub doing: String,
    /// Why it failed and what to do.
    pub what: String,
    /// Whether the cluster forbids it. The scenario's claims are then not applicable.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forbidden: bool,
}

/// The clock of an entry's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The node's real-time clock, read where it happened.
    Node,
    /// The runner's clock, read when it arrived at the runner or was done there.
    Runner,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Position in the timeline, from 0.
    pub n: u32,
    /// Time of the observation.
    #[schemars(with = "String")]
    pub at: Timestamp,
    pub clock: Clock,
    #[serde(flatten)]
    pub seen: Seen,
}

/// The content of an entry, by source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "source", rename_all = "lowercase")]
pub enum Seen {
    /// A stamp of an agent process in a container.
    Agent(Stamp),
    /// A pod from the watch.
    Pod(PodSeen),
    /// A Kubernetes Event from the watch.
    Event(EventSeen),
    /// The result of a step, under the step's `as` name.
    Output(Output),
    /// A step of the runner, or a remark about its observation such as `gap`.
    Runner(Note),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stamp {
    pub pod: String,
    pub container: String,
    /// Number of the container's start, from 1.
    pub start: u32,
    /// Role of the process, such as `entrypoint` or `hook`.
    pub role: String,
    /// Random ID of the process.
    pub process: String,
    /// PID as seen by the process itself.
    pub pid: u32,
    /// Number of the stamp within its process, from 1. A gap means a lost stamp.
    pub seq: u32,
    /// Name of the stamp, such as `begun`, `ended`, `signal` or `request`.
    #[allow(
        clippy::struct_field_names,
        reason = "the name in the agent's messages"
    )]
    pub stamp: String,
    /// Details, such as exit code, signal or request.
    #[serde(default)]
    pub data: Value,
}

/// A pod at one time, reduced to the fields that claims use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PodSeen {
    pub pod: String,
    /// `applied` or `deleted`.
    pub change: PodChange,
    /// `metadata` (name, uid, labels, ownerReferences, deletionTimestamp,
    /// deletionGracePeriodSeconds), `spec.nodeName`, `spec.terminationGracePeriodSeconds`, `status`.
    pub object: Value,
}

/// The kind of change that the watch reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PodChange {
    /// Created or changed.
    Applied,
    /// Deleted; the object is its last state.
    Deleted,
}

/// A Kubernetes Event at one time. Repeated Events update the count of the same object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventSeen {
    /// Name of the Event object. The same name again is the same Event with a higher count.
    pub name: String,
    /// Kind of the involved object, such as `Pod`.
    pub kind: String,
    /// Name of the involved object.
    pub pod: String,
    /// Container from the field path; empty if the Event concerns the whole pod.
    #[serde(default)]
    pub container: String,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Reason, such as `FailedPostStartHook`.
    pub reason: String,
    pub message: String,
    /// Number of occurrences so far.
    pub count: u32,
    pub component: String,
    /// First occurrence according to the Event, usually in whole seconds.
    #[schemars(with = "Option<String>")]
    pub first: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    pub last: Option<Timestamp>,
}

/// The result of a step. The fields of `data` depend on the kind of step and are flattened, so that
/// expressions read `logs.exit_code`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The step's `as` name.
    pub name: String,
    /// Kind of step: `kubectl`, `node`, `http`, `apply`, `delete`, `get`.
    pub step: String,
    /// Start of the step.
    #[schemars(with = "String")]
    pub begin: Timestamp,
    /// End of the step.
    #[schemars(with = "String")]
    pub end: Timestamp,
    /// Commands: `argv`, `exit_code` (null: stopped by the runner), `stdout`, `stderr`, `lines`
    /// (`at`, `stream`, `text`). HTTP: `status`, `body`, `error`. Apply: `accepted`, `code`,
    /// `message`. Get: `object`, absent if there is none.
    #[serde(flatten)]
    pub data: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// Kind of note, such as `step` or `gap` (a watch was restarted with a new list and may have missed changes).
    pub note: String,
    pub text: String,
}

impl Evidence {
    /// What the cluster forbids, if that ended the scenario.
    pub fn forbidden(&self) -> Option<&Problem> {
        self.problems.first().filter(|problem| problem.forbidden)
    }

    pub fn stamps(&self) -> impl Iterator<Item = (&Entry, &Stamp)> {
        self.timeline.iter().filter_map(|e| match &e.seen {
            Seen::Agent(stamp) => Some((e, stamp)),
            _ => None,
        })
    }

    pub fn pods(&self) -> impl Iterator<Item = (&Entry, &PodSeen)> {
        self.timeline.iter().filter_map(|e| match &e.seen {
            Seen::Pod(pod) => Some((e, pod)),
            _ => None,
        })
    }

    pub fn outputs(&self) -> impl Iterator<Item = &Output> {
        self.timeline.iter().filter_map(|e| match &e.seen {
            Seen::Output(output) => Some(output),
            _ => None,
        })
    }
}
