//! `--accept`: observed verdicts become the expected ones.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use camino::Utf8Path;
use itertools::Itertools as _;

use crate::catalogue::accept::{Edit, Observed, edit, edits};
use crate::catalogue::model::{Catalogue, Claim, Verdict};
use crate::file::{limit, read_text, write_atomic};
use crate::judge::verdict::expectation;
use crate::report::results::{ClaimInfo, ClusterResults, Results};
use crate::report::view::{Cell, State, labels};

use super::exit::Failure;
use super::suites::Suites;

/// The texts of suite files before and after the edits, by path.
type Files<'a> = BTreeMap<&'a str, (String, String)>;

/// Writes the verdicts of unexpected cells into suites that are not built in, and prints what it wrote and what it
/// refused. `catalogue` contains the suites as they were read. Returns whether nothing was refused.
pub(super) fn accept(
    suites: &Suites,
    catalogue: &Catalogue,
    results: &Results,
) -> Result<bool, Failure> {
    suites.writable()?;
    let mut complete = true;
    let mut files = Files::new();
    let mut accepted: Vec<(&Claim, Vec<Observed>)> = Vec::new();
    // The last claims of a file first, so that the places of the others stay valid.
    let mut claims: Vec<&Claim> = catalogue.claims().map(|(claim, _)| claim).collect();
    claims.sort_by_key(|claim| std::cmp::Reverse((claim.place.line, claim.place.column)));
    for claim in claims {
        let Some(info) = results.claims.iter().find(|info| info.id == claim.id) else {
            continue;
        };
        let (place, id) = (&claim.place, &claim.id);
        let refused = match observed(claim, info, results) {
            Ok(observed) if observed.is_empty() => continue,
            Ok(_) if !suites.contains(&place.file) => {
                "its suite is built in; pass its folder with --suites".to_owned()
            }
            Ok(observed) => {
                let edits = edits(claim, &observed);
                let text = text(&mut files, &place.file)?;
                if let Some(edited) = edit(text, claim, &edits) {
                    *text = edited;
                    // Standard output may consist of JSON.
                    note!("accepted: {place}: {id}: {}", in_words(claim, &edits));
                    accepted.push((claim, observed));
                    continue;
                }
                format!("edit `expect` at {place} by hand")
            }
            Err(why) => why,
        };
        note!("not accepted: {id}: {refused}");
        complete = false;
    }
    write(&files, |(_, after)| after)?;
    let wrong = suites.load().map(|new| {
        let is_expected = |(old, observed): &&(&Claim, Vec<Observed>)| {
            let mut claims = new.claims().map(|(claim, _)| claim);
            claims.any(|claim| claim.id == old.id && expects(claim, observed, results))
        };
        accepted.iter().find(|accepted| !is_expected(accepted))
    });
    let failure = match wrong {
        Ok(None) => return Ok(complete),
        Ok(Some((claim, _))) => Failure::usage(format!(
            "no range of versions expresses the verdicts of {}; nothing was written, edit `expect` by hand",
            claim.place
        )),
        Err(failure) => failure,
    };
    write(&files, |(before, _)| before)?;
    Err(failure)
}

/// The edited text of a file.
fn text<'a, 'b>(files: &'a mut Files<'b>, path: &'b str) -> Result<&'a mut String, Failure> {
    let (_, edited) = match files.entry(path) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => {
            let text = read_text(Utf8Path::new(path), limit::SUITE)
                .map_err(|error| Failure::usage(format!("cannot read {path}: {error}")))?;
            new.insert((text.clone(), text))
        }
    };
    Ok(edited)
}

/// What was observed on each cluster; empty if it is expected. Fails if a verdict cannot be expected.
fn observed(claim: &Claim, info: &ClaimInfo, results: &Results) -> Result<Vec<Observed>, String> {
    let mut found: Vec<Observed> = Vec::new();
    let mut unexpected = false;
    for (column, label) in results.clusters.iter().zip(labels(&results.clusters)) {
        let cell = Cell::of(column, info);
        let verdict = match cell.state() {
            State::Verdict(verdict) => verdict,
            State::Error => return Err(format!("error on {label}: {}", cell.reason())),
            State::NotRun => continue,
        };
        // Without evidence it is not applicable without an experiment.
        let entry = expectation(claim, &column.facts).filter(|_| cell.evidence().is_some());
        let Some(entry) = entry else { continue };
        let differs = claim.expect[entry].verdict != verdict;
        if differs && verdict == Verdict::Inconclusive {
            return Err(format!("inconclusive on {label}: {}", cell.reason()));
        }
        unexpected |= differs;
        let mut same = found.iter().filter(|other| is_on(other, column));
        if same.any(|other| other.verdict != verdict) {
            return Err(format!("runs on {} differ", column.facts.kubernetes));
        }
        found.push(Observed {
            kubernetes: column.facts.kubernetes.clone(),
            gates: column.facts.gates.clone(),
            verdict,
            entry,
        });
    }
    if !unexpected {
        found.clear();
    }
    Ok(found)
}

/// Whether the cluster of a column has the version and gates of an observation.
fn is_on(observed: &Observed, column: &ClusterResults) -> bool {
    let facts = &column.facts;
    (&facts.kubernetes, &facts.gates) == (&observed.kubernetes, &observed.gates)
}

/// Whether the claim now expects what was observed.
fn expects(claim: &Claim, observed: &[Observed], results: &Results) -> bool {
    observed.iter().all(|one| {
        let mut same = results.clusters.iter().filter(|column| is_on(one, column));
        same.all(|column| {
            let entry = expectation(claim, &column.facts);
            entry.is_some_and(|entry| claim.expect[entry].verdict == one.verdict)
        })
    })
}

fn in_words(claim: &Claim, edits: &[Edit]) -> String {
    let mut edits = edits.iter().rev().map(|edit| match edit {
        Edit::Verdict { entry, verdict } => {
            let old = claim.expect[*entry].verdict;
            format!("{old} becomes {verdict}")
        }
        Edit::Before { new, .. } => format!("added {}", new.join(", ")),
    });
    edits.join("; ")
}

/// Writes one of the texts of each edited file.
fn write(files: &Files<'_>, which: fn(&(String, String)) -> &String) -> Result<(), Failure> {
    for (path, texts) in files.iter().filter(|(_, (before, after))| before != after) {
        write_atomic(Utf8Path::new(path), which(texts).as_bytes())
            .map_err(Failure::infrastructure)?;
    }
    Ok(())
}
