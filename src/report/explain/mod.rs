//! The page of a claim: what it says, how it is tested, what decides it, and what was found.

mod moments;
mod objects;
mod sheet;
mod steps;

use camino::Utf8Path;

use super::essentials::{outcome_word, verdict_in_words, without_outcome};
use super::results::Results;
use super::terminal::Layout;
use super::text::{line_numbers, one_line, value};
use super::view::{Cell, State, place};
use crate::catalogue::model::{Check, Claim, Expectation, Needs, Scenario};
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
    let mut sources: Vec<String> = claim
        .cites
        .iter()
        .map(|cite| format!("{}, {}", cite.document, place(cite, line_numbers)))
        .collect();
    if sources.is_empty() {
        sources.push("no document; the suite adds this claim".to_owned());
    }
    sheet.entries("source", 8, &sources);
}

fn experiment(sheet: &mut Sheet, scenario: &Scenario) {
    sheet.heading("Experiment", "→ NAME: the output, as expressions call it");
    sheet.entry(
        "scenario",
        8,
        &format!("{}: {}", scenario.id, scenario.title),
    );
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
    let used: Vec<(String, &str)> = FUNCTIONS
        .iter()
        .filter(|function| called(function.name))
        .map(|function| {
            let parameters: Vec<&str> = function
                .parameters
                .iter()
                .take(function.required())
                .map(|parameter| parameter.in_words())
                .collect();
            (
                format!("{}({})", function.name, parameters.join(", ")),
                function.doc,
            )
        })
        .collect();
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
    sheet.heading(
        title,
        "the control must be true before anything else counts",
    );
    for check in &claim.checks {
        let Check {
            name,
            needs: wanted,
            control,
            holds,
            fails,
        } = check;
        if several {
            sheet.subheading(name);
        }
        let wanted = needs(wanted);
        if !wanted.is_empty() {
            sheet.entry("only with", 11, &wanted.join("; "));
        }
        sheet.expression("control", 11, &control.text);
        sheet.expression("confirms if", 11, &holds.text);
        sheet.expression("refutes if", 11, &fails.text);
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
    for Expectation {
        needs: wanted,
        verdict,
    } in &claim.expect
    {
        let word = State::Verdict(*verdict).word();
        let wanted = needs(wanted);
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
        let version = if facts.kubernetes.is_empty() {
            one_line(&facts.name)
        } else {
            one_line(&facts.kubernetes)
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
        match cell {
            Cell::Judged {
                judgement,
                scenario,
                ..
            } => {
                let several = judgement.checks.len() > 1;
                for check in &judgement.checks {
                    let reason = without_outcome(&check.reason, check.outcome);
                    let outcome = outcome_word(check.outcome);
                    let name = if several {
                        format!("{}: ", check.name)
                    } else {
                        String::new()
                    };
                    sheet.nested(&format!("{name}{outcome}: {}", one_line(reason)));
                }
                if judgement.checks.is_empty() {
                    sheet.nested(&cell.reason());
                }
                for (name, measured) in &judgement.measured {
                    sheet.nested(&format!("{name} = {}", value(measured)));
                }
                if let Some(evidence) = scenario.and_then(|scenario| scenario.evidence.as_ref()) {
                    sheet.nested(&format!("evidence: {}", folder.join(evidence)));
                }
            }
            _ => sheet.nested(&cell.reason()),
        }
    }
}

/// Requirements in words, such as `Kubernetes >=1.30`; empty without any.
fn needs(needs: &Needs) -> Vec<String> {
    let Needs {
        kubernetes,
        gates,
        capabilities,
    } = needs;
    let versions = kubernetes
        .iter()
        .map(|range| format!("Kubernetes {}", range.text));
    let gates = gates.iter().map(|(gate, on)| {
        let on = if *on { "on" } else { "off" };
        format!("feature gate {gate} {on}")
    });
    let capabilities = capabilities.iter().map(|name| format!("capability {name}"));
    versions.chain(gates).chain(capabilities).collect()
}

/// The expressions that decide a claim, with the values that they use.
fn texts<'a>(scenario: &'a Scenario, claim: &'a Claim) -> Vec<&'a str> {
    let used = used_values(scenario, claim);
    let own = claim
        .checks
        .iter()
        .flat_map(|check| [&check.control, &check.holds, &check.fails])
        .chain(claim.measures.values());
    let values = scenario.values.iter();
    let values = values.filter_map(|(name, value)| used.contains(name.as_str()).then_some(value));
    own.chain(values)
        .map(|expression| expression.text.as_str())
        .collect()
}

#[cfg(test)]
mod tests;
