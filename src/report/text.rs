//! Text helpers shared by all reports.

use serde_json::Value;

/// Removes escape sequences and characters that are invalid in XML. Container output ends up in
/// reports and is not trusted.
pub fn clean(text: &str) -> String {
    let text = quick_junit::XmlString::new(text).into_string();
    text.chars()
        .filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{7f}'..='\u{9f}') && !is_bidi(*c))
        .collect()
}

/// Whether a character changes the direction of the text after it, and so what a reader sees.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Removes what a terminal would interpret, except line feeds and colours.
pub(crate) fn for_terminal(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut safe = without_controls(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '[' | ';'));
        if part.starts_with('[') && end.starts_with('m') {
            safe.push('\u{1b}');
        }
        safe += &without_controls(part);
    }
    safe
}

fn without_controls(text: &str) -> String {
    let kept = |c: &char| matches!(c, '\n' | '\t') || !c.is_control() && !is_bidi(*c);
    text.chars().filter(kept).collect()
}

/// Cleans text and collapses all whitespace to single spaces.
pub fn one_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Truncates to `limit` characters, between words if that does not lose much.
pub fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let head: String = text.chars().take(limit.saturating_sub(1)).collect();
    let cut = match head.rfind(' ') {
        Some(at) if at * 2 > head.len() => head.get(..at).unwrap_or(&head),
        _ => &head,
    };
    format!("{}…", cut.trim_end_matches([' ', ',', ';', ':', '.']))
}

/// Wraps text to `width` characters; all lines after the first are indented.
pub fn wrap(text: &str, width: usize, indent: &str) -> Vec<String> {
    let options = textwrap::Options::new(width)
        .subsequent_indent(indent)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    let text = one_line(text);
    let lines = textwrap::wrap(&text, options).into_iter();
    lines.map(std::borrow::Cow::into_owned).collect()
}

/// A readable duration: `0.420 s`, `8.10 s`, `2 min 05 s`.
pub fn seconds(value: f64) -> String {
    let value = value.max(0.0);
    if value < 0.9995 {
        format!("{value:.3} s")
    } else if value < 9.95 {
        format!("{value:.2} s")
    } else if value < 60.0 {
        format!("{value:.1} s")
    } else {
        // Rounded and not negative.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = value.round() as u64;
        match (whole / 3600, whole / 60 % 60, whole % 60) {
            (0, minutes, rest) => format!("{minutes} min {rest:02} s"),
            (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
        }
    }
}

/// A readable JSON value: strings without quotes, numbers with at most three decimals.
pub fn value(value: &Value) -> String {
    match (value, value.as_f64()) {
        (Value::String(text), _) => one_line(text),
        (_, Some(float)) if !value.is_i64() => {
            let text = format!("{float:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => one_line(&value.to_string()),
    }
}

/// Percent-encodes a path for a URL.
pub(crate) fn url_path(path: &str) -> String {
    let bytes = path.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    });
    bytes.collect()
}

/// `1 claim`, `2 claims`.
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// `line 64`, `lines 64, 78-79`.
pub fn line_numbers(ranges: &str) -> String {
    let many = ranges.contains([',', '-']);
    format!("line{} {ranges}", if many { "s" } else { "" })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("plain", "plain")]
    #[case("\u{1b}[31mred\u{1b}[0m", "red")]
    #[case("a\u{0}b\u{8}c\u{ffff}\u{85}", "abc")]
    #[case("<b>&]]>", "<b>&]]>")]
    fn cleans(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(clean(text), expected);
    }

    #[rstest]
    #[case("a\u{1b}[1;31mred\u{1b}[0m\n", "a\u{1b}[1;31mred\u{1b}[0m\n")]
    #[case("a\u{1b}]0;title\u{7}\u{1b}[2J\r\u{202e}b", "a]0;title[2Jb")]
    #[case("\u{1b}", "")]
    fn terminals_get_colours_only(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(for_terminal(text), expected);
    }

    #[rstest]
    #[case(0.0421, "0.042 s")]
    #[case(1.0, "1.00 s")]
    #[case(12.34, "12.3 s")]
    #[case(125.2, "2 min 05 s")]
    #[case(7384.0, "2 h 03 min")]
    fn formats_durations(#[case] value: f64, #[case] expected: &str) {
        assert_eq!(seconds(value), expected);
    }

    #[rstest]
    #[case(json!(5), "5")]
    #[case(json!(5.125_499), "5.125")]
    #[case(json!(5.0), "5")]
    #[case(json!("a\n b"), "a b")]
    #[case(json!(["a", 1]), "[\"a\",1]")]
    fn formats_values(#[case] given: Value, #[case] expected: &str) {
        assert_eq!(value(&given), expected);
    }

    #[test]
    fn shortens_between_words() {
        assert_eq!(shorten("one two three", 20), "one two three");
        assert_eq!(shorten("one two three four", 13), "one two…");
        assert_eq!(shorten("onetwothreefour", 6), "onetw…");
    }

    #[test]
    fn breaks_a_word_only_if_it_exceeds_the_width() {
        assert_eq!(wrap("aa bb cc dd", 5, ""), ["aa bb", "cc dd"]);
        assert_eq!(wrap("aa bb cc", 5, "  "), ["aa bb", "  cc"]);
        assert_eq!(wrap("abcdefgh ij", 4, ""), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("", 4, ""), [""]);
    }

    #[rstest]
    #[case("64", "line 64")]
    #[case("78-79", "lines 78-79")]
    #[case("64, 79", "lines 64, 79")]
    fn line_numbers_agree_in_number(#[case] ranges: &str, #[case] expected: &str) {
        assert_eq!(line_numbers(ranges), expected);
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_wide(text in "\\PC{0,200}", width in 8_usize..40) {
            for line in wrap(&text, width, "  ") {
                let columns = textwrap::core::display_width(&line);
                proptest::prop_assert!(columns <= width, "{line:?}");
            }
        }
    }
}
