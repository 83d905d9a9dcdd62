//! The catalogue as the rest of the program knows it: checked, with defaults filled in, and with
//! the place in a file where each thing was said.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pods::{Pods, Referenced};
use crate::expr::Selector;

/// Everything there is to find out: all scenarios and their claims.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// By id.
    pub scenarios: BTreeMap<String, Scenario>,
    /// Claims that no experiment can decide, with the reason.
    pub untestable: Vec<Claim>,
}

/// A place in a file, for messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Path of the file, as given or within the built-in suites.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What is done on a cluster, and the claims its evidence decides.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The suite file's path without `suites/` and `.yaml`, such as `poststart/slow-hook`.
    pub id: String,
    /// One line in words.
    pub title: String,
    /// Where it stands.
    pub place: Place,
    /// Manifests by the path the suite gives, as YAML text. `apply` without a name takes the first.
    pub manifests: Vec<Manifest>,
    /// Listings of documents by name, read when a run is given the documents.
    pub listings: BTreeMap<String, Citation>,
    /// What the cluster must have; elsewhere the claims are not applicable.
    pub needs: Needs,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// The pods that manifests and steps name.
    pub pods: Pods,
    /// Named points of the timeline: those declared, and the standard ones that steps and expressions name.
    pub moments: BTreeMap<String, Moment>,
    /// Pods and parts of pods that expressions name.
    pub selectors: BTreeMap<String, Selector>,
    /// Named values in the order written; each may use those before it.
    pub values: Vec<(String, Expression)>,
    /// About how long it takes; longest scenarios are started first.
    pub takes: Duration,
    /// The claims that this evidence decides.
    pub claims: Vec<Claim>,
    /// Digest of suite file and manifests.
    pub digest: String,
}

impl Scenario {
    /// The moments that steps wait for.
    pub fn awaited(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::Until { moment, .. } => Some(moment.as_str()),
            _ => None,
        })
    }

    /// The same scenario, with the standard moments and selectors that `texts` name as well.
    #[must_use]
    pub fn knowing<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut scenario = self.clone();
        let mut referenced = Referenced::default();
        for text in texts {
            self.pods.references(text, &mut referenced);
        }
        scenario.add(referenced);
        scenario
    }

    /// Adds standard moments and selectors; a declared moment of the same name stays.
    pub(super) fn add(&mut self, referenced: Referenced) {
        for (name, moment) in referenced.moments {
            self.moments.entry(name).or_insert(moment);
        }
        self.selectors.extend(referenced.selectors);
    }
}

/// A manifest file that a scenario applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Path as the suite gives it, such as `manifests/poststart/slow-hook.yaml`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What a scenario or a check needs of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Version range, such as `>=1.30` or `>=1.29, <1.34`.
    pub kubernetes: Option<VersionRange>,
    /// Gates that must be set so.
    pub gates: BTreeMap<String, bool>,
    /// Capabilities of the cluster or the runner, such as `node-shell`.
    pub capabilities: Vec<String>,
}

/// A range of Kubernetes minors: every condition must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionRange {
    /// As written.
    pub text: String,
    /// Conditions on (major, minor).
    pub conditions: Vec<(Comparison, (u32, u32))>,
}

/// How a version is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `=`
    Equal,
    /// `>=`
    AtLeast,
    /// `>`
    More,
}

/// A step and what goes for all of them.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where it stands.
    pub place: Place,
    /// What is done.
    pub action: Action,
    /// The name under which its output is kept and appears in checks.
    pub name: Option<String>,
    /// The longest it may take. What runs into its cap is a problem of the run, unless the
    /// action says otherwise.
    pub cap: Duration,
}

/// The closed set of things a step can do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Create the objects of a manifest, with strict validation. With a name the answer is kept
    /// (`accepted`, `code`, `message`) and a refusal is no problem.
    Apply {
        /// Index into [`Scenario::manifests`].
        manifest: usize,
        /// Ask the API server only what it would do.
        dry_run: bool,
    },
    /// Delete an object through the API.
    Delete {
        /// `pod/NAME`, `deployment/NAME`.
        object: String,
        /// `gracePeriodSeconds`; the object's own where none.
        grace: Option<i64>,
    },
    /// Wait until a moment has come.
    Until {
        /// Name of the moment.
        moment: String,
        /// Where it may not come: then the cap passes and the moment stays missing.
        optional: bool,
    },
    /// The real kubectl in the scenario's namespace.
    Kubectl {
        /// Its arguments, split as a shell splits them, with placeholders (`observe::fill`).
        args: Vec<String>,
        /// What it reads on standard input, with placeholders.
        stdin: Option<String>,
        /// Goes on beside the next steps until `stop` or the scenario's end.
        background: bool,
        /// Run it as a user without privileges where the runner has some.
        ordinary_user: bool,
    },
    /// A container of the agent's image beside the nodes, in no cluster (capability `outside`).
    Outside {
        /// Its name, for placeholders, and in stamps that of the pod.
        container: String,
        /// What it runs, split as a shell splits it, with placeholders.
        args: Vec<String>,
    },
    /// A command on the node that a pod is on (capability `node-shell`).
    Node {
        /// Whose node.
        pod: String,
        /// The command, split as a shell splits it, with placeholders; without a name they mean
        /// this pod.
        args: Vec<String>,
    },
    /// Lets everything go that holds, or will hold, under this name.
    Release {
        /// The hold's name.
        hold: String,
        /// Only holders in this pod.
        pod: Option<String>,
        /// Only in this container.
        container: Option<String>,
        /// Only in this start of the container.
        start: Option<u32>,
    },
    /// Ends a background step and keeps what it printed.
    Stop {
        /// Its `as` name.
        name: String,
    },
    /// Waits until a background step has ended by itself.
    Ended {
        /// Its `as` name.
        name: String,
    },
    /// HTTP GET to a port that a background `kubectl port-forward` printed.
    Http {
        /// `as` name of the port-forward step.
        through: String,
        /// Path.
        path: String,
    },
    /// Reads an object through the API and keeps it.
    Get {
        /// `pod/NAME`, `node/NAME` …
        object: String,
    },
    /// Time that a claim is about. Not for waiting.
    Pause {
        /// How long.
        time: Duration,
        /// Why time itself is needed.
        because: String,
    },
}

