//! Limits the work of one evaluation: how many items comprehensions visit, and how large computed values become.

use std::cell::Cell;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, operators};
use cel::extractors::Arguments;
use cel::{Context, ExecutionError, Value};

/// The work of one evaluation: items visited, and items and 64-byte blocks of text computed.
const WORK: usize = 500_000;
/// Charges for the items of a value, which are visited or copied.
const ITEMS: &str = "@items";
/// Charges for a value with everything in it.
const WHOLE: &str = "@whole";

thread_local! {
    static LEFT: Cell<usize> = const { Cell::new(WORK) };
}

pub(super) fn start() {
    LEFT.set(WORK);
}

/// Adds the functions that [`bounded`] inserts.
pub(super) fn register(context: &mut Context<'static, 'static>) {
    // No expression can define or call these names, so that adding them cannot fail.
    let _ = context.add_function(ITEMS, |Arguments(args): Arguments| charge(&args, items));
    let _ = context.add_function(WHOLE, |Arguments(args): Arguments| charge(&args, whole));
}

fn charge(args: &[Value], cost: fn(&Value) -> usize) -> Result<Value, ExecutionError> {
    let value = args.first().cloned().unwrap_or(Value::Null);
    let left = LEFT.get().checked_sub(cost(&value)).ok_or_else(|| {
        let message = "the expression visits or computes too many values";
        ExecutionError::function_error("limit", message)
    })?;
    LEFT.set(left);
    Ok(value)
}

fn items(value: &Value) -> usize {
    1 + match value {
        Value::List(items) => items.len(),
        Value::Map(map) => map.map.len(),
        Value::String(text) => text.len() / 64,
        Value::Bytes(bytes) => bytes.len() / 64,
        _ => 0,
    }
}

/// The cost of a value and all values in it; stops counting beyond the limit.
fn whole(value: &Value) -> usize {
    let (mut cost, mut rest) = (0, vec![value]);
    while let Some(value) = rest.pop() {
        cost += items(value);
        if cost > WORK {
            break;
        }
        match value {
            Value::List(items) => rest.extend(items.iter()),
            Value::Map(map) => rest.extend(map.map.values()),
            _ => {}
        }
    }
    cost
}

/// Evaluates a part of an expression within the limits.
pub(crate) fn evaluate(
    part: &IdedExpr,
    context: &Context<'_, '_>,
) -> Result<Value, ExecutionError> {
    start();
    Value::resolve(&bounded(part), context)
}

/// The expression with a charge for every list that a comprehension visits, and for every list, map, text or sum
/// that the expression itself computes.
pub(crate) fn bounded(expression: &IdedExpr) -> IdedExpr {
    let mut bounded = expression.clone();
    inner(&mut bounded);
    bounded
}

fn inner(part: &mut IdedExpr) {
    match &mut part.expr {
        // What `map` and `filter` add to the accumulator keeps its form, by which the evaluator knows that it can append.
        Expr::Call(call) if appends(call) => {
            if let Some(Expr::List(list)) = call.args.get_mut(1).map(|part| &mut part.expr) {
                list.elements.iter_mut().for_each(inner);
            }
        }
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|part| inner(part));
            call.args.iter_mut().for_each(inner);
            if call.func_name == operators::ADD {
                wrap(part, ITEMS);
            }
        }
        Expr::Comprehension(comprehension) => {
            inner(&mut comprehension.iter_range);
            wrap(&mut comprehension.iter_range, ITEMS);
            inner(&mut comprehension.loop_step);
        }
        Expr::List(list) => {
            list.elements.iter_mut().for_each(inner);
            wrap(part, WHOLE);
        }
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    inner(&mut entry.key);
                    inner(&mut entry.value);
                }
            }
            wrap(part, WHOLE);
        }
        Expr::Select(select) => inner(&mut select.operand),
        Expr::Struct(_) | Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

/// Whether a call adds to the accumulator of a comprehension, whose name nobody can write.
fn appends(call: &CallExpr) -> bool {
    let first = call.args.first().map(|part| &part.expr);
    call.func_name == operators::ADD
        && matches!(first, Some(Expr::Ident(name)) if name.starts_with('@'))
}

fn wrap(part: &mut IdedExpr, function: &str) {
    let value = std::mem::take(part);
    part.id = value.id;
    part.expr = Expr::Call(CallExpr {
        func_name: function.to_owned(),
        target: None,
        args: vec![value],
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use rstest::rstest;

    use super::super::{compile, context};

    fn evaluated(text: &str) -> Result<cel::Value, String> {
        let context = context(&Arc::from([]));
        let compiled = compile(text).map_err(|errors| errors[0].message.clone())?;
        compiled.execute(&context).map_err(|e| e.to_string())
    }

    #[rstest]
    #[case("[1, 2].map(x, x + 1) == [2, 3]")]
    #[case("[1, 2, 3].filter(x, x > 1).map(x, {'a': [x]})[0].a == [2]")]
    #[case("[[1], [2]].exists(l, l.all(x, x == 2)) && 'a' + 'b' == 'ab'")]
    #[case("duration('1s') + duration('2s') == duration('3s') && 1.5 + 1.5 == 3.0")]
    fn limits_change_no_value(#[case] text: &str) {
        assert_eq!(evaluated(text), Ok(cel::Value::Bool(true)), "{text}");
    }

    #[rstest]
    #[case::nested_loops(format!("[{0}].all(a, [{0}].all(b, [{0}].all(c, true)))", "1, ".repeat(90) + "1"))]
    #[case::doubled_text(format!("['{}']{}.size() == 1", "a".repeat(500), ".map(x, x + x)".repeat(40)))]
    #[case::doubled_lists(format!("[1]{}.size() == 1", ".map(x, [x, x])".repeat(40)))]
    #[case::doubled_maps(format!("[1]{}.size() == 1", ".map(x, {1: x, 2: x})".repeat(40)))]
    fn too_much_work_is_an_error(#[case] text: String) {
        let error = evaluated(&text).unwrap_err();
        assert!(error.contains("too many values"), "{error}");
    }

    #[rstest]
    #[case::terms(vec!["1"; 6_000].join("+"), "operators")]
    #[case::nesting("(".repeat(200) + &")".repeat(200), "brackets")]
    #[case::negations("!".repeat(1_000) + "true", "operators")]
    #[case::length("a".repeat(10_000), "characters")]
    fn complex_expressions_do_not_compile(#[case] text: String, #[case] what: &str) {
        let error = evaluated(&text).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
}
