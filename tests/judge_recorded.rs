//! Recorded evidence, judged: every claim gets the verdict that is expected; evidence in which the
//! opposite is true turns it round; evidence without the decisive part decides nothing.
//!
//! `tests/evidence/<scenario>.json` is what a run recorded (`<scenario>@NAME.json`: another
//! cluster's), `tests/alterations/<scenario>.yaml` (and `<scenario>@NAME.yaml`) how it is altered.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use camino::{Utf8Path, Utf8PathBuf};
use hookproof::catalogue::capability::PUBLISHED_IMAGES;
use hookproof::catalogue::load::{Source, load};
use hookproof::catalogue::model::{Scenario, Verdict};
use hookproof::judge::alter::{Alteration, Alterations, OfClaim, alter};
use hookproof::judge::judgement::Judgement;
use hookproof::judge::verdict::judge;
use hookproof::observe::evidence::Evidence;
use hookproof::observe::store;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let tests = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let sample = tests.join("fixtures/sample");
    let mut trials = trials("", &Source::BuiltIn, &tests);
    trials.extend(self::trials(
        "sample: ",
        &Source::Folder(sample.clone()),
        &sample,
    ));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// One for each scenario.
fn trials(prefix: &str, source: &Source, tests: &Utf8Path) -> Vec<Trial> {
    let loaded = load(std::slice::from_ref(source));
    let findings: Vec<String> = loaded.findings.iter().map(ToString::to_string).collect();
    let sound = Trial::test(format!("{prefix}the suites are sound"), move || {
        fail_with(&findings)
    });
    let scenarios = loaded.catalogue.scenarios.into_values().map(|scenario| {
        let tests = tests.to_owned();
        Trial::test(format!("{prefix}{}", scenario.id), move || {
            fail_with(&scenario_failures(&scenario, &tests))
        })
    });
    std::iter::once(sound).chain(scenarios).collect()
}

fn fail_with(failures: &[String]) -> Result<(), Failed> {
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n").into())
    }
}

fn scenario_failures(scenario: &Scenario, tests: &Utf8Path) -> Vec<String> {
    let files = evidence_files(scenario, tests);
    // What published images hold cannot be recorded where no registry answers.
    let published = scenario.needs.capabilities.iter();
    if files.is_empty() && published.into_iter().any(|name| name == PUBLISHED_IMAGES) {
        return Vec::new();
    }
    if files.is_empty() {
        let claims: Vec<&str> = scenario
            .claims
            .iter()
            .map(|claim| claim.id.as_str())
            .collect();
        return vec![format!(
            "no recorded evidence tests/evidence/{}.json for {}: run the scenario and copy its evidence file there",
            scenario.id,
            claims.join(", ")
        )];
    }
    let mut failures = Vec::new();
    let mut undecided: BTreeSet<&str> = scenario
        .claims
        .iter()
        .map(|claim| claim.id.as_str())
        .collect();
    for file in files {
        match store::read(&file) {
            Ok(evidence) => {
                let altered = evidence_failures(scenario, &evidence, &file, tests, &mut failures);
                undecided.retain(|claim| !altered.contains(*claim));
            }
            Err(error) => failures.push(error.to_string()),
        }
    }
    failures.extend(
        undecided
            .into_iter()
            .map(|claim| format!("{claim}: no recorded evidence with alterations decides it")),
    );
    failures
}

fn evidence_files(scenario: &Scenario, tests: &Utf8Path) -> Vec<Utf8PathBuf> {
    let first = tests.join("evidence").join(format!("{}.json", scenario.id));
    let name = scenario.id.rsplit('/').next().unwrap_or_default();
    let folder = first.parent().map(Utf8Path::read_dir_utf8);
    let others = folder.and_then(Result::ok).into_iter().flatten().flatten();
    let mut files: Vec<Utf8PathBuf> = others
        .map(camino::Utf8DirEntry::into_path)
        .filter(|path| {
            path.file_name().is_some_and(|file| {
                file.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('@'))
            })
        })
        .collect();
    files.sort();
    if first.exists() {
        files.insert(0, first);
    }
    files
}

