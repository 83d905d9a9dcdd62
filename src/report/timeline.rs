//! A scenario's evidence as lanes of bars and marks, independent of the drawing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::text::{one_line, shorten};
use super::timeline_pods as pods;
use crate::evidence::{Entry, EventSeen, Evidence, Output, Seen, Stamp};

#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    /// Duration of the scenario in seconds.
    pub span: f64,
    pub groups: Vec<Group>,
}

/// Lanes under a common heading.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub title: &'static str,
    pub lanes: Vec<Lane>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lane {
    /// A role, `phase`, or a container.
    pub name: String,
    /// The pod, or `pod/container`.
    pub of: String,
    /// Sorted by start.
    pub bars: Vec<Bar>,
    /// Intervals drawn over the bars, such as a hold.
    pub holds: Vec<Bar>,
    pub marks: Vec<Mark>,
}

/// An interval, in seconds since the start of the scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    pub from: f64,
    pub to: f64,
    /// The end was not observed.
    pub open: bool,
    pub look: Look,
    pub label: String,
    pub tip: String,
}

/// A point in time, in seconds since the start of the scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    pub at: f64,
    pub look: Look,
    /// May be empty.
    pub label: String,
    pub tip: String,
}

/// The style of a bar or a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    Entrypoint,
    Hook,
    Prestop,
    Init,
    Process,
    Hold,
    Waiting,
    Running,
    Terminated,
    Failed,
    Phase,
    Command,
    CommandFailed,
    Signal,
    Request,
    Meeting,
    Stamp,
    Event,
    Warning,
    Deletion,
    Step,
}

impl Look {
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Entrypoint => "entrypoint",
            Self::Hook => "hook",
            Self::Prestop => "prestop",
            Self::Init => "init",
            Self::Process => "process",
            Self::Hold => "hold",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Terminated => "terminated",
            Self::Failed => "failed",
            Self::Phase => "phase",
            Self::Command => "command",
            Self::CommandFailed => "command-failed",
            Self::Signal => "signal",
            Self::Request => "request",
            Self::Meeting => "meeting",
            Self::Stamp => "stamp",
            Self::Event => "event",
            Self::Warning => "warning",
            Self::Deletion => "deletion",
            Self::Step => "step",
        }
    }

    fn of_role(role: &str) -> Self {
        let role = role.to_ascii_lowercase();
        if role.contains("prestop") || role.contains("pre-stop") {
            Self::Prestop
        } else if role.contains("hook") || role.contains("poststart") || role.contains("post-start")
        {
            Self::Hook
        } else if role.contains("entrypoint") || role == "main" {
            Self::Entrypoint
        } else if role.contains("init") {
            Self::Init
        } else {
            Self::Process
        }
    }
}

/// Converts timestamps to seconds since the start of the scenario, clamped to its duration.
pub(super) struct Clock {
    began: Timestamp,
    span: f64,
}

impl Clock {
    fn of(evidence: &Evidence) -> Self {
        let last = evidence.timeline.iter().map(|entry| entry.at).max();
        let end = last.map_or(evidence.ended, |last| last.max(evidence.ended));
        let span = end
            .duration_since(evidence.began)
            .as_secs_f64()
            .clamp(0.001, 1e7);
        Self {
            began: evidence.began,
            span,
        }
    }

    pub(super) fn at(&self, time: Timestamp) -> f64 {
        time.duration_since(self.began)
            .as_secs_f64()
            .clamp(0.0, self.span)
    }

    pub(super) fn span(&self) -> f64 {
        self.span
    }
}

impl Timeline {
    #[must_use]
    pub fn of(evidence: &Evidence) -> Self {
        let clock = Clock::of(evidence);
        let mut groups = vec![
            Group {
                title: "Runner",
                lanes: runner(evidence, &clock),
            },
            Group {
                title: "Processes in containers",
                lanes: processes(evidence, &clock),
            },
            Group {
                title: "Reported by Kubernetes",
                lanes: pods::lanes(evidence, &clock),
            },
        ];
        if let Some(group) = groups.last_mut() {
            group.lanes.extend(events(evidence, &clock));
        }
        groups.retain(|group| !group.lanes.is_empty());
        Self {
            span: clock.span,
            groups,
        }
    }
}

