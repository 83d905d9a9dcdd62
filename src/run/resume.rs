//! Scenarios that an interrupted run finished: their evidence is kept, and judged again.

use camino::Utf8Path;
use serde_json::Value;

use crate::catalogue::model::Scenario;
use crate::evidence::{ClusterFacts, Evidence};
use crate::judge::judgement::Judgement;
use crate::judge::verdict::judge;
use crate::observe::store::{self, StoreError};
use crate::report::results::{EarlierAttempt, ScenarioResults};

/// A scenario with evidence that needs no further attempt.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) scenario: ScenarioResults,
    pub(super) judgements: Vec<Judgement>,
}

/// Where evidence of a column is, and what it must match.
pub(super) struct Earlier<'a> {
    /// The results folder.
    pub(super) out: &'a Utf8Path,
    /// The column's folder in it.
    pub(super) column: String,
    pub(super) facts: &'a ClusterFacts,
    /// Capabilities that the user allows; evidence has only those that its scenario may use.
    pub(super) allowed: &'a [String],
    /// Maximum attempts at a scenario.
    pub(super) attempts: u32,
}

impl Earlier<'_> {
    /// The scenario's results if an earlier run finished it, `None` if it has no evidence, or why it must be repeated.
    pub(super) fn find(&self, scenario: &Scenario) -> Result<Option<Finished>, String> {
        let (path, evidence) = match self.read(scenario, None) {
            Ok(found) => found,
            Err(StoreError::Read { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error.to_string()),
        };
        if evidence.scenario_digest != scenario.digest {
            return Err("its steps or manifests have changed".to_owned());
        }
        if let Some(difference) =
            difference(&evidence.cluster, &scenario.facts(self.facts, self.allowed))
        {
            return Err(format!("the cluster has changed: {difference}"));
        }
        let judgements = judge(scenario, &evidence)
            .map_err(|error| error.to_string())?
            .judgements;
        if evidence.attempt < self.attempts && judgements.iter().any(Judgement::is_unexpected) {
            return Err(format!(
                "attempt {} had an unexpected verdict",
                evidence.attempt
            ));
        }
        let earlier = (1..evidence.attempt).filter_map(|attempt| {
            let (path, evidence) = self.read(scenario, Some(attempt)).ok()?;
            let judged = judge(scenario, &evidence).map(|judged| judged.judgements);
            Some(EarlierAttempt::new(
                &evidence,
                &judged.unwrap_or_default(),
                Some(path),
            ))
        });
        Ok(Some(Finished {
            scenario: ScenarioResults::new(scenario, &evidence, earlier.collect(), Some(path)),
            judgements,
        }))
    }

    /// Evidence with its path in the results folder.
    fn read(
        &self,
        scenario: &Scenario,
        attempt: Option<u32>,
    ) -> Result<(String, Evidence), StoreError> {
        let name = store::file_name(&scenario.id, attempt);
        let path = format!("evidence/{}/{name}", self.column);
        let evidence = store::read(&self.out.join(&path))?;
        Ok((path, evidence))
    }
}

/// The first fact that differs.
fn difference(before: &ClusterFacts, now: &ClusterFacts) -> Option<String> {
    let facts = |facts: &ClusterFacts| {
        let facts = ClusterFacts {
            clock_offset: 0.0,
            ..facts.clone()
        };
        serde_json::to_value(facts).unwrap_or_default()
    };
    let (before, now) = (facts(before), facts(now));
    let names = [&before, &now].map(|facts| {
        facts
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
    });
    let name = names
        .into_iter()
        .flatten()
        .find(|name| before.get(name) != now.get(name))?;
    let shown = |facts: &Value| {
        facts
            .get(name)
            .map_or_else(|| "absent".to_owned(), Value::to_string)
    };
    Some(format!("{name} was {}, is {}", shown(&before), shown(&now)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_first_fact_that_differs_is_named() {
        let before = ClusterFacts {
            kubernetes: "v1.36.3".to_owned(),
            clock_offset: 1.0,
            ..ClusterFacts::default()
        };
        assert_eq!(
            difference(
                &before,
                &ClusterFacts {
                    clock_offset: 2.0,
                    ..before.clone()
                }
            ),
            None
        );
        let now = ClusterFacts {
            kubernetes: "v1.37.2".to_owned(),
            ..before.clone()
        };
        assert_eq!(
            difference(&before, &now).unwrap(),
            r#"kubernetes was "v1.36.3", is "v1.37.2""#
        );
        let mut now = before.clone();
        now.gates_seen.insert("A".to_owned(), true);
        assert_eq!(
            difference(&before, &now).unwrap(),
            r#"gates_seen was absent, is {"A":true}"#
        );
    }
}
