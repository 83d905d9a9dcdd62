//! Claims in the form used by the template of the HTML page.

use serde::Serialize;

use super::essentials::{outcome_word, truth, verdict_in_words, without_outcome};
use super::html::{Picture, Pictures};
use super::results::{ClaimInfo, Results, ScenarioResults};
use super::text::{count, line_numbers, one_line, seconds, value};
use super::view::{Cell, State, document_stem};
use crate::catalogue::model::Verdict;
use crate::judge::judgement::{CheckJudgement, Evaluation, Judgement, Part};

/// Claims whose ids share the first part.
#[derive(Serialize)]
pub(super) struct Area {
    name: String,
    claims: Vec<ClaimView>,
}

#[derive(Serialize)]
struct ClaimView {
    anchor: String,
    id: String,
    says: String,
    instead: Option<String>,
    cites: Vec<Cite>,
    /// Document names for the filter, one per line.
    documents: String,
    /// Cell states for the filter.
    states: String,
    cells: Vec<CellView>,
}

#[derive(Serialize)]
struct Cite {
    document: String,
    lines: String,
}

#[derive(Serialize)]
struct CellView {
    anchor: String,
    label: String,
    key: &'static str,
    word: &'static str,
    verdict: String,
    changed: bool,
    open: bool,
    reason: String,
    problems: Vec<String>,
    measured: Vec<Measured>,
    checks: Vec<CheckView>,
    scenario: Option<ScenarioView>,
}

