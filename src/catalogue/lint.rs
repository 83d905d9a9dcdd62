//! Checking expressions without evidence: that they compile, that everything they name exists,
//! and, where that can be seen, that they give true or false.

use std::collections::{BTreeMap, BTreeSet};

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};

use super::finding::{Finding, nearest};
use super::model::{Action, Expression, Place, Scenario};
use crate::judge::expr::{self, FUNCTIONS};
use crate::observe::evidence::ClusterFacts;

/// What an expression may name, and what is known of it.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Names without known fields.
    plain: BTreeMap<String, Type>,
    /// Names with the fields they have.
    records: BTreeMap<String, BTreeMap<&'static str, Type>>,
    /// Full names of moments.
    moments: BTreeSet<String>,
}

/// What is known of a value before there is evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Unknown,
    Bool,
    Number,
    Text,
    Time,
    Duration,
    List,
    Map,
}

impl Type {
    fn in_words(self) -> &'static str {
        match self {
            Self::Unknown => "something",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "text",
            Self::Time => "a time",
            Self::Duration => "a duration",
            Self::List => "a list",
            Self::Map => "a map",
        }
    }
}

impl Names {
    /// What a condition of a moment sees.
    pub(super) fn of_condition(kind: &str) -> Self {
        let plain: &[(&str, Type)] = match kind {
            "pod" => &[
                ("pod", Type::Map),
                ("status", Type::Map),
                ("deleted", Type::Bool),
            ],
            "event" => &[("event", Type::Map)],
            _ => &[("stamp", Type::Map)],
        };
        let mut names = Self::default();
        names
            .plain
            .extend(plain.iter().map(|(name, kind)| ((*name).to_owned(), *kind)));
        if kind == "event" {
            names.plain.clear();
            names.record(
                "event",
                &[
                    ("at", Type::Time),
                    ("name", Type::Text),
                    ("kind", Type::Text),
                    ("pod", Type::Text),
                    ("container", Type::Text),
                    ("type", Type::Text),
                    ("reason", Type::Text),
                    ("message", Type::Text),
                    ("count", Type::Number),
                    ("component", Type::Text),
                    ("first", Type::Time),
                    ("last", Type::Time),
                ],
            );
        }
        names
    }

    /// What the checks of a scenario see.
    fn of_checks(scenario: &Scenario) -> Self {
        let mut names = Self::default();
        for list in ["stamps", "events", "pods", "outputs", "notes"] {
            names.plain.insert(list.to_owned(), Type::List);
        }
        names.plain.insert("moments".to_owned(), Type::Map);
        names.records.insert("cluster".to_owned(), cluster_fields());
        for step in &scenario.steps {
            let Some(name) = &step.name else { continue };
            names.record(name, fields(&step.action));
            names.record(
                name,
                &[
                    ("name", Type::Text),
                    ("step", Type::Text),
                    ("begin", Type::Time),
                    ("end", Type::Time),
                ],
            );
        }
        names.moments = scenario.moments.keys().cloned().collect();
        names
    }

    fn record(&mut self, name: &str, fields: &[(&'static str, Type)]) {
        self.records
            .entry(name.to_owned())
            .or_default()
            .extend(fields.iter().copied());
    }

    fn known(&self) -> impl Iterator<Item = &str> {
        let all = self
            .plain
            .keys()
            .chain(self.records.keys())
            .chain(&self.moments);
        all.map(String::as_str)
    }
}

/// What a step keeps beside its times.
fn fields(action: &Action) -> &'static [(&'static str, Type)] {
    match action {
        Action::Kubectl { .. } | Action::Node { .. } => &[
            ("argv", Type::List),
            ("exit_code", Type::Number),
            ("stdout", Type::Text),
            ("stderr", Type::Text),
            ("lines", Type::List),
        ],
        Action::Http { .. } => &[
            ("status", Type::Number),
            ("body", Type::Text),
            ("error", Type::Text),
        ],
        Action::Apply { .. } | Action::Delete { .. } => &[
            ("accepted", Type::Bool),
            ("code", Type::Number),
            ("message", Type::Text),
        ],
        Action::Get { .. } => &[("object", Type::Map)],
        _ => &[],
    }
}

