//! Recorded evidence and its alterations: whether every claim gets its expected verdict, changes it when the evidence
//! shows the opposite, and is inconclusive when the decisive part is missing.
//!
//! `evidence/<scenario>.json` is what a run recorded (`<scenario>@NAME.json`: another cluster), and
//! `alterations/<scenario>.yaml` (`<scenario>@NAME.yaml`) changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

use camino::{Utf8Path, Utf8PathBuf};
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
        match check_file(scenario, &file, folder, &mut checked) {
            Ok(altered) => undecided.retain(|claim| !altered.contains(*claim)),
            Err(why) => checked.failures.push(why),
        }
    }
    let undecided = undecided.into_iter();
    let undecided =
        undecided.map(|claim| format!("{claim}: no recorded evidence with alterations decides it"));
    checked.failures.extend(undecided);
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

/// The claims that the evidence of a file decides.
fn check_file(
    scenario: &Scenario,
    file: &Utf8Path,
    folder: &Utf8Path,
    checked: &mut Checked,
) -> Result<BTreeSet<String>, String> {
    let evidence = store::read(file).map_err(|error| error.to_string())?;
    let judged = judge(scenario, &evidence).map_err(|error| format!("{file}: {error}"))?;
    let warnings = judged.warnings.iter();
    checked
        .failures
        .extend(warnings.map(|warning| format!("{file}: {warning}")));
    for Judgement {
        claim,
        verdict,
        expected,
        reason,
        ..
    } in &judged.judgements
    {
        let but = match expected {
            None if *verdict == Verdict::NotApplicable => continue,
            None => "but the suite has no expectation for it".to_owned(),
            Some(expected) if expected == verdict => continue,
            Some(expected) => format!("expected {expected}"),
        };
        let failure = format!("{claim}: {file} gives {verdict}, {but}: {reason}");
        checked.failures.push(failure);
    }
    let name = file.file_stem().unwrap_or_default();
    let path = folder.join("alterations").join(&scenario.id);
    let path = path.with_file_name(format!("{name}.yaml"));
    // Evidence of another cluster may have no alterations.
    if name.contains('@') && !path.exists() {
        return Ok(BTreeSet::new());
    }
    let alterations = match read_text(&path, limit::MANIFEST) {
        Ok(text) => Alterations::parse(&text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Alterations::default()),
        Err(error) => Err(format!("failed to read: {error}")),
    };
    let alterations = alterations.map_err(|why| format!("{path}: {why}"))?;
    let subject = Subject {
        scenario,
        evidence: &evidence,
        path: &path,
    };
    Ok(subject.check(&judged.judgements, alterations.claims, checked))
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
            let breaks = std::iter::once(("opposite".to_owned(), of_claim.opposite));
            let breaks = breaks.chain(named("breaks", of_claim.breaks));
            let missing = [("missing".to_owned(), of_claim.missing)].into_iter();
            let all = breaks
                .map(|change| (change, opposites))
                .chain(missing.map(|change| (change, &[Verdict::Inconclusive][..])))
                .chain(named("spares", of_claim.spares).map(|change| (change, &unchanged[..])));
            for ((name, changes), wanted) in all {
                match self.altered(claim, &changes, wanted) {
                    Ok(()) => checked.alterations += 1,
                    Err(why) => {
                        let failure = format!("{claim}: `{name}` in {path}: {why}");
                        checked.failures.push(failure);
                    }
                }
            }
        }
        let unknown = alterations.keys();
        let unknown = unknown.map(|claim| format!("{path}: no claim is named `{claim}`"));
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
        let evidence = alter(self.scenario, self.evidence, changes)?;
        let judged = judge(self.scenario, &evidence).map_err(|error| error.to_string())?;
        let mut judgements = judged.judgements.iter();
        let found = judgements.find(|judgement| judgement.claim == claim);
        let Judgement {
            verdict, reason, ..
        } = found.ok_or("no judgement")?;
        if wanted.contains(verdict) {
            return Ok(());
        }
        let wanted = wanted.iter().join(" or ");
        Err(format!("gives {verdict}, expected {wanted}: {reason}"))
    }
}
