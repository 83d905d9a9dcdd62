//! Walks expressions: what they read and join.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};

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
        let Some(mut read) = chain(part) else {
            return true;
        };
        if read.names[0] == THERE && read.names.len() > 1 {
            read.names.remove(0);
            read.text = read.text.split_off(THERE.len() + 1);
        }
        let root = read.names[0];
        if !bound.contains(&root) {
            read.expr = part;
            found.push(read);
        }
        // An index may read variables, too.
        let mut inner = part;
        loop {
            match &inner.expr {
                Expr::Select(select) => inner = &select.operand,
                Expr::Call(call) if call.func_name == operators::INDEX => {
                    let reads = reads(&call.args[1]).into_iter();
                    found.extend(reads.filter(|read| !bound.contains(&read.names[0])));
                    inner = &call.args[0];
                }
                _ => break,
            }
        }
        false
    });
    found
}

/// The dotted names that an expression in source form reads; none if it does not compile.
pub(crate) fn names_read(text: &str) -> Vec<String> {
    let Ok(compiled) = compile(text) else {
        return Vec::new();
    };
    let reads = reads(compiled.expression()).into_iter();
    reads.map(|read| read.names.join(".")).collect()
}

/// A dotted name's beginnings and itself: `a`, `a.b` and `a.b.c`.
pub(crate) fn beginnings(name: &str) -> impl Iterator<Item = &str> {
    let dots = name.match_indices('.').map(|(at, _)| &name[..at]);
    dots.chain([name])
}

/// The names of the functions that an expression calls, without operators.
pub(crate) fn calls(expr: &IdedExpr) -> Vec<&str> {
    let mut found = Vec::new();
    walk(expr, &mut Vec::new(), &mut |part, _| {
        if let Expr::Call(call) = &part.expr
            && call
                .func_name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            found.push(call.func_name.as_str());
        }
        true
    });
    found
}

/// The names whose absence an expression tests: `!has(name)`.
pub(crate) fn absences(expr: &IdedExpr) -> Vec<String> {
    let mut found = Vec::new();
    walk(expr, &mut Vec::new(), &mut |part, _| {
        if let Expr::Call(call) = &part.expr
            && call.func_name == operators::LOGICAL_NOT
            && let Some(read) = call.args.first().and_then(chain)
            && read.tested
        {
            let name = read.text.strip_prefix(THERE);
            let name = name.and_then(|name| name.strip_prefix('.'));
            found.push(name.unwrap_or(&read.text).to_owned());
        }
        true
    });
    found
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
        Expr::List(list) => list
            .elements
            .iter()
            .for_each(|part| walk(part, bound, visit)),
        Expr::Select(select) => walk(&select.operand, bound, visit),
        Expr::Map(map) => map.entries.iter().for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => {
                walk(&entry.key, bound, visit);
                walk(&entry.value, bound, visit);
            }
            EntryExpr::StructField(field) => walk(&field.value, bound, visit),
        }),
        Expr::Struct(map) => map.entries.iter().for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => walk(&entry.value, bound, visit),
            EntryExpr::StructField(field) => walk(&field.value, bound, visit),
        }),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

/// A variable with the fields selected of it, if `expr` is nothing else.
fn chain(expr: &IdedExpr) -> Option<Read<'_>> {
    match &expr.expr {
        Expr::Ident(name) => Some(Read {
            names: vec![name],
            text: name.clone(),
            expr,
            tested: false,
        }),
        Expr::Select(select) => {
            let mut read = chain(&select.operand)?;
            if !read.text.contains('[') {
                read.names.push(&select.field);
            }
            read.text = format!("{}.{}", read.text, select.field);
            read.tested = select.test;
            Some(read)
        }
        Expr::Call(call) if call.func_name == operators::INDEX => {
            let [operand, index] = call.args.as_slice() else {
                return None;
            };
            let mut read = chain(operand)?;
            read.text = match literal(index) {
                Some(index) => format!("{}[{index}]", read.text),
                None => format!("{}[…]", read.text),
            };
            Some(read)
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
