//! Events of a run. Reporters consume them; `run --message-format json` prints them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::catalogue::model::Account;
use crate::evidence::ClusterFacts;
use crate::judge::judgement::Judgement;
use crate::report::results::{ClaimInfo, ClusterResults, EarlierAttempt, Phase, ScenarioResults};

/// The value of [`Message::schema`].
pub(crate) const SCHEMA: &str = "hookproof.events/1";

/// An event on a line of its own.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Message<'a> {
    /// Format version: `hookproof.events/1`.
    schema: &'static str,
    #[schemars(with = "String")]
    at: Timestamp,
    #[serde(flatten)]
    event: &'a RunEvent,
}

impl<'a> Message<'a> {
    /// A message about an event that happens now.
    pub(crate) fn now(event: &'a RunEvent) -> Self {
        Self {
            schema: SCHEMA,
            at: Timestamp::now(),
            event,
        }
    }
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum RunEvent {
    /// The only event of a dry run.
    Planned { clusters: Vec<Planned> },
    /// The run begins.
    Begun {
        run: String,
        claims: Vec<ClaimInfo>,
        /// Lines of documents that these claims do not cite.
        accounts: Vec<Account>,
        /// The empty columns of the run. Events name a cluster as the column's facts do here.
        clusters: Vec<ClusterResults>,
    },
    /// A phase of a cluster begins: `provision`, `clean`, `ready` or `teardown`.
    PhaseBegun { cluster: String, name: String },
    /// Progress of the phase.
    PhaseProgress { cluster: String, doing: String },
    /// A phase of a cluster ended.
    PhaseEnded {
        cluster: String,
        #[serde(flatten)]
        phase: Phase,
    },
    /// The scenarios begin.
    ClusterReady {
        cluster: String,
        facts: ClusterFacts,
        /// Number of scenarios, including those that do not apply.
        scenarios: usize,
    },
    /// An attempt at a scenario begins.
    ScenarioBegun {
        cluster: String,
        scenario: String,
        /// The previous attempt, if any.
        after: Option<EarlierAttempt>,
    },
    /// A step of a scenario begins.
    ScenarioStep {
        cluster: String,
        scenario: String,
        /// Description of the step.
        step: String,
    },
    /// The last attempt at a scenario ended.
    ScenarioEnded {
        cluster: String,
        #[serde(flatten)]
        scenario: ScenarioResults,
        /// Empty if the scenario could not be observed.
        judgements: Vec<Judgement>,
    },
    /// A verdict without a scenario: the claim is not testable.
    Judged {
        cluster: String,
        judgement: Box<Judgement>,
    },
    /// A problem that changes no verdict.
    Warning { text: String },
    /// No further scenario starts.
    Stopping { reason: Stopped },
    /// The cluster's last event.
    ClusterEnded { cluster: String },
    /// The last event.
    Ended {
        /// Why scenarios did not run; absent if the run is complete.
        stopped: Option<Stopped>,
    },
}

/// Why a run ended early. A later reason takes precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stopped {
    /// `--fail-fast`, after an unexpected verdict or an error.
    FailFast,
    /// `--timeout`
    TimedOut,
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

impl Stopped {
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::FailFast => "stopped at the first unexpected verdict or error",
            Self::TimedOut => "timed out",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What would run on a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Planned {
    pub(crate) cluster: String,
    /// Estimated duration of all scenarios in seconds, without the setup of the cluster.
    pub(crate) seconds: f64,
    pub(crate) scenarios: Vec<PlannedScenario>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct PlannedScenario {
    pub(crate) scenario: String,
    /// Ids of the selected claims.
    pub(crate) claims: Vec<String>,
    /// Approximate duration in seconds.
    pub(crate) seconds: f64,
    /// Why it does not apply to the cluster, as far as that is known without the cluster.
    pub(crate) not_applicable: Option<String>,
}
