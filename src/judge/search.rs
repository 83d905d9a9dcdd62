//! Shows what an expression searched for in a list and found there.

use cel::Value;
use cel::common::ast::{Expr, IdedExpr, operators};
use itertools::Itertools as _;

use super::scene::Scene;
use crate::expr;
use crate::expr::values::{cut, names};

/// How many of the found items are shown.
const SHOWN: usize = 2;
/// Length limit of a text in an item.
const TEXT: usize = 60;

/// A macro that tests every item of a list.
pub(super) struct Search<'a> {
    pub(super) list: &'a IdedExpr,
    /// The item's name in the condition.
    pub(super) item: &'a str,
    pub(super) condition: &'a IdedExpr,
    /// `exists`, `all` or `filter`.
    pub(super) name: &'static str,
}

/// The search that a comprehension performs; `None` if it transforms the items.
pub(super) fn search(expression: &IdedExpr) -> Option<Search<'_>> {
    let Expr::Comprehension(comprehension) = &expression.expr else {
        return None;
    };
    let Expr::Call(step) = &comprehension.loop_step.expr else {
        return None;
    };
    // The expansions of the macros: `@result || condition`, `@result && condition`, and
    // `condition ? @result + [item] : @result`, which begins with an empty list.
    let (name, condition) = match (step.func_name.as_str(), &*step.args) {
        (operators::LOGICAL_OR, [_, condition]) => ("exists", condition),
        (operators::LOGICAL_AND, [_, condition]) => ("all", condition),
        (operators::CONDITIONAL, [condition, _, _])
            if matches!(comprehension.accu_init.expr, Expr::List(_)) =>
        {
            ("filter", condition)
        }
        _ => return None,
    };
    Some(Search {
        list: &comprehension.iter_range,
        item: &comprehension.iter_var,
        condition,
        name,
    })
}

impl Search<'_> {
    /// The number of matches and the first of them; for `all`, of exceptions. `None` if the list cannot be evaluated.
    pub(super) fn found(&self, scene: &Scene, condition: &str) -> Option<String> {
        let Some(Value::List(items)) = scene.resolve(self.list) else {
            return None;
        };
        let wanted = self.name != "all";
        // Of a stamp's data, only what the condition reads is shown.
        let reads = expr::reads(self.condition);
        let asked = reads.iter().filter_map(|read| match *read.names {
            [item, "data", name, ..] if item == self.item => Some(name),
            _ => None,
        });
        let asked = asked.collect_vec();
        // All items together may cost as much as one evaluation. An item without the field does not match.
        let bounded = expr::bounded(self.condition);
        let matches = |item: &&Value| {
            let mut inner = scene.context.new_inner_scope();
            inner.add_variable_from_value(self.item, (*item).clone());
            matches!(Value::resolve(&bounded, &inner), Ok(Value::Bool(answer)) if answer == wanted)
        };
        let found: Vec<&Value> = items.iter().filter(matches).collect();
        let shown = found.iter().take(SHOWN);
        let shown = shown.map(|item| brief(item, &asked, scene)).join(", ");
        let more = match found.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let (of, all) = (found.len(), items.len());
        Some(match (of, wanted) {
            (0, true) => format!("none of {all} with {condition}"),
            (0, false) if all == 1 => format!("the only one with {condition}"),
            (0, false) => format!("all {all} with {condition}"),
            (_, true) => format!("{of} of {all}: {shown}{more}"),
            (_, false) => format!("{of} of {all} without {condition}: {shown}{more}"),
        })
    }
}

/// An item of a timeline in a few words, with the `asked` data.
fn brief(item: &Value, asked: &[&str], scene: &Scene) -> String {
    if !matches!(item, Value::Map(_)) {
        return scene.short(item);
    }
    let text = |name: &str| match field(item, name) {
        Some(Value::String(text)) => one_line(text),
        Some(Value::Int(number)) => number.to_string(),
        _ => String::new(),
    };
    let quoted = |name: &str| format!("\"{}\"", cut(&text(name), TEXT));
    let has = |name: &str| field(item, name).is_some();
    let words = if has("stamp") {
        let data = field(item, "data").map(|data| fields(data, asked, scene));
        let whose = format!("{}/{}", text("pod"), text("container"));
        vec![whose, text("role"), text("stamp"), data.unwrap_or_default()]
    } else if let Some(object) = field(item, "object") {
        vec![text("pod"), text("phase"), containers(object)]
    } else if has("state") {
        let mut words = ["pod", "container", "state", "reason"].map(text).to_vec();
        if !text("message").is_empty() {
            words.push(quoted("message"));
        }
        words
    } else if has("reason") {
        let count = match text("count").as_str() {
            "" | "0" | "1" => String::new(),
            count => format!("×{count}"),
        };
        vec![text("reason"), count, quoted("message")]
    } else if has("text") {
        vec![quoted("text")]
    } else {
        vec![fields(item, &[], scene)]
    };
    let at = field(item, "at").map_or(String::new(), |at| format!(" ({})", scene.short(at)));
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    format!("{}{at}", words.join(" "))
}

fn one_line(text: &str) -> String {
    text.trim().replace('\n', "⏎")
}

/// `code=0`: the wanted fields in alphabetical order, or all plain fields if none is wanted.
fn fields(of: &Value, wanted: &[&str], scene: &Scene) -> String {
    let Value::Map(map) = of else {
        return String::new();
    };
    let any = names(map).any(|name| wanted.contains(&name.as_str()));
    let words = names(map).filter_map(|name| match field(of, &name)? {
        _ if any && !wanted.contains(&name.as_str()) => None,
        Value::List(_) | Value::Map(_) if !any => None,
        Value::String(text) => Some(format!("{name}={}", one_line(text))),
        value => Some(format!("{name}={}", scene.short(value))),
    });
    cut(&words.collect_vec().join(" "), TEXT)
}

/// `main waiting CrashLoopBackOff` for every container of a pod.
fn containers(pod: &Value) -> String {
    let pod = pod.json().unwrap_or_default();
    let words = expr::statuses(&pod).filter_map(|container| {
        let (state, detail) = container["state"].as_object()?.iter().next()?;
        let name = container["name"].as_str()?;
        let words = [Some(name), Some(state.as_str()), detail["reason"].as_str()];
        Some(words.into_iter().flatten().join(" "))
    });
    words.collect_vec().join(", ")
}

/// A field that is there and not null.
fn field<'a>(of: &'a Value, name: &str) -> Option<&'a Value> {
    expr::field(of, name).filter(|value| **value != Value::Null)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("l.exists(s, s.a == 1)", Some("exists"))]
    #[case("l.all(s, s.a == 1)", Some("all"))]
    #[case("l.filter(s, s.a == 1)", Some("filter"))]
    #[case("l.map(s, s.a)", None)]
    #[case("size(l)", None)]
    fn searches_are_recognised(#[case] text: &str, #[case] name: Option<&str>) {
        let program = expr::compile(text).unwrap();
        let found = search(program.expression());
        assert_eq!(found.as_ref().map(|search| search.name), name);
        if let Some(search) = found {
            assert_eq!(search.item, "s");
        }
    }
}
