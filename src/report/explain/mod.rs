//! The page of a claim: what it says, how it is tested, what decides it, and what was found.

mod moments;
mod objects;
mod sheet;

use std::collections::BTreeSet;
use std::iter;

use camino::Utf8Path;
use itertools::Itertools as _;

use super::essentials::{outcome_word, verdict_in_words, without_outcome};
use super::results::Results;
use super::terminal::Layout;
use super::text::{line_numbers, value};
use super::view::{Cell, State, place};
use crate::catalogue::model::{Claim, Needs, Scenario};
use crate::catalogue::step::{Action, Step};
use crate::expr::{FUNCTIONS, calls, compile};
use crate::judge::verdict::used_values;

pub use objects::applied;
use sheet::Sheet;

/// Renders the page of a claim. A claim without a scenario is not testable. `results` are those of `folder`, if there
/// are any.
pub(crate) fn page(
    claim: &Claim,
    scenario: Option<&Scenario>,
    folder: &Utf8Path,
    results: Option<&Results>,
    layout: Layout,
) -> String {
    let mut sheet = Sheet::new(layout);
    sheet.heading(&claim.id, "");
    statement(&mut sheet, claim);
    if let Some(scenario) = scenario {
        experiment(&mut sheet, scenario);
        pods(&mut sheet, scenario);
        let used = used_values(scenario, claim);
        let values = scenario.values.iter();
        let values = values.filter(|(name, _)| used.contains(name.as_str()));
        let values = values.map(|(name, value)| (name, value)).collect_vec();
        let all = values.iter().map(|(_, value)| *value);
        let all = claim.expressions().chain(all);
        let texts = all.map(|expression| &*expression.text).collect_vec();
        let remark = "the first time, unless it says otherwise";
        sheet.table("Moments", remark, &moments::in_words(scenario, &texts));
        sheet.values("Values", &values);
        sheet.table("Functions", "", &functions(&texts));
        checks(&mut sheet, claim);
    }
    expected(&mut sheet, claim);
    found(&mut sheet, claim, folder, results);
    sheet.out
}

fn statement(sheet: &mut Sheet, claim: &Claim) {
    sheet.entry("claim", 8, &claim.says);
    sheet.entry("actually", 8, claim.instead.as_deref().unwrap_or_default());
    if claim.cites.is_empty() {
        sheet.entry("source", 8, "no document; the suite adds this claim");
    }
    let labels = iter::once("source").chain(iter::repeat(""));
    for (cite, label) in claim.cites.iter().zip(labels) {
        let source = format!("{}, {}", cite.document, place(cite, line_numbers));
        sheet.entry(label, 8, &source);
    }
}

fn experiment(sheet: &mut Sheet, scenario: &Scenario) {
    sheet.heading("Experiment", "→ NAME: the output, as expressions call it");
    let title = format!("{}: {}", scenario.id, scenario.title);
    sheet.entry("scenario", 8, &title);
    let file = &scenario.place.file;
    sheet.entry("suite", 8, file.strip_prefix("./").unwrap_or(file));
    sheet.entry("needs", 8, &needs(&scenario.needs).join("; "));
    for (number, step) in (1..).zip(steps(scenario)) {
        sheet.entry(&format!("{number:>2}."), 3, &step);
    }
}

/// A text for each step; adjacent steps that wait for moments are one.
fn steps(scenario: &Scenario) -> Vec<String> {
    let awaited = |step: &Step| match &step.action {
        Action::Until {
            moment,
            optional: false,
        } => Some(moment.clone()),
        _ => None,
    };
    let groups = scenario
        .steps
        .chunk_by(|a, b| awaited(a).is_some() && awaited(b).is_some());
    let texts = groups.map(|steps| {
        let mut moments = steps.iter().filter_map(awaited).collect_vec();
        match (moments.pop(), &steps[0].name) {
            (Some(last), _) if moments.is_empty() => format!("wait until {last}"),
            (Some(last), _) => format!("wait until {} and {last}", moments.join(", ")),
            (None, name) => {
                let name = name.as_ref().map(|name| format!(" → {name}"));
                steps[0].in_words(&scenario.manifests) + &name.unwrap_or_default()
            }
        }
    });
    texts.collect()
}

fn pods(sheet: &mut Sheet, scenario: &Scenario) {
    for (nth, object) in objects::in_words(scenario).iter().enumerate() {
        if nth == 0 {
            sheet.heading("Pods", "");
        }
        sheet.hanging(object);
    }
}

