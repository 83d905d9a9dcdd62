//! Puts the columns of several results folders next to each other, such as those of CI jobs.

use camino::Utf8Path;

use super::error::ReportError;
use super::output::resolve;
use super::results::{ClaimInfo, ClusterResults, Results};
use super::text::count;
use super::view::{labels, number, shards};
use crate::catalogue::model::Account;
use crate::evidence::ClusterFacts;
use crate::file::{limit, read, stays_inside, write_private};
use crate::observe::store;

/// Makes the keys of all columns unique.
pub fn rekey<'a>(parts: impl Iterator<Item = &'a mut Results>) {
    let columns: Vec<_> = parts.flat_map(|part| &mut part.clusters).collect();
    let keys = number(columns.iter().map(|c| c.key.clone()).collect(), "-");
    for (column, key) in columns.into_iter().zip(keys) {
        column.key = key;
    }
}

/// Copies the evidence of all columns into another folder, below the columns' keys. Returns notes on
/// evidence that is missing.
pub fn gather(
    results: &mut Results,
    from: &Utf8Path,
    into: &Utf8Path,
) -> Result<Vec<String>, ReportError> {
    let mut notes = Vec::new();
    for ClusterResults { key, scenarios, .. } in &mut results.clusters {
        for scenario in scenarios {
            let id = &scenario.scenario;
            let earlier = scenario.earlier.iter_mut();
            let earlier = earlier.map(|attempt| (Some(attempt.attempt), &mut attempt.evidence));
            for (attempt, file) in earlier.chain([(None, &mut scenario.evidence)]) {
                let goal = format!("evidence/{key}/{}", store::file_name(id, attempt));
                let Some(path) = file.take() else { continue };
                let path_in = from.join(&path);
                if !path_in.exists() {
                    notes.push(format!("evidence {path_in} is missing"));
                    continue;
                }
                if !stays_inside(Utf8Path::new(&goal)) {
                    let (path, folder) = (goal.into(), from.to_owned());
                    return Err(ReportError::Outside { path, folder });
                }
                let content = read(&resolve(from, &path)?, limit::EVIDENCE);
                let content = content.map_err(ReportError::read(&path_in))?;
                write_private(&into.join(&goal), &content)?;
                *file = Some(goal);
            }
        }
    }
    Ok(notes)
}

/// Puts the columns of all results next to each other, with notes on what the reader should know;
/// `None` if there are none. Only shards of a run become one column.
pub fn merge(parts: Vec<Results>) -> Option<(Results, Vec<String>)> {
    let mut parts = parts.into_iter();
    let mut merged = parts.next()?;
    for column in std::mem::take(&mut merged.clusters) {
        add(&mut merged.clusters, column);
    }
    let mut notes = Vec::new();
    for part in parts {
        let differs = |known: &ClaimInfo| {
            let other = merged.claims.iter().find(|other| other.id == known.id);
            other.is_some_and(|other| other != known)
        };
        let mut columns = part.clusters;
        for column in &mut columns {
            let own = part.claims.iter().map(|claim| column.text(claim));
            column.texts = own.filter(|own| differs(own)).cloned().collect();
        }
        let differing = part.claims.iter().filter(|claim| differs(claim)).count();
        if differing > 0 {
            let (run, known, claims) = (&part.run, &merged.run, count(differing, "claim"));
            notes.push(format!(
                "run {run} has other texts of {claims}; \
                 the report shows the texts of run {known}, `hookproof diff` shows both"
            ));
        }
        let new = |claim: &ClaimInfo| merged.claims.iter().all(|c| c.id != claim.id);
        let new: Vec<_> = part.claims.into_iter().filter(new).collect();
        merged.claims.extend(new);
        let new = |account: &Account| !merged.accounts.contains(account);
        let new: Vec<_> = part.accounts.into_iter().filter(new).collect();
        merged.accounts.extend(new);
        merged.run = format!("{}, {}", merged.run, part.run);
        merged.began = merged.began.min(part.began);
        merged.ended = merged.ended.zip(part.ended).map(|(a, b)| a.max(b));
        for column in columns {
            add(&mut merged.clusters, column);
        }
    }
    let named = merged.clusters.iter().zip(labels(&merged.clusters));
    notes.extend(named.filter_map(|(column, label)| {
        let part = shards(column)?;
        Some(format!(
            "{label} contains only {part}; shards are joined if they have the same --label and equal clusters"
        ))
    }));
    Some((merged, notes))
}

