//! Checks expressions without evidence: syntax, names, types, and what makes a prediction worth nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::super::finding::Finding;
use super::super::model::{Check, Claim, Expression, Matches, Place, Scenario};
use super::super::yaml::{At, Reader};
use super::names::Names;
use crate::expr::types::Type;
use crate::expr::{self, Checker, Scope};

/// The longest line of a suite, in characters.
const LINE: usize = 120;
/// The most lines of an expression.
const LINES: u32 = 4;
/// How often a condition may be written in one file, and from which length on it counts.
const REPETITIONS: (usize, usize) = (2, 40);

/// An expression of a scenario's claims and what is asked of it.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) expression: Expression,
    pub(super) part: Part,
}

/// What an expression is in its claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Control,
    Prediction,
    Measure,
}

/// Checks every expression of a scenario.
pub(super) fn expressions(
    scenario: &Scenario,
    written: &[Written],
    source: &str,
    findings: &mut Vec<Finding>,
) {
    let mut names = Names::of_checks(scenario);
    for (name, expression) in &scenario.values {
        let found = check(&names, expression, source, findings);
        names.define(name, found.unwrap_or(Type::Unknown));
    }
    for Written { expression, part } in written {
        let found = check(&names, expression, source, findings);
        if *part != Part::Measure {
            not_boolean(found, &expression.place, findings);
        }
        if *part == Part::Control && expression.text.trim() == "true" {
            findings.push(
                Finding::new(
                    &expression.place,
                    "a control that is always true controls nothing",
                )
                .with_help("write what shows that the opposite would have been seen"),
            );
        }
    }
    unused(scenario, written, findings);
    scenario
        .claims
        .iter()
        .for_each(|claim| predictions(claim, findings));
    style(scenario, written, source, findings);
}

/// Checks the condition of a moment.
pub(super) fn condition(matches: &Matches, condition: &At<String>, reader: &mut Reader<'_>) {
    let expression = Expression {
        text: condition.value.clone(),
        place: reader.place(condition.at),
    };
    let names = Names::of_condition(matches);
    let found = check(&names, &expression, reader.source, reader.findings);
    not_boolean(found, &expression.place, reader.findings);
}

fn not_boolean(found: Option<Type>, place: &Place, findings: &mut Vec<Finding>) {
    if let Some(found) = found
        && !matches!(found, Type::Bool | Type::Unknown)
    {
        let message = format!("expected a boolean, found {}", found.in_words());
        findings.push(Finding::new(place, message));
    }
}

/// The type of an expression; `None` if it does not compile.
fn check(
    names: &dyn Scope,
    Expression { text, place }: &Expression,
    source: &str,
    findings: &mut Vec<Finding>,
) -> Option<Type> {
    let at = |offset| locate(source, place, text, offset);
    let compiled = match expr::compile(text) {
        Ok(compiled) => compiled,
        Err(errors) => {
            findings.extend(errors.into_iter().map(|error| {
                Finding::new(
                    &at(error.offset),
                    format!("does not compile: {}", error.message),
                )
            }));
            return None;
        }
    };
    let (found, all) = Checker::check(&compiled, names);
    findings.extend(all.into_iter().map(|found| {
        let finding = Finding::new(&at(found.offset), found.message);
        match found.help {
            Some(help) => finding.with_help(help),
            None => finding,
        }
    }));
    Some(found)
}

/// Values and declared moments that nothing reads.
fn unused(scenario: &Scenario, written: &[Written], findings: &mut Vec<Finding>) {
    let mut read: BTreeSet<String> = BTreeSet::new();
    let texts = written.iter().map(|written| &written.expression);
    for expression in texts.chain(scenario.values.iter().map(|(_, expression)| expression)) {
        let Ok(compiled) = expr::compile(&expression.text) else {
            continue;
        };
        for found in expr::reads(compiled.expression()) {
            read.extend((1..=found.names.len()).map(|n| found.names[..n].join(".")));
        }
        // `'hook.ended' in moments` names a moment in text.
        read.extend(expression.text.split(['\'', '"']).map(str::to_owned));
    }
    for (name, expression) in &scenario.values {
        if !read.contains(name) {
            findings.push(Finding::new(
                &expression.place,
                format!("nothing uses the value `{name}`"),
            ));
        }
    }
    for (name, moment) in &scenario.moments {
        let awaited = scenario.awaited().any(|awaited| awaited == name);
        if moment.place.line > 0 && !awaited && !read.contains(name) {
            findings.push(Finding::new(
                &moment.place,
                format!("nothing uses the moment `{name}`"),
            ));
        }
    }
}

