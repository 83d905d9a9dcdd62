//! Timeline lanes from pod status: a phase lane per pod, a state lane per container.

use serde_json::Value;

use super::text::{one_line, shorten};
use super::timeline::{Bar, Clock, Lane, Look, Mark};
use crate::evidence::{Evidence, PodChange, PodSeen, Seen, Stamp};

fn seen(evidence: &Evidence) -> impl Iterator<Item = (jiff::Timestamp, &PodSeen)> {
    evidence
        .timeline
        .iter()
        .filter_map(|entry| match &entry.seen {
            Seen::Pod(pod) => Some((entry.at, pod)),
            _ => None,
        })
}

fn statuses(pod: &PodSeen) -> impl Iterator<Item = &Value> {
    [
        "initContainerStatuses",
        "containerStatuses",
        "ephemeralContainerStatuses",
    ]
    .into_iter()
    .filter_map(|key| {
        pod.object
            .pointer(&format!("/status/{key}"))
            .and_then(Value::as_array)
    })
    .flatten()
}

fn name(status: &Value) -> &str {
    status
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// When pod status first showed that a container's start had ended, or the end of the scenario.
pub(super) fn gone(evidence: &Evidence, clock: &Clock, stamp: &Stamp) -> f64 {
    let over = |pod: &PodSeen| {
        pod.change == PodChange::Deleted
            || statuses(pod)
                .filter(|status| name(status) == stamp.container)
                .any(|status| {
                    let restarts = status
                        .get("restartCount")
                        .and_then(Value::as_u64)
                        .unwrap_or(0);
                    let terminated = status.pointer("/state/terminated").is_some();
                    restarts >= u64::from(stamp.start)
                        || (terminated && restarts + 1 == u64::from(stamp.start))
                })
    };
    seen(evidence)
        .filter(|(_, pod)| pod.pod == stamp.pod)
        .find(|(_, pod)| over(pod))
        .map_or(clock.span(), |(at, _)| clock.at(at))
}

/// Starts a bar at `at`, or extends the last one if nothing changed.
fn report(lane: &mut Lane, at: f64, look: Look, label: String, tip: &str) {
    if let Some(last) = lane.bars.last_mut().filter(|last| last.open) {
        last.to = at;
        if last.label == label && last.look == look {
            return;
        }
        last.open = false;
    }
    let tip = if tip.is_empty() {
        label.clone()
    } else {
        format!("{label}\n{tip}")
    };
    lane.bars.push(Bar {
        from: at,
        to: at,
        open: true,
        look,
        label,
        tip,
    });
}

pub(super) fn lanes(evidence: &Evidence, clock: &Clock) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for (time, pod) in seen(evidence) {
        let at = clock.at(time);
        let of = one_line(&pod.pod);
        phase(lane(&mut lanes, "phase", &of), pod, at);
        for status in statuses(pod) {
            let lane = lane(&mut lanes, &one_line(name(status)), &of);
            let (look, label, tip) = state(status);
            report(lane, at, look, label, &tip);
            ready(lane, status, at);
        }
        if pod.change == PodChange::Deleted {
            for lane in lanes.iter_mut().filter(|lane| lane.of == of) {
                if let Some(last) = lane.bars.last_mut() {
                    last.to = at;
                    last.open = false;
                }
            }
            let lane = lane(&mut lanes, "phase", &of);
            lane.marks.push(Mark {
                at,
                look: Look::Deletion,
                label: "deleted".to_owned(),
                tip: format!("{at:.3} s the pod is deleted"),
            });
        }
    }
    for lane in &mut lanes {
        for bar in lane.bars.iter_mut().filter(|bar| bar.open) {
            bar.to = clock.span();
            bar.open = false;
        }
        for bar in &mut lane.bars {
            bar.tip = format!("{}\n{:.3} s to {:.3} s", bar.tip, bar.from, bar.to);
        }
    }
    let order: Vec<String> = lanes.iter().map(|lane| lane.of.clone()).collect();
    lanes.sort_by_key(|lane| order.iter().position(|of| *of == lane.of));
    lanes
}

fn lane<'a>(lanes: &'a mut Vec<Lane>, name: &str, of: &str) -> &'a mut Lane {
    let at = lanes
        .iter()
        .position(|lane| lane.name == name && lane.of == of)
        .unwrap_or_else(|| {
            lanes.push(Lane {
                name: name.to_owned(),
                of: of.to_owned(),
                ..Lane::default()
            });
            lanes.len() - 1
        });
    &mut lanes[at]
}

fn phase(lane: &mut Lane, pod: &PodSeen, at: f64) {
    let phase = pod
        .object
        .pointer("/status/phase")
        .and_then(Value::as_str)
        .unwrap_or("Unknown");
    let look = if phase == "Failed" {
        Look::Failed
    } else {
        Look::Phase
    };
    report(lane, at, look, one_line(phase), "");
    let deleting = pod.object.pointer("/metadata/deletionTimestamp").is_some();
    if deleting && !lane.marks.iter().any(|mark| mark.look == Look::Deletion) {
        let grace = pod.object.pointer("/metadata/deletionGracePeriodSeconds");
        let grace = grace
            .and_then(Value::as_i64)
            .map(|s| format!(", grace period {s} s"))
            .unwrap_or_default();
        lane.marks.push(Mark {
            at,
            look: Look::Deletion,
            label: format!("deletion requested{grace}"),
            tip: format!("{at:.3} s the pod has a deletionTimestamp{grace}"),
        });
    }
}

/// Marks a change of the container's readiness.
fn ready(lane: &mut Lane, status: &Value, at: f64) {
    let now = status
        .get("ready")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let before = lane.marks.last().is_some_and(|mark| mark.label == "ready");
    if now != before {
        let label = if now { "ready" } else { "not ready" };
        lane.marks.push(Mark {
            at,
            look: Look::Stamp,
            label: label.to_owned(),
            tip: format!("{at:.3} s reported {label}"),
        });
    }
}

fn state(status: &Value) -> (Look, String, String) {
    let text = |path: &str| status.pointer(path).and_then(Value::as_str).map(one_line);
    let restarts = status
        .get("restartCount")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    let restarts = if restarts > 0 {
        format!("restartCount {restarts}")
    } else {
        String::new()
    };
    if status.pointer("/state/running").is_some() {
        return (Look::Running, "Running".to_owned(), restarts);
    }
    if status.pointer("/state/terminated").is_some() {
        let code = status
            .pointer("/state/terminated/exitCode")
            .and_then(Value::as_i64);
        let code = code.unwrap_or_default();
        let reason = text("/state/terminated/reason")
            .map(|r| format!(", {r}"))
            .unwrap_or_default();
        let look = if code == 0 {
            Look::Terminated
        } else {
            Look::Failed
        };
        return (look, format!("Terminated: exit {code}{reason}"), restarts);
    }
    let reason = text("/state/waiting/reason").unwrap_or_else(|| "no reason".to_owned());
    let message = text("/state/waiting/message").unwrap_or_default();
    (
        Look::Waiting,
        shorten(&format!("Waiting: {reason}"), 48),
        shorten(&message, 300),
    )
}