fn cluster_fields() -> BTreeMap<&'static str, Type> {
    let ClusterFacts {
        name: _,
        profile: _,
        kubernetes: _,
        kubelets: _,
        kubectl: _,
        container_runtimes: _,
        node_image: _,
        gates: _,
        gates_seen: _,
        capabilities: _,
        nodes: _,
        clock_offset: _,
    } = ClusterFacts::default();
    BTreeMap::from([
        ("name", Type::Text),
        ("profile", Type::Text),
        ("kubernetes", Type::Text),
        ("kubelets", Type::List),
        ("kubectl", Type::Text),
        ("container_runtimes", Type::List),
        ("node_image", Type::Unknown),
        ("gates", Type::Map),
        ("gates_seen", Type::Map),
        ("capabilities", Type::List),
        ("nodes", Type::Number),
        ("clock_offset", Type::Number),
        ("minor", Type::Number),
    ])
}

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

/// Checks every expression of a scenario's claims.
pub(super) fn expressions(
    scenario: &Scenario,
    written: &[Written],
    source: &str,
    findings: &mut Vec<Finding>,
) {
    let names = Names::of_checks(scenario);
    for Written {
        expression: Expression { text, place },
        part,
    } in written
    {
        Lint {
            names: &names,
            source,
            place,
            text,
            findings,
        }
        .run(*part != Part::Measure);
        if *part == Part::Control && text.trim() == "true" {
            findings.push(
                Finding::new(place, "a control that is always true controls nothing")
                    .with_help("write down what shows that the opposite would have been seen"),
            );
        }
    }
}

/// Checks the condition of a moment.
pub(super) fn condition(
    names: &Names,
    place: &Place,
    text: &str,
    source: &str,
    findings: &mut Vec<Finding>,
) {
    Lint {
        names,
        source,
        place,
        text,
        findings,
    }
    .run(true);
}