#[derive(Serialize)]
struct Measured {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct CheckView {
    name: Option<String>,
    outcome: &'static str,
    reason: String,
    evaluations: Vec<EvaluationView>,
}

#[derive(Serialize)]
struct EvaluationView {
    role: &'static str,
    key: &'static str,
    truth: &'static str,
    expression: String,
    error: Option<String>,
    parts: Vec<PartView>,
}

#[derive(Serialize)]
struct PartView {
    text: String,
    key: &'static str,
    truth: &'static str,
    /// Whether to show its value: in a true expression every part is true.
    differs: bool,
    read: Vec<Read>,
}

#[derive(Serialize)]
struct Read {
    path: String,
    value: String,
}

#[derive(Serialize)]
struct ScenarioView {
    id: String,
    title: String,
    took: String,
    attempts: Option<String>,
    earlier: Vec<EarlierView>,
    evidence: Option<String>,
    timeline: Option<PictureRef>,
    no_timeline: Option<String>,
}

#[derive(Serialize)]
struct EarlierView {
    attempt: u32,
    why: Vec<String>,
    evidence: Option<String>,
}

#[derive(Serialize)]
struct PictureRef {
    id: usize,
    width: f64,
    height: f64,
}

/// Anchor of a claim's details for a cluster.
pub(super) fn cell_anchor(claim: usize, cluster: usize) -> String {
    format!("claim-{claim}-{cluster}")
}

pub(super) fn areas(results: &Results, labels: &[String], pictures: &Pictures) -> Vec<Area> {
    let mut areas: Vec<Area> = Vec::new();
    for (number, claim) in results.claims.iter().enumerate() {
        let name = claim.id.split('.').next().unwrap_or_default();
        let view = claim_view(results, labels, pictures, number, claim);
        match areas.iter_mut().find(|area| area.name == name) {
            Some(area) => area.claims.push(view),
            None => areas.push(Area {
                name: name.to_owned(),
                claims: vec![view],
            }),
        }
    }
    areas
}

fn claim_view(
    results: &Results,
    labels: &[String],
    pictures: &Pictures,
    number: usize,
    claim: &ClaimInfo,
) -> ClaimView {
    let ClaimInfo {
        id,
        says,
        instead,
        cites,
        scenario: _,
    } = claim;
    let cells: Vec<CellView> = results
        .clusters
        .iter()
        .zip(labels)
        .enumerate()
        .map(|(at, (cluster, label))| {
            let cell = Cell::of(cluster, claim);
            cell_view(&cell, cell_anchor(number, at), label, at, pictures)
        })
        .collect();
    let mut states: Vec<&str> = cells.iter().map(|cell| cell.key).collect();
    if cells.iter().any(|cell| cell.changed) {
        states.push("changed");
    }
    let wrong = [
        State::Verdict(Verdict::Refuted).key(),
        State::Verdict(Verdict::Qualified).key(),
    ];
    let corrected = cells.iter().any(|cell| wrong.contains(&cell.key));
    let cites: Vec<Cite> = cites
        .iter()
        .map(|cite| Cite {
            document: one_line(document_stem(&cite.document)),
            lines: line_numbers(&one_line(&cite.lines)),
        })
        .collect();
    ClaimView {
        anchor: format!("claim-{number}"),
        id: id.clone(),
        says: one_line(says),
        instead: instead.clone().filter(|_| corrected),
        documents: cites
            .iter()
            .map(|cite| cite.document.as_str())
            .collect::<Vec<_>>()
            .join("\n"),
        cites,
        states: states.join(" "),
        cells,
    }
}

fn cell_view(
    cell: &Cell<'_>,
    anchor: String,
    label: &str,
    cluster: usize,
    pictures: &Pictures,
) -> CellView {
    let (checks, measured) = match cell {
        Cell::Judged { judgement, .. } => {
            let Judgement {
                checks, measured, ..
            } = judgement;
            let measured = measured
                .iter()
                .map(|(name, found)| Measured {
                    name: name.clone(),
                    value: value(found),
                })
                .collect();
            (checks.iter().map(check_view).collect(), measured)
        }
        _ => (Vec::new(), Vec::new()),
    };
    let scenario = match cell {
        Cell::Judged { scenario, .. } => *scenario,
        Cell::Problem { scenario } => Some(*scenario),
        _ => None,
    };
    CellView {
        anchor,
        label: label.to_owned(),
        key: cell.state().key(),
        word: cell.state().word(),
        verdict: verdict_in_words(cell),
        changed: cell.changed(),
        open: false,
        reason: cell.reason(),
        problems: match cell {
            Cell::Problem { scenario } => scenario.problems.clone(),
            _ => Vec::new(),
        },
        measured,
        checks,
        scenario: scenario.map(|scenario| {
            let picture = pictures.get(&(cluster, scenario.scenario.clone()));
            scenario_view(scenario, picture)
        }),
    }
}

fn scenario_view(
    scenario: &ScenarioResults,
    picture: Option<&Result<Picture, String>>,
) -> ScenarioView {
    let ScenarioResults {
        scenario,
        title,
        began: _,
        seconds: took,
        problems: _,
        evidence,
        earlier,
    } = scenario;
    let stays = |path: &String| super::file::stays_inside(camino::Utf8Path::new(path));
    ScenarioView {
        id: scenario.clone(),
        title: one_line(title),
        took: seconds(*took),
        attempts: (!earlier.is_empty()).then(|| count(earlier.len() + 1, "attempt")),
        earlier: earlier
            .iter()
            .map(|earlier| EarlierView {
                attempt: earlier.attempt,
                why: earlier.why().iter().map(|why| one_line(why)).collect(),
                evidence: earlier.evidence.clone().filter(stays),
            })
            .collect(),
        evidence: evidence.clone().filter(stays),
        timeline: picture
            .and_then(|picture| picture.as_ref().ok())
            .map(Picture::reference),
        no_timeline: picture.and_then(|picture| picture.as_ref().err()).cloned(),
    }
}

impl Picture {
    fn reference(&self) -> PictureRef {
        PictureRef {
            id: self.id,
            width: self.width,
            height: self.height,
        }
    }
}

fn check_view(check: &CheckJudgement) -> CheckView {
    let CheckJudgement {
        name,
        outcome,
        reason,
        control,
        holds,
        fails,
    } = check;
    CheckView {
        name: (name != "check").then(|| name.clone()),
        outcome: outcome_word(*outcome),
        reason: without_outcome(reason, *outcome).to_owned(),
        evaluations: [("control", control), ("holds", holds), ("fails", fails)]
            .into_iter()
            .map(|(role, evaluation)| evaluation_view(role, evaluation))
            .collect(),
    }
}

fn evaluation_view(role: &'static str, evaluation: &Evaluation) -> EvaluationView {
    let Evaluation {
        expression,
        value,
        error,
        parts,
    } = evaluation;
    EvaluationView {
        role,
        key: truth_key(*value),
        truth: truth(*value),
        expression: expression.clone(),
        error: error.clone(),
        parts: parts
            .iter()
            .map(|part| {
                let Part {
                    text,
                    value: part_value,
                    read,
                } = part;
                PartView {
                    text: text.clone(),
                    key: truth_key(*part_value),
                    truth: truth(*part_value),
                    differs: *value != Some(true) && parts.len() > 1,
                    read: read
                        .iter()
                        .map(|(path, value)| Read {
                            path: path.clone(),
                            value: value.clone(),
                        })
                        .collect(),
                }
            })
            .collect(),
    }
}

fn truth_key(value: Option<bool>) -> &'static str {
    match value {
        Some(true) => "true",
        Some(false) => "false",
        None => "none",
    }
}