fn runner(evidence: &Evidence, clock: &Clock) -> Vec<Lane> {
    let mut commands = Lane {
        name: "commands".to_owned(),
        ..Lane::default()
    };
    let mut steps = Lane {
        name: "steps".to_owned(),
        ..Lane::default()
    };
    let begins: Vec<f64> = evidence
        .outputs()
        .map(|output| clock.at(output.begin))
        .collect();
    for entry in &evidence.timeline {
        match &entry.seen {
            Seen::Output(output) => commands.bars.push(command(output, clock)),
            Seen::Runner(note) => {
                let at = clock.at(entry.at);
                let text = one_line(&note.text);
                let is_step = note.note == "step";
                // A step with an output is drawn as a command.
                if is_step
                    && begins
                        .iter()
                        .any(|begin| (0.0..0.05).contains(&(begin - at)))
                {
                    continue;
                }
                steps.marks.push(Mark {
                    at,
                    look: if is_step { Look::Step } else { Look::Warning },
                    label: shorten(&text, 48),
                    tip: format!("{}: {text}", one_line(&note.note)),
                });
            }
            _ => {}
        }
    }
    commands.bars.sort_by(|a, b| a.from.total_cmp(&b.from));
    [commands, steps]
        .into_iter()
        .filter(|l| !l.bars.is_empty() || !l.marks.is_empty())
        .collect()
}

fn command(output: &Output, clock: &Clock) -> Bar {
    let text = |key: &str| output.data.get(key).and_then(Value::as_str).map(one_line);
    let argv: Option<Vec<&str>> = output
        .data
        .get("argv")
        .and_then(Value::as_array)
        .map(|words| words.iter().filter_map(Value::as_str).collect());
    let what = match argv {
        Some(words) => one_line(&words.join(" ")),
        None => one_line(&format!("{} ({})", output.step, output.name)),
    };
    let accepted = output.data.get("accepted").and_then(Value::as_bool);
    let code = output.data.get("code").and_then(Value::as_i64);
    let (end, failed) = match (output.data.get("exit_code"), accepted) {
        (Some(Value::Null), _) => ("stopped".to_owned(), false),
        (Some(exit), _) => (format!("exit {exit}"), exit.as_i64() != Some(0)),
        (None, Some(true)) => ("accepted".to_owned(), false),
        (None, Some(false)) => (
            format!(
                "rejected{}",
                code.map(|c| format!(" ({c})")).unwrap_or_default()
            ),
            true,
        ),
        (None, None) => match (
            output.data.get("status").and_then(Value::as_i64),
            text("error"),
        ) {
            (_, Some(error)) if !error.is_empty() => (shorten(&error, 30), true),
            (Some(status), _) => (format!("status {status}"), status >= 400),
            _ => (String::new(), false),
        },
    };
    let printed: Vec<_> = ["stdout", "stderr", "body", "error", "message"]
        .into_iter()
        .filter_map(|key| {
            text(key)
                .filter(|t| !t.is_empty())
                .map(|t| format!("{key}: {}", shorten(&t, 300)))
        })
        .collect();
    let arrow = if end.is_empty() {
        String::new()
    } else {
        format!(" → {end}")
    };
    let (from, to) = (clock.at(output.begin), clock.at(output.end));
    Bar {
        from,
        to: to.max(from),
        open: false,
        look: if failed {
            Look::CommandFailed
        } else {
            Look::Command
        },
        label: format!("{}{arrow}", shorten(&what, 46)),
        tip: format!(
            "{what}{arrow}\n{from:.3} s to {to:.3} s\n{}",
            printed.join("\n")
        )
        .trim_end()
        .to_owned(),
    }
}

/// The stamps of a process in order.
type Process<'a> = Vec<(&'a Entry, &'a Stamp)>;

fn processes(evidence: &Evidence, clock: &Clock) -> Vec<Lane> {
    let mut by_process: BTreeMap<(&str, &str, u32, &str, &str), Process<'_>> = BTreeMap::new();
    let mut order: Vec<(&str, &str, &str)> = Vec::new();
    let mut starts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for (entry, stamp) in evidence.stamps() {
        let lane = (
            stamp.pod.as_str(),
            stamp.container.as_str(),
            stamp.role.as_str(),
        );
        if !order.contains(&lane) {
            order.push(lane);
        }
        let most = starts.entry((lane.0, lane.1)).or_default();
        *most = stamp.start.max(*most);
        let key = (lane.0, lane.1, stamp.start, lane.2, stamp.process.as_str());
        by_process.entry(key).or_default().push((entry, stamp));
    }
    // Processes are grouped by container, in the order in which the containers appeared.
    let first = |pod: &str, container: &str| {
        order
            .iter()
            .position(|l| l.0 == pod && l.1 == container)
            .unwrap_or_default()
    };
    let mut sorted = order.clone();
    sorted.sort_by_key(|lane| first(lane.0, lane.1));
    sorted
        .into_iter()
        .map(|(pod, container, role)| {
            let mut lane = Lane {
                name: one_line(role),
                of: one_line(&format!("{pod}/{container}")),
                ..Lane::default()
            };
            let restarted = starts.get(&(pod, container)).is_some_and(|most| *most > 1);
            for (_, stamps) in by_process
                .iter()
                .filter(|(key, _)| key.0 == pod && key.1 == container && key.3 == role)
            {
                process(&mut lane, stamps, restarted, evidence, clock);
            }
            lane.bars.sort_by(|a, b| a.from.total_cmp(&b.from));
            lane.marks.sort_by(|a, b| a.at.total_cmp(&b.at));
            lane
        })
        .collect()
}

