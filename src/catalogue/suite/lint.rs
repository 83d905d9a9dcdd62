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
    let source = &Lines::of(source);
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
            let message = "a control that is always true controls nothing";
            let finding = Finding::new(&expression.place, message);
            let help = "write what shows that the opposite would have been seen";
            findings.push(finding.with_help(help));
        }
    }
    unused(scenario, written, findings);
    for claim in &scenario.claims {
        predictions(claim, findings);
    }
    style(scenario, written, source, findings);
}

/// Checks the condition of a moment.
pub(super) fn condition(matches: &Matches, condition: &At<String>, reader: &mut Reader<'_>) {
    let expression = Expression {
        text: condition.value.clone(),
        place: reader.place(condition.at),
    };
    let names = Names::of_condition(matches);
    let lines = Lines::of(reader.source);
    let found = check(&names, &expression, &lines, reader.findings);
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
    source: &Lines<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Type> {
    let at = |offset| locate(source, place, text, offset);
    let compiled = match expr::compile(text) {
        Ok(compiled) => compiled,
        Err(errors) => {
            findings.extend(errors.into_iter().map(|error| {
                let message = format!("does not compile: {}", error.message);
                Finding::new(&at(error.offset), message)
            }));
            return None;
        }
    };
    let (found, all) = Checker::check(&compiled, names);
    findings.extend(all.into_iter().map(|found| {
        let finding = Finding::new(&at(found.offset), found.message);
        Finding {
            help: found.help,
            ..finding
        }
    }));
    Some(found)
}

/// Values and declared moments that nothing reads.
fn unused(scenario: &Scenario, written: &[Written], findings: &mut Vec<Finding>) {
    let mut read: BTreeSet<String> = BTreeSet::new();
    for expression in all(scenario, written) {
        for name in expr::names_read(&expression.text) {
            read.extend(expr::beginnings(&name).map(str::to_owned));
        }
        // `'hook.ended' in moments` names a moment in text.
        read.extend(expression.text.split(['\'', '"']).map(str::to_owned));
    }
    let values = scenario.values.iter();
    let values = values.map(|(name, expression)| ("value", name, &expression.place));
    let declared = scenario.moments.iter().filter(|(name, moment)| {
        moment.place.line > 0 && scenario.awaited().all(|awaited| awaited != *name)
    });
    let moments = declared.map(|(name, moment)| ("moment", name, &moment.place));
    for (what, name, place) in values.chain(moments) {
        if !read.contains(name) {
            findings.push(Finding::new(
                place,
                format!("nothing uses the {what} `{name}`"),
            ));
        }
    }
}

/// The expressions of claims and the named values.
fn all<'a>(scenario: &'a Scenario, written: &'a [Written]) -> impl Iterator<Item = &'a Expression> {
    let values = scenario.values.iter().map(|(_, expression)| expression);
    written
        .iter()
        .map(|written| &written.expression)
        .chain(values)
}

/// A `fails` that only negates `holds` predicts nothing: it is also true if nothing worked.
fn predictions(claim: &Claim, findings: &mut Vec<Finding>) {
    for check in &claim.checks {
        if expr::negates(&check.holds.text, &check.fails.text) {
            let finding = Finding::new(&check.fails.place, "`fails` only negates `holds`");
            findings.push(finding.with_help("write what is seen if the statement is false"));
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
            let finding = Finding::new(&check.holds.place, message);
            findings.push(finding.with_help(format!("begin it with `has({name}) &&`")));
        }
    }
}

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

/// A file's text by line.
pub(super) struct Lines<'a>(Vec<&'a str>);

impl<'a> Lines<'a> {
    pub(super) fn of(source: &'a str) -> Self {
        Self(source.split_inclusive('\n').collect())
    }

    /// The lines from a number on, which begins at 1.
    fn from(&self, number: u32) -> impl Iterator<Item = (u32, &'a str)> {
        let skipped = number.saturating_sub(1) as usize;
        (number..).zip(self.0.iter().copied().skip(skipped))
    }
}

/// What makes a suite hard to read. None of it keeps a suite from running.
fn style(
    scenario: &Scenario,
    written: &[Written],
    source: &Lines<'_>,
    findings: &mut Vec<Finding>,
) {
    let mut repeated: BTreeMap<String, Vec<&Place>> = BTreeMap::new();
    for Expression { text, place } in all(scenario, written) {
        let last = locate(source, place, text, text.chars().count().saturating_sub(1));
        let lines = last.line.saturating_sub(place.line) + 1;
        let first = source.from(place.line).next();
        let block = first.is_some_and(|(_, line)| line.trim_end().ends_with(['>', '-', '|']));
        if lines - u32::from(block && lines > 1) > LINES {
            let message = format!("an expression of {lines} lines; {LINES} are allowed");
            let finding = Finding::new(place, message).style();
            findings.push(finding.with_help("give parts of it names under `values`"));
        }
        for part in expr::conjuncts(text) {
            let words: Vec<&str> = part.split_whitespace().collect();
            repeated.entry(words.join(" ")).or_default().push(place);
        }
    }
    for (text, places) in repeated {
        if text.chars().count() >= REPETITIONS.1 && places.len() > REPETITIONS.0 {
            let message = format!("written {} times in this file: `{text}`", places.len());
            let finding = Finding::new(places[REPETITIONS.0], message).style();
            findings.push(finding.with_help("name it under `values`"));
        }
    }
}

/// The place of a character of an expression in its file. YAML may have folded, quoted or indented the text, so both
/// are followed in parallel, ignoring white space.
fn locate(source: &Lines<'_>, start: &Place, text: &str, offset: usize) -> Place {
    let chars = source.from(start.line).flat_map(|(line, text)| {
        let columns = (1..).zip(text.chars());
        columns.map(move |(column, c)| (line, column, c))
    });
    let mut rest =
        chars.skip_while(|(line, column, _)| (*line, *column) < (start.line, start.column));
    let mut found = start.clone();
    let wanted = text.chars().take(offset.saturating_add(1));
    for wanted in wanted.filter(|c| !c.is_whitespace()) {
        let Some((line, column, _)) = rest.find(|(_, _, c)| *c == wanted) else {
            return start.clone();
        };
        (found.line, found.column) = (line, column);
    }
    found
}
