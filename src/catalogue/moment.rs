//! Points of the timeline.

use super::finding::Place;

/// A point of the timeline.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moment {
    pub(crate) place: Place,
    pub(crate) matches: Matches,
    /// Which of the matching entries, from 1; 0 is the last.
    pub(crate) nth: u32,
}

/// The entries of the timeline that a moment matches.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Matches {
    /// Stamps of the agent.
    Agent {
        role: String,
        /// The stamp's name; `*` matches any.
        stamp: String,
        /// Pod; any if absent. A trailing `*` matches any rest.
        pod: Option<String>,
        /// Container; any if absent.
        container: Option<String>,
        /// Start of the container; any if absent.
        start: Option<u32>,
        /// CEL over `stamp`.
        when: Option<String>,
    },
    /// Pod states for which a CEL expression over `pod` (the object), `status`, `deleted` (whether it is removed),
    /// and `containers` (their states) is true.
    Pod {
        /// Pod name; a trailing `*` matches any rest.
        pod: String,
        when: String,
    },
    /// Events.
    Event {
        reason: String,
        /// Pod name; any if absent. A trailing `*` matches any rest.
        pod: Option<String>,
        /// CEL over `event`.
        when: Option<String>,
    },
    /// Lines printed by a background step.
    Line {
        /// The step.
        output: String,
        contains: String,
    },
}
