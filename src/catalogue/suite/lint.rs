//! Checks expressions without evidence: syntax, names, types, and what makes a prediction worth nothing.

use std::collections::{BTreeMap, BTreeSet};

use itertools::Itertools as _;

use super::super::finding::Finding;
use super::super::model::{Check, Expression, Matches, Place, Scenario};
use super::super::yaml::{At, Reader};
use super::names::Names;
use crate::expr::types::Type;
use crate::expr::{self, Checker};

/// The longest line of a suite, in characters.
const LINE: usize = 120;
/// The most lines of an expression.
const LINES: u32 = 4;
/// How often a condition may be written in one file, and from which length on it counts.
const REPETITIONS: (usize, usize) = (2, 40);

/// An expression of a scenario's claims and what is asked of it.
pub(super) type Written = (Expression, Part);

/// What an expression is in its claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Control,
    Prediction,
    Measure,
}

pub(super) fn expression(reader: &Reader<'_>, At { value: text, at }: At<String>) -> Expression {
    let place = reader.place(at);
    Expression { text, place }
}

pub(super) fn expressions(scenario: &Scenario, written: &[Written], reader: &mut Reader<'_>) {
    let mut lint = Lint::of(reader);
    let mut names = Names::of_checks(scenario);
    for (name, expression) in &scenario.values {
        let found = lint.check(&names, expression);
        names.variables.insert(name, found.unwrap_or(Type::Unknown));
    }
    for (expression, part) in written {
        if *part == Part::Measure {
            lint.check(&names, expression);
            continue;
        }
        lint.condition(&names, expression);
        if *part == Part::Control && expression.text.trim() == "true" {
            let message = "a control that is always true controls nothing";
            let help = "write what shows that the opposite would have been seen";
            lint.find(&expression.place, message, help);
        }
    }
    lint.unused(scenario, written);
    for check in scenario.claims.iter().flat_map(|claim| &claim.checks) {
        // It predicts nothing: it is also true if nothing worked.
        if expr::negates(&check.holds.text, &check.fails.text) {
            let help = "write what is seen if the statement is false";
            lint.find(&check.fails.place, "`fails` only negates `holds`", help);
        }
        lint.unguarded(check);
    }
    lint.style(scenario, written);
}

pub(super) fn condition(matches: &Matches, condition: &At<String>, reader: &mut Reader<'_>) {
    let expression = expression(reader, condition.clone());
    Lint::of(reader).condition(&Names::of_condition(matches), &expression);
}

/// Checks the length of a file's lines.
pub(super) fn lines(reader: &mut Reader<'_>) {
    for (line, text) in (1..).zip(reader.source.lines()) {
        let length = text.chars().count();
        if length > LINE {
            let message = format!("a line of {length} characters; {LINE} are allowed");
            let place = Place::new(reader.file, line, 1);
            reader.findings.push(Finding::new(&place, message).style());
        }
    }
}

/// The expressions of claims and the named values.
fn all<'a>(scenario: &'a Scenario, written: &'a [Written]) -> impl Iterator<Item = &'a Expression> {
    let values = scenario.values.iter().map(|(_, expression)| expression);
    let written = written.iter().map(|(expression, _)| expression);
    written.chain(values)
}

struct Lint<'a> {
    source: Vec<&'a str>,
    findings: &'a mut Vec<Finding>,
}

impl<'a> Lint<'a> {
    fn of(reader: &'a mut Reader<'_>) -> Self {
        Self {
            source: reader.source.split_inclusive('\n').collect(),
            findings: &mut reader.findings,
        }
    }

    fn find(&mut self, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        self.findings
            .push(Finding::new(place, message).with_help(help));
    }

    /// The type of an expression; `None` if it does not compile.
    fn check(
        &mut self,
        names: &Names<'_>,
        Expression { text, place }: &Expression,
    ) -> Option<Type> {
        match expr::compile(text) {
            Ok(compiled) => {
                let (found, all) = Checker::check(&compiled, names);
                for wrong in all {
                    let place = self.locate(place, text, wrong.offset);
                    let finding = Finding::new(&place, wrong.message);
                    let help = wrong.help;
                    self.findings.push(Finding { help, ..finding });
                }
                Some(found)
            }
            Err(errors) => {
                for error in errors {
                    let place = self.locate(place, text, error.offset);
                    let message = format!("does not compile: {}", error.message);
                    self.findings.push(Finding::new(&place, message));
                }
                None
            }
        }
    }

