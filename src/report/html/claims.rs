//! Claims as rows of the page's table, and their details as JSON for the page's script.

use std::collections::BTreeMap;

use camino::Utf8Path;
use itertools::Itertools as _;
use serde_json::{Value, json};

use crate::catalogue::model::Verdict;
use crate::file::stays_inside;
use crate::judge::judgement::CheckJudgement;
use crate::observe::store;
use crate::report::error::ReportError;
use crate::report::essentials::{verdict_in_words, without_outcome};
use crate::report::output::resolve;
use crate::report::results::{ClaimInfo, Results, ScenarioResults};
use crate::report::text::{count, line_numbers, one_line, seconds, value};
use crate::report::timeline::Timeline;
use crate::report::view::{Cell, State, place};

/// The table's rows, by area in the order of the claims. The ids of an area's claims share the first part.
pub(super) fn areas(results: &Results) -> Vec<Value> {
    let claims = in_order(results);
    let areas = claims.chunk_by(|a, b| area(a) == area(b)).map(|claims| {
        let rows = claims.iter().map(|claim| row(results, claim)).collect_vec();
        json!({"name": area(claims[0]), "rows": rows})
    });
    areas.collect()
}

fn area(claim: &ClaimInfo) -> &str {
    claim.id.split('.').next().unwrap_or_default()
}

/// The claims in the order of the table: areas in the order of their first claims.
pub(super) fn in_order(results: &Results) -> Vec<&ClaimInfo> {
    let mut first = BTreeMap::new();
    for (at, claim) in results.claims.iter().enumerate() {
        first.entry(area(claim)).or_insert(at);
    }
    let claims = results.claims.iter();
    claims
        .sorted_by_key(|claim| first.get(area(claim)).copied())
        .collect()
}

/// Whether the columns that ran the claim have different states.
pub(super) fn differs(results: &Results, claim: &ClaimInfo) -> bool {
    let states = results.cells(claim).map(|cell| cell.state());
    !states.filter(|state| *state != State::NotRun).all_equal()
}

/// A claim with its verdicts. Its states are the keys of the filters that show it.
fn row(results: &Results, claim: &ClaimInfo) -> Value {
    let cells = results.cells(claim).collect_vec();
    let mut states = cells.iter().map(|cell| cell.state().key()).collect_vec();
    if differs(results, claim) {
        states.push("differs");
    }
    if cells.iter().any(Cell::changed) {
        states.push("changed");
    }
    let cells = cells.iter().map(|cell| {
        let state = cell.state();
        json!({"key": state.key(), "word": state.word(), "changed": cell.changed()})
    });
    json!({
        "id": claim.id,
        "says": one_line(&claim.says),
        "cells": cells.collect_vec(),
        "states": states.join(" "),
    })
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
    let claims = claims
        .iter()
        .map(|claim| details(results, claim, columns, &mut timelines))
        .collect_vec();
    let columns = columns.iter().map(|at| &labels[*at]).collect_vec();
    json!({"columns": columns, "claims": claims, "timelines": timelines.drawn})
}

/// Timelines by column and scenario: several claims show the same one.
struct Timelines<'a> {
    folder: &'a Utf8Path,
    known: BTreeMap<(usize, String), Result<usize, String>>,
    drawn: Vec<Timeline>,
}

impl Timelines<'_> {
    /// The index of a scenario's timeline, or why there is none.
    fn of(&mut self, column: usize, scenario: &ScenarioResults) -> Result<usize, String> {
        let key = (column, scenario.scenario.clone());
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let drawn = self.draw(scenario.evidence.as_deref()).map(|timeline| {
            self.drawn.push(timeline);
            self.drawn.len() - 1
        });
        self.known.insert(key, drawn.clone());
        drawn
    }

    fn draw(&self, path: Option<&str>) -> Result<Timeline, String> {
        let path = path.ok_or("no evidence was written")?;
        match resolve(self.folder, path) {
            Ok(file) => {
                let evidence = store::read(&file).map_err(|error| error.to_string())?;
                Ok(Timeline::of(&evidence))
            }
            Err(ReportError::Read { .. }) => Err(format!("{path} is missing")),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn details(
    results: &Results,
    claim: &ClaimInfo,
    columns: &[usize],
    timelines: &mut Timelines<'_>,
) -> Value {
    let wrong = [Verdict::Refuted, Verdict::Qualified].map(State::Verdict);
    let is_wrong = results
        .cells(claim)
        .any(|cell| wrong.contains(&cell.state()));
    let cites = claim.cites.iter().map(
        |cite| json!({"document": one_line(&cite.document), "lines": place(cite, line_numbers)}),
    );
    let cells = columns.iter().map(|at| {
        let cell = Cell::of(&results.clusters[*at], claim);
        found(*at, cell, timelines)
    });
    json!({
        "instead": claim.instead.as_ref().filter(|_| is_wrong),
        "cites": cites.collect_vec(),
        "cells": cells.collect_vec(),
    })
}

/// A claim's result in a column.
fn found(at: usize, cell: Cell<'_>, timelines: &mut Timelines<'_>) -> Value {
    let judgement = cell.judgement();
    let measured = judgement
        .into_iter()
        .flat_map(|judgement| &judgement.measured);
    let measured = measured.map(|(name, found)| (name.clone(), json!(value(found))));
    let checks = judgement
        .into_iter()
        .flat_map(|judgement| &judgement.checks);
    let checks = checks.map(|check| CheckJudgement {
        reason: without_outcome(&check.reason, check.outcome).to_owned(),
        ..check.clone()
    });
    let problems = match cell {
        Cell::Problem { scenario } => scenario.problems.as_slice(),
        _ => &[],
    };
    let scenario = cell.scenario();
    json!({
        "verdict": verdict_in_words(&cell),
        "reason": cell.reason(),
        "problems": problems,
        "measured": measured.collect::<serde_json::Map<_, _>>(),
        "checks": checks.collect_vec(),
        "scenario": scenario.map(|scenario| scenario_of(scenario, &timelines.of(at, scenario))),
    })
}

/// A scenario with the index of its timeline, or why there is none.
fn scenario_of(scenario: &ScenarioResults, timeline: &Result<usize, String>) -> Value {
    let inside = |path: &&String| stays_inside(Utf8Path::new(path));
    let earlier = scenario.earlier.iter().map(|earlier| {
        json!({
            "attempt": earlier.attempt,
            "why": one_line(&earlier.why().join("; ")),
            "evidence": earlier.evidence.as_ref().filter(inside),
        })
    });
    let retried = !scenario.earlier.is_empty();
    json!({
        "id": scenario.scenario,
        "title": one_line(&scenario.title),
        "took": seconds(scenario.seconds),
        "attempts": retried.then(|| count(scenario.attempts(), "attempt")),
        "earlier": earlier.collect_vec(),
        "evidence": scenario.evidence.as_ref().filter(inside),
        "timeline": timeline.as_ref().ok(),
        "no_timeline": timeline.as_ref().err(),
    })
}
