//! What suites may write beyond CEL: durations such as `7900ms`, and `has(name)` for a whole name.

use std::sync::LazyLock;

use regex::Regex;

/// An expression as CEL reads it, and where its characters come from.
#[derive(Default)]
pub(super) struct Translated {
    pub(super) text: String,
    /// Of each character of `text`, its offset in the original; one more for the end.
    pub(super) origin: Vec<usize>,
    /// How many characters of the original have been read.
    read: usize,
}

/// The map that `has(name)` asks: names of moments and outputs that have no dot.
pub(crate) const THERE: &str = "there";

/// The most characters of an expression, of which a suite's style allows about 500.
const LENGTH: usize = 4_000;
/// The most opening brackets, and the most operators and selections.
const BRACKETS: usize = 100;
const OPERATORS: usize = 300;

/// Why an expression is too long or may be too deep. What is in strings counts, too.
pub(super) fn too_complex(text: &str) -> Option<String> {
    let operators = text.matches(|c| "+-*/%<>=!&|?:.".contains(c)).count();
    let limits = [
        (text.matches(['(', '[', '{']).count(), BRACKETS, "brackets"),
        (operators, OPERATORS, "operators and dots"),
        (text.chars().count(), LENGTH, "characters"),
    ];
    let exceeded = limits.into_iter().find(|(count, limit, _)| count > limit);
    exceeded.map(|(count, limit, what)| {
        format!("an expression with {count} {what}; {limit} are allowed: give parts of it names under `values`")
    })
}

/// What is rewritten, and what could be mistaken for it: strings and other words.
static TOKENS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let pattern = r#"(?xs)
        ' (?: \\. | [^'\\] )* '?
        | " (?: \\. | [^"\\] )* "?
        | (?<duration> [0-9] [0-9.]* (?:ms|[hms]) (?: [0-9.]+ (?:ms|[hms]) )* ) (?: [^0-9A-Za-z_.] | $ )
        | has \s* \( \s* (?<name> [0-9A-Za-z_]+ ) \s* \)
        | \.? [A-Za-z_] [0-9A-Za-z_]*
        | [0-9] [0-9A-Za-z_]*"#;
    // The tests compile this pattern.
    Regex::new(pattern).ok()
});

/// Rewrites durations to `duration('…')` and `has(name)` to `has(there.name)`. String literals are left alone.
pub(super) fn translate(text: &str) -> Translated {
    let mut out = Translated::default();
    let mut from = 0;
    for found in TOKENS.iter().flat_map(|tokens| tokens.captures_iter(text)) {
        let (replaced, by) = match (found.name("duration"), found.name("name")) {
            (Some(literal), _) => (literal.range(), format!("duration('{}')", literal.as_str())),
            (_, Some(name)) => (name.start()..name.start(), format!("{THERE}.")),
            _ => continue,
        };
        out.copy(&text[from..replaced.start]);
        out.replace(&text[replaced.clone()], &by);
        from = replaced.end;
    }
    out.copy(&text[from..]);
    out.origin.push(out.read);
    out
}

impl Translated {
    fn copy(&mut self, text: &str) {
        self.text.push_str(text);
        let from = self.read;
        self.read += text.chars().count();
        self.origin.extend(from..self.read);
    }

    fn replace(&mut self, text: &str, by: &str) {
        self.text.push_str(by);
        self.origin.extend(by.chars().map(|_| self.read));
        self.read += text.chars().count();
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a - b > 4s", "a - b > duration('4s')")]
    #[case("x<7900ms&&y", "x<duration('7900ms')&&y")]
    #[case("1m30s", "duration('1m30s')")]
    #[case("1.5s + 2", "duration('1.5s') + 2")]
    #[case("size == 4 && a4s", "size == 4 && a4s")]
    #[case("t.contains('4s') && \"5s\" == x", "t.contains('4s') && \"5s\" == x")]
    #[case("'it\\'s 4s'", "'it\\'s 4s'")]
    #[case("5u + 0x1f", "5u + 0x1f")]
    #[case("has(running)", "has(there.running)")]
    #[case("!has( running ) && has(a.b)", "!has( there.running ) && has(a.b)")]
    #[case("has(", "has(")]
    fn translations(#[case] text: &str, #[case] wanted: &str) {
        assert_eq!(translate(text).text, wanted);
    }

    proptest::proptest! {
        #[test]
        fn every_character_has_an_origin(text in "\\PC{0,40}") {
            let translated = translate(&text);
            proptest::prop_assert_eq!(translated.origin.len(), translated.text.chars().count() + 1);
            proptest::prop_assert!(translated.origin.is_sorted());
        }
    }
}
