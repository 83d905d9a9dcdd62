//! Merges several results folders, such as those of CI jobs.

use std::collections::BTreeSet;
use std::fs;

use camino::{Utf8Path, Utf8PathBuf};

use super::error::ReportError;
use super::results::{ClusterResults, Results, ScenarioResults};
use super::text::one_line;
use crate::file::{stays_inside, write_atomic};

#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// Every claim and every cluster occurs once.
    pub results: Results,
    /// Conflicts: scenarios that ran twice, claims that differ.
    pub notes: Vec<String>,
}

/// Copies the evidence of results into another folder and updates its paths. `taken` keeps file
/// names from different folders unique.
///
/// # Errors
/// A file cannot be written. Missing evidence is not an error: the report notes it.
pub fn gather(
    results: &mut Results,
    from: &Utf8Path,
    into: &Utf8Path,
    taken: &mut BTreeSet<Utf8PathBuf>,
) -> Result<(), ReportError> {
    for cluster in &mut results.clusters {
        for scenario in &mut cluster.scenarios {
            let Some(path) = scenario.evidence.as_deref().map(Utf8Path::new) else {
                continue;
            };
            if !stays_inside(path) {
                scenario.evidence = None;
                continue;
            }
            let mut goal = path.to_owned();
            let mut number = 2;
            while !taken.insert(goal.clone()) {
                goal = Utf8Path::new("evidence")
                    .join(number.to_string())
                    .join(path);
                number += 1;
            }
            if let Ok(content) = fs::read(from.join(path)) {
                write_atomic(&into.join(&goal), &content)?;
            }
            scenario.evidence = Some(goal.into_string());
        }
    }
    Ok(())
}

/// Merges results; `None` if there are none.
#[must_use]
pub fn merge(parts: Vec<Results>) -> Option<Merged> {
    let mut parts = parts.into_iter();
    let mut merged = Merged {
        results: parts.next()?,
        notes: Vec::new(),
    };
    for part in parts {
        merged.add(part);
    }
    Some(merged)
}

impl Merged {
    fn add(&mut self, part: Results) {
        let Results {
            schema: _,
            hookproof,
            run,
            began,
            ended,
            claims,
            clusters,
        } = part;
        if hookproof != self.results.hookproof {
            self.notes.push(format!(
                "run {run} used hookproof {hookproof}, the others used {}",
                self.results.hookproof
            ));
        }
        if !self.results.run.split(", ").any(|known| known == run) {
            self.results.run = format!("{}, {run}", self.results.run);
        }
        self.results.began = self.results.began.min(began);
        self.results.ended = match (self.results.ended, ended) {
            (Some(one), Some(other)) => Some(one.max(other)),
            _ => None,
        };
        for claim in claims {
            match self
                .results
                .claims
                .iter()
                .find(|known| known.id == claim.id)
            {
                None => self.results.claims.push(claim),
                Some(known) if *known == claim => {}
                Some(known) => self.notes.push(format!(
                    "claim {} differs in run {run}; the report shows \"{}\"",
                    claim.id,
                    one_line(&known.says)
                )),
            }
        }
        for cluster in clusters {
            self.add_cluster(cluster);
        }
    }