/// A `fails` that only negates `holds` predicts nothing: it is also true if nothing worked.
fn predictions(claim: &Claim, findings: &mut Vec<Finding>) {
    for check in &claim.checks {
        if expr::negates(&check.holds.text, &check.fails.text) {
            findings.push(
                Finding::new(&check.fails.place, "`fails` only negates `holds`")
                    .with_help("write what is seen if the statement is false"),
            );
        }
        unguarded(check, findings);
    }
}

/// A name that `fails` expects to be missing and `holds` reads: `holds` then has no value, and `fails` never counts.
fn unguarded(check: &Check, findings: &mut Vec<Finding>) {
    let (Ok(holds), Ok(fails)) = (
        expr::compile(&check.holds.text),
        expr::compile(&check.fails.text),
    ) else {
        return;
    };
    let reads = expr::reads(holds.expression());
    for name in expr::absences(fails.expression()) {
        let guarded = reads.iter().any(|read| read.tested && read.text == name);
        if !guarded && reads.iter().any(|read| read.text == name) {
            let message = format!("`holds` reads `{name}`, which is missing where `fails` is true");
            findings.push(
                Finding::new(&check.holds.place, message)
                    .with_help(format!("begin it with `has({name}) &&`")),
            );
        }
    }
}

/// What makes a suite hard to read. None of it keeps a suite from running.
/// Checks the length of a file's lines.
pub(super) fn lines(reader: &mut Reader<'_>) {
    for (line, text) in (1..).zip(reader.source.lines()) {
        let length = text.chars().count();
        if length > LINE {
            let place = Place {
                file: reader.file.to_owned(),
                line,
                column: 1,
            };
            let message = format!("a line of {length} characters; {LINE} are allowed");
            reader.findings.push(Finding::new(&place, message).style());
        }
    }
}

fn style(scenario: &Scenario, written: &[Written], source: &str, findings: &mut Vec<Finding>) {
    let mut repeated: BTreeMap<String, Vec<&Place>> = BTreeMap::new();
    let texts = written.iter().map(|written| &written.expression);
    for Expression { text, place } in
        texts.chain(scenario.values.iter().map(|(_, expression)| expression))
    {
        let last = locate(source, place, text, text.chars().count().saturating_sub(1));
        let lines = last.line.saturating_sub(place.line) + 1;
        let block = source
            .lines()
            .nth(place.line.saturating_sub(1) as usize)
            .is_some_and(|line| line.trim_end().ends_with(['>', '-', '|']));
        if lines - u32::from(block && lines > 1) > LINES {
            let message = format!("an expression of {lines} lines; {LINES} are allowed");
            let finding =
                Finding::new(place, message).with_help("give parts of it names under `values`");
            findings.push(finding.style());
        }
        for part in expr::conjuncts(text) {
            let words: Vec<&str> = part.split_whitespace().collect();
            repeated.entry(words.join(" ")).or_default().push(place);
        }
    }
    for (text, places) in repeated {
        if text.chars().count() >= REPETITIONS.1 && places.len() > REPETITIONS.0 {
            let message = format!("written {} times in this file: `{text}`", places.len());
            let finding =
                Finding::new(places[REPETITIONS.0], message).with_help("name it under `values`");
            findings.push(finding.style());
        }
    }
}

/// The place of a character of an expression in its file. YAML may have folded, quoted or indented the text, so both
/// are followed in parallel, ignoring white space.
fn locate(source: &str, start: &Place, text: &str, offset: usize) -> Place {
    let (mut line, mut column) = (1_u32, 1_u32);
    let mut rest = source.chars().peekable();
    let mut next = |line: &mut u32, column: &mut u32| {
        let c = rest.next();
        if c == Some('\n') {
            *line += 1;
            *column = 1;
        } else {
            *column += 1;
        }
        c
    };
    while (line, column) < (start.line, start.column) {
        if next(&mut line, &mut column).is_none() {
            return start.clone();
        }
    }
    let mut found = (line, column);
    for wanted in text
        .chars()
        .take(offset.saturating_add(1))
        .filter(|c| !c.is_whitespace())
    {
        loop {
            found = (line, column);
            match next(&mut line, &mut column) {
                None => return start.clone(),
                Some(c) if c == wanted => break,
                Some(_) => {}
            }
        }
    }
    Place {
        file: start.file.clone(),
        line: found.0,
        column: found.1,
    }
}
