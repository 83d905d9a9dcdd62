//! Lanes of bars and marks, in seconds since the start of the scenario.

use jiff::Timestamp;
use serde::Serialize;

use crate::evidence::Evidence;

#[derive(Debug, Serialize)]
pub(crate) struct Timeline {
    /// Duration of the scenario in seconds.
    pub span: f64,
    pub groups: Vec<Group>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Group {
    pub title: &'static str,
    pub lanes: Vec<Lane>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Lane {
    /// A role, `phase`, or a container.
    pub name: String,
    /// The pod, or `pod/container`.
    pub of: String,
    /// Sorted by start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bars: Vec<Bar>,
    /// Intervals drawn over the bars: holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Bar>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Bar {
    pub from: f64,
    pub to: f64,
    /// The end was not observed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    pub look: Look,
    pub label: String,
    /// Details, shown with the times.
    pub tip: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Mark {
    pub at: f64,
    pub look: Look,
    /// May be empty.
    pub label: String,
    /// Details, shown with the time.
    pub tip: String,
}

/// The style of a bar or a mark, and its CSS class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Look {
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

impl Lane {
    pub(super) fn new(name: &str, of: &str) -> Self {
        Self {
            name: name.to_owned(),
            of: of.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn mark(&mut self, at: f64, look: Look, label: impl Into<String>, tip: String) {
        self.marks.push(Mark {
            at,
            look,
            label: label.into(),
            tip,
        });
    }
}

/// The lane with this name, which is added if it does not exist: after the lanes of the same object.
pub(super) fn lane<'a>(lanes: &'a mut Vec<Lane>, name: &str, of: &str) -> &'a mut Lane {
    let known = lanes
        .iter()
        .position(|lane| lane.name == name && lane.of == of);
    let at = known.unwrap_or_else(|| {
        let last = lanes.iter().rposition(|lane| lane.of == of);
        let at = last.map_or(lanes.len(), |last| last + 1);
        lanes.insert(at, Lane::new(name, of));
        at
    });
    &mut lanes[at]
}

/// Converts timestamps to seconds since the start of the scenario, clamped to its duration.
pub(super) struct Clock {
    began: Timestamp,
    pub(super) span: f64,
}

impl Clock {
    pub(super) fn of(evidence: &Evidence) -> Self {
        let last = evidence.timeline.iter().map(|entry| entry.at).max();
        let end = last.map_or(evidence.ended, |last| last.max(evidence.ended));
        let span = end.duration_since(evidence.began).as_secs_f64();
        Self {
            began: evidence.began,
            span: milliseconds(span).clamp(0.001, 1e7),
        }
    }

    pub(super) fn at(&self, time: Timestamp) -> f64 {
        let at = time.duration_since(self.began).as_secs_f64();
        milliseconds(at).clamp(0.0, self.span)
    }
}

fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
