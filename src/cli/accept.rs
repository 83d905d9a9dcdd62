//! `--accept`: observed verdicts become the expected ones.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use camino::Utf8PathBuf;

use crate::catalogue::accept::{Edit, Observed, edit, edits};
use crate::catalogue::model::{Catalogue, Claim, Verdict};
use crate::file::{limit, read_text, write_atomic};
use crate::judge::verdict::expectation;
use crate::report::results::{ClaimInfo, Results};
use crate::report::view::{Cell, State, labels};

use super::exit::Failure;
use super::suites::Suites;

/// Writes the verdicts of unexpected cells into suites that are not built in, and prints what it wrote and what it
/// refused. `catalogue` contains the suites as they were read. Returns whether nothing was refused.
pub(super) fn accept(
    suites: &Suites,
    catalogue: &Catalogue,
    results: &Results,
) -> Result<bool, Failure> {
    suites.writable()?;
    let mut complete = true;
    let mut files: BTreeMap<Utf8PathBuf, (String, String)> = BTreeMap::new();
    let mut accepted: Vec<(&Claim, Vec<Observed>)> = Vec::new();
    // The last claims of a file first, so that the lines of the others stay.
    let mut claims: Vec<&Claim> = catalogue.claims().map(|(claim, _)| claim).collect();
    claims.sort_by_key(|claim| std::cmp::Reverse(claim.place.line));
    for claim in claims {
        let Some(info) = results.claims.iter().find(|info| info.id == claim.id) else {
            continue;
        };
        let observed = match observed(claim, info, results) {
            Ok(observed) if observed.is_empty() => continue,
            Ok(observed) => observed,
            Err(why) => {
                note!("not accepted: {}: {why}", claim.id);
                complete = false;
                continue;
            }
        };
        if !suites.contains(&claim.place.file) {
            note!(
                "not accepted: {}: its suite is built in; pass its folder with --suites",
                claim.id
            );
            complete = false;
            continue;
        }
        let (_, text) = match files.entry(Utf8PathBuf::from(&claim.place.file)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let text = read_text(new.key(), limit::SUITE);
                let text = text.map_err(|error| {
                    Failure::usage(format!("cannot read {}: {error}", new.key()))
                })?;
                new.insert((text.clone(), text))
            }
        };
        let edits = edits(claim, &observed);
        let (place, id) = (&claim.place, &claim.id);
        if let Some(edited) = edit(text, claim, &edits) {
            *text = edited;
            // Standard output may consist of JSON.
            note!("accepted: {place}: {id}: {}", in_words(claim, &edits));
            accepted.push((claim, observed));
        } else {
            note!("not accepted: {id}: edit `expect` at {place} by hand");
            complete = false;
        }
    }
    write(&files, false)?;
    let wrong = suites.load().map(|new| {
        let new: BTreeMap<_, _> = new
            .claims()
            .map(|(claim, _)| (claim.id.clone(), claim.clone()))
            .collect();
        accepted
            .iter()
            .find(|(old, observed)| {
                !new.get(&old.id)
                    .is_some_and(|new| expects(new, observed, results))
            })
            .map(|(claim, _)| claim.place.to_string())
    });
    match wrong {
        Ok(None) => Ok(complete),
        Ok(Some(place)) => {
            write(&files, true)?;
            Err(Failure::usage(format!(
                "no range of versions expresses the verdicts of {place}; nothing was written, edit `expect` by hand"
            )))
        }
        Err(failure) => {
            write(&files, true)?;
            Err(failure)
        }
    }
}

/// What was observed on each cluster; empty if it is expected. Fails if a verdict cannot be expected.
fn observed(claim: &Claim, info: &ClaimInfo, results: &Results) -> Result<Vec<Observed>, String> {
    let mut found: Vec<Observed> = Vec::new();
    let mut unexpected = false;
    for (column, label) in results.clusters.iter().zip(labels(&results.clusters)) {
        let cell = Cell::of(column, info);
        let (Some(entry), State::Verdict(verdict)) =
            (expectation(claim, &column.facts), cell.state())
        else {
            if cell.state() == State::Error {
                return Err(format!("error on {label}: {}", cell.reason()));
            }
            continue;
        };
        if cell.evidence().is_none() {
            // Not applicable without an experiment.
            continue;
        }
        if claim.expect[entry].verdict == verdict {
            // As expected.
        } else if verdict == Verdict::Inconclusive {
            return Err(format!("inconclusive on {label}: {}", cell.reason()));
        } else {
            unexpected = true;
        }
        let one = Observed {
            kubernetes: column.facts.kubernetes.clone(),
            gates: column.facts.gates.clone(),
            verdict,
            entry,
        };
        let same =
            |other: &&Observed| other.kubernetes == one.kubernetes && other.gates == one.gates;
        if found
            .iter()
            .filter(same)
            .any(|other| other.verdict != verdict)
        {
            return Err(format!("runs on {} differ", column.facts.kubernetes));
        }
        found.push(one);
    }
    if !unexpected {
        found.clear();
    }
    Ok(found)
}

/// Whether the claim now expects what was observed.
fn expects(claim: &Claim, observed: &[Observed], results: &Results) -> bool {
    observed.iter().all(|one| {
        let same = results.clusters.iter().filter(|column| {
            column.facts.kubernetes == one.kubernetes && column.facts.gates == one.gates
        });
        same.into_iter().all(|column| {
            let entry = expectation(claim, &column.facts);
            entry.is_some_and(|entry| claim.expect[entry].verdict == one.verdict)
        })
    })
}

fn in_words(claim: &Claim, edits: &[Edit]) -> String {
    let edits = edits.iter().rev().map(|edit| match edit {
        Edit::Verdict { entry, verdict } => {
            let old = claim.expect[*entry].verdict;
            format!("{old} becomes {verdict}")
        }
        Edit::Before { new, .. } => format!("added {}", new.join(", ")),
    });
    edits.collect::<Vec<_>>().join("; ")
}

/// Writes the new texts, or the old ones.
fn write(files: &BTreeMap<Utf8PathBuf, (String, String)>, old: bool) -> Result<(), Failure> {
    for (path, (before, after)) in files {
        if before != after {
            let text = if old { before } else { after };
            write_atomic(path, text.as_bytes()).map_err(Failure::infrastructure)?;
        }
    }
    Ok(())
}
