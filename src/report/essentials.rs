//! Plain-text summary of a claim on a cluster, for places such as the output pane of a test viewer.

use std::fmt::Write as _;

use itertools::Itertools as _;

use super::results::{ClaimInfo, ScenarioResults};
use super::text::{count, one_line, seconds, value};
use super::view::{Cell, State, cited, without_word};
use crate::evidence::ClusterFacts;
use crate::judge::judgement::{Judgement, Outcome, Part};

/// The claim, its verdict, and the values that decided it.
pub fn essentials(claim: &ClaimInfo, cell: &Cell<'_>, facts: &ClusterFacts) -> String {
    let mut out = String::new();
    line(&mut out, "claim", &claim.says);
    line(&mut out, "verdict", &verdict_in_words(cell));
    if let Some(instead) = claim.instead.as_ref().filter(|_| cell.state().is_wrong()) {
        line(&mut out, "actually", instead);
    }
    line(&mut out, "reason", &cell.reason());
    line(
        &mut out,
        "source",
        cited(claim).as_deref().unwrap_or("none"),
    );
    if let Some(judgement) = cell.judgement() {
        judged(&mut out, judgement);
    }
    if let Some(scenario) = cell.scenario() {
        ran(&mut out, scenario);
    }
    let image = facts.node_image.as_deref().unwrap_or("unknown");
    let (name, version) = (&facts.name, &facts.kubernetes);
    let cluster = format!("{name}, Kubernetes {version}, node image {image}");
    line(&mut out, "cluster", &cluster);
    out
}

/// The verdict in words, or `error` or `not run`.
pub fn verdict_in_words(cell: &Cell<'_>) -> String {
    let verdict = cell.judgement().map(verdict_of);
    verdict.unwrap_or_else(|| cell.state().word().to_owned())
}

/// `refuted, as expected`, `confirmed, expected refuted`.
pub(crate) fn verdict_of(judgement: &Judgement) -> String {
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
    without_word(outcome_word(outcome), reason)
}

fn truth(value: Option<bool>) -> &'static str {
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
    for (name, measure) in &judgement.measured {
        line(out, &format!("measured {name}"), &value(measure));
    }
    for check in &judgement.checks {
        let name = match check.name.as_str() {
            "check" => "check".to_owned(),
            name => format!("check {name}"),
        };
        let outcome = outcome_word(check.outcome);
        let reason = without_outcome(&check.reason, check.outcome);
        line(out, &name, &format!("{outcome}, because {reason}"));
        for (role, found) in check.evaluations() {
            let error = found.error.as_ref().map(|error| format!(" ({error})"));
            let error = error.unwrap_or_default();
            let name = format!("  {role} {}{error}", truth(found.value));
            line(out, &name, &found.expression);
            for Part { text, value, read } in &found.parts {
                let mut read = read.iter().map(|(path, value)| format!("{path} = {value}"));
                let text = format!("{text}   [{}]", read.join(", "));
                line(out, &format!("    {}", truth(*value)), &text);
            }
        }
    }
}

fn ran(out: &mut String, ran: &ScenarioResults) {
    line(out, "scenario", &format!("{}: {}", ran.scenario, ran.title));
    let (took, attempts) = (seconds(ran.seconds), count(ran.attempts(), "attempt"));
    line(out, "took", &format!("{took}, {attempts}"));
    for earlier in &ran.earlier {
        let name = format!("attempt {}", earlier.attempt);
        for why in earlier.why() {
            line(out, &name, &why);
        }
        let evidence = earlier.evidence.as_deref().unwrap_or("none");
        line(out, &format!("{name}, evidence"), evidence);
    }
    line(out, "evidence", ran.evidence.as_deref().unwrap_or("none"));
}
