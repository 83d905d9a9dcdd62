//! Selection of claims and scenarios for a run.

use std::collections::BTreeSet;

use crate::catalogue::model::{Catalogue, Claim};
use crate::judge::judgement::Judgement;
use crate::report::results::ClaimInfo;

/// The selected claims and the scenarios that test them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub claims: BTreeSet<String>,
    /// Scenario ids, in the catalogue's order.
    pub scenarios: Vec<String>,
}

/// One of several parts of a run, such as `2/3`, for parallel machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Starts at 1.
    pub index: usize,
    pub count: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid shard `{0}`: expected `INDEX/COUNT`, for example `1/3`")]
pub struct ShardError(String);

impl std::str::FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ShardError(text.to_owned());
        let (index, count) = text.split_once('/').ok_or_else(error)?;
        let index: usize = index.parse().map_err(|_| error())?;
        let count: usize = count.parse().map_err(|_| error())?;
        if index == 0 || index > count {
            return Err(error());
        }
        Ok(Self { index, count })
    }
}

impl Plan {
    /// The plan for the selected claims. A shard takes every n-th scenario, so that all shards together
    /// run each scenario once.
    #[must_use]
    pub fn new(catalogue: &Catalogue, claims: &BTreeSet<String>, shard: Option<Shard>) -> Self {
        let scenarios: Vec<String> = catalogue
            .scenarios
            .values()
            .filter(|scenario| {
                scenario
                    .claims
                    .iter()
                    .any(|claim| claims.contains(&claim.id))
            })
            .map(|scenario| scenario.id.clone())
            .enumerate()
            .filter(|(n, _)| shard.is_none_or(|shard| n % shard.count == shard.index - 1))
            .map(|(_, id)| id)
            .collect();
        let of_scenarios = scenarios
            .iter()
            .filter_map(|id| catalogue.scenarios.get(id))
            .flat_map(|scenario| &scenario.claims);
        // Untestable claims need no cluster; the first shard reports them.
        let untestable = catalogue
            .untestable
            .iter()
            .filter(|_| shard.is_none_or(|shard| shard.index == 1));
        let kept = of_scenarios
            .chain(untestable)
            .map(|claim| claim.id.clone())
            .filter(|id| claims.contains(id))
            .collect();
        Self {
            claims: kept,
            scenarios,
        }
    }

    /// Whether any of the scenarios requires a capability.
    #[must_use]
    pub fn needs(&self, catalogue: &Catalogue, capability: &str) -> bool {
        let scenarios = self.scenarios.iter();
        scenarios
            .filter_map(|id| catalogue.scenarios.get(id))
            .any(|scenario| scenario.needs.capabilities.iter().any(|n| n == capability))
    }

    /// The judgements on selected claims.
    #[must_use]
    pub fn wanted(&self, judgements: Vec<Judgement>) -> Vec<Judgement> {
        judgements
            .into_iter()
            .filter(|j| self.claims.contains(&j.claim))
            .collect()
    }

    /// The selected claims, for reports.
    #[must_use]
    pub fn infos(&self, catalogue: &Catalogue) -> Vec<ClaimInfo> {
        let of_scenarios = catalogue.scenarios.values().flat_map(|scenario| {
            scenario
                .claims
                .iter()
                .map(|c| (c, Some(scenario.id.clone())))
        });
        let untestable = catalogue.untestable.iter().map(|claim| (claim, None));
        of_scenarios
            .chain(untestable)
            .filter(|(claim, _)| self.claims.contains(&claim.id))
            .map(|(claim, scenario)| info(claim, scenario))
            .collect()
    }
}

fn info(claim: &Claim, scenario: Option<String>) -> ClaimInfo {
    ClaimInfo {
        id: claim.id.clone(),
        says: claim.says.clone(),
        instead: claim.instead.clone(),
        cites: claim.cites.clone(),
        scenario,
    }
}

#[cfg(test)]
mod tests {
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
}
