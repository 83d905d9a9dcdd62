//! Plain-text summary of a claim on a cluster, for places such as the output pane of a test viewer.

use std::fmt::Write as _;

use super::results::{ClaimInfo, ScenarioResults};
use super::text::{count, one_line, seconds, value};
use super::view::{Cell, State, cited};
use crate::evidence::ClusterFacts;
use crate::judge::judgement::{CheckJudgement, Evaluation, Judgement, Outcome, Part};

/// The claim, its verdict, and the values that decided it.
pub fn essentials(claim: &ClaimInfo, cell: &Cell<'_>, facts: &ClusterFacts) -> String {
    let mut out = String::new();
    line(&mut out, "claim", &claim.says);
    line(&mut out, "verdict", &verdict_in_words(cell));
    if let (Some(instead), State::Verdict(verdict)) = (&claim.instead, cell.state()) {
        use crate::catalogue::model::Verdict::{Qualified, Refuted};
        if matches!(verdict, Refuted | Qualified) {
            line(&mut out, "actually", instead);
        }
    }
    line(&mut out, "reason", &cell.reason());
    let cited = cited(claim);
    let source = if cited.is_empty() { "none" } else { &cited };
    line(&mut out, "source", source);
    match cell {
        Cell::Judged {
            judgement,
            scenario,
            ..
        } => {
            judged(&mut out, judgement);
            if let Some(scenario) = scenario {
                ran(&mut out, scenario);
            }
        }
        Cell::Problem { scenario } => ran(&mut out, scenario),
        Cell::NoCluster { .. } | Cell::NotRun { .. } => {}
    }
    let image = facts.node_image.as_deref().unwrap_or("unknown");
    line(
        &mut out,
        "cluster",
        &format!(
            "{}, Kubernetes {}, node image {image}",
            facts.name, facts.kubernetes
        ),
    );
    out
}

/// The verdict in words, or `error` or `not run`.
pub fn verdict_in_words(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Judged { judgement, .. } => verdict_of(judgement),
        _ => cell.state().word().to_owned(),
    }
}

/// `refuted, as expected`, `confirmed, expected refuted`.
pub(super) fn verdict_of(judgement: &Judgement) -> String {
    let word = State::Verdict(judgement.verdict).word();
    match judgement.expected {
        Some(expected) if expected == judgement.verdict => format!("{word}, as expected"),
        Some(expected) => format!("{word}, expected {}", State::Verdict(expected).word()),
        None => format!("{word}, no expected verdict"),
    }
}

/// The verdict and its reason: `refuted, as expected: both ended at once`.
pub fn with_reason(cell: &Cell<'_>) -> String {
    let (found, reason) = (verdict_in_words(cell), cell.reason());
    // A reason may be no more than the verdict.
    if found.starts_with(&reason) {
        found
    } else {
        format!("{found}: {reason}")
    }
}

pub fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Holds => "holds",
        Outcome::Fails => "fails",
        Outcome::Inconclusive => "inconclusive",
        Outcome::NotApplicable => "not applicable",
    }
}

/// A check's reason without the outcome it begins with, for use after the outcome.
pub fn without_outcome(reason: &str, outcome: Outcome) -> &str {
    let rest = reason.strip_prefix(outcome_word(outcome));
    rest.and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(reason)
}

pub fn truth(value: Option<bool>) -> &'static str {
    match value {
        Some(true) => "true",
        Some(false) => "false",
        None => "not evaluable",
    }
}

fn line(out: &mut String, name: &str, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{name}: {}", one_line(text));
}

fn judged(out: &mut String, judgement: &Judgement) {
    let Judgement {
        checks,
        measured,
        claim: _,
        scenario: _,
        verdict: _,
        expected: _,
        reason: _,
    } = judgement;
    for (name, measure) in measured {
        line(out, &format!("measured {name}"), &value(measure));
    }
    for check in checks {
        let CheckJudgement {
            name,
            outcome,
            reason,
            control,
            holds,
            fails,
        } = check;
        let name = if name == "check" {
            name.clone()
        } else {
            format!("check {name}")
        };
        line(
            out,
            &name,
            &format!(
                "{}, because {}",
                outcome_word(*outcome),
                without_outcome(reason, *outcome)
            ),
        );
        for (role, evaluation) in [("control", control), ("holds", holds), ("fails", fails)] {
            evaluated(out, role, evaluation);
        }
    }
}

fn evaluated(out: &mut String, role: &str, evaluation: &Evaluation) {
    let Evaluation {
        expression,
        value,
        error,
        parts,
    } = evaluation;
    let error = error
        .as_deref()
        .map(|error| format!(" ({error})"))
        .unwrap_or_default();
    line(
        out,
        &format!("  {role} {}{error}", truth(*value)),
        expression,
    );
    for Part { text, value, read } in parts {
        let read: Vec<_> = read
            .iter()
            .map(|(path, value)| format!("{path} = {value}"))
            .collect();
        line(
            out,
            &format!("    {}", truth(*value)),
            &format!("{text}   [{}]", read.join(", ")),
        );
    }
}

fn ran(out: &mut String, scenario: &ScenarioResults) {
    let ScenarioResults {
        scenario,
        title,
        began: _,
        seconds: took,
        problems: _,
        evidence,
        earlier,
    } = scenario;
    line(out, "scenario", &format!("{scenario}: {title}"));
    let attempts = count(earlier.len() + 1, "attempt");
    line(out, "took", &format!("{}, {attempts}", seconds(*took)));
    for earlier in earlier {
        let name = format!("attempt {}", earlier.attempt);
        for why in earlier.why() {
            line(out, &name, &why);
        }
        let evidence = earlier.evidence.as_deref().unwrap_or("none");
        line(out, &format!("{name}, evidence"), evidence);
    }
    line(out, "evidence", evidence.as_deref().unwrap_or("none"));
}