/// Adds a column, or joins it with another shard of its run.
fn add(columns: &mut Vec<ClusterResults>, new: ClusterResults) {
    let Some(known) = columns.iter_mut().find(|known| is_shard_of(known, &new)) else {
        columns.push(new);
        return;
    };
    let (run, other) = (&mut known.run, new.run);
    run.id = format!("{}, {}", run.id, other.id);
    run.began = run.began.min(other.began);
    run.ended = run.ended.zip(other.ended).map(|(a, b)| a.max(b));
    run.claims.extend(other.claims);
    if let (Some(shards), Some(others)) = (&mut run.shards, other.shards) {
        shards.parts.extend(others.parts);
        if shards.parts.len() == shards.of {
            run.shards = None;
        }
    }
    known.phases.extend(new.phases);
    known.scenarios.extend(new.scenarios);
    known.judgements.extend(new.judgements);
    known.texts.extend(new.texts);
}

/// Whether two columns are disjoint shards of one run: same label, round and version of hookproof, equal
/// clusters, and no scenario or claim in common.
fn is_shard_of(a: &ClusterResults, b: &ClusterResults) -> bool {
    let (Some(one), Some(other)) = (&a.run.shards, &b.run.shards) else {
        return false;
    };
    let facts = |column: &ClusterResults| ClusterFacts {
        clock_offset: 0.0,
        ..column.facts.clone()
    };
    let ran = |id: &String| a.scenarios.iter().any(|ran| ran.scenario == *id);
    a.label.is_some()
        && (&a.label, a.run.round, &a.run.hookproof) == (&b.label, b.run.round, &b.run.hookproof)
        && one.of == other.of
        && one.parts.is_disjoint(&other.parts)
        && a.run.claims.is_disjoint(&b.run.claims)
        && !b.scenarios.iter().any(|other| ran(&other.scenario))
        && facts(a) == facts(b)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::fixture::folder;
    use crate::report::fixture;
    use crate::report::results::{Run, Shards};

    /// Results with the given columns of the fixture, of a run with this id.
    fn part(id: &str, keep: impl Fn(usize) -> bool) -> Results {
        let mut results = fixture::results();
        let mut at = 0..;
        results.clusters.retain(|_| keep(at.next().unwrap()));
        results.run = id.to_owned();
        for column in &mut results.clusters {
            column.run.id = id.to_owned();
            for judgement in &mut column.judgements {
                judgement.reason = format!("{id}: {}", judgement.reason);
            }
        }
        results
    }

    /// A shard of the fixture's first column.
    fn shard(index: usize, label: Option<&str>) -> Results {
        let mut results = part(&format!("s{index}"), |at| at == 0);
        let column = &mut results.clusters[0];
        let mine = |n: usize| n % 2 == index - 1;
        let mut at = 0..;
        column.scenarios.retain(|_| mine(at.next().unwrap()));
        let ran = column.scenarios.iter();
        let ran: BTreeSet<_> = ran.map(|s| s.scenario.clone()).collect();
        let is_mine = |scenario: &Option<String>| match scenario {
            Some(scenario) => ran.contains(scenario),
            None => index == 1,
        };
        column.judgements.retain(|j| is_mine(&j.scenario));
        results.claims.retain(|claim| is_mine(&claim.scenario));
        column.label = label.map(str::to_owned);
        column.run = Run {
            shards: Some(Shards {
                parts: [index].into(),
                of: 2,
            }),
            claims: results.claims.iter().map(|c| c.id.clone()).collect(),
            ..column.run.clone()
        };
        results
    }

    #[test]
    fn two_runs_of_one_cluster_are_two_columns() {
        let (one, two) = (part("one", |at| at == 0), part("two", |at| at == 0));
        let mut both = [one.clone(), two.clone()];
        rekey(both.iter_mut());
        let (merged, notes) = merge(both.into()).unwrap();
        assert_eq!(notes, Vec::<String>::new());
        for (found, part) in merged.clusters.iter().zip([&one, &two]) {
            let expected = ClusterResults {
                key: found.key.clone(),
                ..part.clusters[0].clone()
            };
            assert_eq!(*found, expected);
        }
        assert_eq!(labels(&merged.clusters), ["1.35 one", "1.35 two"]);
        let keys: Vec<_> = merged.clusters.iter().map(|c| c.key.as_str()).collect();
        assert_eq!(keys, ["1.35-default", "1.35-default-2"]);
    }

    #[test]
    fn a_claim_keeps_the_text_of_each_run() {
        let (one, mut two) = (part("one", |_| true), part("two", |_| true));
        two.claims[0].says = "Something else.".to_owned();
        let (merged, notes) = merge(vec![one.clone(), two.clone()]).unwrap();
        assert_eq!(notes.len(), 1);
        let texts = merged
            .clusters
            .iter()
            .map(|column| column.text(&merged.claims[0]));
        let (one, two) = (&one.claims[0], &two.claims[0]);
        assert_eq!(texts.collect::<Vec<_>>(), [one, one, two, two]);
    }

    #[test]
    fn shards_with_a_label_become_one_column() {
        let whole = part("s", |at| at == 0);
        let (merged, notes) = merge(vec![shard(1, Some("x")), shard(2, Some("x"))]).unwrap();
        assert_eq!(notes, Vec::<String>::new());
        let [column] = merged.clusters.as_slice() else {
            panic!("{:?}", labels(&merged.clusters));
        };
        assert_eq!(column.run.shards, None);
        assert_eq!(column.run.claims.len(), whole.claims.len());
        assert_eq!(column.judgements.len(), whole.clusters[0].judgements.len());
        assert_eq!(column.scenarios.len(), whole.clusters[0].scenarios.len());
    }

    #[rstest]
    #[case::without_label(shard(1, None), shard(2, None))]
    #[case::other_label(shard(1, Some("x")), shard(2, Some("y")))]
    #[case::same_shard(shard(1, Some("x")), shard(1, Some("x")))]
    #[case::other_cluster(shard(1, Some("x")), {
        let mut other = shard(2, Some("x"));
        other.clusters[0].facts.nodes = 7;
        other
    })]
    fn other_shards_stay_separate(#[case] one: Results, #[case] two: Results) {
        let (merged, notes) = merge(vec![one, two]).unwrap();
        assert_eq!(merged.clusters.len(), 2);
        assert_eq!(notes.len(), 2, "{notes:?}");
    }

    #[test]
    fn evidence_of_equal_paths_is_kept_apart() {
        let (_keep, into) = folder();
        let mut parts = [part("one", |at| at == 0), part("two", |at| at == 0)];
        rekey(parts.iter_mut());
        for part in &mut parts {
            gather(part, &fixture::folder(), &into).unwrap();
        }
        let found = parts.map(|part| part.clusters[0].scenarios[0].evidence.clone().unwrap());
        let columns = ["1.35-default", "1.35-default-2"];
        let expected = columns.map(|key| format!("evidence/{key}/poststart/failing-hook.json"));
        assert_eq!(found, expected);
        assert!(found.iter().all(|path| into.join(path).is_file()));
    }

    #[test]
    fn scenario_ids_do_not_lead_out_of_the_folder() {
        let (_keep, into) = folder();
        let mut part = part("one", |at| at == 0);
        part.clusters[0].scenarios[0].scenario = "../../x".to_owned();
        let refused = gather(&mut part, &fixture::folder(), &into);
        assert!(matches!(refused, Err(ReportError::Outside { .. })));
    }

    proptest! {
        #[test]
        fn every_judgement_is_kept_once(
            columns in prop::collection::vec((0_usize..3, any::<bool>()), 1..5),
        ) {
            let parts: Vec<Results> = columns.iter().enumerate().map(|(n, (column, labelled))| {
                let id = format!("r{n}");
                let mut part = match column {
                    2 => shard(n % 2 + 1, labelled.then_some("x")),
                    column => part(&id, |at| at == *column),
                };
                for judgement in part.clusters.iter_mut().flat_map(|c| &mut c.judgements) {
                    judgement.reason = format!("{id}: {}", judgement.reason);
                }
                part
            }).collect();
            let judgements = |parts: &[Results]| {
                let mut found = BTreeMap::new();
                for judgement in parts.iter().flat_map(|p| &p.clusters).flat_map(|c| &c.judgements) {
                    *found.entry((judgement.claim.clone(), judgement.reason.clone())).or_insert(0) += 1;
                }
                found
            };
            let before = judgements(&parts);
            let (merged, _) = merge(parts).unwrap();
            prop_assert_eq!(judgements(std::slice::from_ref(&merged)), before);
            for column in &merged.clusters {
                let claims: BTreeSet<_> = column.judgements.iter().map(|j| &j.claim).collect();
                prop_assert_eq!(claims.len(), column.judgements.len());
            }
            let labels: BTreeSet<_> = labels(&merged.clusters).into_iter().collect();
            prop_assert_eq!(labels.len(), merged.clusters.len());
        }
    }
}
