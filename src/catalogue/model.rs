//! The catalogue after loading: checked, with defaults filled in, and with the place of each item in its file.
//! `suite::raw` describes what suites write.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::repeat;
use std::time::Duration;

use super::capability::GUARDED;
pub(crate) use super::finding::Place;
pub(crate) use super::manifest::Manifest;
pub(crate) use super::moment::{Matches, Moment};
pub(crate) use super::parse::VersionRange;
pub use super::parse::{Account, Citation, Verdict};
use super::pods::{Part, Pods};
use super::step::{Action, Step};
use crate::evidence::ClusterFacts;
use crate::expr::{Selector, names_read};

/// All scenarios and their claims.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    pub scenarios: BTreeMap<String, Scenario>,
    /// Claims that no experiment can decide.
    pub untestable: Vec<Claim>,
    /// Lines of documents that need no claim, with the place where a suite says so.
    pub(crate) accounts: Vec<(Place, Account)>,
}

impl Catalogue {
    /// All claims, with the scenario that tests each.
    pub(crate) fn claims(&self) -> impl Iterator<Item = (&Claim, Option<&Scenario>)> {
        let tested = self.scenarios.values();
        let tested = tested.flat_map(|scenario| scenario.claims.iter().zip(repeat(Some(scenario))));
        tested.chain(self.untestable.iter().zip(repeat(None)))
    }

    pub(super) fn claims_mut(&mut self) -> impl Iterator<Item = &mut Claim> {
        let tested = self.scenarios.values_mut();
        let tested = tested.flat_map(|scenario| &mut scenario.claims);
        tested.chain(&mut self.untestable)
    }

    pub(crate) fn testing(&self, claims: &BTreeSet<String>) -> impl Iterator<Item = &Scenario> {
        let scenarios = self.scenarios.values();
        scenarios.filter(|scenario| {
            let mut tested = scenario.claims.iter();
            tested.any(|claim| claims.contains(&claim.id))
        })
    }
}

/// An experiment on a cluster, and the claims that its evidence decides.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The suite file's path without `suites/` and `.yaml`, such as `poststart/slow-hook`.
    pub id: String,
    pub(crate) title: String,
    pub(crate) place: Place,
    /// Manifests by the path the suite gives, as YAML text. `apply` without a name takes the first.
    pub(crate) manifests: Vec<Manifest>,
    pub(crate) listings: BTreeMap<String, Citation>,
    pub needs: Needs,
    pub(crate) steps: Vec<Step>,
    pub(crate) pods: Pods,
    /// Declared moments, and the standard ones that steps and expressions name.
    pub(crate) moments: BTreeMap<String, Moment>,
    /// Pods and parts of pods that expressions name.
    pub(crate) selectors: BTreeMap<String, Selector>,
    /// Named values in the order written; each may use those before it.
    pub(crate) values: Vec<(String, Expression)>,
    pub(crate) takes: Duration,
    pub claims: Vec<Claim>,
    /// Digest of the experiment: see `catalogue::digest`.
    pub digest: String,
    /// It does what a built-in scenario does, and is granted what that declares.
    pub(crate) built_in: bool,
}

impl Scenario {
    /// Whether the scenario or one of its checks declares that it needs a capability.
    pub(crate) fn declares(&self, capability: &str) -> bool {
        let checks = self.claims.iter().flat_map(|claim| &claim.checks);
        let mut needs = checks.map(|check| &check.needs).chain([&self.needs]);
        needs.any(|needs| needs.capabilities.iter().any(|name| name == capability))
    }

    /// Whether the scenario may use a capability of [`GUARDED`]: it declares it, and is built in or `allowed` has it.
    pub(crate) fn may(&self, capability: &str, allowed: &[String]) -> bool {
        self.declares(capability)
            && (self.built_in || allowed.iter().any(|name| name == capability))
    }

    /// Why the scenario must not run: it needs something that is not allowed.
    pub(crate) fn denied(&self, allowed: &[String]) -> Option<String> {
        let needed = self.needs.capabilities.iter().map(String::as_str);
        let denied = needed
            .filter(|name| GUARDED.contains(name))
            .find(|name| !self.may(name, allowed))?;
        Some(format!("needs {denied}; pass --allow {denied}"))
    }

    /// The facts of a cluster without the capabilities that the scenario may not use.
    pub(crate) fn facts(&self, cluster: &ClusterFacts, allowed: &[String]) -> ClusterFacts {
        let mut facts = cluster.clone();
        facts
            .capabilities
            .retain(|name| !GUARDED.contains(&name.as_str()) || self.may(name, allowed));
        facts
    }

    pub(crate) fn awaited(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::Until { moment, .. } => Some(moment.as_str()),
            _ => None,
        })
    }

    /// The same scenario, with the standard moments and selectors that `texts` name as well.
    pub(crate) fn knowing<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut scenario = self.clone();
        scenario.refer_to(texts.into_iter().flat_map(names_read));
        scenario
    }

    /// Adds the standard moments and selectors with these names; a declared moment of the same name stays.
    pub(super) fn refer_to(&mut self, names: impl IntoIterator<Item = String>) {
        for name in names {
            match self.pods.resolve(&name) {
                Some(Ok(Part::Moment(matches, nth))) => {
                    let place = Place::default();
                    let standard = || Moment {
                        place,
                        matches,
                        nth,
                    };
                    self.moments.entry(name).or_insert_with(standard);
                }
                Some(Ok(Part::Selector(selector))) => {
                    self.selectors.insert(name, selector);
                }
                _ => {}
            }
        }
    }
}

/// Requirements of a scenario or a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    pub(crate) kubernetes: Option<VersionRange>,
    pub(crate) gates: BTreeMap<String, bool>,
    pub(crate) capabilities: Vec<String>,
}

/// A statement and how it is decided.
#[derive(Debug, Clone, Default)]
pub struct Claim {
    /// Such as `kubectl.logs-refused-during-hook`.
    pub id: String,
    pub(crate) place: Place,
    pub says: String,
    pub instead: Option<String>,
    pub cites: Vec<Citation>,
    /// Empty only with `not_testable`.
    pub(crate) checks: Vec<Check>,
    /// Values to report in addition to the named values that the checks use.
    pub(crate) measures: BTreeMap<String, Expression>,
    pub(crate) expect: Vec<Expectation>,
    pub not_testable: Option<String>,
}

impl Claim {
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let checks = self.checks.iter();
        let checks = checks.flat_map(|check| [&check.control, &check.holds, &check.fails]);
        checks.chain(self.measures.values())
    }
}

/// One prediction of a claim.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    /// Name, unique within the claim; `check` where there is only one.
    pub(crate) name: String,
    pub needs: Needs,
    pub(crate) control: Expression,
    pub(crate) holds: Expression,
    pub(crate) fails: Expression,
}

/// A CEL expression and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expression {
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// The known verdict on some clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expectation {
    /// The clusters; all if empty.
    pub needs: Needs,
    pub(crate) verdict: Verdict,
    pub(crate) place: Place,
    /// Where the verdict is written.
    pub(crate) verdict_place: Place,
}