    fn add_cluster(&mut self, part: ClusterResults) {
        let same = |known: &&mut ClusterResults| {
            let (a, b) = (&known.facts, &part.facts);
            (&a.name, &a.profile, &a.kubernetes, &a.node_image)
                == (&b.name, &b.profile, &b.kubernetes, &b.node_image)
        };
        let Some(known) = self.results.clusters.iter_mut().find(same) else {
            self.results.clusters.push(part);
            return;
        };
        let ClusterResults {
            facts: _,
            phases,
            scenarios,
            judgements,
        } = part;
        for phase in phases {
            match known
                .phases
                .iter_mut()
                .find(|other| other.name == phase.name)
            {
                None => known.phases.push(phase),
                // A failure takes precedence.
                Some(other) if other.error.is_none() && phase.error.is_some() => *other = phase,
                Some(_) => {}
            }
        }
        let mut older: BTreeSet<String> = BTreeSet::new();
        for scenario in scenarios {
            let at = known
                .scenarios
                .iter()
                .position(|other| other.scenario == scenario.scenario);
            match at {
                None => known.scenarios.push(scenario),
                Some(at) => {
                    let other: &mut ScenarioResults = &mut known.scenarios[at];
                    self.notes.push(format!(
                        "{} ran twice on {}; the later run counts",
                        scenario.scenario, known.facts.name
                    ));
                    if scenario.began > other.began {
                        known.judgements.retain(|judgement| {
                            let replaced =
                                judgement.scenario.as_deref() == Some(&scenario.scenario);
                            let new = judgements.iter().find(|new| new.claim == judgement.claim);
                            if let Some(new) =
                                new.filter(|new| replaced && new.verdict != judgement.verdict)
                            {
                                self.notes.push(format!(
                                    "{} was {} and then {} on {}",
                                    judgement.claim,
                                    judgement.verdict,
                                    new.verdict,
                                    known.facts.name
                                ));
                            }
                            !replaced
                        });
                        *other = scenario;
                    } else {
                        older.insert(scenario.scenario);
                    }
                }
            }
        }
        for judgement in judgements {
            let old = judgement
                .scenario
                .as_ref()
                .is_some_and(|id| older.contains(id));
            let here = known
                .judgements
                .iter()
                .find(|other| other.claim == judgement.claim);
            match here {
                Some(here) if old && here.verdict != judgement.verdict => self.notes.push(format!(
                    "{} was {} and then {} on {}",
                    judgement.claim, judgement.verdict, here.verdict, known.facts.name
                )),
                None if !old => known.judgements.push(judgement),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::catalogue::model::Verdict;
    use crate::report::fixture;

    /// A part of the fixture, as a shard or a version.
    fn part(
        keep_cluster: impl Fn(usize) -> bool,
        keep_scenario: impl Fn(usize) -> bool,
    ) -> Results {
        let mut results = fixture::results();
        let mut at = 0..;
        results
            .clusters
            .retain(|_| keep_cluster(at.next().unwrap()));
        for cluster in &mut results.clusters {
            let mut at = 0..;
            cluster
                .scenarios
                .retain(|_| keep_scenario(at.next().unwrap()));
            let kept: Vec<_> = cluster
                .scenarios
                .iter()
                .map(|s| s.scenario.clone())
                .collect();
            cluster
                .judgements
                .retain(|j| j.scenario.as_ref().is_none_or(|id| kept.contains(id)));
        }
        results
    }

    #[test]
    fn versions_become_columns() {
        let merged = merge(vec![
            part(|at| at == 0, |_| true),
            part(|at| at == 1, |_| true),
        ])
        .unwrap();
        assert_eq!(merged.results, fixture::results());
        assert_eq!(merged.notes, Vec::<String>::new());
    }

    #[test]
    fn shards_become_one_cluster() {
        let merged = merge(vec![
            part(|_| true, |at| at % 2 == 0),
            part(|_| true, |at| at % 2 == 1),
        ])
        .unwrap();
        let expected = fixture::results();
        assert_eq!(merged.notes, Vec::<String>::new());
        for (found, expected) in merged.results.clusters.iter().zip(&expected.clusters) {
            assert_eq!(found.scenarios.len(), expected.scenarios.len());
            assert_eq!(found.judgements.len(), expected.judgements.len());
        }
    }

    #[test]
    fn reports_differing_verdicts_in_either_order() {
        let early = fixture::results();
        let mut late = early.clone();
        for cluster in &mut late.clusters {
            for scenario in &mut cluster.scenarios {
                scenario.began += jiff::SignedDuration::from_secs(60);
            }
            for judgement in cluster.judgements.iter_mut().take(1) {
                judgement.verdict = Verdict::Refuted;
            }
        }
        for parts in [
            vec![early.clone(), late.clone()],
            vec![late.clone(), early.clone()],
        ] {
            let merged = merge(parts).unwrap();
            let expected = "poststart.concurrent-with-entrypoint was confirmed and then refuted";
            assert_eq!(
                merged
                    .notes
                    .iter()
                    .filter(|note| note.starts_with(expected))
                    .count(),
                2
            );
            let first = |results: &Results| {
                let judgements = results.clusters.first().unwrap().judgements.iter();
                judgements
                    .map(|j| (j.claim.clone(), j.verdict))
                    .collect::<BTreeSet<_>>()
            };
            assert_eq!(first(&merged.results), first(&late));
        }
    }

    #[test]
    fn evidence_files_of_the_same_name_are_both_kept() {
        let keep = tempfile::tempdir().unwrap();
        let into = Utf8Path::from_path(keep.path()).unwrap();
        let mut taken = BTreeSet::new();
        let mut found = Vec::new();
        for _ in 0..2 {
            let mut results = part(|at| at == 0, |at| at == 0);
            gather(&mut results, &fixture::folder(), into, &mut taken).unwrap();
            let scenario = results
                .clusters
                .first()
                .unwrap()
                .scenarios
                .first()
                .unwrap()
                .clone();
            found.push(scenario.evidence.unwrap());
        }
        assert_eq!(
            found,
            [
                "evidence/1.35/poststart/failing-hook.json",
                "evidence/2/evidence/1.35/poststart/failing-hook.json"
            ]
        );
        assert!(found.iter().all(|path| into.join(path).is_file()));
    }
}
