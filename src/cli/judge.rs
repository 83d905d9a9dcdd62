//! `hookproof judge DIR`.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use itertools::Itertools as _;

use crate::catalogue::model::{Catalogue, Scenario};
use crate::evidence::{ClusterFacts, Evidence};
use crate::judge::judgement::Judgement;
use crate::judge::verdict::{Unusable, judge as judge_one, not_applicable, untestable};
use crate::observe::store;
use crate::report::json::{RESULTS_FILE, read_results};
use crate::report::output::{Output, resolve};
use crate::report::results::{ClusterResults, EarlierAttempt, Results, SCHEMA, ScenarioResults};
use crate::run::plan::{Plan, claims};

use super::accept::accept;
use super::exit::{Exit, Failure};
use super::report::{Labels, publish};
use super::suites::{SuiteArgs, results_of};

/// Judge recorded evidence again, without a cluster
#[derive(Debug, clap::Args)]
pub(super) struct JudgeArgs {
    /// Results folders, or folders with evidence files [default: the results of the project]
    folders: Vec<Utf8PathBuf>,
    #[command(flatten)]
    suites: SuiteArgs,
    #[command(flatten)]
    labels: Labels,
    /// Write reports to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
    /// Write unexpected verdicts into your own suites as the expected ones
    #[arg(long)]
    accept: bool,
}

pub(super) fn judge(args: &JudgeArgs) -> Result<Exit, Failure> {
    let suites = args.suites.open()?;
    let catalogue = suites.load()?;
    let folders = results_of(&args.folders, &suites.project)?;
    let out = args.out.as_ref().map(|out| Output::new(out, &folders));
    let out = out.transpose().map_err(Failure::usage)?;
    let mut parts = Vec::new();
    for folder in folders {
        let again = Again {
            catalogue: &catalogue,
            folder: &folder,
        };
        let results = if folder.join(RESULTS_FILE).is_file() {
            again.results(read_results(&folder).map_err(Failure::usage)?)?
        } else {
            again.evidence()?
        };
        parts.push((folder, results));
    }
    args.labels.set(&mut parts)?;
    let (exit, results) = publish(parts, out, "./")?;
    if args.accept && accept(&suites, &catalogue, &results)? && exit == Exit::Changed {
        return Ok(Exit::AsExpected);
    }
    Ok(exit)
}

/// Judges the evidence of a folder again.
struct Again<'a> {
    catalogue: &'a Catalogue,
    folder: &'a Utf8Path,
}

