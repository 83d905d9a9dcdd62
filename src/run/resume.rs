//! Scenarios that an interrupted run finished: their evidence is kept, and judged again.

use std::io;

use jiff::Timestamp;
use serde_json::Value;

use super::dispatch::Dispatch;
use crate::catalogue::model::Scenario;
use crate::evidence::{ClusterFacts, Evidence};
use crate::judge::judgement::Judgement;
use crate::judge::verdict::judge;
use crate::observe::session::Target;
use crate::observe::store::{self, StoreError};
use crate::report::event::RunEvent;
use crate::report::results::{EarlierAttempt, Phase, ScenarioResults};
use crate::report::text::count;

impl Dispatch {
    /// Reports the scenarios that an earlier run finished, and leaves the others.
    pub(super) fn resume(&self, scenarios: &mut Vec<Scenario>) {
        let (began, all) = (Timestamp::now(), scenarios.len());
        scenarios.retain(|scenario| match self.finished(scenario) {
            Ok(None) => true,
            Ok(Some((results, judgements))) => {
                self.ended(results, judgements);
                false
            }
            Err(why) => {
                let warning = format!("repeating {}: {why}", scenario.id);
                self.run.warn(warning);
                true
            }
        });
        let (kept, all) = (all - scenarios.len(), count(all, "scenario"));
        self.run.send(RunEvent::PhaseEnded {
            cluster: self.cluster.clone(),
            phase: Phase {
                name: "resume".to_owned(),
                began,
                seconds: Timestamp::now().duration_since(began).as_secs_f64(),
                error: None,
                note: format!("{kept} of {all} kept"),
            },
        });
    }

    /// The scenario's results if an earlier run finished it, `None` if it has no evidence, or why it must be repeated.
    fn finished(
        &self,
        scenario: &Scenario,
    ) -> Result<Option<(ScenarioResults, Vec<Judgement>)>, String> {
        let (path, evidence) = match self.read(scenario, None) {
            Ok(found) => found,
            Err(StoreError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error.to_string()),
        };
        if evidence.scenario_digest != scenario.digest {
            return Err("its steps or manifests have changed".to_owned());
        }
        // Evidence has only the capabilities that its scenario may use.
        let Target { facts, allowed, .. } = &self.session.target;
        let facts = scenario.facts(facts, allowed);
        if let Some(difference) = difference(&evidence.cluster, &facts) {
            return Err(format!("the cluster has changed: {difference}"));
        }
        let judged = judge(scenario, &evidence).map_err(|error| error.to_string())?;
        let attempt = evidence.attempt;
        let is_unexpected = judged.judgements.iter().any(Judgement::is_unexpected);
        if attempt < self.run.attempts && is_unexpected {
            return Err(format!("attempt {attempt} had an unexpected verdict"));
        }
        let earlier = (1..attempt).filter_map(|attempt| {
            let (path, evidence) = self.read(scenario, Some(attempt)).ok()?;
            let judged = judge(scenario, &evidence).map(|judged| judged.judgements);
            let judgements = judged.unwrap_or_default();
            Some(EarlierAttempt::new(&evidence, &judgements, Some(path)))
        });
        let results = ScenarioResults::new(scenario, &evidence, earlier.collect(), Some(path));
        Ok(Some((results, judged.judgements)))
    }

    /// Evidence with its path in the results folder.
    fn read(
        &self,
        scenario: &Scenario,
        earlier: Option<u32>,
    ) -> Result<(String, Evidence), StoreError> {
        let path = self.path(&scenario.id, earlier);
        let evidence = store::read(&self.run.out.join(&path))?;
        Ok((path, evidence))
    }
}

/// The first fact that differs.
fn difference(before: &ClusterFacts, now: &ClusterFacts) -> Option<String> {
    let [before, now] = [before, now].map(|facts| {
        let mut facts = facts.clone();
        facts.clock_offset = 0.0;
        serde_json::to_value(facts).unwrap_or_default()
    });
    let mut names = [&before, &now]
        .into_iter()
        .flat_map(|facts| facts.as_object().into_iter().flat_map(|facts| facts.keys()));
    let name = names.find(|name| before.get(name) != now.get(name))?;
    let shown = |facts: &Value| {
        let fact = facts.get(name);
        fact.map_or_else(|| "absent".to_owned(), Value::to_string)
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
