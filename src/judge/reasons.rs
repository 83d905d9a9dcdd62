//! Explains evaluated expressions part by part, with the values that they read.

use cel::Value;
use cel::common::ast::operators::{
    ADD, CONDITIONAL, DIVIDE, EQUALS, GREATER, GREATER_EQUALS, IN, INDEX, LESS, LESS_EQUALS,
    LOGICAL_AND, LOGICAL_NOT, LOGICAL_OR, MODULO, MULTIPLY, NEGATE, NOT_EQUALS, SUBSTRACT,
};
use cel::common::ast::{Expr, IdedExpr};
use itertools::Itertools as _;

use super::judgement::{Evaluation, Part};
use super::scene::Scene;
use super::search::search;
use crate::expr::{self, Selector, values};

/// An evaluated expression and its explanation.
pub(super) struct Explained {
    pub(super) evaluation: Evaluation,
    /// The parts that decide the value, or why it has none.
    pub(super) because: String,
}

/// Evaluates `text` to a boolean and explains it.
pub(super) fn explain(text: &str, scene: &Scene) -> Explained {
    let found = boolean(text, scene);
    let (mut parts, mut deciding) = (Vec::new(), Vec::new());
    for part in expr::conjuncts(text) {
        let Ok(program) = expr::compile(part) else {
            continue;
        };
        let value = boolean(part, scene).ok();
        let read = read_values(program.expression(), scene);
        if value.as_ref() == found.as_ref().ok() {
            let order = order(program.expression(), scene);
            deciding.push(order.unwrap_or_else(|| phrase(part, value, &read)));
        }
        parts.push(Part {
            text: part.to_owned(),
            value,
            read: read.into_iter().map(|r| (r.name, r.value)).collect(),
        });
    }
    let expression = text.trim().to_owned();
    let because = match &found {
        Err(why) => why.clone(),
        Ok(_) if deciding.is_empty() => expression.clone(),
        Ok(_) => deciding.iter().unique().join("; "),
    };
    let evaluation = Evaluation {
        expression,
        value: found.as_ref().ok().copied(),
        error: found.err(),
        parts,
    };
    Explained {
        evaluation,
        because,
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
    /// What stands between both in a phrase. A whole list or object has no phrase: it is of no interest next to what
    /// was found in it.
    between: Option<&'static str>,
}

impl Reading {
    fn new(name: String, value: &Value, scene: &Scene) -> Self {
        let text = scene.short(value);
        let whole = match value {
            Value::Map(_) => true,
            Value::List(items) => {
                !text.starts_with('[') || items.iter().any(|item| matches!(item, Value::Map(_)))
            }
            _ => false,
        };
        Self {
            name,
            value: text,
            between: (!whole).then_some(" = "),
        }
    }

    fn of(name: String, between: &'static str, value: impl Into<String>) -> Self {
        Self {
            name,
            value: value.into(),
            between: Some(between),
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
    for read in expr::reads(expression) {
        let (text, tested) = (read.text, read.tested);
        match scene.resolve(read.expr) {
            // The moment asked for is listed by name.
            Some(Value::Map(_)) if read.names == ["moments"] => {}
            Some(value) if Selector::of(&value).is_some() => {}
            Some(Value::Bool(true)) if tested => add(Reading::of(text, " is ", "present")),
            Some(Value::Bool(false)) if tested => add(Reading::of(text, " is ", "absent")),
            None => add(Reading::of(text, " is ", "absent")),
            Some(value) => add(Reading::new(text, &value, scene)),
        }
    }
    expr::walk(expression, &mut Vec::new(), &mut |part, bound| {
        let Some((_, left, right)) = compared(part).filter(|_| bound.is_empty()) else {
            return true;
        };
        let (a, b) = (scene.resolve(left), scene.resolve(right));
        for (side, value) in [(left, &a), (right, &b)] {
            if let (Some(name), Some(value)) = (computed(side), value) {
                add(Reading::new(name, value, scene));
            }
        }
        if let (Some(Value::Timestamp(a)), Some(Value::Timestamp(b))) = (a, b) {
            let name = format!("{} - {}", name_of(right), name_of(left));
            add(Reading::of(name, " = ", values::span(b - a)));
        }
        true
    });
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
                found.push(Reading::of(name_of(search.list), ": ", value));
                return false;
            }
        }
        let Expr::Call(call) = &part.expr else {
            return true;
        };
        let Some(literal) = call.args.first().and_then(expr::string_literal) else {
            return true;
        };
        let second = call.args.get(1).map(|second| &second.expr);
        match (call.func_name.as_str(), call.target.as_deref(), second) {
            (IN, None, Some(Expr::Ident(list))) if list == "moments" => {
                found.push(match scene.moments.get(literal).copied().flatten() {
                    Some(at) => Reading::new(literal.to_owned(), &values::timestamp(at), scene),
                    None => Reading::of(literal.to_owned(), " ", "never occurred"),
                });
            }
            ("contains", Some(text), None) => {
                if let Some(Value::String(content)) = scene.resolve(text)
                    && let Some(value) = values::around(&content, literal)
                {
                    found.push(Reading::of(name_of(text), " = ", value));
                }
            }
            _ => {}
        }
        true
    });
    found
}

