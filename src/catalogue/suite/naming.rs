//! Names that suites give to moments, outputs and values.

use super::super::pods::Pods;
use crate::expr::{self, THERE};

/// Why a step, moment or value must not have this name.
pub(super) fn taken(name: &str, pods: &Pods) -> Option<String> {
    let owner = if name == THERE || expr::variables().any(|(known, _)| known == name) {
        "a variable of expressions"
    } else if pods.contains(name) {
        "a pod of the scenario"
    } else {
        return None;
    };
    Some(format!("`{name}` is {owner}: choose another name"))
}

/// Why an output or a value must not have this name.
pub(super) fn unfit(name: &str, pods: &Pods) -> Option<String> {
    if is_identifier(name) {
        taken(name, pods)
    } else {
        Some(format!(
            "invalid name `{name}`: expected letters, digits, and `_`"
        ))
    }
}

/// Whether one name is the beginning of the other.
pub(super) fn nested(a: &str, b: &str) -> bool {
    let within = |short: &str, long: &str| {
        long.strip_prefix(short)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    within(a, b) || within(b, a)
}

/// Whether CEL accepts a word as a name.
pub(super) fn is_identifier(word: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
    word.starts_with(starts)
        && word.chars().all(|c| starts(c) || c.is_ascii_digit())
        && !["in", "true", "false", "null"].contains(&word)
}