impl Again<'_> {
    /// Replaces the verdicts of results. Everything else of the run stays.
    fn results(&self, mut results: Results) -> Result<Results, Failure> {
        let mut ids: BTreeSet<String> = results.claims.iter().map(|c| c.id.clone()).collect();
        for column in &mut results.clusters {
            self.column(column)?;
            column.texts.clear();
            ids.extend(column.judgements.iter().map(|j| j.claim.clone()));
        }
        let infos = claims(self.catalogue, &ids);
        for old in std::mem::replace(&mut results.claims, infos) {
            if results.claims.iter().all(|info| info.id != old.id) {
                note!("warning: {}: no suite defines {}", self.folder, old.id);
                results.claims.push(old);
            }
        }
        SCHEMA.clone_into(&mut results.schema);
        env!("CARGO_PKG_VERSION").clone_into(&mut results.hookproof);
        Ok(results)
    }

    fn column(&self, column: &mut ClusterResults) -> Result<(), Failure> {
        let mut judgements = untestable(self.catalogue);
        let mut scenarios = Vec::new();
        let mut observed = BTreeSet::new();
        for ran in std::mem::take(&mut column.scenarios) {
            let scenario = self.catalogue.scenarios.get(&ran.scenario).ok_or_else(|| {
                Failure::usage(format!(
                    "{} has evidence of {}, which no suite defines; pass its suite folder with --suites",
                    self.folder, ran.scenario
                ))
            })?;
            let Some(path) = &ran.evidence else {
                if !ran.problems.is_empty() || inapplicable(scenario, &column.facts).is_some() {
                    scenarios.push(ran);
                }
                continue;
            };
            if !self.folder.join(path).exists() {
                note!("warning: {}: evidence {path} is missing", self.folder);
                continue;
            }
            let evidence = self.read(path)?;
            let found = self.judge(scenario, &evidence)?;
            let ids = found.iter().map(|j| j.claim.clone());
            column.run.claims.extend(ids);
            judgements.extend(found);
            let earlier = ran.earlier.into_iter();
            let earlier = earlier.map(|attempt| self.attempt(scenario, attempt));
            scenarios.push(ScenarioResults::new(
                scenario,
                &evidence,
                earlier.collect::<Result<_, _>>()?,
                ran.evidence,
            ));
            observed.insert(&scenario.id);
        }
        // Facts are unknown if provisioning failed.
        if !column.facts.kubernetes.is_empty() {
            let others = self.catalogue.scenarios.values();
            let others = others.filter(|scenario| !observed.contains(&scenario.id));
            let others = others.filter_map(|scenario| inapplicable(scenario, &column.facts));
            judgements.extend(others.flatten());
        }
        judgements.retain(|j| column.run.claims.contains(&j.claim));
        column.judgements = judgements;
        column.scenarios = scenarios;
        Ok(())
    }

    fn read(&self, path: &str) -> Result<Evidence, Failure> {
        let file = resolve(self.folder, path).map_err(Failure::usage)?;
        store::read(&file).map_err(Failure::usage)
    }

    fn attempt(
        &self,
        scenario: &Scenario,
        attempt: EarlierAttempt,
    ) -> Result<EarlierAttempt, Failure> {
        let file = attempt.evidence.as_ref();
        let Some(path) = file.filter(|path| self.folder.join(path).exists()) else {
            return Ok(attempt);
        };
        let evidence = self.read(path)?;
        let found = self.judge(scenario, &evidence)?;
        Ok(EarlierAttempt::new(&evidence, &found, attempt.evidence))
    }

    /// The verdicts on a scenario's claims; none if the evidence has problems, which the results contain.
    fn judge(&self, scenario: &Scenario, evidence: &Evidence) -> Result<Vec<Judgement>, Failure> {
        match judge_one(scenario, evidence) {
            Ok(judged) => {
                for warning in judged.warnings {
                    note!("warning: {}: {warning}", self.folder);
                }
                Ok(judged.judgements)
            }
            Err(Unusable::Problems { .. }) => Ok(Vec::new()),
            Err(error) => Err(Failure::usage(format!("{}: {error}", self.folder))),
        }
    }

    /// Judges evidence without results: each cluster is a column, and each run if they overlap.
    fn evidence(&self) -> Result<Results, Failure> {
        let mut groups: BTreeMap<String, Vec<(String, Evidence)>> = BTreeMap::new();
        for file in store::files(self.folder).map_err(Failure::usage)? {
            // Earlier attempts are found with the last one, whose verdicts count.
            if store::is_earlier(&file) {
                continue;
            }
            let evidence = store::read(&file).map_err(Failure::usage)?;
            let path = file.strip_prefix(self.folder).unwrap_or(&file).to_string();
            let facts = &evidence.cluster;
            let group = format!(
                "{} {} {} {:?} {:?}",
                facts.kubernetes, facts.profile, facts.name, facts.gates, facts.container_runtimes
            );
            groups.entry(group).or_default().push((path, evidence));
        }
        let mut columns = Vec::new();
        for mut group in groups.into_values() {
            let overlap = !group.iter().map(|(_, found)| &found.scenario).all_unique();
            if overlap {
                group.sort_by(|(_, a), (_, b)| a.run.cmp(&b.run));
            }
            for run in group.chunk_by(|(_, a), (_, b)| !overlap || a.run == b.run) {
                columns.push(self.skeleton(run)?);
            }
        }
        let runs = columns.iter().map(|column| &column.run);
        let (Some(run), Some(began), Some(ended)) = (
            runs.clone().map(|run| run.id.clone()).next(),
            runs.clone().map(|run| run.began).min(),
            runs.map(|run| run.ended).max(),
        ) else {
            return Err(Failure::usage(format!(
                "no evidence found in {}; record some with `hookproof run`",
                self.folder
            )));
        };
        let all = self.catalogue.claims().map(|(claim, _)| claim.id.clone());
        let all: BTreeSet<String> = all.collect();
        for column in &mut columns {
            column.run.claims.clone_from(&all);
        }
        let plan = Plan::new(self.catalogue, &all, None);
        let mut results = self.results(Results {
            schema: String::new(),
            hookproof: String::new(),
            run,
            began,
            ended,
            claims: plan.infos(self.catalogue),
            accounts: plan.accounts(self.catalogue),
            clusters: columns,
        })?;
        // Evidence that is missing is not a failure: no run has selected these claims.
        for column in &mut results.clusters {
            let ran = |id: &str| column.scenarios.iter().any(|s| s.scenario == id);
            let of_ran = results.claims.iter();
            let of_ran = of_ran.filter(|c| c.scenario.as_deref().is_some_and(ran));
            let judged = column.judgements.iter().map(|j| j.claim.clone());
            column.run.claims = judged.chain(of_ran.map(|c| c.id.clone())).collect();
        }
        Ok(results)
    }

    /// A column of evidence that is not judged yet; there is at least one file.
    fn skeleton(&self, found: &[(String, Evidence)]) -> Result<ClusterResults, Failure> {
        let facts = &found[0].1.cluster;
        let version = facts.kubernetes.trim_start_matches('v');
        let mut column = ClusterResults::new(&format!("{version} {}", facts.profile));
        column.facts = facts.clone();
        let all = found.iter().map(|(_, evidence)| evidence);
        let runs: BTreeSet<&str> = all.clone().map(|one| one.run.as_str()).collect();
        column.run.id = match runs.len() {
            0..4 => runs.iter().join(", "),
            number => format!("{number} runs"),
        };
        column.run.began = all.clone().map(|one| one.began).min().unwrap_or_default();
        column.run.ended = all.clone().map(|one| one.ended).max();
        // A fact of only some of the evidence is not a fact of the column.
        if !all.clone().map(|one| &one.cluster.node_image).all_equal() {
            column.facts.node_image = None;
        }
        let capabilities = all.flat_map(|one| &one.cluster.capabilities);
        column.facts.capabilities = capabilities.sorted().dedup().cloned().collect();
        for (path, evidence) in found {
            let mut known = column.scenarios.iter();
            if let Some(other) = known.find(|known| known.scenario == evidence.scenario) {
                return Err(Failure::usage(format!(
                    "{}: {} and {path} are evidence of the same scenario and run; remove one",
                    self.folder,
                    other.evidence.as_deref().unwrap_or_default()
                )));
            }
            let attempts = 1..evidence.attempt;
            let attempts = attempts.filter_map(|attempt| {
                let path = store::file_name(path.trim_end_matches(".json"), Some(attempt));
                self.folder.join(&path).is_file().then(|| EarlierAttempt {
                    attempt,
                    problems: Vec::new(),
                    unexpected: Vec::new(),
                    evidence: Some(path),
                })
            });
            column.scenarios.push(ScenarioResults {
                scenario: evidence.scenario.clone(),
                title: String::new(),
                began: evidence.began,
                seconds: 0.0,
                problems: Vec::new(),
                evidence: Some(path.clone()),
                earlier: attempts.collect(),
            });
        }
        Ok(column)
    }
}

/// The judgements on a scenario without evidence that does not apply or was not allowed.
fn inapplicable(scenario: &Scenario, facts: &ClusterFacts) -> Option<Vec<Judgement>> {
    let unmet = scenario.needs.unmet(facts);
    let reason = unmet.or_else(|| scenario.denied(&[]))?;
    Some(not_applicable(scenario, &reason))
}