/// A point of the timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Where it stands.
    pub place: Place,
    /// Which entries qualify.
    pub matches: Matches,
    /// Which of them, from 1; 0 for the last one.
    pub nth: u32,
}

/// Which entries of the timeline a moment is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Matches {
    /// Stamps of the agent.
    Agent {
        /// Role.
        role: String,
        /// Stamp's name.
        stamp: String,
        /// Pod; any where none. A trailing `*` matches the rest.
        pod: Option<String>,
        /// Container; any where none.
        container: Option<String>,
        /// Start of the container; any where none.
        start: Option<u32>,
        /// CEL over `stamp` (the whole entry); true where none.
        when: Option<String>,
    },
    /// Pod states for which a CEL expression over `pod` (the object), `status` (its status) and
    /// `deleted` (whether it's gone) is true.
    Pod {
        /// Pod name; a trailing `*` matches the rest.
        pod: String,
        /// The expression.
        when: String,
    },
    /// Events.
    Event {
        /// Reason.
        reason: String,
        /// Pod name; any where none. A trailing `*` matches the rest.
        pod: Option<String>,
        /// CEL over `event` (the whole entry); true where none.
        when: Option<String>,
    },
    /// Lines that a background step printed.
    Line {
        /// The step's `as` name.
        output: String,
        /// Text that the line contains.
        contains: String,
    },
}

/// One statement and how it is decided.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Such as `kubectl.logs-refused-during-hook`.
    pub id: String,
    /// Where it stands.
    pub place: Place,
    /// The statement in our own words.
    pub says: String,
    /// What is true instead, shown where it is refuted or qualified.
    pub instead: Option<String>,
    /// Which documents say it and where.
    pub cites: Vec<Citation>,
    /// The predictions. Empty only with `not_testable`.
    pub checks: Vec<Check>,
    /// Values worth showing, as CEL expressions by name.
    pub measures: BTreeMap<String, Expression>,
    /// The verdicts that are known.
    pub expect: Vec<Expectation>,
    /// Why no experiment can decide it.
    pub not_testable: Option<String>,
}

/// One prediction of a claim.
#[derive(Debug, Clone)]
pub struct Check {
    /// Name, unique within the claim; `check` where there is only one.
    pub name: String,
    /// Where the check applies.
    pub needs: Needs,
    /// Must be true before either of the others counts.
    pub control: Expression,
    /// What is so if the statement is true.
    pub holds: Expression,
    /// What is so if the statement is false.
    pub fails: Expression,
}

/// A CEL expression and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// The text.
    pub text: String,
    /// Where it begins.
    pub place: Place,
}

/// A document, lines of it, and their digest so that a changed text is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Citation {
    /// The document's file name.
    pub document: String,
    /// Line ranges as written: `64`, `78-79`, `64,79`.
    pub lines: String,
    /// First 12 hex digits of the SHA-256 of those lines.
    pub digest: Option<String>,
}

/// A verdict that is known for a range of versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Where it applies; everywhere where empty.
    pub needs: Needs,
    /// The verdict.
    pub verdict: Verdict,
}

/// What was found about a claim.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every check that applies holds.
    Confirmed,
    /// Every check that applies fails.
    Refuted,
    /// Some hold, some fail: the checks show the condition.
    Qualified,
    /// The evidence decides nothing: a control not met, a moment missing, both or neither true.
    Inconclusive,
    /// This version, gate or cluster has nothing to try it on.
    NotApplicable,
    /// No experiment can decide it.
    NotTestable,
}

impl Verdict {
    /// As written in suites and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Refuted => "refuted",
            Self::Qualified => "qualified",
            Self::Inconclusive => "inconclusive",
            Self::NotApplicable => "not-applicable",
            Self::NotTestable => "not-testable",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