/// The functions of suites that the expressions call, for readers who do not know them.
fn functions(texts: &[&str]) -> Vec<(String, String)> {
    let compiled = texts.iter().filter_map(|text| compile(text).ok());
    let compiled = compiled.collect_vec();
    let called = compiled.iter().flat_map(|text| calls(text.expression()));
    let called: BTreeSet<&str> = called.collect();
    let used = FUNCTIONS.iter();
    let used = used.filter(|function| called.contains(function.name));
    let used = used.map(|function| {
        let parameters = function.parameters.iter().take(function.required());
        let parameters = parameters.map(|parameter| parameter.in_words()).join(", ");
        let call = format!("{}({parameters})", function.name);
        (call, function.doc.replace('`', ""))
    });
    used.collect()
}

fn checks(sheet: &mut Sheet, claim: &Claim) {
    let several = claim.checks.len() > 1;
    let title = if several { "Checks" } else { "Check" };
    let remark = "the control must be true before anything else counts";
    sheet.heading(title, remark);
    for check in &claim.checks {
        if several {
            sheet.subheading(&check.name);
        }
        sheet.entry("only with", 11, &needs(&check.needs).join("; "));
        sheet.expression("control", 11, &check.control.text);
        sheet.expression("confirms if", 11, &check.holds.text);
        sheet.expression("refutes if", 11, &check.fails.text);
    }
    sheet.values("Also measured", &claim.measures.iter().collect_vec());
}

fn expected(sheet: &mut Sheet, claim: &Claim) {
    sheet.heading("Expected verdict", "");
    if let Some(reason) = &claim.not_testable {
        sheet.hanging(&format!("not testable: {reason}"));
        return;
    }
    if claim.expect.is_empty() {
        sheet.hanging("none yet");
    }
    let several = claim.expect.len() > 1;
    for expected in &claim.expect {
        let word = State::Verdict(expected.verdict).word();
        let wanted = needs(&expected.needs);
        sheet.hanging(&match (wanted.is_empty(), several) {
            (true, false) => word.to_owned(),
            (true, true) => format!("{word} otherwise"),
            (false, _) => format!("{word} with {}", wanted.join(", ")),
        });
    }
}

fn found(sheet: &mut Sheet, claim: &Claim, folder: &Utf8Path, results: Option<&Results>) {
    if claim.not_testable.is_some() {
        return;
    }
    let claims = results.into_iter().flat_map(|results| &results.claims);
    let info = claims.into_iter().find(|info| info.id == claim.id);
    let (Some(results), Some(info)) = (results, info) else {
        sheet.heading("Verdict", "");
        let scope = results.map_or("", |_| " for this claim");
        let id = &claim.id;
        sheet.hanging(&format!(
            "no results{scope} in {folder}; run `hookproof run {id}`"
        ));
        return;
    };
    sheet.heading("Verdict", &format!("recorded in {folder}"));
    for cluster in &results.clusters {
        let cell = Cell::of(cluster, info);
        let facts = &cluster.facts;
        let version = match facts.kubernetes.trim_start_matches('v') {
            "" => &facts.name,
            version => version,
        };
        let profile = match facts.profile.as_str() {
            "" | "default" => String::new(),
            profile => format!(" ({profile})"),
        };
        let verdict = verdict_in_words(&cell);
        sheet.subheading(&format!("Kubernetes {version}{profile}: {verdict}"));
        let Some(judgement) = cell.judgement() else {
            sheet.hanging(&cell.reason());
            continue;
        };
        if judgement.checks.is_empty() {
            sheet.hanging(&cell.reason());
        }
        for check in &judgement.checks {
            let name = match judgement.checks.len() {
                1 => String::new(),
                _ => format!("{}: ", check.name),
            };
            let outcome = outcome_word(check.outcome);
            let reason = without_outcome(&check.reason, check.outcome);
            sheet.hanging(&format!("{name}{outcome}: {reason}"));
        }
        for (name, measured) in &judgement.measured {
            sheet.hanging(&format!("{name} = {}", value(measured)));
        }
        if let Some(evidence) = cell.evidence() {
            sheet.hanging(&format!("evidence: {}", folder.join(evidence)));
        }
    }
}

/// Requirements in words, such as `Kubernetes >=1.30`; empty without any.
fn needs(needs: &Needs) -> Vec<String> {
    let versions = needs.kubernetes.iter();
    let versions = versions.map(|range| format!("Kubernetes {}", range.text));
    let gates = needs.gates.iter().map(|(gate, on)| {
        let on = if *on { "on" } else { "off" };
        format!("feature gate {gate} {on}")
    });
    let capabilities = needs.capabilities.iter();
    let capabilities = capabilities.map(|name| format!("capability {name}"));
    versions.chain(gates).chain(capabilities).collect()
}

#[cfg(test)]
mod tests;