fn process(
    lane: &mut Lane,
    stamps: &Process<'_>,
    restarted: bool,
    evidence: &Evidence,
    clock: &Clock,
) {
    let Some((first, begun)) = stamps.first() else {
        return;
    };
    let from = clock.at(first.at);
    let ended = stamps
        .iter()
        .rev()
        .find(|(_, stamp)| stamp.stamp == "ended");
    let to = match ended {
        Some((entry, _)) => clock.at(entry.at),
        None => pods::gone(evidence, clock, begun).max(from),
    };
    let end = match ended {
        Some((_, stamp)) => match stamp.data.get("code").and_then(Value::as_i64) {
            Some(code) => format!("exit {code}"),
            None => "ended".to_owned(),
        },
        None if to >= clock.span => "still running at the end".to_owned(),
        None => "end not reported".to_owned(),
    };
    let start = if restarted {
        format!("start {} · ", begun.start)
    } else {
        String::new()
    };
    lane.bars.push(Bar {
        from,
        to,
        open: ended.is_none(),
        look: Look::of_role(&begun.role),
        label: format!("{start}{end}"),
        tip: format!(
            "{} in {}/{}, start {}, pid {}\n{from:.3} s to {to:.3} s, {end}",
            one_line(&begun.role),
            one_line(&begun.pod),
            one_line(&begun.container),
            begun.start,
            begun.pid
        ),
    });
    let mut held: Option<(f64, String)> = None;
    for (entry, stamp) in stamps {
        let at = clock.at(entry.at);
        match stamp.stamp.as_str() {
            "begun" | "ended" => {}
            "held" => held = Some((at, word(stamp, "name"))),
            "released" => {
                if let Some((from, name)) = held.take() {
                    let by = word(stamp, "by");
                    lane.holds
                        .push(hold(from, at, &name, &format!("released by {by}")));
                }
            }
            _ => lane.marks.push(mark(stamp, at)),
        }
    }
    if let Some((from, name)) = held {
        lane.holds
            .push(hold(from, to.max(from), &name, "not released"));
    }
}

fn word(stamp: &Stamp, key: &str) -> String {
    match stamp.data.get(key) {
        Some(Value::String(text)) => one_line(text),
        Some(other) => one_line(&other.to_string()),
        None => String::new(),
    }
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

fn mark(stamp: &Stamp, at: f64) -> Mark {
    let (look, label) = match stamp.stamp.as_str() {
        "signal" => {
            let signal = word(stamp, "signal");
            let signal = signal.strip_prefix("SIG").unwrap_or(&signal);
            (Look::Signal, format!("SIG{signal}"))
        }
        "request" => (
            Look::Request,
            format!("{} {}", word(stamp, "method"), word(stamp, "path")),
        ),
        "connection" => (Look::Request, "connection".to_owned()),
        "met" => (Look::Meeting, format!("met {}", word(stamp, "peer_role"))),
        "alone" => (Look::Warning, "alone".to_owned()),
        "listening" => (Look::Stamp, format!("listening :{}", word(stamp, "port"))),
        "answered" | "who" => (Look::Stamp, String::new()),
        other => (Look::Stamp, one_line(other)),
    };
    let data = if stamp.data.is_null() {
        String::new()
    } else {
        stamp.data.to_string()
    };
    Mark {
        at,
        look,
        label: shorten(label.trim(), 36),
        tip: format!(
            "{at:.3} s {} {}",
            one_line(&stamp.stamp),
            shorten(&one_line(&data), 200)
        ),
    }
}

fn events(evidence: &Evidence, clock: &Clock) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for entry in &evidence.timeline {
        let Seen::Event(event) = &entry.seen else {
            continue;
        };
        let EventSeen {
            name: _,
            kind,
            pod,
            container,
            type_,
            reason,
            message,
            count,
            component,
            first: _,
            last: _,
        } = event;
        let of = one_line(pod);
        let at = clock.at(entry.at);
        let times = if *count > 1 {
            format!(" ×{count}")
        } else {
            String::new()
        };
        let mark = Mark {
            at,
            look: if type_ == "Warning" {
                Look::Warning
            } else {
                Look::Event
            },
            label: shorten(&format!("{}{times}", one_line(reason)), 36),
            tip: one_line(&format!(
                "{at:.3} s {type_} event {reason}{times} of {kind} {pod} {container}, by {component}: {}",
                shorten(&one_line(message), 300)
            )),
        };
        match lanes.iter_mut().find(|lane| lane.of == of) {
            Some(lane) => lane.marks.push(mark),
            None => lanes.push(Lane {
                name: "events".to_owned(),
                of,
                marks: vec![mark],
                ..Lane::default()
            }),
        }
    }
    lanes
}
