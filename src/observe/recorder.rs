//! The growing timeline of one scenario: every channel writes into it, steps wait on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::evidence::{Clock, Entry, Note, Seen};

/// The runner's clock, corrected to the nodes'.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunnerClock {
    offset: SignedDuration,
}

impl RunnerClock {
    /// A clock that adds `offset` to this machine's.
    #[must_use]
    pub fn new(offset: SignedDuration) -> Self {
        Self { offset }
    }

    /// Now, by the nodes' clock as far as the runner knows it.
    #[must_use]
    pub fn now(self) -> Timestamp {
        let now = Timestamp::now();
        now.checked_add(self.offset).unwrap_or(now)
    }

    /// The correction in seconds.
    #[must_use]
    pub fn offset_seconds(self) -> f64 {
        self.offset.as_secs_f64()
    }
}

/// A line that a background step printed, before the step is over and becomes an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveLine {
    /// The step's `as` name.
    pub output: String,
    /// The line.
    pub text: String,
}

#[derive(Debug, Default)]
struct Written {
    entries: Vec<Entry>,
    lines: Vec<LiveLine>,
}

/// One scenario's timeline while it grows.
#[derive(Debug, Clone)]
pub struct Recorder {
    clock: RunnerClock,
    written: Arc<Mutex<Written>>,
    changed: watch::Sender<usize>,
}

impl Recorder {
    /// An empty one.
    #[must_use]
    pub fn new(clock: RunnerClock) -> Self {
        let (changed, _) = watch::channel(0);
        Self {
            clock,
            written: Arc::default(),
            changed,
        }
    }

    /// The clock that it stamps with.
    #[must_use]
    pub fn clock(&self) -> RunnerClock {
        self.clock
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        // A panic elsewhere leaves the list itself whole: entries are pushed complete.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what was seen at a time given by the channel.
    pub fn record(&self, at: Timestamp, clock: Clock, seen: Seen) {
        let mut written = self.lock();
        let n = u32::try_from(written.entries.len()).unwrap_or(u32::MAX);
        written.entries.push(Entry { n, at, clock, seen });
        drop(written);
        self.changed.send_modify(|version| *version += 1);
    }

    /// Adds what has just arrived at the runner.
    pub fn record_now(&self, seen: Seen) {
        self.record(self.clock.now(), Clock::Runner, seen);
    }

    /// Adds a note of the runner.
    pub fn note(&self, note: &str, text: impl Into<String>) {
        self.record_now(Seen::Runner(Note {
            note: note.to_owned(),
            text: text.into(),
        }));
    }

    /// Adds a line of a background step, for those that wait for it.
    pub fn line(&self, output: &str, text: &str) {
        self.lock().lines.push(LiveLine {
            output: output.to_owned(),
            text: text.to_owned(),
        });
        self.changed.send_modify(|version| *version += 1);
    }

    /// Everything so far, in the order of arrival.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    /// How many stamps of agents have arrived.
    #[must_use]
    pub fn stamps(&self) -> usize {
        self.lock()
            .entries
            .iter()
            .filter(|e| matches!(e.seen, Seen::Agent(_)))
            .count()
    }

    /// Waits until as many of the entries and lines satisfy a condition as wanted. Each is asked
    /// about once. The caller puts a cap on it.
    ///
    /// # Errors
    /// Those of the condition.
    pub async fn wait<E>(
        &self,
        wanted: u32,
        mut entry_matches: impl FnMut(&Entry) -> Result<bool, E>,
        mut line_matches: impl FnMut(&LiveLine) -> bool,
    ) -> Result<(), E> {
        let mut changes = self.changed.subscribe();
        let (mut next_entry, mut next_line, mut found) = (0, 0, 0);
        loop {
            changes.borrow_and_update();
            let (entries, lines) = {
                let written = self.lock();
                (
                    written.entries[next_entry..].to_vec(),
                    written.lines[next_line..].to_vec(),
                )
            };
            next_entry += entries.len();
            next_line += lines.len();
            for entry in &entries {
                found += u32::from(entry_matches(entry)?);
            }
            found += u32::try_from(lines.iter().filter(|l| line_matches(l)).count()).unwrap_or(0);
            if found >= wanted {
                return Ok(());
            }
            if changes.changed().await.is_err() {
                // The sender lives in `self`, so this cannot come before the wait is dropped.
                std::future::pending::<()>().await;
            }
        }
    }
}
