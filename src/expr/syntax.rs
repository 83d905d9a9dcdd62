//! What suites may write beyond CEL: durations such as `7900ms`, and `has(name)` for a whole name.

/// An expression as CEL reads it, and where its characters come from.
pub(super) struct Translated {
    pub(super) text: String,
    /// Of each character of `text`, its offset in the original; one more for the end.
    pub(super) origin: Vec<usize>,
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
    let limits = [
        (text.matches(['(', '[', '{']).count(), BRACKETS, "brackets"),
        (
            text.matches(|c| "+-*/%<>=!&|?:.".contains(c)).count(),
            OPERATORS,
            "operators and dots",
        ),
        (text.chars().count(), LENGTH, "characters"),
    ];
    limits
        .into_iter()
        .find(|(count, limit, _)| count > limit)
        .map(|(count, limit, what)| {
            format!("an expression with {count} {what}; {limit} are allowed: give parts of it names under `values`")
        })
}

/// Rewrites durations to `duration('…')` and `has(name)` to `has(there.name)`. String literals are left alone.
pub(super) fn translate(text: &str) -> Translated {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Translated {
        text: String::with_capacity(text.len()),
        origin: Vec::with_capacity(text.len()),
    };
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        let end = match c {
            '\'' | '"' => end_of_string(&chars, at),
            c if c.is_ascii_digit() => {
                if let Some(end) = end_of_duration(&chars, at) {
                    let literal: String = chars[at..end].iter().collect();
                    out.insert(&format!("duration('{literal}')"), at);
                    at = end;
                    continue;
                }
                end_of_word(&chars, at)
            }
            c if is_word(c) => {
                let end = end_of_word(&chars, at);
                if let Some(name) = whole_name_asked(&chars, at, end) {
                    out.copy(&chars, at, name);
                    out.insert(&format!("{THERE}."), name);
                    at = name;
                    let end = end_of_word(&chars, at);
                    out.copy(&chars, at, end);
                    at = end;
                    continue;
                }
                end
            }
            _ => at + 1,
        };
        out.copy(&chars, at, end);
        at = end;
    }
    out.origin.push(chars.len());
    out
}

impl Translated {
    fn copy(&mut self, chars: &[char], from: usize, to: usize) {
        self.text.extend(&chars[from..to]);
        self.origin.extend(from..to);
    }

    fn insert(&mut self, text: &str, at: usize) {
        self.text.push_str(text);
        self.origin.extend(text.chars().map(|_| at));
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn end_of_word(chars: &[char], from: usize) -> usize {
    let rest = chars[from..].iter().position(|c| !is_word(*c));
    rest.map_or(chars.len(), |length| from + length)
}

fn end_of_string(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 1,
            c if c == chars[from] => return at + 1,
            _ => {}
        }
        at += 1;
    }
    chars.len()
}

/// The end of `1500ms`, `1.5s` or `1m30s`; `None` for a plain number.
fn end_of_duration(chars: &[char], from: usize) -> Option<usize> {
    let mut at = from;
    let mut end = None;
    loop {
        let digits = at;
        while at < chars.len() && (chars[at].is_ascii_digit() || chars[at] == '.') {
            at += 1;
        }
        if at == digits {
            return end;
        }
        let unit: String = chars[at..]
            .iter()
            .take_while(|c| c.is_ascii_alphabetic())
            .collect();
        if !["h", "m", "s", "ms"].contains(&unit.as_str()) {
            return None;
        }
        at += unit.len();
        if chars.get(at).is_some_and(|c| *c == '_') {
            return None;
        }
        end = Some(at);
    }
}

/// Where the name begins in `has(name)`, `from..to` being the word before the parenthesis.
fn whole_name_asked(chars: &[char], from: usize, to: usize) -> Option<usize> {
    if chars[from..to] != ['h', 'a', 's'] || from > 0 && chars[from - 1] == '.' {
        return None;
    }
    let skip = |at: usize| {
        let rest = chars[at..].iter().position(|c| !c.is_whitespace());
        rest.map_or(chars.len(), |n| at + n)
    };
    let open = skip(to);
    let name = skip(open + usize::from(chars.get(open) == Some(&'(')));
    let close = skip(end_of_word(chars, name.min(chars.len())));
    (chars.get(open) == Some(&'(') && close > name && chars.get(close) == Some(&')'))
        .then_some(name)
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
