//! Recorded evidence and its alterations: whether every claim gets its expected verdict, changes it when the evidence
//! shows the opposite, and is inconclusive when the decisive part is missing.
//!
//! `evidence/<scenario>.json` is what a run recorded (`<scenario>@NAME.json`: another cluster), and
//! `alterations/<scenario>.yaml` (`<scenario>@NAME.yaml`) changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

use camino::{Utf8Path, Utf8PathBuf};

use super::alter::{Alteration, Alterations, OfClaim, alter};
use super::judgement::Judgement;
use super::verdict::judge;
use crate::catalogue::capability::PUBLISHED_IMAGES;
use crate::catalogue::model::{Scenario, Verdict};
use crate::evidence::Evidence;
use crate::observe::store;

/// What checking a scenario's recorded evidence found.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    pub files: usize,
    /// Alterations that did what they should.
    pub alterations: usize,
    pub failures: Vec<String>,
}

/// Judges the evidence of a scenario under `folder`, and every alteration of it.
pub fn check(scenario: &Scenario, folder: &Utf8Path) -> Checked {
    let mut checked = Checked::default();
    let files = files(scenario, folder);
    checked.files = files.len();
    if files.is_empty() {
        // What published images contain cannot be recorded without a registry.
        if !scenario
            .needs
            .capabilities
            .iter()
            .any(|name| name == PUBLISHED_IMAGES)
        {
            checked.failures.push(format!(
                "{0}: no recorded evidence {folder}/evidence/{0}.json; run the scenario, then `hookproof record {0}`",
                scenario.id
            ));
        }
        return checked;
    }
    let ids = scenario.claims.iter().map(|claim| claim.id.as_str());
    let mut undecided: BTreeSet<&str> = ids.collect();
    for file in files {
        match store::read(&file) {
            Ok(evidence) => {
                let altered = check_file(scenario, &evidence, &file, folder, &mut checked);
                undecided.retain(|claim| !altered.contains(*claim));
            }
            Err(error) => checked.failures.push(error.to_string()),
        }
    }
    checked.failures.extend(
        undecided
            .into_iter()
            .map(|claim| format!("{claim}: no recorded evidence with alterations decides it")),
    );
    checked
}

/// The recorded evidence files of a scenario, that of the default cluster first.
pub fn files(scenario: &Scenario, folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let first = folder
        .join("evidence")
        .join(format!("{}.json", scenario.id));
    let name = scenario.id.rsplit('/').next().unwrap_or_default();
    let entries = first.parent().map(Utf8Path::read_dir_utf8);
    let entries = entries.and_then(Result::ok).into_iter().flatten().flatten();
    let mut files: Vec<Utf8PathBuf> = entries
        .map(camino::Utf8DirEntry::into_path)
        .filter(|path| {
            let rest = path.file_name().and_then(|file| file.strip_prefix(name));
            rest.is_some_and(|rest| rest.starts_with('@'))
        })
        .collect();
    files.sort();
    if first.exists() {
        files.insert(0, first);
    }
    files
}

