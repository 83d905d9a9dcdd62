//! What happens during a run, as the dispatcher tells it. Reporters only consume these.

use crate::judge::judgement::Judgement;
use crate::observe::evidence::ClusterFacts;
use crate::report::results::{ClaimInfo, EarlierAttempt, Phase, ScenarioResults};

/// Something that a reporter may want to show.
#[derive(Debug, Clone)]
pub enum RunEvent {
    /// The run begins.
    Begun {
        /// Its id.
        run: String,
        /// The claims it will decide.
        claims: Vec<ClaimInfo>,
        /// How many clusters it will use, by name of profile or context.
        clusters: Vec<String>,
    },
    /// A cluster is being made ready.
    Provisioning {
        /// Cluster's name (profile or context).
        cluster: String,
        /// What is being done.
        doing: String,
    },
    /// A phase of provisioning is over.
    PhaseEnded {
        /// Cluster's name.
        cluster: String,
        /// The phase.
        phase: Phase,
    },
    /// The cluster is ready and its scenarios begin.
    ClusterReady {
        /// Cluster's name.
        cluster: String,
        /// What it is.
        facts: ClusterFacts,
        /// How many scenarios will be run on it.
        scenarios: usize,
    },
    /// A scenario begins.
    ScenarioBegun {
        /// Cluster's name.
        cluster: String,
        /// Scenario id.
        scenario: String,
        /// The attempt before this one, where there was one.
        after: Option<EarlierAttempt>,
    },
    /// A scenario does its next step.
    ScenarioStep {
        /// Cluster's name.
        cluster: String,
        /// Scenario id.
        scenario: String,
        /// The step in words.
        step: String,
    },
    /// A scenario is over and its claims are judged (none where it could not be observed).
    ScenarioEnded {
        /// Cluster's name.
        cluster: String,
        /// How it went.
        scenario: ScenarioResults,
        /// The verdicts.
        judgements: Vec<Judgement>,
    },
    /// A verdict that needed no scenario: the claim is not testable.
    Judged {
        /// Cluster's name.
        cluster: String,
        /// The verdict.
        judgement: Box<Judgement>,
    },
    /// Something that people should hear of but that changes no verdict.
    Warning {
        /// What, and what to do.
        text: String,
    },
    /// The cluster is done.
    ClusterEnded {
        /// Cluster's name.
        cluster: String,
    },
    /// The run is over.
    Ended {
        /// Interrupted by the user.
        interrupted: bool,
    },
}
