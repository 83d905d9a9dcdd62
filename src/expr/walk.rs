//! Walks expressions: what they read and join.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, MapExpr, StructExpr, operators};

use super::compile::compile;
use super::syntax::THERE;

/// A variable, and the fields selected of it, that an expression reads.
#[derive(Debug, Clone)]
pub(crate) struct Read<'a> {
    /// The variable and its fields, up to the first index.
    pub(crate) names: Vec<&'a str>,
    /// In source form.
    pub(crate) text: String,
    /// The expression, to be evaluated.
    pub(crate) expr: &'a IdedExpr,
    /// Only its presence is tested.
    pub(crate) tested: bool,
}

/// Everything that an expression reads, without the variables of comprehensions.
pub(crate) fn reads(expr: &IdedExpr) -> Vec<Read<'_>> {
    let mut found = Vec::new();
    walk(expr, &mut Vec::new(), &mut |part, bound| {
        let mut indexes = Vec::new();
        let Some(read) = chain(part, &mut indexes) else {
            return true;
        };
        let inner = indexes.into_iter().flat_map(reads);
        let all = std::iter::once(read).chain(inner);
        found.extend(all.filter(|read| !bound.contains(&read.names[0])));
        false
    });
    found
}

/// The dotted names that an expression in source form reads; none if it does not compile.
pub(crate) fn names_read(text: &str) -> Vec<String> {
    let compiled = compile(text);
    let reads = compiled.iter().flat_map(|all| reads(all.expression()));
    reads.map(|read| read.names.join(".")).collect()
}

/// A dotted name's beginnings and itself: `a`, `a.b` and `a.b.c`.
pub(crate) fn beginnings(name: &str) -> impl Iterator<Item = &str> {
    let dots = name.match_indices('.').map(|(at, _)| &name[..at]);
    dots.chain([name])
}

/// The names of the functions that an expression calls, without operators.
pub(crate) fn calls(expr: &IdedExpr) -> Vec<&str> {
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let names = parts(expr).into_iter().filter_map(|part| match &part.expr {
        Expr::Call(call) => Some(call.func_name.as_str()),
        _ => None,
    });
    names.filter(|name| is_name(name)).collect()
}

/// The names whose absence an expression tests: `!has(name)`.
pub(crate) fn absences(expr: &IdedExpr) -> Vec<String> {
    let absent = |part: &IdedExpr| match &part.expr {
        Expr::Call(call) if call.func_name == operators::LOGICAL_NOT => {
            let read = chain(call.args.first()?, &mut Vec::new())?;
            read.tested.then_some(read.text)
        }
        _ => None,
    };
    parts(expr).into_iter().filter_map(absent).collect()
}

/// All parts from the outside in.
pub(super) fn parts(expr: &IdedExpr) -> Vec<&IdedExpr> {
    let mut all = Vec::new();
    walk(expr, &mut Vec::new(), &mut |part, _| {
        all.push(part);
        true
    });
    all
}

