//! Explains evaluated expressions part by part, with the values that they read.

use cel::common::ast::{Expr, IdedExpr, operators};
use cel::{IdedExpr as Expression, Value};

use super::judgement::{Evaluation, Part};
use super::scene::Scene;
use super::search::search;
use crate::expr::{self, Read, values};

/// An evaluated expression and its explanation.
pub(super) struct Explained {
    pub(super) evaluation: Evaluation,
    /// The parts' values and phrases.
    phrases: Vec<(Option<bool>, String)>,
}

impl Explained {
    pub(super) fn value(&self) -> Option<bool> {
        self.evaluation.value
    }

    pub(super) fn error(&self) -> &str {
        self.evaluation
            .error
            .as_deref()
            .unwrap_or("it cannot be evaluated")
    }

    /// The parts that decide the value.
    pub(super) fn because(&self) -> String {
        let mut deciding: Vec<&str> = Vec::new();
        for (value, phrase) in &self.phrases {
            if *value == self.evaluation.value && !deciding.contains(&phrase.as_str()) {
                deciding.push(phrase);
            }
        }
        if deciding.is_empty() {
            self.evaluation.expression.clone()
        } else {
            deciding.join("; ")
        }
    }
}

/// Evaluates `text` to a boolean and explains it.
pub(super) fn explain(text: &str, scene: &Scene) -> Explained {
    let (value, error) = match boolean(text, scene) {
        Ok(value) => (Some(value), None),
        Err(error) => (None, Some(error)),
    };
    let mut parts = Vec::new();
    let mut phrases = Vec::new();
    for part in expr::conjuncts(text) {
        let Ok(program) = expr::compile(part) else {
            continue;
        };
        let value = boolean(part, scene).ok();
        let read = read_values(program.expression(), scene);
        let phrase = phrase(part, program.expression(), value, &read, scene);
        parts.push(Part {
            text: part.to_owned(),
            value,
            read: read.into_iter().map(|r| (r.name, r.value)).collect(),
        });
        phrases.push((value, phrase));
    }
    let evaluation = Evaluation {
        expression: text.trim().to_owned(),
        value,
        error,
        parts,
    };
    Explained {
        evaluation,
        phrases,
    }
}

fn boolean(text: &str, scene: &Scene) -> Result<bool, String> {
    match scene.evaluate(text)? {
        Value::Bool(value) => Ok(value),
        other => Err(format!(
            "expected a boolean, found {} {}",
            other.type_of(),
            scene.short(&other)
        )),
    }
}

/// A value that an expression read.
struct Reading {
    name: String,
    value: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Value,
    /// The result of searching a list.
    Found,
    /// Whether the value exists.
    There,
    /// A moment that was asked for and never occurred.
    Never,
    /// A whole list or object, of no interest next to what was found in it.
    Whole,
}

impl Reading {
    fn new(name: String, value: &Value, scene: &Scene) -> Self {
        let text = scene.short(value);
        let kind = match value {
            Value::Map(_) => Kind::Whole,
            Value::List(items) if items.iter().any(|item| matches!(item, Value::Map(_))) => {
                Kind::Whole
            }
            Value::List(_) if !text.starts_with('[') => Kind::Whole,
            _ => Kind::Value,
        };
        Self {
            name,
            value: text,
            kind,
        }
    }

    fn phrase(&self) -> String {
        let Self { name, value, kind } = self;
        match kind {
            Kind::Value | Kind::Whole => format!("{name} = {value}"),
            Kind::Found => format!("{name}: {value}"),
            Kind::There => format!("{name} is {value}"),
            Kind::Never => format!("{name} {value}"),
        }
    }
}

fn read_values(expression: &IdedExpr, scene: &Scene) -> Vec<Reading> {
    let mut read = looked_for(expression, scene);
    let mut add = |reading: Reading| {
        if !read.iter().any(|known| known.name == reading.name) {
            read.push(reading);
        }
    };
    for Read {
        names,
        text,
        expr,
        tested,
    } in expr::reads(expression)
    {
        let there = |name, words: &str| Reading {
            name,
            value: words.to_owned(),
            kind: Kind::There,
        };
        match Value::resolve(expr, &scene.context) {
            // The moment asked for is listed by name.
            Ok(Value::Map(_)) if names == ["moments"] => {}
            Ok(value) if expr::is_selector(&value) => {}
            Ok(Value::Bool(true)) if tested => add(there(text, "present")),
            Ok(Value::Bool(false)) if tested => add(there(text, "absent")),
            Ok(value) => add(Reading::new(text, &value, scene)),
            Err(_) => add(there(text, "absent")),
        }
    }
    for (left, right) in comparisons(expression) {
        for side in [left, right] {
            if let (Some(name), Ok(value)) = (computed(side), Value::resolve(side, &scene.context))
            {
                add(Reading::new(name, &value, scene));
            }
        }
        if let (Ok(Value::Timestamp(a)), Ok(Value::Timestamp(b))) = (
            Value::resolve(left, &scene.context),
            Value::resolve(right, &scene.context),
        ) {
            add(Reading {
                name: format!("{} - {}", name_of(right), name_of(left)),
                value: values::span(b.signed_duration_since(a)),
                kind: Kind::Value,
            });
        }
    }
    read
}

