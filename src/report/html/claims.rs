//! Claims as rows of a page's table, and their details as JSON for the page's script.

use std::collections::BTreeMap;

use camino::Utf8Path;
use itertools::Itertools as _;
use serde::Serialize;
use serde_json::{Value, json};

use crate::judge::judgement::CheckJudgement;
use crate::observe::store;
use crate::report::error::ReportError;
use crate::report::essentials::{verdict_in_words, without_outcome};
use crate::report::output::resolve;
use crate::report::results::{ClaimInfo, Results};
use crate::report::text::{count, line_numbers, one_line, seconds, value};
use crate::report::timeline::Timeline;
use crate::report::view::{Cell, State, place};

#[derive(Serialize)]
pub(super) struct Row<'a> {
    pub(super) claim: &'a ClaimInfo,
    /// The keys of the filters that show it.
    pub(super) states: Vec<&'static str>,
    pub(super) cells: Vec<Value>,
}

/// The number of rows that a filter shows.
pub(super) fn shown_by(rows: &[Row<'_>], key: &str) -> usize {
    rows.iter().filter(|row| row.states.contains(&key)).count()
}

/// Adjacent rows by area.
pub(super) fn areas(rows: &[Row<'_>]) -> Vec<Value> {
    let areas = rows.chunk_by(|a, b| a.claim.family() == b.claim.family());
    areas
        .map(|rows| json!({"name": rows[0].claim.family(), "rows": rows}))
        .collect()
}

/// The claims by area, in the order of the areas' first claims.
pub(super) fn in_order(results: &Results) -> Vec<&ClaimInfo> {
    let claims = &results.claims;
    let first = |claim: &&ClaimInfo| {
        claims
            .iter()
            .position(|other| other.family() == claim.family())
    };
    claims.iter().sorted_by_cached_key(first).collect()
}

/// Whether the columns that ran the claim have different states.
pub(super) fn differs(results: &Results, claim: &ClaimInfo) -> bool {
    let states = results.cells(claim).map(|cell| cell.state());
    !states.filter(|state| *state != State::NotRun).all_equal()
}

/// The correct behaviour, if the claim is wrong in a column.
pub(super) fn instead<'a>(results: &Results, claim: &'a ClaimInfo) -> Option<&'a str> {
    let is_wrong = results.cells(claim).any(|cell| cell.state().is_wrong());
    claim.instead.as_deref().filter(|_| is_wrong)
}

/// The documents that make the claim, and where.
pub(super) fn cites(claim: &ClaimInfo) -> Vec<Value> {
    let cites = claim.cites.iter().map(
        |cite| json!({"document": one_line(&cite.document), "lines": place(cite, line_numbers)}),
    );
    cites.collect()
}

/// What a page shows on demand: the details of claims in these columns, with timelines from evidence in the folder.
pub(super) fn data(
    results: &Results,
    labels: &[String],
    claims: &[&ClaimInfo],
    columns: &[usize],
    folder: &Utf8Path,
) -> Value {
    let mut timelines = Timelines {
        folder,
        known: BTreeMap::new(),
        drawn: Vec::new(),
    };
    let claims = claims.iter().map(|claim| {
        let cells = columns.iter();
        let cells = cells.map(|at| found(Cell::of(&results.clusters[*at], claim), &mut timelines));
        json!({
            "instead": instead(results, claim),
            "cites": cites(claim),
            "cells": cells.collect_vec(),
        })
    });
    let claims = claims.collect_vec();
    let columns = columns.iter().map(|at| &labels[*at]).collect_vec();
    json!({"columns": columns, "claims": claims, "timelines": timelines.drawn})
}

/// Timelines by the path of their evidence: several claims show the same one.
struct Timelines<'a> {
    folder: &'a Utf8Path,
    known: BTreeMap<Option<&'a str>, Result<usize, String>>,
    drawn: Vec<Timeline>,
}

impl<'a> Timelines<'a> {
    /// The index of a timeline, or why there is none.
    fn of(&mut self, path: Option<&'a str>) -> Result<usize, String> {
        let drawn = self.known.entry(path).or_insert_with(|| {
            self.drawn.push(timeline(self.folder, path)?);
            Ok(self.drawn.len() - 1)
        });
        drawn.clone()
    }
}

fn timeline(folder: &Utf8Path, path: Option<&str>) -> Result<Timeline, String> {
    let path = path.ok_or("no evidence was written")?;
    let file = resolve(folder, path).map_err(|error| match error {
        ReportError::Read { .. } => format!("{path} is missing"),
        error => error.to_string(),
    })?;
    let evidence = store::read(&file).map_err(|error| error.to_string())?;
    Ok(Timeline::of(&evidence))
}

/// A claim's result in a column.
fn found<'a>(cell: Cell<'a>, timelines: &mut Timelines<'a>) -> Value {
    let judgement = cell.judgement();
    let measured = judgement.iter().flat_map(|judgement| &judgement.measured);
    let measured = measured.map(|(name, found)| (name.clone(), json!(value(found))));
    let checks = judgement.iter().flat_map(|judgement| &judgement.checks);
    let checks = checks.map(|check| CheckJudgement {
        reason: without_outcome(&check.reason, check.outcome).to_owned(),
        ..check.clone()
    });
    let problems = match cell {
        Cell::Problem { scenario } => scenario.problems.as_slice(),
        _ => &[],
    };
    let scenario = cell.scenario().map(|scenario| {
        let timeline = timelines.of(scenario.evidence.as_deref());
        let earlier = scenario.earlier.iter().map(|earlier| {
            let why = one_line(&earlier.why().join("; "));
            json!({"attempt": earlier.attempt, "why": why, "evidence": earlier.evidence})
        });
        let retried = !scenario.earlier.is_empty();
        json!({
            "id": scenario.scenario,
            "title": one_line(&scenario.title),
            "took": seconds(scenario.seconds),
            "attempts": retried.then(|| count(scenario.attempts(), "attempt")),
            "earlier": earlier.collect_vec(),
            "evidence": scenario.evidence,
            "timeline": timeline.as_ref().ok(),
            "no_timeline": timeline.as_ref().err(),
        })
    });
    json!({
        "verdict": verdict_in_words(&cell),
        "reason": cell.reason(),
        "problems": problems,
        "measured": measured.collect::<serde_json::Map<_, _>>(),
        "checks": checks.collect_vec(),
        "scenario": scenario,
    })
}
