//! Recorded evidence and its alterations: whether every claim gets its expected verdict, changes it when the evidence
//! shows the opposite, and is inconclusive when the decisive part is missing.
//!
//! `evidence/<scenario>.json` is what a run recorded (`<scenario>@NAME.json`: another cluster), and
//! `alterations/<scenario>.yaml` (`<scenario>@NAME.yaml`) changes it.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use camino::{Utf8DirEntry, Utf8Path, Utf8PathBuf};
use itertools::Itertools as _;

use super::alter::{Alteration, Alterations, OfClaim, alter};
use super::judgement::Judgement;
use super::verdict::judge;
use crate::catalogue::capability::PUBLISHED_IMAGES;
use crate::catalogue::model::{Scenario, Verdict};
use crate::evidence::Evidence;
use crate::file::{limit, read_text};
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
    let files = files(scenario, folder);
    let mut checked = Checked {
        files: files.len(),
        ..Checked::default()
    };
    if files.is_empty() {
        // What published images contain cannot be recorded without a registry.
        let mut needed = scenario.needs.capabilities.iter();
        if needed.all(|name| name != PUBLISHED_IMAGES) {
            checked.failures.push(format!(
                "{0}: no recorded evidence {folder}/evidence/{0}.json; run the scenario, then `hookproof record {0}`",
                scenario.id
            ));
        }
        return checked;
    }
    let ids = scenario.claims.iter().map(|claim| claim.id.clone());
    let mut undecided: BTreeSet<String> = ids.collect();
    for file in files {
        if let Err(why) = checked.file(scenario, &file, folder, &mut undecided) {
            checked.failures.push(why);
        }
    }
    for claim in undecided {
        let failure = format!("{claim}: no recorded evidence with alterations decides it");
        checked.failures.push(failure);
    }
    checked
}

/// The recorded evidence files of a scenario, that of the default cluster first.
fn files(scenario: &Scenario, folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let first = folder.join(format!("evidence/{}.json", scenario.id));
    let name = scenario.id.rsplit('/').next().unwrap_or_default();
    let entries = first.parent().map(Utf8Path::read_dir_utf8);
    let entries = entries.and_then(Result::ok).into_iter().flatten().flatten();
    let others = entries.map(Utf8DirEntry::into_path).filter(|path| {
        let rest = path.file_name().and_then(|file| file.strip_prefix(name));
        rest.is_some_and(|rest| rest.starts_with('@'))
    });
    let others = others.sorted();
    let first = first.exists().then_some(first);
    first.into_iter().chain(others).collect()
}

impl Checked {
    /// Judges the evidence of a file and tries all alterations of it.
    fn file(
        &mut self,
        scenario: &Scenario,
        file: &Utf8Path,
        folder: &Utf8Path,
        undecided: &mut BTreeSet<String>,
    ) -> Result<(), String> {
        let evidence = store::read(file).map_err(|error| error.to_string())?;
        let judged = judge(scenario, &evidence).map_err(|error| format!("{file}: {error}"))?;
        let mut fail = |failure: String| self.failures.push(failure);
        for warning in &judged.warnings {
            fail(format!("{file}: {warning}"));
        }
        for judgement in &judged.judgements {
            let (claim, verdict) = (&judgement.claim, judgement.verdict);
            let but = match judgement.expected {
                None if verdict == Verdict::NotApplicable => continue,
                None => "but the suite has no expectation for it".to_owned(),
                Some(expected) if expected == verdict => continue,
                Some(expected) => format!("expected {expected}"),
            };
            let reason = &judgement.reason;
            fail(format!("{claim}: {file} gives {verdict}, {but}: {reason}"));
        }
        let name = file.file_stem().unwrap_or_default();
        let path = folder.join("alterations").join(&scenario.id);
        let path = path.with_file_name(format!("{name}.yaml"));
        // Evidence of another cluster may have no alterations.
        if name.contains('@') && !path.exists() {
            return Ok(());
        }
        let alterations = match read_text(&path, limit::MANIFEST) {
            Ok(text) => Alterations::parse(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Alterations::default()),
            Err(error) => Err(format!("failed to read: {error}")),
        };
        let mut alterations = alterations.map_err(|why| format!("{path}: {why}"))?.claims;
        for Judgement { claim, verdict, .. } in &judged.judgements {
            let of_claim = alterations.remove(claim);
            if matches!(verdict, Verdict::NotApplicable | Verdict::Inconclusive) {
                continue;
            }
            undecided.remove(claim);
            let Some(of_claim) = of_claim else {
                fail(format!("{claim}: no alterations in {path}"));
                continue;
            };
            for (name, changes, wanted) in predictions(*verdict, of_claim) {
                match altered(scenario, &evidence, claim, &changes, &wanted) {
                    Ok(()) => self.alterations += 1,
                    Err(why) => fail(format!("{claim}: `{name}` in {path}: {why}")),
                }
            }
        }
        for claim in alterations.keys() {
            fail(format!("{path}: no claim is named `{claim}`"));
        }
        Ok(())
    }
}

/// The alterations for a claim by name, and the verdicts that each may give.
fn predictions(
    verdict: Verdict,
    of_claim: OfClaim,
) -> Vec<(String, Vec<Alteration>, Vec<Verdict>)> {
    let decided = [Verdict::Confirmed, Verdict::Refuted].into_iter();
    let opposites = decided.filter(|other| *other != verdict).collect_vec();
    let mut all = vec![("opposite".to_owned(), of_claim.opposite, opposites.clone())];
    for (name, changes) in of_claim.breaks {
        all.push((format!("breaks: {name}"), changes, opposites.clone()));
    }
    let missing = vec![Verdict::Inconclusive];
    all.push(("missing".to_owned(), of_claim.missing, missing));
    for (name, changes) in of_claim.spares {
        let unchanged = vec![verdict, Verdict::Inconclusive];
        all.push((format!("spares: {name}"), changes, unchanged));
    }
    all
}

fn altered(
    scenario: &Scenario,
    evidence: &Evidence,
    claim: &str,
    changes: &[Alteration],
    wanted: &[Verdict],
) -> Result<(), String> {
    if changes.is_empty() {
        return Err("no changes".to_owned());
    }
    let evidence = alter(scenario, evidence, changes)?;
    let judged = judge(scenario, &evidence).map_err(|error| error.to_string())?;
    let mut judgements = judged.judgements.iter();
    let found = judgements.find(|judgement| judgement.claim == claim);
    let found = found.ok_or("no judgement")?;
    if wanted.contains(&found.verdict) {
        return Ok(());
    }
    let (verdict, wanted) = (found.verdict, wanted.iter().join(" or "));
    Err(format!(
        "gives {verdict}, expected {wanted}: {}",
        found.reason
    ))
}
