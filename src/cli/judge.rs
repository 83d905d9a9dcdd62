//! `hookproof judge DIR`.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use crate::catalogue::model::{Catalogue, Scenario};
use crate::evidence::{ClusterFacts, Evidence};
use crate::judge::judgement::Judgement;
use crate::judge::verdict::{Unusable, judge as judge_one, not_applicable, untestable};
use crate::observe::store;
use crate::report::json::{RESULTS_FILE, read_results};
use crate::report::output::{Output, resolve};
use crate::report::results::{ClusterResults, EarlierAttempt, Results, SCHEMA, ScenarioResults};
use crate::run::plan::Plan;

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
    let folders = results_of(&args.folders, suites.project.as_ref())?;
    let out = args.out.as_ref().map(|out| Output::new(out, &folders));
    let out = out.transpose().map_err(Failure::usage)?;
    let mut parts = Vec::new();
    for folder in &folders {
        let again = Again {
            catalogue: &catalogue,
            folder,
        };
        let results = if folder.join(RESULTS_FILE).is_file() {
            again.results(read_results(folder).map_err(Failure::usage)?)?
        } else {
            again.evidence()?
        };
        parts.push((folder.clone(), results));
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
        let mut claims: BTreeSet<String> = results.claims.iter().map(|c| c.id.clone()).collect();
        for column in &mut results.clusters {
            self.column(column)?;
            column.texts.clear();
            claims.extend(column.judgements.iter().map(|j| j.claim.clone()));
        }
        let infos = Plan::new(self.catalogue, &claims, None).infos(self.catalogue);
        let removed = |id: &String| infos.iter().all(|info| info.id != *id);
        let old = std::mem::take(&mut results.claims).into_iter();
        let old: Vec<_> = old.filter(|claim| removed(&claim.id)).collect();
        for claim in &old {
            note!("warning: {}: no suite defines {}", self.folder, claim.id);
        }
        results.claims = infos.into_iter().chain(old).collect();
        SCHEMA.clone_into(&mut results.schema);
        env!("CARGO_PKG_VERSION").clone_into(&mut results.hookproof);
        Ok(results)
    }

    fn column(&self, column: &mut ClusterResults) -> Result<(), Failure> {
        let wanted = column.run.claims.clone();
        let mut judgements = untestable(self.catalogue);
        let mut scenarios = Vec::new();
        for ran in std::mem::take(&mut column.scenarios) {
            let scenario = self.catalogue.scenarios.get(&ran.scenario).ok_or_else(|| {
                Failure::usage(format!(
                    "{} has evidence of {}, which no suite defines; pass its suite folder with --suites",
                    self.folder, ran.scenario
                ))
            })?;
            if let Some(path) = &ran.evidence {
                if !self.folder.join(path).exists() {
                    note!("warning: {}: evidence {path} is missing", self.folder);
                    continue;
                }
                let evidence = self.read(path)?;
                let found = self.judge(scenario, &evidence)?;
                column
                    .run
                    .claims
                    .extend(found.iter().map(|j| j.claim.clone()));
                column
                    .judgements
                    .retain(|j| !found.iter().any(|new| new.claim == j.claim));
                judgements.extend(found);
                let earlier = ran
                    .earlier
                    .into_iter()
                    .map(|attempt| self.attempt(scenario, attempt));
                let earlier = earlier.collect::<Result<_, _>>()?;
                scenarios.push(ScenarioResults::new(
                    scenario,
                    &evidence,
                    earlier,
                    ran.evidence,
                ));
            } else if !ran.problems.is_empty() || inapplicable(scenario, &column.facts).is_some() {
                scenarios.push(ran);
            }
        }
        let observed = |id: &str| {
            scenarios
                .iter()
                .any(|s| s.scenario == id && s.evidence.is_some())
        };
        // Facts are unknown if provisioning failed.
        let others = self.catalogue.scenarios.values();
        let others = others.filter(|s| !column.facts.kubernetes.is_empty() && !observed(&s.id));
        let others = others.filter_map(|scenario| inapplicable(scenario, &column.facts));
        judgements.extend(others.flatten());
        judgements.retain(|j| column.run.claims.contains(&j.claim) || wanted.contains(&j.claim));
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
        match &attempt.evidence {
            Some(path) if self.folder.join(path).exists() => {
                let evidence = self.read(path)?;
                let judgements = self.judge(scenario, &evidence)?;
                Ok(EarlierAttempt::new(
                    &evidence,
                    &judgements,
                    attempt.evidence,
                ))
            }
            _ => Ok(attempt),
        }
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
            let ClusterFacts {
                name,
                kubernetes,
                profile,
                gates,
                container_runtimes,
                ..
            } = &evidence.cluster;
            let group = format!("{kubernetes} {profile} {name} {gates:?} {container_runtimes:?}");
            groups.entry(group).or_default().push((path, evidence));
        }
        let mut columns = Vec::new();
        for group in groups.into_values() {
            let ids: BTreeSet<_> = group.iter().map(|(_, found)| &found.scenario).collect();
            let overlap = ids.len() < group.len();
            let mut runs: BTreeMap<String, Vec<(String, Evidence)>> = BTreeMap::new();
            for (path, evidence) in group {
                let run = if overlap {
                    evidence.run.clone()
                } else {
                    String::new()
                };
                runs.entry(run).or_default().push((path, evidence));
            }
            for run in runs.into_values() {
                columns.push(self.skeleton(run)?);
            }
        }
        let (Some(began), Some(ended)) = (
            columns.iter().map(|c| c.run.began).min(),
            columns.iter().map(|c| c.run.ended).max(),
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
            run: columns
                .first()
                .map(|c| c.run.id.clone())
                .unwrap_or_default(),
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

    /// A column of evidence that is not judged yet.
    fn skeleton(&self, found: Vec<(String, Evidence)>) -> Result<ClusterResults, Failure> {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        let mut column: Option<ClusterResults> = None;
        let mut runs = BTreeSet::new();
        for (path, evidence) in found {
            let facts = &evidence.cluster;
            let column = column.get_or_insert_with(|| {
                let version = facts.kubernetes.trim_start_matches('v');
                let mut column = ClusterResults::new(&format!("{version} {}", facts.profile));
                column.facts = facts.clone();
                column.run.began = evidence.began;
                column.run.ended = Some(evidence.ended);
                column
            });
            column.run.began = column.run.began.min(evidence.began);
            column.run.ended = column.run.ended.max(Some(evidence.ended));
            runs.insert(evidence.run.clone());
            // A fact of only some of the evidence is not a fact of the column.
            if column.facts.node_image != facts.node_image {
                column.facts.node_image = None;
            }
            column
                .facts
                .capabilities
                .extend(facts.capabilities.iter().cloned());
            column.facts.capabilities.sort();
            column.facts.capabilities.dedup();
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
            if let Some(other) = files.insert(evidence.scenario, path.clone()) {
                return Err(Failure::usage(format!(
                    "{}: {other} and {path} are evidence of the same scenario and run; remove one",
                    self.folder
                )));
            }
        }
        let mut column = column.unwrap_or_default();
        column.run.id = match runs.len() {
            0..4 => runs.into_iter().collect::<Vec<_>>().join(", "),
            number => format!("{number} runs"),
        };
        Ok(column)
    }
}
/// The judgements on a scenario without evidence that does not apply or was not allowed.
fn inapplicable(scenario: &Scenario, facts: &ClusterFacts) -> Option<Vec<Judgement>> {
    let unmet = scenario.needs.unmet(facts);
    let reason = unmet.or_else(|| scenario.denied(&[]))?;
    Some(not_applicable(scenario, &reason))
}
