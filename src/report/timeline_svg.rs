//! Draws a timeline as SVG. The page's style sheet colours it by class. The time axis is linear and
//! starts with the scenario.

use std::fmt::Write as _;

use super::text::clean;
use super::timeline::{Bar, Lane, Look, Mark, Timeline};

pub const WIDTH: f64 = 1040.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 1022.0;
const BAR: f64 = 18.0;
const ROW: f64 = 15.0;
/// Approximate width of a character in labels, rounded up.
const CHARACTER: f64 = 6.3;

/// Escapes text for use between tags and in quoted attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

// Labels have at most about fifty characters.
#[allow(clippy::cast_precision_loss)]
fn width(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER
}

struct Drawing {
    out: String,
    y: f64,
    span: f64,
}

/// Content for an `<svg>` of width [`WIDTH`], and its height.
#[must_use]
pub fn draw(timeline: &Timeline) -> (String, f64) {
    let mut drawing = Drawing {
        out: String::new(),
        y: 26.0,
        span: timeline.span,
    };
    for group in &timeline.groups {
        drawing.y += 16.0;
        let y = drawing.y;
        drawing.line(0.0, y + 5.0, RIGHT, y + 5.0, "rule");
        drawing.text(0.0, y, "group", group.title);
        drawing.y += 12.0;
        for lane in &group.lanes {
            drawing.lane(lane);
        }
    }
    let height = drawing.y + 22.0;
    let axis = drawing.axis(height);
    (format!("{axis}{}", drawing.out), height)
}

/// A complete SVG element for use in an HTML page.
#[must_use]
pub fn svg(timeline: &Timeline, title: &str) -> String {
    let (content, height) = draw(timeline);
    format!(
        "<svg class=\"timeline\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
         aria-label=\"{}\" xmlns=\"http://www.w3.org/2000/svg\">{content}</svg>",
        escape(title)
    )
}

/// A step of 1, 2 or 5 times a power of ten that results in about ten ticks.
fn tick(span: f64) -> f64 {
    let rough = span / 10.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|step| step * power >= rough);
    step.unwrap_or(10.0) * power
}

impl Drawing {
    fn x(&self, at: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (at / self.span).clamp(0.0, 1.0)
    }

    fn axis(&self, height: f64) -> String {
        let mut out = String::new();
        let step = tick(self.span);
        let mut at = 0.0;
        while at <= self.span * 1.0001 {
            let x = self.x(at);
            let _ = write!(
                out,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"20\" y2=\"{:.1}\"/>",
                height - 16.0
            );
            let number = format!("{at:.3}");
            let number = number.trim_end_matches('0').trim_end_matches('.');
            for y in [12.0, height - 4.0] {
                let _ = write!(
                    out,
                    "<text class=\"tick\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{number} s</text>"
                );
            }
            at += step;
        }
        out
    }

    fn line(&mut self, x1: f64, y1: f64, x2: f64, y2: f64, class: &str) {
        let _ = write!(
            self.out,
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        );
    }

    fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let _ = write!(
            self.out,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            escape(text)
        );
    }

    fn lane(&mut self, lane: &Lane) {
        let top = self.y;
        let bottom = if lane.name == "commands" && lane.of.is_empty() {
            self.commands(lane)
        } else if lane.bars.is_empty() {
            self.points(lane)
        } else {
            self.stretches(lane)
        };
        let name = super::text::shorten(&lane.name, 22);
        let of = super::text::shorten(&lane.of, 24);
        let _ = write!(
            self.out,
            "<g><title>{} {}</title>",
            escape(&lane.name),
            escape(&lane.of)
        );
        self.text(0.0, top + 12.0, "lane", &name);
        if !of.is_empty() {
            self.text(0.0, top + 24.0, "of", &of);
        }
        self.out.push_str("</g>");
        let least = top + if of.is_empty() { 20.0 } else { 30.0 };
        self.y = bottom.max(least) + 8.0;
    }

    /// Bars that may overlap. A label that does not fit inside its bar is drawn next to it.
    fn commands(&mut self, lane: &Lane) -> f64 {
        let mut rows: Vec<f64> = Vec::new();
        for bar in &lane.bars {
            let (from, to) = (self.x(bar.from), self.x(bar.to).max(self.x(bar.from) + 3.0));
            let words = width(&bar.label);
            let inside = words + 10.0 <= to - from;
            let right = to + 5.0 + words <= RIGHT;
            let (begin, end, text_at) = if inside {
                (from, to, from + 5.0)
            } else if right {
                (from, to + 5.0 + words, to + 5.0)
            } else {
                let at = (from - 5.0 - words).max(LEFT);
                (at, to, at)
            };
            let row = place(&mut rows, begin - 8.0, end);
            let y = self.y + index(row) * (BAR + 2.0);
            self.bar(bar, from, to, y);
            self.text(
                text_at,
                y + 13.0,
                if inside { "in" } else { "out" },
                &bar.label,
            );
        }
        self.y + index(rows.len()) * (BAR + 2.0)
    }

    /// Marks with labels to their right, or to their left at the right edge.
    fn points(&mut self, lane: &Lane) -> f64 {
        let mut rows: Vec<f64> = Vec::new();
        for mark in &lane.marks {
            let x = self.x(mark.at);
            let words = width(&mark.label);
            let right = x + 9.0 + words <= RIGHT;
            let (begin, end, text_at) = if right {
                (x - 5.0, x + 9.0 + words, x + 9.0)
            } else {
                (
                    (x - 9.0 - words).max(LEFT),
                    x + 5.0,
                    (x - 9.0 - words).max(LEFT),
                )
            };
            let row = place(&mut rows, begin - 6.0, end);
            let y = self.y + index(row) * ROW;
            self.mark(mark, x, y + 8.0);
            self.text(text_at, y + 12.0, "out", &mark.label);
        }
        self.y + index(rows.len()) * ROW
    }

    /// Bars in one row, or in several if processes of a role overlap. Holds are hatched, marks are
    /// drawn on the bars, and labels that do not fit are drawn below.
    fn stretches(&mut self, lane: &Lane) -> f64 {
        let mut rows: Vec<f64> = Vec::new();
        let mut outside: Vec<(f64, String, f64)> = Vec::new();
        let mut placed: Vec<(f64, f64, f64)> = Vec::new();
        for bar in &lane.bars {
            let from = self.x(bar.from);
            let to = self.x(bar.to).max(from + 2.0);
            let row = place(&mut rows, from + 0.6, self.x(bar.to));
            let y = self.y + index(row) * (BAR + 2.0);
            placed.push((bar.from, bar.to, y));
            self.bar(bar, from, to, y);
            // A label goes inside the bar only if it covers no hold and no mark.
            let words = width(&bar.label) + 10.0;
            let beyond = |at: f64| at < bar.from || at > bar.to || self.x(at) > from + words + 4.0;
            let free = lane.holds.iter().all(|hold| beyond(hold.from))
                && lane
                    .marks
                    .iter()
                    .all(|m| beyond(m.at) || self.x(m.at) <= from + 2.0);
            if free && words <= to - from {
                self.text(from + 6.0, y + 13.0, ink(bar.look), &bar.label);
            } else {
                // A process's label describes its end.
                let at = if ink(bar.look) == "in" { from } else { to };
                outside.push((at, bar.label.clone(), y));
            }
        }
        let row_of = |at: f64| {
            let inside = |(from, to, _): &&(f64, f64, f64)| at >= *from && at <= *to;
            placed.iter().find(inside).map_or(self.y, |(_, _, y)| *y)
        };
        let holds: Vec<_> = lane
            .holds
            .iter()
            .map(|hold| (hold, row_of(hold.from)))
            .collect();
        let marks: Vec<_> = lane
            .marks
            .iter()
            .map(|mark| (mark, row_of(mark.at)))
            .collect();
        for (hold, y) in holds {
            let (from, to) = (
                self.x(hold.from),
                self.x(hold.to).max(self.x(hold.from) + 2.0),
            );
            self.bar(hold, from, to, y);
            let mut at = from + 6.0;
            for x in lane.marks.iter().map(|mark| self.x(mark.at)) {
                if x > at - 8.0 && x < at + width(&hold.label) + 6.0 {
                    at = x + 9.0;
                }
            }
            if at + width(&hold.label) + 4.0 <= to {
                self.text(at, y + 13.0, "in halo", &hold.label);
            } else {
                outside.push((from, hold.label.clone(), y));
            }
        }
        for (mark, y) in marks {
            let x = self.x(mark.at);
            self.mark(mark, x, y + BAR / 2.0);
            if !mark.label.is_empty() {
                outside.push((x, mark.label.clone(), y));
            }
        }
        let below = self.y + index(rows.len()) * (BAR + 2.0);
        self.labels(outside, below)
    }

    /// Labels below a lane, in as many rows as needed, each connected to its position by a line.
    fn labels(&mut self, mut labels: Vec<(f64, String, f64)>, top: f64) -> f64 {
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut rows: Vec<f64> = Vec::new();
        let mut texts: Vec<(f64, f64, String)> = Vec::new();
        for (x, label, from_y) in labels {
            let words = width(&label);
            let begin = (x + 3.0).min(RIGHT - words).max(LEFT);
            let row = place(&mut rows, begin - 8.0, begin + words);
            let y = top + index(row) * (ROW - 2.0) + 9.0;
            self.line(x, from_y + BAR, x, y, "tie");
            texts.push((begin, y, label));
        }
        for (x, y, label) in texts {
            self.text(x, y, "out halo", &label);
        }
        top + index(rows.len()) * (ROW - 2.0)
    }

    fn bar(&mut self, bar: &Bar, from: f64, to: f64, y: f64) {
        let class = bar.look.class();
        let open = if bar.open { " open" } else { "" };
        let (y, height) = if bar.look == Look::Hold {
            (y + 1.5, BAR - 3.0)
        } else {
            (y, BAR)
        };
        let _ = write!(
            self.out,
            "<rect class=\"bar {class}{open}\" x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" \
             height=\"{height}\" rx=\"2\"><title>{}</title></rect>",
            to - from,
            escape(&bar.tip)
        );
        if bar.open {
            // Torn edge: the end was not observed.
            let _ = write!(
                self.out,
                "<path class=\"torn\" d=\"M{to:.1} {y:.1}l-4 4.5 4 4.5 -4 4.5 4 4.5\"/>"
            );
        }
    }

    fn mark(&mut self, mark: &Mark, x: f64, y: f64) {
        let class = mark.look.class();
        let shape = match mark.look {
            Look::Signal => format!("M{x:.1} {:.1}l-5.5 -9h11z", y + 5.0),
            Look::Warning => format!("M{x:.1} {:.1}l5.5 9h-11z", y - 5.0),
            Look::Meeting => format!("M{x:.1} {:.1}l5 5 -5 5 -5 -5z", y - 5.0),
            Look::Deletion => {
                format!("M{:.1} {:.1}l8 8m0 -8l-8 8", x - 4.0, y - 4.0)
            }
            Look::Request => format!("M{:.1} {:.1}h-4v-8h4l5 4z", x, y + 4.0),
            Look::Stamp | Look::Step => format!("M{:.1} {:.1}h2v10h-2z", x - 1.0, y - 5.0),
            _ => format!("M{:.1} {y:.1}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", x - 4.0),
        };
        let _ = write!(
            self.out,
            "<path class=\"mark {class}\" d=\"{shape}\"><title>{}</title></path>",
            escape(&mark.tip)
        );
    }
}