    /// Checks an expression that must be a boolean.
    fn condition(&mut self, names: &Names<'_>, expression: &Expression) {
        let found = self.check(names, expression).unwrap_or(Type::Unknown);
        if !matches!(found, Type::Bool | Type::Unknown) {
            let message = format!("expected a boolean, found {}", found.in_words());
            self.findings.push(Finding::new(&expression.place, message));
        }
    }

    /// Values and declared moments that nothing reads.
    fn unused(&mut self, scenario: &Scenario, written: &[Written]) {
        let mut read: BTreeSet<String> = scenario.awaited().map(str::to_owned).collect();
        for expression in all(scenario, written) {
            for name in expr::names_read(&expression.text) {
                read.extend(expr::beginnings(&name).map(str::to_owned));
            }
            // `'hook.ended' in moments` names a moment in text.
            read.extend(expression.text.split(['\'', '"']).map(str::to_owned));
        }
        let values = scenario.values.iter();
        let values = values.map(|(name, expression)| ("value", name, &expression.place));
        let moments = scenario.moments.iter();
        let moments = moments.map(|(name, moment)| ("moment", name, &moment.place));
        let declared = values.chain(moments).filter(|(.., place)| place.line > 0);
        for (what, name, place) in declared.filter(|(_, name, _)| !read.contains(*name)) {
            let message = format!("nothing uses the {what} `{name}`");
            self.findings.push(Finding::new(place, message));
        }
    }

    /// A name that `fails` expects to be missing and `holds` reads: `holds` then has no value, and `fails` never counts.
    fn unguarded(&mut self, Check { holds, fails, .. }: &Check) {
        let compiled = (expr::compile(&holds.text), expr::compile(&fails.text));
        let (Ok(compiled), Ok(of_fails)) = compiled else {
            return;
        };
        let reads = expr::reads(compiled.expression());
        for name in expr::absences(of_fails.expression()) {
            let mut of_name = reads.iter().filter(|read| read.text == name).peekable();
            if of_name.peek().is_some() && !of_name.any(|read| read.tested) {
                let message =
                    format!("`holds` reads `{name}`, which is missing where `fails` is true");
                self.find(
                    &holds.place,
                    message,
                    format!("begin it with `has({name}) &&`"),
                );
            }
        }
    }

    /// What makes a suite hard to read. None of it keeps a suite from running.
    fn style(&mut self, scenario: &Scenario, written: &[Written]) {
        let mut repeated: BTreeMap<String, Vec<&Place>> = BTreeMap::new();
        for Expression { text, place } in all(scenario, written) {
            let last = self.locate(place, text, text.chars().count().saturating_sub(1));
            let lines = last.line.saturating_sub(place.line) + 1;
            let first = self.from(place.line).next();
            let block = first.is_some_and(|(_, line)| line.trim_end().ends_with(['>', '-', '|']));
            if lines - u32::from(block && lines > 1) > LINES {
                let message = format!("an expression of {lines} lines; {LINES} are allowed");
                let finding = Finding::new(place, message).style();
                self.findings
                    .push(finding.with_help("give parts of it names under `values`"));
            }
            for part in expr::conjuncts(text) {
                let part = part.split_whitespace().join(" ");
                repeated.entry(part).or_default().push(place);
            }
        }
        for (text, places) in repeated {
            if text.chars().count() >= REPETITIONS.1 && places.len() > REPETITIONS.0 {
                let message = format!("written {} times in this file: `{text}`", places.len());
                let finding = Finding::new(places[REPETITIONS.0], message).style();
                self.findings
                    .push(finding.with_help("name it under `values`"));
            }
        }
    }

    /// The lines from a number on, which begins at 1.
    fn from(&self, number: u32) -> impl Iterator<Item = (u32, &'a str)> {
        let skipped = number.saturating_sub(1) as usize;
        (number..).zip(self.source.iter().copied().skip(skipped))
    }

    /// The place of a character of an expression in its file. YAML may have folded, quoted or indented the text, so
    /// both are followed in parallel, ignoring white space.
    fn locate(&self, start: &Place, text: &str, offset: usize) -> Place {
        let chars = self.from(start.line).flat_map(|(line, text)| {
            let columns = (1..).zip(text.chars());
            columns.map(move |(column, c)| (line, column, c))
        });
        let before = |(line, column, _): &_| (*line, *column) < (start.line, start.column);
        let mut rest = chars.skip_while(before);
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
}