/// Searches of lists, moments, and texts.
fn looked_for(expression: &IdedExpr, scene: &Scene) -> Vec<Reading> {
    let mut found = Vec::new();
    expr::walk(expression, &mut Vec::new(), &mut |part, bound| {
        if !bound.is_empty() {
            return true;
        }
        if let Some(search) = search(part) {
            let condition = written(search.condition, Some(search.item));
            if let Some(value) = search.found(scene, &values::cut(&condition, 100)) {
                found.push(Reading {
                    name: name_of(search.list),
                    value,
                    kind: Kind::Found,
                });
                return false;
            }
        }
        let Expr::Call(call) = &part.expr else {
            return true;
        };
        match (call.func_name.as_str(), call.target.as_deref(), &*call.args) {
            (operators::IN, None, [name, list]) => {
                if let (Some(name), Expr::Ident(list)) = (expr::string_literal(name), &list.expr)
                    && list == "moments"
                {
                    found.push(moment(name, scene));
                }
            }
            ("contains", Some(text), [needle]) => {
                if let (Some(needle), Ok(Value::String(content))) = (
                    expr::string_literal(needle),
                    Value::resolve(text, &scene.context),
                ) && let Some(value) = values::around(&content, needle)
                {
                    found.push(Reading {
                        name: name_of(text),
                        value,
                        kind: Kind::Value,
                    });
                }
            }
            _ => {}
        }
        true
    });
    found
}

fn moment(name: &str, scene: &Scene) -> Reading {
    let came = scene.moments.get(name).copied().flatten();
    match came.map(values::timestamp) {
        Some(at) => Reading::new(name.to_owned(), &at, scene),
        None => Reading {
            name: name.to_owned(),
            value: "never occurred".to_owned(),
            kind: Kind::Never,
        },
    }
}

/// The operands of all comparisons outside comprehensions.
fn comparisons(expression: &IdedExpr) -> Vec<(&Expression, &Expression)> {
    const OPERATORS: [&str; 6] = [
        operators::EQUALS,
        operators::NOT_EQUALS,
        operators::LESS,
        operators::LESS_EQUALS,
        operators::GREATER,
        operators::GREATER_EQUALS,
    ];
    let mut found = Vec::new();
    expr::walk(expression, &mut Vec::new(), &mut |part, bound| {
        if let Expr::Call(call) = &part.expr
            && bound.is_empty()
            && OPERATORS.contains(&call.func_name.as_str())
            && let [left, right] = call.args.as_slice()
        {
            found.push((left, right));
        }
        true
    });
    found
}

/// A name for a computed value.
fn computed(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        // The result of a search includes the count.
        Expr::Call(call) if call.func_name == "size" => {
            let of = call.target.as_deref().or(call.args.first())?;
            search(of).is_none().then(|| name_of(expression))
        }
        // A duration literal is not computed.
        Expr::Call(call) if call.func_name == "duration" => None,
        Expr::Call(call) if call.func_name != operators::INDEX => Some(name_of(expression)),
        Expr::Select(select) => computed(&select.operand).map(|_| name_of(expression)),
        _ => None,
    }
}

/// The expression in source form, without the conditions of searches.
fn name_of(expression: &IdedExpr) -> String {
    written(expression, None)
}

/// The same, with fields of `item` written without its name.
fn written(expression: &IdedExpr, item: Option<&str>) -> String {
    let inner = |expression: &IdedExpr| written(expression, item);
    match &expression.expr {
        Expr::Ident(name) => name.clone(),
        Expr::Select(select) => {
            let field = match &select.operand.expr {
                Expr::Ident(name) if Some(name.as_str()) == item => select.field.clone(),
                _ => format!("{}.{}", inner(&select.operand), select.field),
            };
            if select.test {
                format!("has({field})")
            } else {
                field
            }
        }
        Expr::Call(call) => match (
            call.func_name.as_str(),
            call.target.as_deref(),
            call.args.as_slice(),
        ) {
            (operators::INDEX, None, [list, index]) => {
                format!("{}[{}]", inner(list), inner(index))
            }
            (operators::NEGATE, None, [one]) => format!("-{}", inner(one)),
            (operators::LOGICAL_NOT, None, [one]) => {
                let one_text = inner(one);
                match &one.expr {
                    Expr::Call(call)
                        if call.func_name.contains('_') || call.func_name == operators::IN =>
                    {
                        format!("!({one_text})")
                    }
                    _ => format!("!{one_text}"),
                }
            }
            (operators::IN, None, [one, list]) => format!("{} in {}", inner(one), inner(list)),
            (name, None, [left, right]) if name.starts_with('_') => {
                let enclosed = |operand: &IdedExpr, side| {
                    let text = inner(operand);
                    if needs_brackets(operand, side, name) {
                        format!("({text})")
                    } else {
                        text
                    }
                };
                format!(
                    "{} {} {}",
                    enclosed(left, Side::Left),
                    name.trim_matches('_'),
                    enclosed(right, Side::Right)
                )
            }
            ("duration", None, [literal]) if expr::string_literal(literal).is_some() => {
                expr::string_literal(literal).unwrap_or_default().to_owned()
            }
            (name, target, args) => {
                let args: Vec<String> = args.iter().map(inner).collect();
                let target = target
                    .map(|target| format!("{}.", inner(target)))
                    .unwrap_or_default();
                format!("{target}{name}({})", args.join(", "))
            }
        },
        Expr::List(list) => {
            let items: Vec<String> = list.elements.iter().map(inner).collect();
            format!("[{}]", items.join(", "))
        }
        _ => match search(expression) {
            Some(search) => format!("{}.{}(…)", inner(search.list), search.name),
            None => expr::literal(expression).unwrap_or_else(|| "…".to_owned()),
        },
    }
}