/// The operator and the operands, if an expression is a comparison.
fn compared(expression: &IdedExpr) -> Option<(&str, &IdedExpr, &IdedExpr)> {
    let Expr::Call(call) = &expression.expr else {
        return None;
    };
    match (call.func_name.as_str(), &*call.args) {
        (
            name @ (EQUALS | NOT_EQUALS | LESS | LESS_EQUALS | GREATER | GREATER_EQUALS),
            [left, right],
        ) => Some((name, left, right)),
        _ => None,
    }
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
        Expr::Call(call) if call.func_name != INDEX => Some(name_of(expression)),
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
        Expr::Call(call) => match (call.func_name.as_str(), &call.target, &*call.args) {
            (INDEX, None, [list, index]) => format!("{}[{}]", inner(list), inner(index)),
            (NEGATE, None, [one]) => format!("-{}", inner(one)),
            (LOGICAL_NOT, None, [one]) => match &one.expr {
                Expr::Call(call) if call.func_name.contains('_') || call.func_name == IN => {
                    format!("!({})", inner(one))
                }
                _ => format!("!{}", inner(one)),
            },
            (IN, None, [one, list]) => format!("{} in {}", inner(one), inner(list)),
            (name, None, [left, right]) if name.starts_with('_') => {
                // An operand that binds less tightly than the operator needs parentheses, and on the right-hand side
                // one that binds as tightly, as in `a - (b - c)`.
                let loosest = binding(name);
                let right_loosest = loosest + u8::from(loosest > binding(LOGICAL_AND));
                let enclosed = |operand: &IdedExpr, loosest| match &operand.expr {
                    Expr::Call(call) if binding(&call.func_name) < loosest => {
                        format!("({})", inner(operand))
                    }
                    _ => inner(operand),
                };
                let (left, right) = (enclosed(left, loosest), enclosed(right, right_loosest));
                format!("{left} {} {right}", name.trim_matches('_'))
            }
            ("duration", None, [literal]) if expr::string_literal(literal).is_some() => {
                expr::string_literal(literal).unwrap_or_default().to_owned()
            }
            (name, target, args) => {
                let target = target.as_ref();
                let target =
                    target.map_or_else(String::new, |target| format!("{}.", inner(target)));
                let args = args.iter().map(inner).join(", ");
                format!("{target}{name}({args})")
            }
        },
        Expr::List(list) => format!("[{}]", list.elements.iter().map(inner).join(", ")),
        _ => match search(expression) {
            Some(search) => format!("{}.{}(…)", inner(search.list), search.name),
            None => expr::literal(expression).unwrap_or_else(|| "…".to_owned()),
        },
    }
}

/// The precedence of an operator; calls bind tightest.
fn binding(operator: &str) -> u8 {
    match operator {
        CONDITIONAL => 0,
        LOGICAL_OR => 1,
        LOGICAL_AND => 2,
        EQUALS | NOT_EQUALS | LESS | LESS_EQUALS | GREATER | GREATER_EQUALS | IN => 3,
        ADD | SUBSTRACT => 4,
        MULTIPLY | DIVIDE | MODULO => 5,
        _ => 6,
    }
}

/// A comparison of times with which was first and by how much, or of durations:
/// `a.ended - a.begun = 2.276s, more than 1.000s`.
fn order(expression: &IdedExpr, scene: &Scene) -> Option<String> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let (operator, left, right) = compared(expression)?;
    let is_equality = [EQUALS, NOT_EQUALS].contains(&operator);
    match (scene.resolve(left)?, scene.resolve(right)?) {
        (Value::Timestamp(a), Value::Timestamp(b)) if !is_equality => {
            let named =
                |side, at| format!("{} ({})", name_of(side), scene.short(&Value::Timestamp(at)));
            let by = values::span((b - a).abs());
            Some(match a.cmp(&b) {
                Less => format!("{} before {} by {by}", named(left, a), named(right, b)),
                Greater => format!("{} after {} by {by}", named(left, a), named(right, b)),
                Equal => format!("{} at the same time as {}", named(left, a), name_of(right)),
            })
        }
        (Value::Duration(a), Value::Duration(b)) => {
            let named = |expression: &IdedExpr, value| match &expression.expr {
                Expr::Call(call) if call.func_name == "duration" => values::span(value),
                _ => format!("{} = {}", name_of(expression), values::span(value)),
            };
            let order = match a.cmp(&b) {
                Less => "less than",
                Equal => "equal to",
                Greater => "more than",
            };
            Some(format!("{}, {order} {}", named(left, a), named(right, b)))
        }
        _ => None,
    }
}

/// A part with its values.
fn phrase(text: &str, value: Option<bool>, read: &[Reading]) -> String {
    let phrases = read
        .iter()
        .filter_map(|read| Some(format!("{}{}{}", read.name, read.between?, read.value)));
    match (phrases.collect_vec().join(", "), value) {
        (read, _) if !read.is_empty() => read,
        (_, Some(value)) => format!("`{text}` is {value}"),
        (_, None) => format!("`{text}` cannot be evaluated"),
    }
}
