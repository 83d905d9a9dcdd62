//! Claims as rows of the page's table, and their details as JSON for the page's script.

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde::Serialize;

use crate::catalogue::model::Verdict;
use crate::file::stays_inside;
use crate::judge::judgement::CheckJudgement;
use crate::observe::store;
use crate::report::error::ReportError;
use crate::report::essentials::{verdict_in_words, without_outcome};
use crate::report::output::resolve;
use crate::report::results::{ClaimInfo, ClusterResults, Results, ScenarioResults};
use crate::report::text::{count, line_numbers, one_line, seconds, value};
use crate::report::timeline::Timeline;
use crate::report::view::{Cell, State, place};

/// Claims whose ids share the first part.
#[derive(Serialize)]
pub(super) struct Area<'a> {
    name: &'a str,
    rows: Vec<Row<'a>>,
}

/// A claim with its verdicts.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    says: String,
    cells: Vec<RowCell>,
    /// Keys of the filters that show the claim.
    states: String,
}

#[derive(Serialize)]
struct RowCell {
    key: &'static str,
    word: &'static str,
    changed: bool,
}

/// Everything that the page shows on demand.
#[derive(Serialize)]
pub(super) struct Data<'a> {
    columns: Vec<&'a str>,
    /// In the order of the rows.
    claims: Vec<Details<'a>>,
    timelines: Vec<Timeline>,
}

#[derive(Serialize)]
struct Details<'a> {
    instead: Option<&'a str>,
    cites: Vec<Cite>,
    cells: Vec<Found>,
}

#[derive(Serialize)]
struct Cite {
    document: String,
    lines: String,
}

/// A claim's result in a column.
#[derive(Serialize)]
struct Found {
    verdict: String,
    reason: String,
    problems: Vec<String>,
    measured: BTreeMap<String, String>,
    checks: Vec<CheckJudgement>,
    scenario: Option<Scenario>,
}

#[derive(Serialize)]
struct Scenario {
    id: String,
    title: String,
    took: String,
    attempts: Option<String>,
    earlier: Vec<Earlier>,
    evidence: Option<String>,
    /// Index in the timelines.
    timeline: Option<usize>,
    no_timeline: Option<String>,
}

#[derive(Serialize)]
struct Earlier {
    attempt: u32,
    why: String,
    evidence: Option<String>,
}

/// The table's rows, by area in the order of the claims.
pub(super) fn areas(results: &Results) -> Vec<Area<'_>> {
    let mut areas: Vec<Area<'_>> = Vec::new();
    for claim in in_order(results) {
        let name = area(claim);
        let row = row(results, claim);
        match areas.last_mut().filter(|area| area.name == name) {
            Some(area) => area.rows.push(row),
            None => areas.push(Area {
                name,
                rows: vec![row],
            }),
        }
    }
    areas
}

fn area(claim: &ClaimInfo) -> &str {
    claim.id.split('.').next().unwrap_or_default()
}

/// The claims in the order of the table: areas in the order of their first claims.
fn in_order(results: &Results) -> Vec<&ClaimInfo> {
    let mut first = BTreeMap::new();
    for (at, claim) in results.claims.iter().enumerate() {
        first.entry(area(claim)).or_insert(at);
    }
    let mut claims: Vec<_> = results.claims.iter().collect();
    claims.sort_by_key(|claim| first.get(area(claim)).copied());
    claims
}

/// Whether the columns that ran the claim have different states.
pub(super) fn differs(results: &Results, claim: &ClaimInfo) -> bool {
    let columns = results.clusters.iter();
    let states = columns.map(|column| Cell::of(column, claim).state());
    let mut ran = states.filter(|state| *state != State::NotRun);
    let first = ran.next();
    ran.any(|state| Some(state) != first)
}

fn row<'a>(results: &Results, claim: &'a ClaimInfo) -> Row<'a> {
    let cells: Vec<RowCell> = results
        .clusters
        .iter()
        .map(|column| {
            let cell = Cell::of(column, claim);
            RowCell {
                key: cell.state().key(),
                word: cell.state().word(),
                changed: cell.changed(),
            }
        })
        .collect();
    let mut states: Vec<&str> = cells.iter().map(|cell| cell.key).collect();
    if differs(results, claim) {
        states.push("differs");
    }
    if cells.iter().any(|cell| cell.changed) {
        states.push("changed");
    }
    Row {
        id: &claim.id,
        says: one_line(&claim.says),
        states: states.join(" "),
        cells,
    }
}