/// CSS class of a label inside a bar.
fn ink(look: Look) -> &'static str {
    match look {
        Look::Entrypoint | Look::Prestop | Look::Init | Look::Process => "on-process",
        Look::Hook => "on-hook",
        _ => "in",
    }
}

// There are only a few rows.
#[allow(clippy::cast_precision_loss)]
fn index(row: usize) -> f64 {
    row as f64
}

/// Reserves `begin..end` in the first row that is free there. `rows` holds the end of each row.
fn place(rows: &mut Vec<f64>, begin: f64, end: f64) -> usize {
    let row = rows.iter().position(|free| *free <= begin);
    let row = row.unwrap_or(rows.len());
    if row == rows.len() {
        rows.push(end);
    } else {
        rows[row] = end;
    }
    row
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::report::fixture;

    #[test]
    fn draws_a_slow_hook() {
        let evidence = fixture::evidence("evidence/1.36/poststart/slow-hook.json");
        let svg = svg(&Timeline::of(&evidence), "a slow hook");
        insta::assert_snapshot!(svg.replace("><", ">\n<"));
    }

    #[rstest]
    #[case("evidence/1.36/poststart/failing-hook.json")]
    #[case("evidence/1.36/poststart/slow-hook.json")]
    #[case("evidence/1.36/prestop/inside-grace.json")]
    #[case("evidence/1.36/kubectl/privileged-port.json")]
    fn labels_do_not_overlap(#[case] path: &str) {
        let svg = svg(&Timeline::of(&fixture::evidence(path)), "");
        let attribute = |tag: &str, name: &str| -> f64 {
            let rest = tag.split(&format!(" {name}=\"")).nth(1).unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let texts: Vec<(f64, f64, f64, &str)> = svg
            .split("<text ")
            .skip(1)
            .filter(|tag| !tag.contains("\"tick\""))
            .map(|tag| {
                let tag = tag.split("</text>").next().unwrap();
                let (head, words) = tag.split_once('>').unwrap();
                let head = format!(" {head}");
                let x = attribute(&head, "x");
                (x, x + width(words) * 0.9, attribute(&head, "y"), words)
            })
            .collect();
        for (at, a) in texts.iter().enumerate() {
            assert!(a.1 <= WIDTH, "{a:?} leaves the picture");
            for b in texts.iter().skip(at + 1) {
                let apart = a.1 <= b.0 || b.1 <= a.0 || (a.2 - b.2).abs() >= 10.0;
                assert!(apart, "{a:?} and {b:?}");
            }
        }
    }

    #[rstest]
    #[case(3.2, 0.5)]
    #[case(0.9, 0.1)]
    #[case(60.0, 10.0)]
    #[case(140.0, 20.0)]
    fn ticks_are_round(#[case] span: f64, #[case] expected: f64) {
        assert!((tick(span) - expected).abs() < 1e-9);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn untrusted_text_keeps_the_svg_valid(text in fixture::nasty_text()) {
            let svg = svg(&Timeline::of(&fixture::poisoned_evidence(&text)), &text);
            let open = svg.matches("<text").count();
            prop_assert_eq!(open, svg.matches("</text>").count());
            prop_assert!(!svg.contains("<script") && !svg.contains("onload='"));
            prop_assert!(!svg.contains("NaN") && !svg.contains("inf"));
        }
    }
}