/// The side of an operand.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
}

/// Whether an operand needs parentheses: it binds less tightly than the operator, or as tightly on the right-hand
/// side, as in `a - (b - c)`.
fn needs_brackets(operand: &IdedExpr, side: Side, operator: &str) -> bool {
    let Expr::Call(call) = &operand.expr else {
        return false;
    };
    let (inside, outside) = (binding(&call.func_name), binding(operator));
    let order_matters = outside > binding(operators::LOGICAL_AND);
    inside < outside || inside == outside && side == Side::Right && order_matters
}

/// The precedence of an operator; calls bind tightest.
fn binding(operator: &str) -> u8 {
    match operator {
        operators::CONDITIONAL => 0,
        operators::LOGICAL_OR => 1,
        operators::LOGICAL_AND => 2,
        operators::EQUALS
        | operators::NOT_EQUALS
        | operators::LESS
        | operators::LESS_EQUALS
        | operators::GREATER
        | operators::GREATER_EQUALS
        | operators::IN => 3,
        operators::ADD | operators::SUBSTRACT => 4,
        operators::MULTIPLY | operators::DIVIDE | operators::MODULO => 5,
        _ => 6,
    }
}

/// A comparison of durations: `a.ended - a.begun = 2.276s, more than 1.000s`.
fn spans(expression: &IdedExpr, scene: &Scene) -> Option<String> {
    let (left, right) = comparisons(expression).into_iter().next()?;
    if !matches!(&expression.expr, Expr::Call(call) if call.args.first() == Some(left)) {
        return None;
    }
    let (Ok(Value::Duration(a)), Ok(Value::Duration(b))) = (
        Value::resolve(left, &scene.context),
        Value::resolve(right, &scene.context),
    ) else {
        return None;
    };
    let order = match a.cmp(&b) {
        std::cmp::Ordering::Less => "less than",
        std::cmp::Ordering::Equal => "equal to",
        std::cmp::Ordering::Greater => "more than",
    };
    let named = |expression: &Expression, value| match &expression.expr {
        Expr::Call(call) if call.func_name == "duration" => values::span(value),
        _ => format!("{} = {}", name_of(expression), values::span(value)),
    };
    Some(format!("{}, {order} {}", named(left, a), named(right, b)))
}

/// A part with its values; a comparison of times says which was first and by how much.
fn phrase(
    text: &str,
    expression: &IdedExpr,
    value: Option<bool>,
    read: &[Reading],
    scene: &Scene,
) -> String {
    if let Expr::Call(call) = &expression.expr
        && [
            operators::LESS,
            operators::LESS_EQUALS,
            operators::GREATER,
            operators::GREATER_EQUALS,
        ]
        .contains(&call.func_name.as_str())
        && let [left, right] = call.args.as_slice()
        && let (Ok(a @ Value::Timestamp(_)), Ok(b @ Value::Timestamp(_))) = (
            Value::resolve(left, &scene.context),
            Value::resolve(right, &scene.context),
        )
        && let (Value::Timestamp(at), Value::Timestamp(bt)) = (&a, &b)
    {
        let difference = bt.signed_duration_since(at);
        if difference == chrono::Duration::zero() {
            let (left, right) = (name_of(left), name_of(right));
            return format!("{left} ({}) at the same time as {right}", scene.short(&a));
        }
        let order = if difference < chrono::Duration::zero() {
            "after"
        } else {
            "before"
        };
        return format!(
            "{} ({}) {order} {} ({}) by {}",
            name_of(left),
            scene.short(&a),
            name_of(right),
            scene.short(&b),
            values::span(difference.abs()),
        );
    }
    if let Some(phrase) = spans(expression, scene) {
        return phrase;
    }
    let whole = |reading: &Reading| reading.kind == Kind::Whole;
    if read.iter().all(whole) {
        return match value {
            Some(value) => format!("`{text}` is {value}"),
            None => format!("`{text}` cannot be evaluated"),
        };
    }
    let read: Vec<String> = read
        .iter()
        .filter(|reading| !whole(reading))
        .map(Reading::phrase)
        .collect();
    read.join(", ")
}
