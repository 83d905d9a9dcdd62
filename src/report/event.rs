//! Events of a run. Reporters consume them.

use crate::evidence::ClusterFacts;
use crate::judge::judgement::Judgement;
use crate::report::results::{ClaimInfo, EarlierAttempt, Phase, ScenarioResults};

#[derive(Debug, Clone)]
pub enum RunEvent {
    Begun {
        run: String,
        claims: Vec<ClaimInfo>,
        /// Names of all clusters of the run (profile or context).
        clusters: Vec<String>,
    },
    /// Progress of provisioning a cluster.
    Provisioning {
        cluster: String,
        doing: String,
    },
    /// A phase of a cluster ended, such as provisioning or teardown.
    PhaseEnded {
        cluster: String,
        phase: Phase,
    },
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
    ScenarioStep {
        cluster: String,
        scenario: String,
        /// Description of the step.
        step: String,
    },
    /// The last attempt at a scenario ended.
    ScenarioEnded {
        cluster: String,
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
    Warning {
        text: String,
    },
    ClusterEnded {
        cluster: String,
    },
    Ended {
        /// Whether the user interrupted the run.
        interrupted: bool,
    },
}
