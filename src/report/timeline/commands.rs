//! Timeline lanes of the runner: commands with their results, and steps.

use itertools::Itertools as _;
use serde_json::Value;

use super::model::{Bar, Clock, Lane, Look};
use crate::evidence::{Evidence, Output, Seen};
use crate::report::text::{one_line, shorten};

pub(super) fn lanes(evidence: &Evidence, clock: &Clock) -> Vec<Lane> {
    let bars = evidence.outputs().map(|output| command(output, clock));
    let bars = bars.sorted_by(|a, b| a.from.total_cmp(&b.from)).collect();
    let commands = Lane {
        bars,
        ..Lane::new("commands", "")
    };
    let mut steps = Lane::new("steps", "");
    for entry in &evidence.timeline {
        let Seen::Runner(note) = &entry.seen else {
            continue;
        };
        let at = clock.at(entry.at);
        let is_step = note.note == "step";
        // A step with an output is drawn as a command.
        let begins_at = |bar: &Bar| (0.0..0.05).contains(&(bar.from - at));
        if is_step && commands.bars.iter().any(begins_at) {
            continue;
        }
        let look = if is_step { Look::Step } else { Look::Warning };
        let text = one_line(&note.text);
        let tip = format!("{}: {text}", one_line(&note.note));
        steps.mark(at, look, shorten(&text, 48), tip);
    }
    let mut lanes = vec![commands, steps];
    lanes.retain(|lane| !lane.bars.is_empty() || !lane.marks.is_empty());
    lanes
}

fn command(output: &Output, clock: &Clock) -> Bar {
    let what = match output.data.get("argv").and_then(Value::as_array) {
        Some(words) => words.iter().filter_map(Value::as_str).join(" "),
        None => format!("{} ({})", output.step, output.name),
    };
    let what = one_line(&what);
    let (result, failed) = result(output);
    let arrow = if result.is_empty() { "" } else { " → " };
    let printed = ["stdout", "stderr", "body", "error", "message"].map(|key| {
        let text = text(output, key);
        text.map(|text| format!("\n{key}: {}", shorten(&text, 300)))
    });
    let printed = printed.into_iter().flatten().join("");
    let from = clock.at(output.begin);
    Bar {
        from,
        to: clock.at(output.end).max(from),
        open: false,
        look: [Look::Command, Look::CommandFailed][usize::from(failed)],
        label: format!("{}{arrow}{result}", shorten(&what, 46)),
        tip: format!("{what}{arrow}{result}{printed}"),
    }
}

/// A text in the data that is not empty.
fn text(output: &Output, key: &str) -> Option<String> {
    let text = output.data.get(key)?.as_str().map(one_line);
    text.filter(|text| !text.is_empty())
}

/// The result of a command in words, and whether it is a failure.
fn result(output: &Output) -> (String, bool) {
    let data = &output.data;
    let number = |key: &str| data.get(key).and_then(Value::as_i64);
    if data.contains_key("exit_code") {
        return match number("exit_code") {
            None => ("stopped".to_owned(), false),
            Some(code) => (format!("exit {code}"), code != 0),
        };
    }
    let accepted = data.get("accepted").and_then(Value::as_bool);
    match (accepted, text(output, "error"), number("status")) {
        (Some(true), ..) => ("accepted".to_owned(), false),
        (Some(false), ..) => {
            let code = number("code").map(|code| format!(" ({code})"));
            (format!("rejected{}", code.unwrap_or_default()), true)
        }
        (None, Some(error), _) => (shorten(&error, 30), true),
        (None, None, Some(status)) => (format!("status {status}"), status >= 400),
        (None, None, None) => (String::new(), false),
    }
}
