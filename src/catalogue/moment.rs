//! Points of the timeline, and when they occur. The runner waits with the same code that judges.

use std::sync::Arc;

use cel::Value;
use jiff::Timestamp;

use super::finding::Place;
use crate::evidence::{Entry, Output, PodChange, Seen};
use crate::expr::{self, name_matches, values};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moment {
    pub(crate) place: Place,
    pub(crate) matches: Matches,
    /// Which of the matching entries, from 1; 0 is the last.
    pub(crate) nth: u32,
}

/// What a moment matches, in the terms of `suite::moments`; a field that is absent matches anything.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Matches {
    Agent {
        role: String,
        stamp: String,
        pod: Option<String>,
        container: Option<String>,
        start: Option<u32>,
        when: Option<String>,
    },
    Pod {
        pod: String,
        when: String,
    },
    Event {
        reason: String,
        pod: Option<String>,
        when: Option<String>,
    },
    Line {
        output: String,
        contains: String,
    },
}

/// A moment with its compiled condition.
#[derive(Debug)]
pub(crate) struct MomentMatcher {
    matches: Matches,
    when: Option<Arc<expr::Compiled>>,
    nth: u32,
}

impl MomentMatcher {
    /// Compiles the moment's condition.
    pub(crate) fn new(moment: &Moment) -> Result<Self, String> {
        let when = match &moment.matches {
            Matches::Agent { when, .. } | Matches::Event { when, .. } => when.as_deref(),
            Matches::Pod { when, .. } => Some(when.as_str()),
            Matches::Line { .. } => None,
        };
        let when = when.map(expr::compiled).transpose();
        let when = when.map_err(|why| format!("{}: {why}", moment.place))?;
        let (matches, nth) = (moment.matches.clone(), moment.nth);
        Ok(Self { matches, when, nth })
    }

    /// Whether the moment matches an entry. A condition that cannot be evaluated, such as one about a status that is
    /// not there yet, is not met.
    pub(crate) fn matches(&self, entry: &Entry) -> bool {
        let fits = |pattern: &Option<String>, pod: &str| {
            let pattern = pattern.as_ref();
            pattern.is_none_or(|pattern| name_matches(pattern, pod))
        };
        match (&self.matches, &entry.seen) {
            (
                Matches::Agent {
                    role,
                    stamp,
                    pod,
                    container,
                    start,
                    ..
                },
                Seen::Agent(seen),
            ) => {
                seen.role == *role
                    && name_matches(stamp, &seen.stamp)
                    && fits(pod, &seen.pod)
                    && container
                        .as_ref()
                        .is_none_or(|name| *name == seen.container)
                    && start.is_none_or(|start| start == seen.start)
                    && self.condition(|| vec![("stamp", values::entry(entry))])
            }
            (Matches::Pod { pod, .. }, Seen::Pod(seen)) => {
                name_matches(pod, &seen.pod)
                    && self.condition(|| {
                        let status = seen.object.get("status").map(values::from_json);
                        vec![
                            ("pod", values::from_json(&seen.object)),
                            ("status", status.unwrap_or_else(|| values::map([]))),
                            ("deleted", Value::Bool(seen.change == PodChange::Deleted)),
                            ("containers", expr::containers(&seen.pod, &seen.object)),
                        ]
                    })
            }
            (Matches::Event { reason, pod, .. }, Seen::Event(seen)) => {
                seen.reason == *reason
                    && fits(pod, &seen.pod)
                    && self.condition(|| vec![("event", values::entry(entry))])
            }
            (Matches::Line { .. }, Seen::Output(output)) => {
                self.times_of_lines(output).next().is_some()
            }
            _ => false,
        }
    }

    /// Whether the moment matches a line that a background step has printed.
    pub(crate) fn matches_line(&self, name: &str, text: &str) -> bool {
        matches!(&self.matches, Matches::Line { output, contains }
            if output == name && text.contains(contains.as_str()))
    }

    /// The moment's time in a complete timeline.
    pub(crate) fn first_time(&self, timeline: &[Entry]) -> Option<Timestamp> {
        let mut times = timeline.iter().flat_map(|entry| match &entry.seen {
            Seen::Output(output) if matches!(self.matches, Matches::Line { .. }) => {
                self.times_of_lines(output).collect()
            }
            _ if self.matches(entry) => vec![entry.at],
            _ => Vec::new(),
        });
        match self.nth {
            0 => times.last(),
            nth => times.nth(usize::try_from(nth - 1).ok()?),
        }
    }

    fn times_of_lines<'a>(&'a self, output: &'a Output) -> impl Iterator<Item = Timestamp> + 'a {
        let lines = output.data.get("lines").and_then(|lines| lines.as_array());
        lines.into_iter().flatten().filter_map(|line| {
            let text = line.get("text")?.as_str()?;
            let at = line.get("at")?.as_str()?.parse().ok()?;
            self.matches_line(&output.name, text).then_some(at)
        })
    }

    fn condition(&self, variables: impl FnOnce() -> Vec<(&'static str, Value)>) -> bool {
        let program = self.when.as_ref();
        program.is_none_or(|program| expr::condition(program, variables()))
    }
}
