//! The growing timeline of one scenario. All sources write to it; steps wait on it.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::watch;

use crate::evidence::{Clock, Entry, Note, Output, Seen, Stamp};

/// The runner's clock, corrected by its offset from the nodes' clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunnerClock {
    /// What is added to this machine's time.
    pub offset: SignedDuration,
}

impl RunnerClock {
    /// The current time by the nodes' clock, as estimated by the runner.
    pub fn now(self) -> Timestamp {
        let now = Timestamp::now();
        now.checked_add(self.offset).unwrap_or(now)
    }
}

/// A line printed by a step that is still running. The entry with all lines follows when the step ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveLine {
    /// The step's `as` name.
    pub output: String,
    pub text: String,
}

#[derive(Debug, Default)]
struct Written {
    entries: Vec<Entry>,
    lines: Vec<LiveLine>,
}

#[derive(Debug, Clone)]
pub struct Recorder {
    clock: RunnerClock,
    written: watch::Sender<Written>,
}

impl Recorder {
    pub fn new(clock: RunnerClock) -> Self {
        Self {
            clock,
            written: watch::Sender::default(),
        }
    }

    /// The current time of the runner.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Adds an entry with a time given by its source.
    pub fn record(&self, at: Timestamp, clock: Clock, seen: Seen) {
        self.written.send_modify(|Written { entries, .. }| {
            let n = u32::try_from(entries.len()).unwrap_or(u32::MAX);
            entries.push(Entry { n, at, clock, seen });
        });
    }

    /// Adds a stamp of the container's start with this number.
    pub fn stamp(&self, stamp: hookproof_protocol::Stamp, start: u64) -> Result<(), jiff::Error> {
        let at = stamp.at.parse()?;
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let seen = Stamp {
            pod: stamp.pod,
            container: stamp.container,
            start: small(start),
            role: stamp.role,
            process: stamp.process,
            pid: stamp.pid,
            seq: small(stamp.seq),
            stamp: stamp.name,
            data: stamp.data,
        };
        self.record(at, Clock::Node, Seen::Agent(seen));
        Ok(())
    }

    /// Adds an entry with the current time of the runner.
    pub fn record_now(&self, seen: Seen) {
        self.record(self.now(), Clock::Runner, seen);
    }

    pub fn note(&self, note: &str, text: impl Into<String>) {
        self.record_now(Seen::Runner(Note {
            note: note.to_owned(),
            text: text.into(),
        }));
    }

    /// Adds the result of a step; `data` is an object.
    pub fn output(&self, name: &str, step: &str, begin: Timestamp, end: Timestamp, data: Value) {
        debug_assert!(data.is_object());
        let output = Output {
            name: name.to_owned(),
            step: step.to_owned(),
            begin,
            end,
            data: serde_json::from_value(data).unwrap_or_default(),
        };
        self.record(begin, Clock::Runner, Seen::Output(output));
    }

    /// Adds a line of a running step, for steps that wait for it.
    pub fn line(&self, output: &str, text: &str) {
        let (output, text) = (output.to_owned(), text.to_owned());
        self.written
            .send_modify(|written| written.lines.push(LiveLine { output, text }));
    }

    /// All entries so far, in order of arrival.
    pub fn entries(&self) -> Vec<Entry> {
        self.written.borrow().entries.clone()
    }

    /// Waits until `wanted` entries and lines match. Each is checked once. There is no timeout; the caller
    /// sets one.
    pub async fn wait(
        &self,
        wanted: u32,
        mut entry_matches: impl FnMut(&Entry) -> bool,
        mut line_matches: impl FnMut(&LiveLine) -> bool,
    ) {
        let mut changes = self.written.subscribe();
        let (mut next_entry, mut next_line, mut found) = (0, 0, 0);
        loop {
            // Copies, so that sources can write meanwhile.
            let (entries, lines) = {
                let Written { entries, lines } = &*changes.borrow_and_update();
                (entries[next_entry..].to_vec(), lines[next_line..].to_vec())
            };
            next_entry += entries.len();
            next_line += lines.len();
            found += entries.iter().filter(|entry| entry_matches(entry)).count();
            found += lines.iter().filter(|line| line_matches(line)).count();
            if found >= wanted as usize {
                return;
            }
            if changes.changed().await.is_err() {
                // Unreachable: the sender lives in `self`.
                std::future::pending::<()>().await;
            }
        }
    }
}