struct Lint<'a> {
    names: &'a Names,
    source: &'a str,
    place: &'a Place,
    text: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl Lint<'_> {
    fn run(&mut self, boolean: bool) {
        let program = match expr::compile(self.text) {
            Ok(program) => program,
            Err(errors) => {
                for error in errors {
                    let place = locate(self.source, self.place, self.text, error.offset);
                    let message = format!("does not compile: {}", error.message);
                    self.findings.push(Finding::new(&place, message));
                }
                return;
            }
        };
        let root = program.expression();
        for read in expr::reads(root) {
            self.read(&read, &program);
        }
        for (name, call) in expr::calls(root) {
            self.call(name, call, &program);
        }
        expr::walk(root, &mut Vec::new(), &mut |part, _| {
            self.part(part, &program);
            true
        });
        let found = self.type_of(root);
        if boolean && !matches!(found, Type::Bool | Type::Unknown) {
            let message = format!("gives {}, not true or false", found.in_words());
            self.findings.push(Finding::new(self.place, message));
        }
    }

    fn place(&self, part: &IdedExpr, program: &cel::Program) -> Place {
        // Selections are placed at their dot: the name before it is what people look for.
        let mut part = part;
        while let Expr::Select(select) = &part.expr {
            part = &select.operand;
        }
        let offset = program
            .source_info()
            .offset_for(part.id)
            .map_or(0, |(start, _)| start);
        locate(
            self.source,
            self.place,
            self.text,
            usize::try_from(offset).unwrap_or(0),
        )
    }

    fn read(&mut self, read: &expr::Read<'_>, program: &cel::Program) {
        let root = read.names[0];
        let place = self.place(read.expr, program);
        let shown = read.names.join(".");
        if let Some(fields) = self.names.records.get(root) {
            if let Some(field) = read.names.get(1)
                && !fields.contains_key(field)
            {
                let finding = Finding::new(&place, format!("`{root}` has no `{field}`"));
                self.findings
                    .push(finding.with_near(field, fields.keys().copied()));
            }
            return;
        }
        if self.names.plain.contains_key(root) {
            return;
        }
        let moments = &self.names.moments;
        let prefixes: Vec<String> = (1..=read.names.len())
            .map(|n| read.names[..n].join("."))
            .collect();
        if let Some(moment) = prefixes.iter().find(|prefix| moments.contains(*prefix)) {
            if *moment != shown {
                let message = format!("`{moment}` is a time, there is no `{shown}`");
                self.findings.push(Finding::new(&place, message));
            }
            return;
        }
        let group = format!("{shown}.");
        if moments.iter().any(|moment| moment.starts_with(&group)) {
            return;
        }
        let finding = Finding::new(&place, format!("nothing is named `{shown}`"));
        // A slip in a moment's name shows in the whole, one in a step's name at its beginning.
        let finding = match nearest(&shown, self.names.moments.iter().map(String::as_str)) {
            Some(near) => finding.with_help(format!("did you mean `{near}`?")),
            None => finding.with_near(root, self.names.known()),
        };
        self.findings.push(finding);
    }

    fn call(&mut self, name: &str, call: &IdedExpr, program: &cel::Program) {
        let place = self.place(call, program);
        if !FUNCTIONS.contains(&name) {
            let finding = Finding::new(&place, format!("there is no function `{name}`"));
            self.findings.push(finding.with_near(name, FUNCTIONS));
            return;
        }
        let Expr::Call(call) = &call.expr else { return };
        let wanted = match name {
            "first" | "last" | "seconds" | "ip" => 1,
            "status" => 2,
            _ => return,
        };
        if call.target.is_some() || call.args.len() != wanted {
            let of = if wanted == 1 {
                "one argument"
            } else {
                "two arguments"
            };
            let message = format!("`{name}` takes {of} in parentheses");
            self.findings.push(Finding::new(&place, message));
        }
    }

    /// Comparisons of different kinds of things, and names of moments given as text.
    fn part(&mut self, part: &IdedExpr, program: &cel::Program) {
        let Expr::Call(call) = &part.expr else { return };
        let [left, right] = call.args.as_slice() else {
            return;
        };
        match call.func_name.as_str() {
            operators::EQUALS | operators::NOT_EQUALS => {
                let (a, b) = (self.type_of(left), self.type_of(right));
                if a != b
                    && a != Type::Unknown
                    && b != Type::Unknown
                    && !is_null(left)
                    && !is_null(right)
                {
                    let message = format!(
                        "compares {} with {}: they are never the same",
                        a.in_words(),
                        b.in_words()
                    );
                    self.findings
                        .push(Finding::new(&self.place(left, program), message));
                }
            }
            operators::LESS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::GREATER_EQUALS => {
                let (a, b) = (self.type_of(left), self.type_of(right));
                if a != b && a != Type::Unknown && b != Type::Unknown {
                    let message = format!(
                        "{} cannot be put in order with {}",
                        a.in_words(),
                        b.in_words()
                    );
                    self.findings
                        .push(Finding::new(&self.place(left, program), message));
                }
            }
            operators::IN | operators::INDEX => {
                let (name, of) = if call.func_name == operators::IN {
                    (left, right)
                } else {
                    (right, left)
                };
                if !matches!(&of.expr, Expr::Ident(of) if of == "moments") {
                    return;
                }
                if let Some(text) = expr::string_literal(name)
                    && !self.names.moments.contains(text)
                {
                    let place = self.place(name, program);
                    let finding = Finding::new(&place, format!("no moment is named `{text}`"));
                    let known = self.names.moments.iter().map(String::as_str);
                    self.findings.push(finding.with_near(text, known));
                }
            }
            _ => {}
        }
    }

    fn type_of(&self, expression: &IdedExpr) -> Type {
        match &expression.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(_) => Type::Bool,
                LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_) => {
                    Type::Number
                }
                LiteralValue::String(_) => Type::Text,
                LiteralValue::Bytes(_) | LiteralValue::Null => Type::Unknown,
            },
            Expr::List(_) => Type::List,
            Expr::Map(_) => Type::Map,
            Expr::Comprehension(comprehension) => match &comprehension.accu_init.expr {
                Expr::Literal(LiteralValue::Boolean(_) | LiteralValue::Int(_)) => Type::Bool,
                Expr::List(_) => Type::List,
                _ => Type::Unknown,
            },
            Expr::Select(select) if select.test => Type::Bool,
            Expr::Select(_) | Expr::Ident(_) => self.type_of_name(expression),
            Expr::Call(call) => self.type_of_call(&call.func_name, &call.args),
            Expr::Struct(_) | Expr::Unspecified => Type::Unknown,
        }
    }

    fn type_of_name(&self, expression: &IdedExpr) -> Type {
        let reads = expr::reads(expression);
        let whole = |read: &&expr::Read<'_>| {
            std::ptr::eq(read.expr, expression) && !read.text.contains('[')
        };
        let Some(read) = reads.first().filter(whole) else {
            return Type::Unknown;
        };
        if self.names.moments.contains(&read.text) {
            return Type::Time;
        }
        match read.names.as_slice() {
            [name] if self.names.records.contains_key(*name) => Type::Map,
            [name] => self
                .names
                .plain
                .get(*name)
                .copied()
                .unwrap_or(Type::Unknown),
            [name, field] => {
                let fields = self.names.records.get(*name);
                fields
                    .and_then(|fields| fields.get(field))
                    .copied()
                    .unwrap_or(Type::Unknown)
            }
            _ => Type::Unknown,
        }
    }

    fn type_of_call(&self, name: &str, args: &[IdedExpr]) -> Type {
        match (name, args) {
            (
                operators::LOGICAL_AND
                | operators::LOGICAL_OR
                | operators::LOGICAL_NOT
                | operators::EQUALS
                | operators::NOT_EQUALS
                | operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS
                | operators::IN
                | "contains"
                | "startsWith"
                | "endsWith"
                | "matches"
                | "bool",
                _,
            ) => Type::Bool,
            ("size" | "seconds" | "int" | "uint" | "double" | "getSeconds", _) => Type::Number,
            (
                operators::NEGATE | operators::MULTIPLY | operators::DIVIDE | operators::MODULO,
                _,
            ) => Type::Number,
            ("string" | "ip", _) => Type::Text,
            ("timestamp", _) => Type::Time,
            ("duration", _) => Type::Duration,
            ("status", _) => Type::Map,
            (operators::ADD, [a, b]) => match (self.type_of(a), self.type_of(b)) {
                (Type::Time, Type::Duration) | (Type::Duration, Type::Time) => Type::Time,
                (a, b) if a == b => a,
                _ => Type::Unknown,
            },
            (operators::SUBSTRACT, [a, b]) => match (self.type_of(a), self.type_of(b)) {
                (Type::Time, Type::Time) => Type::Duration,
                (Type::Time, Type::Duration) => Type::Time,
                (a, b) if a == b => a,
                _ => Type::Unknown,
            },
            (operators::CONDITIONAL, [_, a, b]) => {
                let (a, b) = (self.type_of(a), self.type_of(b));
                if a == b { a } else { Type::Unknown }
            }
            _ => Type::Unknown,
        }
    }
}

fn is_null(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Literal(LiteralValue::Null))
}

/// Where a character of an expression stands in its file. YAML may have folded, quoted or
/// indented it, so both texts are followed along, white space left out.
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
