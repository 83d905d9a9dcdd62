//! `hookproof judge DIR`.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use crate::catalogue::model::{Catalogue, Verdict};
use crate::evidence::Evidence;
use crate::judge::judgement::Judgement;
use crate::judge::verdict::judge as judge_one;
use crate::observe::session::slug;
use crate::observe::store::{self, StoreError};
use crate::report::reports::write_all;
use crate::report::results::{ClusterResults, EarlierAttempt, Results, SCHEMA, ScenarioResults};
use crate::report::terminal;
use crate::run::plan::Plan;

use super::exit::{Exit, Failure};
use super::suites::SuiteArgs;

/// Judge recorded evidence again, without a cluster
#[derive(Debug, clap::Args)]
pub(super) struct JudgeArgs {
    /// Folders with evidence files, or results folders
    #[arg(required = true)]
    folders: Vec<Utf8PathBuf>,
    #[command(flatten)]
    suites: SuiteArgs,
    /// Write reports to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
}

pub(super) fn judge(args: &JudgeArgs) -> Result<Exit, Failure> {
    let catalogue = args.suites.load()?;
    let mut found = Vec::new();
    for folder in &args.folders {
        let inside = folder.join("evidence");
        let folder = if inside.is_dir() { &inside } else { folder };
        for file in store::files(folder).map_err(Failure::usage)? {
            // Earlier attempts are read with the last one, whose verdicts count.
            if file
                .file_stem()
                .is_some_and(|stem| stem.contains(".attempt-"))
            {
                continue;
            }
            found.push(read(file).map_err(Failure::usage)?);
        }
    }
    if found.is_empty() {
        return Err(Failure::usage(
            "no evidence found in these folders; record some with `hookproof run`",
        ));
    }
    let results = results(&catalogue, found, args.out.as_deref())?;
    if let Some(out) = &args.out {
        write_all(&results, out, "./").map_err(Failure::usage)?;
    }
    let page = args.out.as_ref().map(|out| out.join("index.html"));
    let layout = terminal::Layout::for_stdout();
    super::print::page(&terminal::summary(&results, page.as_deref(), layout));
    Ok(Exit::of(&results, false))
}

struct Found {
    file: Utf8PathBuf,
    evidence: Evidence,
    /// Evidence of earlier attempts, from the same folder.
    earlier: Vec<Evidence>,
}

fn read(file: Utf8PathBuf) -> Result<Found, StoreError> {
    let evidence = store::read(&file)?;
    let earlier = (1..evidence.attempt)
        .map(|attempt| file.with_extension(format!("attempt-{attempt}.json")))
        .filter(|file| file.is_file())
        .map(|file| store::read(&file))
        .collect::<Result<_, _>>()?;
    Ok(Found {
        file,
        evidence,
        earlier,
    })
}

fn no_evidence(scenario: &str, claim: &str) -> Judgement {
    Judgement {
        claim: claim.to_owned(),
        scenario: Some(scenario.to_owned()),
        verdict: Verdict::NotApplicable,
        expected: None,
        reason: "no evidence from this cluster".to_owned(),
        checks: Vec::new(),
        measured: BTreeMap::new(),
    }
}

/// Copies evidence into the report's folder, so that the folder can be moved as a whole.
fn copy(evidence: &Evidence, last: bool, out: &Utf8Path) -> Result<String, Failure> {
    let cluster = slug(&format!(
        "{} {}",
        evidence.cluster.name, evidence.cluster.kubernetes
    ));
    let relative = format!("evidence/{cluster}/{}", store::file_name(evidence, last));
    store::write(&out.join(&relative), evidence).map_err(Failure::usage)?;
    Ok(relative)
}

fn results(
    catalogue: &Catalogue,
    found: Vec<Found>,
    out: Option<&Utf8Path>,
) -> Result<Results, Failure> {
    let mut clusters: Vec<ClusterResults> = Vec::new();
    let mut claims = std::collections::BTreeSet::new();
    let now = Timestamp::now();
    let (mut began, mut ended) = (now, Timestamp::MIN);
    let mut run = String::new();
    for found in found {
        let Found {
            file,
            evidence,
            earlier,
        } = found;
        let scenario = catalogue.scenarios.get(&evidence.scenario).ok_or_else(|| {
            Failure::usage(format!(
                "{file} records scenario {}, which no suite defines; pass its suite folder with --suites",
                evidence.scenario
            ))
        })?;
        began = began.min(evidence.began);
        ended = ended.max(evidence.ended);
        run.clone_from(&evidence.run);
        claims.extend(scenario.claims.iter().map(|claim| claim.id.clone()));
        let judge = |evidence: &Evidence| match judge_one(scenario, evidence) {
            Ok(judged) => {
                for warning in judged.warnings {
                    note!("warning: {file}: {warning}");
                }
                judged.judgements
            }
            // The results contain its problems.
            Err(_) => Vec::new(),
        };
        let judgements = judge(&evidence);
        let copied = |evidence: &Evidence, last| {
            let copied = out.map(|out| copy(evidence, last, out));
            copied.transpose()
        };
        let earlier = earlier
            .iter()
            .map(|earlier| {
                let written = copied(earlier, false)?;
                Ok(EarlierAttempt::new(earlier, &judge(earlier), written))
            })
            .collect::<Result<_, Failure>>()?;
        let same = |c: &ClusterResults| {
            c.facts.kubernetes == evidence.cluster.kubernetes
                && c.facts.gates == evidence.cluster.gates
        };
        let at = clusters.iter().position(same).unwrap_or_else(|| {
            clusters.push(ClusterResults {
                facts: evidence.cluster.clone(),
                phases: Vec::new(),
                scenarios: Vec::new(),
                judgements: Vec::new(),
            });
            clusters.len() - 1
        });
        clusters[at].judgements.extend(judgements);
        let written = copied(&evidence, true)?;
        let ran = ScenarioResults::new(scenario, &evidence, earlier, written);
        clusters[at].scenarios.push(ran);
    }
    // Evidence that is missing for a cluster is not a failure.
    for cluster in &mut clusters {
        let recorded: Vec<&String> = cluster.scenarios.iter().map(|s| &s.scenario).collect();
        let others = catalogue
            .scenarios
            .values()
            .filter(|s| !recorded.contains(&&s.id));
        let missing: Vec<Judgement> = others
            .flat_map(|scenario| scenario.claims.iter().map(move |claim| (scenario, claim)))
            .filter(|(_, claim)| claims.contains(&claim.id))
            .map(|(scenario, claim)| no_evidence(&scenario.id, &claim.id))
            .collect();
        cluster.judgements.extend(missing);
    }
    let plan = Plan::new(catalogue, &claims, None);
    Ok(Results {
        schema: SCHEMA.to_owned(),
        hookproof: env!("CARGO_PKG_VERSION").to_owned(),
        run,
        began,
        ended: Some(ended),
        claims: plan.infos(catalogue),
        clusters,
    })
}
