//! The page of a claim: what it says, how it is tested, what decides it, and what was found.

mod moments;
mod objects;
mod sheet;
mod steps;

use camino::Utf8Path;
use itertools::Itertools as _;

use super::essentials::{outcome_word, verdict_in_words, without_outcome};
use super::results::Results;
use super::terminal::Layout;
use super::text::{line_numbers, one_line, value};
use super::view::{Cell, State, place};
use crate::catalogue::model::{Claim, Needs, Scenario};
use crate::expr::{FUNCTIONS, calls, compile};
use crate::judge::verdict::used_values;

pub use objects::applied;
use sheet::Sheet;

/// Where verdicts are looked up.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    /// Results folder, for messages and paths.
    pub folder: &'a Utf8Path,
    /// Its results, if there are any.
    pub results: Option<&'a Results>,
}

/// Renders the page of a claim. A claim without a scenario is not testable.
pub(crate) fn page(
    claim: &Claim,
    scenario: Option<&Scenario>,
    recorded: Recorded<'_>,
    layout: Layout,
) -> String {
    let mut sheet = Sheet::new(layout);
    sheet.title(&claim.id);
    statement(&mut sheet, claim);
    if let Some(scenario) = scenario {
        experiment(&mut sheet, scenario);
        pods(&mut sheet, scenario);
        let texts = texts(scenario, claim);
        moments(&mut sheet, scenario, &texts);
        values(&mut sheet, scenario, claim);
        functions(&mut sheet, &texts);
        checks(&mut sheet, claim);
    }
    expected(&mut sheet, claim);
    found(&mut sheet, claim, recorded);
    sheet.finish()
}

fn statement(sheet: &mut Sheet, claim: &Claim) {
    sheet.entry("claim", 8, &claim.says);
    if let Some(instead) = &claim.instead {
        sheet.entry("actually", 8, instead);
    }
    let sources = claim.cites.iter();
    let sources = sources.map(|cite| format!("{}, {}", cite.document, place(cite, line_numbers)));
    let mut sources = sources.collect_vec();
    if sources.is_empty() {
        sources.push("no document; the suite adds this claim".to_owned());
    }
    sheet.entries("source", 8, &sources);
}

fn experiment(sheet: &mut Sheet, scenario: &Scenario) {
    sheet.heading("Experiment", "→ NAME: the output, as expressions call it");
    let title = format!("{}: {}", scenario.id, scenario.title);
    sheet.entry("scenario", 8, &title);
    let file = &scenario.place.file;
    sheet.entry("suite", 8, file.strip_prefix("./").unwrap_or(file));
    let needs = needs(&scenario.needs);
    if !needs.is_empty() {
        sheet.entry("needs", 8, &needs.join("; "));
    }
    for (number, step) in (1..).zip(steps::in_words(scenario)) {
        sheet.entry(&format!("{number:>2}."), 3, &step);
    }
}

fn pods(sheet: &mut Sheet, scenario: &Scenario) {
    let objects = objects::in_words(scenario);
    if objects.is_empty() {
        return;
    }
    sheet.heading("Pods", "");
    for object in objects {
        sheet.hanging(&object);
    }
}

fn moments(sheet: &mut Sheet, scenario: &Scenario, texts: &[&str]) {
    let moments = moments::in_words(scenario, texts);
    if moments.is_empty() {
        return;
    }
    sheet.heading("Moments", "the first time, unless it says otherwise");
    let width = sheet.column(moments.iter().map(|(name, _)| name.as_str()));
    for (name, meaning) in moments {
        sheet.entry(&name, width, &meaning);
    }
}

fn values(sheet: &mut Sheet, scenario: &Scenario, claim: &Claim) {
    let used = used_values(scenario, claim);
    if used.is_empty() {
        return;
    }
    sheet.heading("Values", "");
    for (name, expression) in &scenario.values {
        if used.contains(name.as_str()) {
            sheet.expression(&format!("{name} ="), 0, &expression.text);
        }
    }
}

