//! Selection of claims and scenarios for a run.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::catalogue::capability::{DOCUMENTS, LITERAL, PUBLISHED_IMAGES};
use crate::catalogue::model::{Account, Catalogue, Citation, Needs, Scenario};
use crate::evidence::ClusterFacts;
use crate::judge::judgement::Judgement;
use crate::report::event::{Planned, PlannedScenario};
use crate::report::results::{ClaimInfo, Results};
use crate::report::view::{Cell, State};

/// The selected claims and the scenarios that test them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) claims: BTreeSet<String>,
    /// Scenario ids, in the catalogue's order.
    pub(crate) scenarios: Vec<String>,
}

/// One of several parts of a run, such as `2/3`, for parallel machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Starts at 1.
    pub(crate) index: usize,
    pub(crate) count: usize,
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shard = text.split_once('/').and_then(|(index, count)| {
            let (index, count) = (index.parse().ok()?, count.parse().ok()?);
            (1..=count)
                .contains(&index)
                .then_some(Self { index, count })
        });
        shard.ok_or_else(|| {
            format!("invalid shard `{text}`: expected `INDEX/COUNT`, for example `1/3`")
        })
    }
}

/// Assigns scenarios to shards, or to parallel jobs: the longest first, each to the one with the least expected time so
/// far, so that all take about as long. `count` is at least 1. Returns the assignments, from 0, and the expected times.
fn balance(takes: &[Duration], count: usize) -> (Vec<usize>, Vec<Duration>) {
    let mut longest: Vec<usize> = (0..takes.len()).collect();
    longest.sort_by_key(|at| Reverse(takes[*at]));
    // Expected time and number of scenarios: ties go to the one with fewer, then to the first one.
    let mut loads = vec![(Duration::ZERO, 0_usize); count];
    let mut assigned = vec![0; takes.len()];
    for at in longest {
        let least = (0..count).min_by_key(|one| loads[*one]);
        assigned[at] = least.unwrap_or_default();
        let load = &mut loads[assigned[at]];
        *load = (load.0 + takes[at], load.1 + 1);
    }
    (assigned, loads.into_iter().map(|load| load.0).collect())
}

/// The claims with these ids, in the catalogue's order.
pub fn claims(catalogue: &Catalogue, ids: &BTreeSet<String>) -> Vec<ClaimInfo> {
    Plan::new(catalogue, ids, None).infos(catalogue)
}

impl Plan {
    /// The plan for the selected claims. All shards together run each scenario once.
    pub(crate) fn new(
        catalogue: &Catalogue,
        claims: &BTreeSet<String>,
        shard: Option<Shard>,
    ) -> Self {
        let mut scenarios: Vec<&Scenario> = catalogue.testing(claims).collect();
        if let Some(Shard { index, count }) = shard {
            let takes: Vec<_> = scenarios.iter().map(|scenario| scenario.takes).collect();
            let mut shards = balance(&takes, count).0.into_iter();
            scenarios.retain(|_| shards.next() == Some(index - 1));
        }
        let scenarios: Vec<String> = scenarios.into_iter().map(|s| s.id.clone()).collect();
        // Untestable claims need no cluster; the first shard reports them.
        let is_first = shard.is_none_or(|shard| shard.index == 1);
        let kept = catalogue
            .claims()
            .filter(|(_, tested)| tested.map_or(is_first, |by| scenarios.contains(&by.id)))
            .map(|(claim, _)| claim.id.clone())
            .filter(|id| claims.contains(id))
            .collect();
        Self {
            claims: kept,
            scenarios,
        }
    }

    /// The plan's scenarios.
    pub(crate) fn of<'a>(&'a self, catalogue: &'a Catalogue) -> impl Iterator<Item = &'a Scenario> {
        let scenarios = self.scenarios.iter();
        scenarios.filter_map(|id| catalogue.scenarios.get(id))
    }

    /// Whether any of the scenarios requires a capability.
    pub(crate) fn needs(&self, catalogue: &Catalogue, capability: &str) -> bool {
        self.of(catalogue)
            .any(|scenario| scenario.needs.capabilities.iter().any(|n| n == capability))
    }

    /// The judgements on selected claims.
    pub(crate) fn wanted(&self, judgements: Vec<Judgement>) -> Vec<Judgement> {
        judgements
            .into_iter()
            .filter(|j| self.claims.contains(&j.claim))
            .collect()
    }

    /// What would run on a cluster of which only `known` is known.
    pub(crate) fn forecast(
        &self,
        catalogue: &Catalogue,
        cluster: String,
        known: &ClusterFacts,
        jobs: usize,
    ) -> Planned {
        let (mut takes, mut scenarios) = (Vec::new(), Vec::new());
        for scenario in self.of(catalogue) {
            let denied = scenario.denied(&known.capabilities);
            let unmet = denied.or_else(|| certainly_unmet(&scenario.needs, known));
            if unmet.is_none() {
                takes.push(scenario.takes);
            }
            let claims = scenario.claims.iter().map(|claim| claim.id.clone());
            scenarios.push(PlannedScenario {
                scenario: scenario.id.clone(),
                claims: claims.filter(|id| self.claims.contains(id)).collect(),
                seconds: scenario.takes.as_secs_f64(),
                not_applicable: unmet,
            });
        }
        let (_, loads) = balance(&takes, jobs);
        Planned {
            cluster,
            seconds: loads.into_iter().max().unwrap_or_default().as_secs_f64(),
            scenarios,
        }
    }

