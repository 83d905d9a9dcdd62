//! Lines of text, wrapped to the width of the terminal with hanging indents.

use crate::catalogue::model::Expression;
use crate::report::terminal::Layout;
use crate::report::text::{one_line, wrap};

/// Columns left of everything but headings.
const MARGIN: usize = 2;
/// The widest first column.
const COLUMN: usize = 30;

pub(super) struct Sheet {
    pub(super) out: String,
    layout: Layout,
    /// Columns left of what belongs to a subheading.
    margin: usize,
}

impl Sheet {
    pub(super) fn new(layout: Layout) -> Self {
        Self {
            out: String::new(),
            layout,
            margin: MARGIN,
        }
    }

    /// The name of a section, with a remark about it.
    pub(super) fn heading(&mut self, text: &str, remark: &str) {
        self.margin = MARGIN;
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        let heading = self.layout.paint("1", text);
        let remark = match remark {
            "" => return self.line(0, &heading),
            remark => format!("({remark})"),
        };
        let width = text.chars().count() + 2 + remark.chars().count();
        if width <= self.layout.width {
            let remark = self.layout.paint("2", &remark);
            self.line(0, &format!("{heading}  {remark}"));
        } else {
            self.line(0, &heading);
            self.hanging(&remark);
        }
    }

    /// The name of a part of a section; what follows is indented.
    pub(super) fn subheading(&mut self, text: &str) {
        self.margin = MARGIN;
        self.hanging(text);
        self.margin = 2 * MARGIN;
    }

    pub(super) fn hanging(&mut self, text: &str) {
        self.hang(&wrap(text, self.room(self.margin + MARGIN), ""));
    }

    fn hang(&mut self, lines: &[String]) {
        for (n, line) in lines.iter().enumerate() {
            self.line(self.margin + if n == 0 { 0 } else { MARGIN }, line);
        }
    }

    /// A section of labels and their texts in two columns, unless there are none.
    pub(super) fn table(&mut self, title: &str, remark: &str, rows: &[(String, String)]) {
        if rows.is_empty() {
            return;
        }
        self.heading(title, remark);
        let widest = rows.iter().map(|(label, _)| label.chars().count()).max();
        let width = widest.unwrap_or(0).min(COLUMN).min(self.layout.width / 2);
        for (label, text) in rows {
            self.entry(label, width, text);
        }
    }

    /// A section of names and their expressions, unless there are none.
    pub(super) fn values(&mut self, title: &str, values: &[(&String, &Expression)]) {
        if values.is_empty() {
            return;
        }
        self.heading(title, "");
        for (name, expression) in values {
            let text = format!("{name} = {}", one_line(&expression.text));
            self.hang(&wrap_expression(&text, self.room(self.margin + MARGIN)));
        }
    }

    /// A label and its text in two columns, unless the text is empty.
    pub(super) fn entry(&mut self, label: &str, width: usize, text: &str) {
        if !text.is_empty() {
            self.columns(label, width, |room| wrap(text, room, ""));
        }
    }

    /// A label and an expression in two columns.
    pub(super) fn expression(&mut self, label: &str, width: usize, text: &str) {
        self.columns(label, width, |room| wrap_expression(text, room));
    }

    fn columns(&mut self, label: &str, width: usize, wrap: impl Fn(usize) -> Vec<String>) {
        let column = self.margin + width + 2;
        let mut lines = wrap(self.room(column)).into_iter();
        if label.chars().count() > width {
            self.line(self.margin, label);
        } else if let Some(first) = lines.next() {
            self.line(self.margin, &format!("{label:<width$}  {first}"));
        }
        for line in lines {
            self.line(column, &line);
        }
    }

    fn room(&self, indent: usize) -> usize {
        self.layout.width.saturating_sub(indent).max(16)
    }

    fn line(&mut self, indent: usize, text: &str) {
        let line = format!("{:indent$}{text}", "");
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }
}

/// Wraps an expression, preferably before `&&`, `||`, `?` or `:`.
fn wrap_expression(text: &str, width: usize) -> Vec<String> {
    let text = one_line(text);
    let mut lines: Vec<String> = Vec::new();
    let mut line: Vec<&str> = Vec::new();
    let length = |words: &[&str]| {
        words
            .iter()
            .map(|word| word.chars().count() + 1)
            .sum::<usize>()
    };
    for word in text.split(' ') {
        if !line.is_empty() && length(&line) + word.chars().count() > width {
            let operator = |word: &&str| matches!(*word, "&&" | "||" | "?" | ":");
            let at = line.iter().rposition(operator).unwrap_or(0);
            // Not if that leaves a short line.
            let is_short = length(&line[..at]) * 5 <= width;
            let rest = line.split_off(if is_short { line.len() } else { at });
            lines.extend(wrap(&line.join(" "), width, ""));
            line = rest;
        }
        line.push(word);
    }
    lines.extend(wrap(&line.join(" "), width, ""));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_break_before_operators() {
        assert_eq!(
            wrap_expression("runs(slow) == 2 && took(slow.hook) > 2s || x", 32),
            ["runs(slow) == 2", "&& took(slow.hook) > 2s || x"]
        );
        assert_eq!(wrap_expression("a == b", 32), ["a == b"]);
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_wide(text in "[a-z&| ]{0,120}", width in 16_usize..60) {
            let lines = wrap_expression(&text, width);
            for line in &lines {
                proptest::prop_assert!(line.chars().count() <= width, "{line:?}");
            }
            let without_spaces = |text: &str| text.replace(' ', "");
            proptest::prop_assert_eq!(without_spaces(&lines.concat()), without_spaces(&text));
        }
    }
}