impl<'a> Data<'a> {
    /// The details of a claim in these columns.
    pub(super) fn of_claim(
        results: &'a Results,
        claim: &'a ClaimInfo,
        labels: &'a [String],
        columns: &[usize],
        folder: &Utf8Path,
    ) -> Self {
        let mut timelines = Timelines {
            folder,
            known: BTreeMap::new(),
            drawn: Vec::new(),
        };
        let mut details = details(results, claim, &mut timelines);
        let mut cells: Vec<_> = details.cells.into_iter().map(Some).collect();
        details.cells = columns.iter().filter_map(|at| cells[*at].take()).collect();
        Self {
            columns: columns.iter().map(|at| labels[*at].as_str()).collect(),
            claims: vec![details],
            timelines: timelines.drawn,
        }
    }

    /// The details of all claims, with timelines from evidence in the folder.
    pub(super) fn of(results: &'a Results, columns: &'a [String], folder: &Utf8Path) -> Self {
        let mut timelines = Timelines {
            folder,
            known: BTreeMap::new(),
            drawn: Vec::new(),
        };
        let claims = in_order(results).into_iter();
        let claims = claims.map(|claim| details(results, claim, &mut timelines));
        Self {
            columns: columns.iter().map(String::as_str).collect(),
            claims: claims.collect(),
            timelines: timelines.drawn,
        }
    }
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

fn details<'a>(
    results: &Results,
    claim: &'a ClaimInfo,
    timelines: &mut Timelines<'_>,
) -> Details<'a> {
    let wrong = [Verdict::Refuted, Verdict::Qualified].map(State::Verdict);
    let is_wrong = |column| wrong.contains(&Cell::of(column, claim).state());
    let instead = claim.instead.as_deref();
    let cites = claim.cites.iter().map(|cite| Cite {
        document: one_line(&cite.document),
        lines: place(cite, line_numbers),
    });
    let columns = results.clusters.iter().enumerate();
    Details {
        instead: instead.filter(|_| results.clusters.iter().any(is_wrong)),
        cites: cites.collect(),
        cells: columns
            .map(|(at, column)| found(at, column, claim, timelines))
            .collect(),
    }
}

fn found(
    at: usize,
    column: &ClusterResults,
    claim: &ClaimInfo,
    timelines: &mut Timelines<'_>,
) -> Found {
    let cell = Cell::of(column, claim);
    let (judgement, scenario) = match cell {
        Cell::Judged {
            judgement,
            scenario,
            ..
        } => (Some(judgement), scenario),
        Cell::Problem { scenario } => (None, Some(scenario)),
        Cell::NoCluster { .. } | Cell::NotRun { .. } => (None, None),
    };
    let measured = judgement
        .into_iter()
        .flat_map(|judgement| &judgement.measured);
    let checks = judgement
        .into_iter()
        .flat_map(|judgement| &judgement.checks);
    Found {
        verdict: verdict_in_words(&cell),
        reason: cell.reason(),
        problems: match cell {
            Cell::Problem { scenario } => scenario.problems.clone(),
            _ => Vec::new(),
        },
        measured: measured
            .map(|(name, found)| (name.clone(), value(found)))
            .collect(),
        checks: checks
            .map(|check| CheckJudgement {
                reason: without_outcome(&check.reason, check.outcome).to_owned(),
                ..check.clone()
            })
            .collect(),
        scenario: scenario.map(|scenario| scenario_of(scenario, timelines.of(at, scenario))),
    }
}

fn scenario_of(scenario: &ScenarioResults, timeline: Result<usize, String>) -> Scenario {
    let inside = |path: &String| stays_inside(Utf8Path::new(path));
    let earlier = scenario.earlier.iter().map(|earlier| Earlier {
        attempt: earlier.attempt,
        why: one_line(&earlier.why().join("; ")),
        evidence: earlier.evidence.clone().filter(inside),
    });
    Scenario {
        id: scenario.scenario.clone(),
        title: one_line(&scenario.title),
        took: seconds(scenario.seconds),
        attempts: (!scenario.earlier.is_empty()).then(|| count(scenario.attempts(), "attempt")),
        earlier: earlier.collect(),
        evidence: scenario.evidence.clone().filter(inside),
        timeline: timeline.as_ref().ok().copied(),
        no_timeline: timeline.err(),
    }
}