fn evidence_failures(
    scenario: &Scenario,
    evidence: &Evidence,
    file: &Utf8Path,
    tests: &Utf8Path,
    failures: &mut Vec<String>,
) -> BTreeSet<String> {
    let judged = match judge(scenario, evidence) {
        Ok(judged) => judged,
        Err(error) => {
            failures.push(format!("{file}: {error}"));
            return BTreeSet::new();
        }
    };
    for judgement in &judged.judgements {
        match judgement.expected {
            None if judgement.verdict == Verdict::NotApplicable => {}
            None => failures.push(format!(
                "{}: {file} gives {}, but the suite expects nothing: {}",
                judgement.claim, judgement.verdict, judgement.reason
            )),
            Some(expected) if expected != judgement.verdict => failures.push(format!(
                "{}: {file} gives {}, expected {expected}: {}",
                judgement.claim, judgement.verdict, judgement.reason
            )),
            Some(_) => {}
        }
    }
    let folder = tests.join("alterations").join(&scenario.id);
    let name = file.file_stem().unwrap_or_default();
    let path = folder.with_file_name(format!("{name}.yaml"));
    // Another cluster's evidence may be there only to be judged.
    if name.contains('@') && !path.exists() {
        return BTreeSet::new();
    }
    let alterations = match std::fs::read_to_string(&path) {
        Ok(text) => Alterations::parse(&text),
        Err(_) => Ok(Alterations::default()),
    };
    match alterations {
        Ok(alterations) => altered_failures(
            scenario,
            evidence,
            &judged.judgements,
            alterations.claims,
            failures,
        ),
        Err(error) => {
            failures.push(format!("{path}: {error}"));
            BTreeSet::new()
        }
    }
}

fn altered_failures(
    scenario: &Scenario,
    evidence: &Evidence,
    judgements: &[Judgement],
    mut alterations: BTreeMap<String, OfClaim>,
    failures: &mut Vec<String>,
) -> BTreeSet<String> {
    let mut decided = BTreeSet::new();
    for judgement in judgements {
        let claim = &judgement.claim;
        let of_claim = alterations.remove(claim);
        if matches!(
            judgement.verdict,
            Verdict::NotApplicable | Verdict::Inconclusive
        ) {
            continue;
        }
        decided.insert(claim.clone());
        let Some(of_claim) = of_claim else {
            failures.push(format!(
                "{claim}: no alterations in tests/alterations/{}.yaml",
                scenario.id
            ));
            continue;
        };
        let turned: &[Verdict] = match judgement.verdict {
            Verdict::Confirmed => &[Verdict::Refuted],
            Verdict::Refuted => &[Verdict::Confirmed],
            _ => &[Verdict::Confirmed, Verdict::Refuted],
        };
        let mut try_one = |what: &str, ops: &[Alteration], wanted: &[Verdict]| {
            if let Err(message) = altered(scenario, evidence, claim, ops, wanted) {
                failures.push(format!("{claim}: `{what}`: {message}"));
            }
        };
        try_one("opposite", &of_claim.opposite, turned);
        try_one("missing", &of_claim.missing, &[Verdict::Inconclusive]);
    }
    failures.extend(alterations.keys().map(|claim| {
        format!(
            "{claim}: altered in tests/alterations/{}.yaml, but no such claim here",
            scenario.id
        )
    }));
    decided
}

fn altered(
    scenario: &Scenario,
    evidence: &Evidence,
    claim: &str,
    alterations: &[Alteration],
    wanted: &[Verdict],
) -> Result<(), String> {
    if alterations.is_empty() {
        return Err("nothing is altered".to_owned());
    }
    let evidence = alter(scenario, evidence, alterations).map_err(|error| error.to_string())?;
    let judged = judge(scenario, &evidence).map_err(|error| error.to_string())?;
    let judgement = judged
        .judgements
        .iter()
        .find(|judgement| judgement.claim == claim);
    let judgement = judgement.ok_or("no judgement")?;
    if wanted.contains(&judgement.verdict) {
        return Ok(());
    }
    let wanted: Vec<&str> = wanted.iter().map(|verdict| verdict.as_str()).collect();
    Err(format!(
        "gives {}, expected {}: {}",
        judgement.verdict,
        wanted.join(" or "),
        judgement.reason
    ))
}