/// The functions of suites that the expressions call, for readers who do not know them.
fn functions(sheet: &mut Sheet, texts: &[&str]) {
    let called = |name: &str| {
        texts.iter().any(|text| {
            compile(text).is_ok_and(|compiled| calls(compiled.expression()).contains(&name))
        })
    };
    let used = FUNCTIONS.iter().filter(|function| called(function.name));
    let used = used.map(|function| {
        let parameters = function.parameters.iter().take(function.required());
        let parameters = parameters.map(|parameter| parameter.in_words()).join(", ");
        (format!("{}({parameters})", function.name), function.doc)
    });
    let used = used.collect_vec();
    if used.is_empty() {
        return;
    }
    sheet.heading("Functions", "");
    let width = sheet.column(used.iter().map(|(name, _)| name.as_str()));
    for (name, meaning) in used {
        sheet.entry(&name, width, &meaning.replace('`', ""));
    }
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
        let wanted = needs(&check.needs);
        if !wanted.is_empty() {
            sheet.entry("only with", 11, &wanted.join("; "));
        }
        sheet.expression("control", 11, &check.control.text);
        sheet.expression("confirms if", 11, &check.holds.text);
        sheet.expression("refutes if", 11, &check.fails.text);
    }
    let measures = &claim.measures;
    if !measures.is_empty() {
        sheet.heading("Also measured", "");
        for (name, expression) in measures {
            sheet.expression(&format!("{name} ="), 0, &expression.text);
        }
    }
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

fn found(sheet: &mut Sheet, claim: &Claim, recorded: Recorded<'_>) {
    if claim.not_testable.is_some() {
        return;
    }
    let Recorded { folder, results } = recorded;
    let info = results.and_then(|results| {
        let info = results.claims.iter().find(|info| info.id == claim.id)?;
        Some((results, info))
    });
    let Some((results, info)) = info else {
        sheet.heading("Verdict", "");
        let scope = if results.is_some() {
            " for this claim"
        } else {
            ""
        };
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
        let version = match facts.kubernetes.as_str() {
            "" => one_line(&facts.name),
            version => one_line(version),
        };
        let profile = match facts.profile.as_str() {
            "" | "default" => String::new(),
            profile => format!(" ({})", one_line(profile)),
        };
        sheet.subheading(&format!(
            "Kubernetes {}{profile}: {}",
            version.trim_start_matches('v'),
            verdict_in_words(&cell)
        ));
        let checks = cell
            .judgement()
            .map_or(&[][..], |judgement| &judgement.checks);
        for check in checks {
            let reason = one_line(without_outcome(&check.reason, check.outcome));
            let outcome = outcome_word(check.outcome);
            sheet.nested(&match checks.len() {
                1 => format!("{outcome}: {reason}"),
                _ => format!("{}: {outcome}: {reason}", check.name),
            });
        }
        if checks.is_empty() {
            sheet.nested(&cell.reason());
        }
        let Some(judgement) = cell.judgement() else {
            continue;
        };
        for (name, measured) in &judgement.measured {
            sheet.nested(&format!("{name} = {}", value(measured)));
        }
        if let Some(evidence) = cell.evidence() {
            sheet.nested(&format!("evidence: {}", folder.join(evidence)));
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
    let capabilities = needs
        .capabilities
        .iter()
        .map(|name| format!("capability {name}"));
    versions.chain(gates).chain(capabilities).collect()
}

/// The expressions that decide a claim, with the values that they use.
fn texts<'a>(scenario: &'a Scenario, claim: &'a Claim) -> Vec<&'a str> {
    let used = used_values(scenario, claim);
    let values = scenario.values.iter();
    let values = values.filter_map(|(name, value)| used.contains(name.as_str()).then_some(value));
    let all = claim.expressions().chain(values);
    all.map(|expression| expression.text.as_str()).collect()
}

#[cfg(test)]
mod tests;