/// Visits all parts from the outside in, with the variables bound by comprehensions. `visit` returns whether to
/// continue inside.
pub(crate) fn walk<'a>(
    expr: &'a IdedExpr,
    bound: &mut Vec<&'a str>,
    visit: &mut impl FnMut(&'a IdedExpr, &[&'a str]) -> bool,
) {
    if !visit(expr, bound) {
        return;
    }
    match &expr.expr {
        Expr::Call(call) => {
            for part in call.target.as_deref().into_iter().chain(&call.args) {
                walk(part, bound, visit);
            }
        }
        Expr::Comprehension(comprehension) => {
            walk(&comprehension.iter_range, bound, visit);
            walk(&comprehension.accu_init, bound, visit);
            let before = bound.len();
            bound.push(&comprehension.iter_var);
            bound.push(&comprehension.accu_var);
            bound.extend(comprehension.iter_var2.as_deref());
            walk(&comprehension.loop_cond, bound, visit);
            walk(&comprehension.loop_step, bound, visit);
            walk(&comprehension.result, bound, visit);
            bound.truncate(before);
        }
        Expr::List(list) => {
            for part in &list.elements {
                walk(part, bound, visit);
            }
        }
        Expr::Select(select) => walk(&select.operand, bound, visit),
        Expr::Map(MapExpr { entries }) | Expr::Struct(StructExpr { entries, .. }) => {
            for entry in entries {
                match &entry.expr {
                    EntryExpr::MapEntry(entry) => {
                        walk(&entry.key, bound, visit);
                        walk(&entry.value, bound, visit);
                    }
                    EntryExpr::StructField(field) => walk(&field.value, bound, visit),
                }
            }
        }
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

/// A variable with the fields selected of it, if `expr` is nothing else. Its indexes are collected.
fn chain<'a>(expr: &'a IdedExpr, indexes: &mut Vec<&'a IdedExpr>) -> Option<Read<'a>> {
    match &expr.expr {
        Expr::Ident(name) => Some(Read {
            names: vec![name],
            text: name.clone(),
            expr,
            tested: false,
        }),
        Expr::Select(select) => {
            let mut read = chain(&select.operand, indexes)?;
            if read.text == THERE {
                read.names.clear();
                read.text.clone_from(&select.field);
            } else {
                read.text = format!("{}.{}", read.text, select.field);
            }
            if !read.text.contains('[') {
                read.names.push(&select.field);
            }
            let tested = select.test;
            Some(Read {
                expr,
                tested,
                ..read
            })
        }
        Expr::Call(call) if call.func_name == operators::INDEX => {
            let [operand, index] = call.args.as_slice() else {
                return None;
            };
            indexes.push(index);
            let read = chain(operand, indexes)?;
            let index = literal(index).unwrap_or_else(|| "…".to_owned());
            let text = format!("{}[{index}]", read.text);
            Some(Read { text, expr, ..read })
        }
        _ => None,
    }
}

/// A literal in source form.
pub(crate) fn literal(expr: &IdedExpr) -> Option<String> {
    let Expr::Literal(literal) = &expr.expr else {
        return None;
    };
    Some(match literal {
        LiteralValue::Boolean(value) => value.inner().to_string(),
        LiteralValue::Int(value) => value.inner().to_string(),
        LiteralValue::String(value) => format!("'{}'", value.inner()),
        LiteralValue::Double(value) => value.inner().to_string(),
        LiteralValue::Null => "null".to_owned(),
        LiteralValue::UInt(_) | LiteralValue::Bytes(_) => return None,
    })
}

pub(crate) fn string_literal(expr: &IdedExpr) -> Option<&str> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(value)) => Some(value.inner()),
        _ => None,
    }
}

/// The parts joined by `&&` at the top level; the whole expression if `||` or `?` is at the top level.
pub(crate) fn conjuncts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0_i32, 0);
    let mut quote: Option<char> = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, '?' | '|') if depth == 0 => return vec![text.trim()],
            (None, '&') if depth == 0 && chars.peek().is_some_and(|(_, next)| *next == '&') => {
                parts.push(text[from..at].trim());
                from = at + 2;
                chars.next();
            }
            _ => {}
        }
    }
    parts.push(text[from..].trim());
    // Raw or triple-quoted strings may have been split: then the whole is one part.
    if parts.iter().any(|part| compile(part).is_err()) {
        vec![text.trim()]
    } else {
        parts
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a == 1 && b.c < d", &["a == 1", "b.c < d"])]
    #[case("a && (b && c) && x.contains('&&')", &["a", "(b && c)", "x.contains('&&')"])]
    #[case("a && b || c", &["a && b || c"])]
    #[case("a ? b && c : d", &["a ? b && c : d"])]
    #[case("l.exists(s, s.x && s.y)\n  && \"it\\\"s && so\" == a", &["l.exists(s, s.x && s.y)", "\"it\\\"s && so\" == a"])]
    fn parts_at_the_top(#[case] text: &str, #[case] parts: &[&str]) {
        assert_eq!(conjuncts(text), parts);
    }

    #[rstest]
    #[case("a.b.c == d", &["a.b.c", "d"])]
    #[case("a[0].b > 1", &["a[0].b"])]
    #[case("l.exists(s, s.at < hook.begun && s.x == other)", &["l", "hook.begun", "other"])]
    #[case("has(hook.ended)", &["hook.ended"])]
    #[case("m[k.x]", &["m[…]", "k.x"])]
    fn what_is_read(#[case] text: &str, #[case] read: &[&str]) {
        let program = compile(text).unwrap();
        let found = reads(program.expression()).into_iter().map(|r| r.text);
        assert!(found.eq(read.iter().copied()));
    }

    proptest! {
        #[test]
        fn any_text_compiles_or_is_refused(text in "[a-c0-1 .&|()'\\[\\]{}?:<=!\"\\\\]{0,24}") {
            let _ = compile(&text);
            let parts = conjuncts(&text);
            prop_assert!(!parts.is_empty());
        }
    }
}
