//! Timeline lanes of what Kubernetes reports: a phase lane per pod, a state lane per container, a lane per
//! object with events.

use serde_json::Value;

use super::model::{Bar, Clock, Lane, Look, lane};
use crate::evidence::{EventSeen, Evidence, PodChange, PodSeen, Seen, Stamp};
use crate::expr::{restart_count, statuses};
use crate::report::text::{one_line, shorten};

pub(super) fn lanes(evidence: &Evidence, clock: &Clock) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for (entry, pod) in evidence.pods() {
        changed(&mut lanes, pod, clock.at(entry.at));
    }
    for bar in lanes.iter_mut().flat_map(|lane| &mut lane.bars) {
        if bar.open {
            bar.to = clock.span;
            bar.open = false;
        }
    }
    let mut events = Vec::new();
    for entry in &evidence.timeline {
        if let Seen::Event(seen) = &entry.seen {
            event(&mut events, seen, clock.at(entry.at));
        }
    }
    lanes.extend(events);
    lanes
}

/// When pod status first showed that a container's start had ended, or the end of the scenario.
pub(super) fn gone(evidence: &Evidence, clock: &Clock, stamp: &Stamp) -> f64 {
    let start = u64::from(stamp.start);
    let over = |status: &Value| {
        let restarts = restart_count(status);
        let terminated = status.pointer("/state/terminated").is_some();
        text(status, "/name") == stamp.container
            && (restarts >= start || (terminated && restarts + 1 == start))
    };
    let mut pods = evidence.pods().filter(|(_, pod)| pod.pod == stamp.pod);
    let is_over =
        |pod: &PodSeen| pod.change == PodChange::Deleted || statuses(&pod.object).any(over);
    let gone = pods.find(|(_, pod)| is_over(pod));
    gone.map_or(clock.span, |(entry, _)| clock.at(entry.at))
}

/// The text at a JSON pointer, or an empty one.
fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    one_line(found.unwrap_or_default())
}

fn changed(lanes: &mut Vec<Lane>, pod: &PodSeen, at: f64) {
    let of = one_line(&pod.pod);
    phase(lane(lanes, "phase", &of), pod, at);
    for status in statuses(&pod.object) {
        let lane = lane(lanes, &text(status, "/name"), &of);
        let (look, label, details) = state(status);
        report(lane, at, look, label, &details);
        ready(lane, status, at);
    }
    if pod.change == PodChange::Deleted {
        for lane in lanes.iter_mut().filter(|lane| lane.of == of) {
            if let Some(last) = lane.bars.last_mut() {
                last.to = at;
                last.open = false;
            }
        }
        let tip = "the pod is deleted".to_owned();
        lane(lanes, "phase", &of).mark(at, Look::Deletion, "deleted", tip);
    }
}

/// Starts a bar, or extends the last one if nothing changed.
fn report(lane: &mut Lane, at: f64, look: Look, label: String, details: &str) {
    if let Some(last) = lane.bars.last_mut().filter(|last| last.open) {
        last.to = at;
        if last.label == label && last.look == look {
            return;
        }
        last.open = false;
    }
    lane.bars.push(Bar {
        from: at,
        to: at,
        open: true,
        look,
        tip: format!("{label}\n{details}").trim_end().to_owned(),
        label,
    });
}

fn phase(lane: &mut Lane, pod: &PodSeen, at: f64) {
    let (look, phase) = match text(&pod.object, "/status/phase").as_str() {
        "" => (Look::Phase, "Unknown".to_owned()),
        "Failed" => (Look::Failed, "Failed".to_owned()),
        phase => (Look::Phase, phase.to_owned()),
    };
    report(lane, at, look, phase, "");
    let metadata = &pod.object["metadata"];
    let known = lane.marks.iter().any(|mark| mark.look == Look::Deletion);
    if metadata.get("deletionTimestamp").is_some() && !known {
        let grace = metadata["deletionGracePeriodSeconds"].as_i64();
        let grace = grace.map_or_else(String::new, |s| format!(", grace period {s} s"));
        let tip = format!("the pod has a deletionTimestamp{grace}");
        lane.mark(
            at,
            Look::Deletion,
            format!("deletion requested{grace}"),
            tip,
        );
    }
}

/// Marks a change of the container's readiness.
fn ready(lane: &mut Lane, status: &Value, at: f64) {
    let now = status["ready"] == true;
    let before = lane.marks.last().is_some_and(|mark| mark.label == "ready");
    if now != before {
        let label = if now { "ready" } else { "not ready" };
        lane.mark(at, Look::Stamp, label, format!("reported {label}"));
    }
}

/// A container's state: look, label and details.
fn state(status: &Value) -> (Look, String, String) {
    let restarts = match restart_count(status) {
        0 => String::new(),
        count => format!("restartCount {count}"),
    };
    let state = &status["state"];
    if state.get("running").is_some() {
        return (Look::Running, "Running".to_owned(), restarts);
    }
    if let Some(terminated) = state.get("terminated") {
        let code = terminated["exitCode"].as_i64().unwrap_or_default();
        let look = match code {
            0 => Look::Terminated,
            _ => Look::Failed,
        };
        let label = match text(terminated, "/reason").as_str() {
            "" => format!("Terminated: exit {code}"),
            reason => format!("Terminated: exit {code}, {reason}"),
        };
        return (look, label, restarts);
    }
    let label = match text(status, "/state/waiting/reason").as_str() {
        "" => "Waiting: no reason".to_owned(),
        reason => shorten(&format!("Waiting: {reason}"), 48),
    };
    let message = text(status, "/state/waiting/message");
    (Look::Waiting, label, shorten(&message, 300))
}

fn event(lanes: &mut Vec<Lane>, event: &EventSeen, at: f64) {
    let look = match event.type_.as_str() {
        "Warning" => Look::Warning,
        _ => Look::Event,
    };
    let what = match event.count {
        0 | 1 => one_line(&event.reason),
        count => format!("{} ×{count}", one_line(&event.reason)),
    };
    let whose = format!("{} {} {}", event.kind, event.pod, event.container);
    let tip = one_line(&format!(
        "{} event {what} of {whose}, by {}: {}",
        event.type_,
        event.component,
        shorten(&one_line(&event.message), 300)
    ));
    let lane = lane(lanes, "events", &one_line(&event.pod));
    lane.mark(at, look, shorten(&what, 36), tip);
}
