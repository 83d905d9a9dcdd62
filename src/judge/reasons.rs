//! Evaluating expressions so that people see why: part by part, with the values that were read.

use cel::common::ast::{Expr, IdedExpr, operators};
use cel::{IdedExpr as Expression, Value};

use super::expr::{self, Read};
use super::judgement::{Evaluation, Part};
use super::scene::Scene;
use super::values;

/// An evaluated expression with its parts in words.
pub(super) struct Explained {
    pub(super) evaluation: Evaluation,
    /// Phrases of the parts with their values.
    phrases: Vec<(Option<bool>, String)>,
}

impl Explained {
    pub(super) fn value(&self) -> Option<bool> {
        self.evaluation.value
    }

    /// Why there is no value.
    pub(super) fn error(&self) -> &str {
        self.evaluation
            .error
            .as_deref()
            .unwrap_or("it could not be evaluated")
    }

    /// The parts that make it true, or the ones that make it false.
    pub(super) fn because(&self) -> String {
        let deciding: Vec<&str> = self
            .phrases
            .iter()
            .filter(|(value, _)| *value == self.evaluation.value)
            .map(|(_, phrase)| phrase.as_str())
            .collect();
        if deciding.is_empty() {
            self.evaluation.expression.clone()
        } else {
            deciding.join("; ")
        }
    }
}

/// Evaluates `text` to true or false.
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
            read,
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

/// Evaluates to any value, for measures.
pub(super) fn evaluate(text: &str, scene: &Scene) -> Result<Value, String> {
    let program = expr::compile(text).map_err(|errors| {
        let messages: Vec<String> = errors.into_iter().map(|error| error.message).collect();
        format!("it does not compile: {}", messages.join("; "))
    })?;
    program.execute(&scene.context).map_err(|error| {
        scene
            .missing(program.expression())
            .unwrap_or_else(|| in_words(&error))
    })
}

fn boolean(text: &str, scene: &Scene) -> Result<bool, String> {
    match evaluate(text, scene)? {
        Value::Bool(value) => Ok(value),
        other => Err(format!(
            "it gives {} {}, not true or false",
            other.type_of(),
            scene.short(&other)
        )),
    }
}

fn in_words(error: &cel::ExecutionError) -> String {
    use cel::ExecutionError as E;
    match error {
        E::NoSuchKey(name) | E::UndeclaredReference(name) => format!("there is no `{name}`"),
        E::FunctionError { function, message } => format!("{function}: {message}"),
        E::IndexOutOfBounds(index) => match index {
            Value::Int(index) => format!("there is no item {index}"),
            _ => "there is no such item".to_owned(),
        },
        other => {
            let text: String = other.to_string().chars().take(160).collect();
            text
        }
    }
}

fn read_values(expression: &IdedExpr, scene: &Scene) -> Vec<(String, String)> {
    let mut read: Vec<(String, String)> = Vec::new();
    let mut add = |name: String, value: String| {
        if !read.iter().any(|(known, _)| *known == name) {
            read.push((name, value));
        }
    };
    for Read {
        text, expr, tested, ..
    } in expr::reads(expression)
    {
        match Value::resolve(expr, &scene.context) {
            Ok(Value::Bool(there)) if tested => {
                add(text, if there { "there" } else { "not there" }.to_owned());
            }
            Ok(value) => add(text, scene.short(&value)),
            Err(_) => add(text, "not there".to_owned()),
        }
    }
    for (left, right) in comparisons(expression) {
        for side in [left, right] {
            if let (Some(name), Ok(value)) = (computed(side), Value::resolve(side, &scene.context))
            {
                add(name, scene.short(&value));
            }
        }
        if let (Ok(Value::Timestamp(a)), Ok(Value::Timestamp(b))) = (
            Value::resolve(left, &scene.context),
            Value::resolve(right, &scene.context),
        ) {
            add(
                format!("{} - {}", name_of(right), name_of(left)),
                values::span(b.signed_duration_since(a)),
            );
        }
    }
    read
}

/// Both sides of all comparisons outside comprehensions.
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

/// A name for what is neither read nor written down but computed.
fn computed(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Call(call) if call.func_name != operators::INDEX => Some(name_of(expression)),
        Expr::Select(select) => computed(&select.operand).map(|_| name_of(expression)),
        _ => None,
    }
}

/// The expression as a person would write it, comprehensions left out.
fn name_of(expression: &IdedExpr) -> String {
    match &expression.expr {
        Expr::Ident(name) => name.clone(),
        Expr::Select(select) => format!("{}.{}", name_of(&select.operand), select.field),
        Expr::Call(call) => match (
            call.func_name.as_str(),
            call.target.as_deref(),
            call.args.as_slice(),
        ) {
            (operators::INDEX, None, [list, index]) => {
                format!("{}[{}]", name_of(list), name_of(index))
            }
            (operators::NEGATE, None, [one]) => format!("-{}", name_of(one)),
            (name, None, [left, right]) if name.starts_with('_') => {
                format!(
                    "{} {} {}",
                    name_of(left),
                    name.trim_matches('_'),
                    name_of(right)
                )
            }
            (name, target, args) => {
                let args: Vec<String> = args.iter().map(name_of).collect();
                let target = target
                    .map(|target| format!("{}.", name_of(target)))
                    .unwrap_or_default();
                format!("{target}{name}({})", args.join(", "))
            }
        },
        _ => expr::literal(expression).unwrap_or_else(|| "…".to_owned()),
    }
}

/// A part with its values: two times compared say which came first and by how much.
fn phrase(
    text: &str,
    expression: &IdedExpr,
    value: Option<bool>,
    read: &[(String, String)],
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
    if read.is_empty() {
        return match value {
            Some(value) => format!("`{text}` is {value}"),
            None => format!("`{text}` cannot be evaluated"),
        };
    }
    let read: Vec<String> = read
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    read.join(", ")
}