    /// The selected claims, for reports.
    pub(crate) fn infos(&self, catalogue: &Catalogue) -> Vec<ClaimInfo> {
        let claims = catalogue.claims();
        let selected = claims.filter(|(claim, _)| self.claims.contains(&claim.id));
        let infos = selected.map(|(claim, scenario)| ClaimInfo {
            id: claim.id.clone(),
            says: claim.says.clone(),
            instead: claim.instead.clone(),
            cites: claim.cites.iter().map(Citation::without_place).collect(),
            scenario: scenario.map(|scenario| scenario.id.clone()),
        });
        infos.collect()
    }

    /// Lines of documents that the selected claims do not cite, for reports.
    pub(crate) fn accounts(&self, catalogue: &Catalogue) -> Vec<Account> {
        let claims = catalogue.claims();
        let others = claims.filter(|(claim, _)| !self.claims.contains(&claim.id));
        let cited = others.flat_map(|(claim, _)| {
            claim.cites.iter().map(|cites| Account {
                cites: cites.clone(),
                because: format!("cited by {}, which was not selected", claim.id),
                repeats: None,
            })
        });
        let accounts = catalogue.accounts.iter();
        let accounts = accounts.map(|(_, account)| account.clone()).chain(cited);
        let accounts = accounts.map(|account| Account {
            cites: account.cites.without_place(),
            ..account
        });
        accounts.collect()
    }
}

/// A requirement that the cluster does not meet, whatever else turns out about it.
fn certainly_unmet(needs: &Needs, known: &ClusterFacts) -> Option<String> {
    let by_arguments = [DOCUMENTS, LITERAL, PUBLISHED_IMAGES];
    let mut needs = needs.clone();
    needs.gates.retain(|gate, _| known.gates.contains_key(gate));
    needs
        .capabilities
        .retain(|name| by_arguments.contains(&name.as_str()));
    if known.kubernetes.is_empty() {
        needs.kubernetes = None;
    }
    needs.unmet(known)
}

/// The claims with an unexpected verdict or an error on any cluster.
pub(crate) fn failed(results: &Results) -> BTreeSet<String> {
    let failed = |info: &&ClaimInfo| {
        results.clusters.iter().any(|cluster| {
            let cell = Cell::of(cluster, info);
            cell.changed() || cell.state() == State::Error
        })
    };
    let claims = results.claims.iter().filter(failed);
    claims.map(|info| info.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1/3", Some((1, 3)))]
    #[case("3/3", Some((3, 3)))]
    #[case("0/3", None)]
    #[case("4/3", None)]
    #[case("x", None)]
    #[case("1/", None)]
    fn parses_shards(#[case] text: &str, #[case] shard: Option<(usize, usize)>) {
        let read: Option<Shard> = text.parse().ok();
        assert_eq!(read.map(|s| (s.index, s.count)), shard);
    }

    proptest! {
        #[test]
        fn shards_take_about_as_long(takes in vec(0..300_u64, 0..40), count in 1..6_usize) {
            let longest = takes.iter().max().copied().unwrap_or_default();
            let durations: Vec<_> = takes.iter().copied().map(Duration::from_secs).collect();
            let (shards, expected) = balance(&durations, count);
            let mut loads = vec![0; count];
            for (shard, takes) in shards.iter().zip(&takes) {
                loads[*shard] += takes;
            }
            prop_assert!(expected.iter().map(Duration::as_secs).eq(loads.iter().copied()));
            let (least, most) = (loads.iter().min(), loads.iter().max());
            prop_assert!(most.zip(least).is_none_or(|(most, least)| most - least <= longest), "{loads:?}");
        }
    }

    #[rstest]
    #[case(&[], 4, 0)]
    #[case(&[5, 1, 1, 1, 1, 1], 2, 5)]
    #[case(&[3, 3, 3], 1, 9)]
    #[case(&[3, 3, 3], 8, 3)]
    fn estimates_parallel_jobs(#[case] takes: &[u64], #[case] jobs: usize, #[case] seconds: u64) {
        let takes: Vec<_> = takes.iter().map(|n| Duration::from_secs(*n)).collect();
        let longest = balance(&takes, jobs).1.into_iter().max();
        assert_eq!(longest, Some(Duration::from_secs(seconds)));
    }

    #[rstest]
    #[case::version(Some("1.34.1"), None, Some("needs Kubernetes >=1.35, found 1.34.1"))]
    #[case::gate(Some("1.36.1"), Some(false), Some("needs the feature gate G on"))]
    #[case::allowed(
        Some("1.36.1"),
        Some(true),
        Some("needs literal, more time; pass --allow literal")
    )]
    #[case::unknown_cluster(None, None, Some("needs literal, more time; pass --allow literal"))]
    fn knows_what_does_not_apply(
        #[case] version: Option<&str>,
        #[case] gate: Option<bool>,
        #[case] unmet: Option<&str>,
    ) {
        let needs = Needs {
            kubernetes: crate::catalogue::parse::version_range(">=1.35").ok(),
            gates: [("G".to_owned(), true)].into(),
            capabilities: vec!["node-shell".to_owned(), LITERAL.to_owned()],
        };
        let mut known = ClusterFacts {
            kubernetes: version.unwrap_or_default().to_owned(),
            gates: gate.map(|on| ("G".to_owned(), on)).into_iter().collect(),
            ..ClusterFacts::default()
        };
        assert_eq!(certainly_unmet(&needs, &known).as_deref(), unmet);
        known = ClusterFacts {
            kubernetes: String::new(),
            capabilities: vec![LITERAL.to_owned()],
            ..ClusterFacts::default()
        };
        assert_eq!(certainly_unmet(&needs, &known), None);
    }
}
