//! Timeline lanes of processes in containers: a lane per role, from stamps.

use itertools::Itertools as _;
use serde_json::Value;

use super::model::{Bar, Clock, Lane, Look, lane};
use super::pods;
use crate::evidence::{Evidence, Stamp};
use crate::report::text::{one_line, shorten, value};

pub(super) fn lanes(evidence: &Evidence, clock: &Clock) -> Vec<Lane> {
    let mut lanes = Vec::new();
    let stamps = evidence.stamps().map(|(_, stamp)| stamp);
    for begun in stamps.unique_by(|stamp| identity(stamp)) {
        let of = one_line(&format!("{}/{}", begun.pod, begun.container));
        let lane = lane(&mut lanes, &one_line(&begun.role), &of);
        add(lane, begun, evidence, clock);
    }
    for lane in &mut lanes {
        lane.bars.sort_by(|a, b| a.from.total_cmp(&b.from));
        lane.marks.sort_by(|a, b| a.at.total_cmp(&b.at));
    }
    lanes
}

fn identity(stamp: &Stamp) -> ([&str; 4], u32) {
    let names = [&*stamp.pod, &stamp.container, &stamp.role, &stamp.process];
    (names, stamp.start)
}

/// Adds a process, given by its first stamp.
fn add(lane: &mut Lane, begun: &Stamp, evidence: &Evidence, clock: &Clock) {
    let process = evidence.stamps();
    let process = process.filter(|(_, stamp)| identity(stamp) == identity(begun));
    let process = process.map(|(entry, stamp)| (clock.at(entry.at), stamp));
    let process = process.collect_vec();
    let from = process[0].0;
    let ended = process.iter().rfind(|(_, stamp)| stamp.stamp == "ended");
    let gone = || pods::gone(evidence, clock, begun).max(from);
    let to = ended.map_or_else(gone, |(at, _)| *at);
    let code = ended.and_then(|(_, stamp)| stamp.data.get("code")?.as_i64());
    let end = match (ended, code) {
        (_, Some(code)) => format!("exit {code}"),
        (Some(_), None) => "ended".to_owned(),
        (None, None) if to >= clock.span => "still running at the end".to_owned(),
        (None, None) => "end not reported".to_owned(),
    };
    let start = begun.start;
    let role = one_line(&begun.role);
    let container = (&begun.pod, &begun.container);
    let restarted = evidence
        .stamps()
        .any(|(_, other)| (&other.pod, &other.container) == container && other.start > 1);
    lane.bars.push(Bar {
        from,
        to,
        open: ended.is_none(),
        look: look_of(&role),
        tip: format!(
            "{role} in {}, start {start}, pid {}: {end}",
            lane.of, begun.pid
        ),
        label: if restarted {
            format!("start {start} · {end}")
        } else {
            end
        },
    });
    let mut held: Option<(f64, String)> = None;
    for (at, stamp) in &process {
        match stamp.stamp.as_str() {
            "begun" | "ended" => {}
            "held" => held = Some((*at, word(stamp, "name"))),
            "released" => {
                if let Some((from, name)) = held.take() {
                    let end = format!("released by {}", word(stamp, "by"));
                    lane.holds.push(hold(from, *at, &name, &end));
                }
            }
            _ => mark(lane, stamp, *at),
        }
    }
    if let Some((from, name)) = held {
        let to = to.max(from);
        lane.holds.push(hold(from, to, &name, "not released"));
    }
}

fn look_of(role: &str) -> Look {
    let role = role.to_ascii_lowercase().replace('-', "");
    let has = |part: &str| role.contains(part);
    match () {
        () if has("prestop") => Look::Prestop,
        () if has("hook") || has("poststart") => Look::Hook,
        () if has("entrypoint") || role == "main" => Look::Entrypoint,
        () if has("init") => Look::Init,
        () => Look::Process,
    }
}

fn word(stamp: &Stamp, key: &str) -> String {
    stamp.data.get(key).map(value).unwrap_or_default()
}

fn hold(from: f64, to: f64, name: &str, end: &str) -> Bar {
    Bar {
        from,
        to,
        open: false,
        look: Look::Hold,
        label: format!("held: {}", shorten(name, 24)),
        tip: format!("held as {name} for {:.3} s, {end}", to - from),
    }
}

fn mark(lane: &mut Lane, stamp: &Stamp, at: f64) {
    let word = |key| word(stamp, key);
    let (look, label) = match stamp.stamp.as_str() {
        "signal" => {
            let signal = word("signal");
            let signal = signal.strip_prefix("SIG").unwrap_or(&signal);
            (Look::Signal, format!("SIG{signal}"))
        }
        "request" => (
            Look::Request,
            format!("{} {}", word("method"), word("path")),
        ),
        "connection" => (Look::Request, "connection".to_owned()),
        "met" => (Look::Meeting, format!("met {}", word("peer_role"))),
        "alone" => (Look::Warning, "alone".to_owned()),
        "listening" => (Look::Stamp, format!("listening :{}", word("port"))),
        "answered" | "who" => (Look::Stamp, String::new()),
        other => (Look::Stamp, one_line(other)),
    };
    let data = match &stamp.data {
        Value::Null => String::new(),
        data => shorten(&one_line(&data.to_string()), 200),
    };
    let tip = format!("{} {data}", one_line(&stamp.stamp));
    lane.mark(at, look, shorten(label.trim(), 36), tip);
}