fn check_file(
    scenario: &Scenario,
    evidence: &Evidence,
    file: &Utf8Path,
    folder: &Utf8Path,
    checked: &mut Checked,
) -> BTreeSet<String> {
    let judged = match judge(scenario, evidence) {
        Ok(judged) => judged,
        Err(error) => {
            checked.failures.push(format!("{file}: {error}"));
            return BTreeSet::new();
        }
    };
    checked.failures.extend(
        judged
            .warnings
            .iter()
            .map(|warning| format!("{file}: {warning}")),
    );
    for Judgement {
        claim,
        verdict,
        expected,
        reason,
        ..
    } in &judged.judgements
    {
        match expected {
            None if *verdict == Verdict::NotApplicable => {}
            None => checked.failures.push(format!(
                "{claim}: {file} gives {verdict}, but the suite has no expectation for it: {reason}"
            )),
            Some(expected) if expected != verdict => checked.failures.push(format!(
                "{claim}: {file} gives {verdict}, expected {expected}: {reason}"
            )),
            Some(_) => {}
        }
    }
    let name = file.file_stem().unwrap_or_default();
    let path = folder.join("alterations").join(&scenario.id);
    let path = path.with_file_name(format!("{name}.yaml"));
    // Evidence of another cluster may have no alterations.
    if name.contains('@') && !path.exists() {
        return BTreeSet::new();
    }
    let alterations = match std::fs::read_to_string(&path) {
        Ok(text) => Alterations::parse(&text).map_err(|error| error.to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Alterations::default()),
        Err(error) => Err(format!("failed to read: {error}")),
    };
    match alterations {
        Ok(alterations) => {
            let subject = Subject {
                scenario,
                evidence,
                path: &path,
            };
            subject.check(&judged.judgements, alterations.claims, checked)
        }
        Err(error) => {
            checked.failures.push(format!("{path}: {error}"));
            BTreeSet::new()
        }
    }
}

/// Evidence that is altered.
struct Subject<'a> {
    scenario: &'a Scenario,
    evidence: &'a Evidence,
    path: &'a Utf8Path,
}

impl Subject<'_> {
    /// Tries all alterations; returns the claims that this evidence decides.
    fn check(
        &self,
        judgements: &[Judgement],
        mut alterations: BTreeMap<String, OfClaim>,
        checked: &mut Checked,
    ) -> BTreeSet<String> {
        let path = self.path;
        let mut decided = BTreeSet::new();
        for Judgement { claim, verdict, .. } in judgements {
            let of_claim = alterations.remove(claim);
            if matches!(verdict, Verdict::NotApplicable | Verdict::Inconclusive) {
                continue;
            }
            decided.insert(claim.clone());
            let Some(of_claim) = of_claim else {
                checked
                    .failures
                    .push(format!("{claim}: no alterations in {path}"));
                continue;
            };
            let OfClaim {
                opposite,
                missing,
                breaks,
                spares,
            } = of_claim;
            let opposites: &[Verdict] = match verdict {
                Verdict::Confirmed => &[Verdict::Refuted],
                Verdict::Refuted => &[Verdict::Confirmed],
                _ => &[Verdict::Confirmed, Verdict::Refuted],
            };
            let unchanged = &[*verdict, Verdict::Inconclusive];
            let named = |prefix: &'static str, all: BTreeMap<String, Vec<Alteration>>| {
                all.into_iter()
                    .map(move |(name, changes)| (format!("{prefix}: {name}"), changes))
            };
            let all = [("opposite".to_owned(), opposite)]
                .into_iter()
                .chain(named("breaks", breaks));
            let all = all.map(|(name, changes)| (name, changes, opposites));
            let missing = ("missing".to_owned(), missing, &[Verdict::Inconclusive][..]);
            let spares =
                named("spares", spares).map(|(name, changes)| (name, changes, &unchanged[..]));
            for (name, changes, wanted) in all.chain([missing]).chain(spares) {
                match self.altered(claim, &changes, wanted) {
                    Ok(()) => checked.alterations += 1,
                    Err(message) => checked
                        .failures
                        .push(format!("{claim}: `{name}` in {path}: {message}")),
                }
            }
        }
        let unknown = alterations
            .keys()
            .map(|claim| format!("{path}: no claim is named `{claim}`"));
        checked.failures.extend(unknown);
        decided
    }

    fn altered(
        &self,
        claim: &str,
        changes: &[Alteration],
        wanted: &[Verdict],
    ) -> Result<(), String> {
        if changes.is_empty() {
            return Err("no changes".to_owned());
        }
        let evidence =
            alter(self.scenario, self.evidence, changes).map_err(|error| error.to_string())?;
        let judged = judge(self.scenario, &evidence).map_err(|error| error.to_string())?;
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
}
