//! The growing timeline of one scenario. All sources write to it; steps wait on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use crate::evidence::{Clock, Entry, Note, Seen, Stamp};

/// The runner's clock, corrected by its offset from the nodes' clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunnerClock {
    offset: SignedDuration,
}

impl RunnerClock {
    /// Creates a clock that adds `offset` to this machine's time.
    pub fn new(offset: SignedDuration) -> Self {
        Self { offset }
    }

    /// The current time by the nodes' clock, as estimated by the runner.
    pub fn now(self) -> Timestamp {
        let now = Timestamp::now();
        now.checked_add(self.offset).unwrap_or(now)
    }

    pub fn offset_seconds(self) -> f64 {
        self.offset.as_secs_f64()
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
    written: Arc<Mutex<Written>>,
    changed: watch::Sender<usize>,
}

impl Recorder {
    pub fn new(clock: RunnerClock) -> Self {
        let (changed, _) = watch::channel(0);
        Self {
            clock,
            written: Arc::default(),
            changed,
        }
    }

    pub fn clock(&self) -> RunnerClock {
        self.clock
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        // A panic elsewhere leaves the list intact: only complete entries are pushed.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry with a time given by its source.
    pub fn record(&self, at: Timestamp, clock: Clock, seen: Seen) {
        let mut written = self.lock();
        let n = u32::try_from(written.entries.len()).unwrap_or(u32::MAX);
        written.entries.push(Entry { n, at, clock, seen });
        drop(written);
        self.changed.send_modify(|version| *version += 1);
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
        self.record(self.clock.now(), Clock::Runner, seen);
    }

    pub fn note(&self, note: &str, text: impl Into<String>) {
        self.record_now(Seen::Runner(Note {
            note: note.to_owned(),
            text: text.into(),
        }));
    }

    /// Adds a line of a running step, for steps that wait for it.
    pub fn line(&self, output: &str, text: &str) {
        self.lock().lines.push(LiveLine {
            output: output.to_owned(),
            text: text.to_owned(),
        });
        self.changed.send_modify(|version| *version += 1);
    }

    /// All entries so far, in order of arrival.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    /// Waits until `wanted` entries and lines match. Each is checked once. There is no timeout; the caller
    /// sets one.
    pub async fn wait(
        &self,
        wanted: u32,
        mut entry_matches: impl FnMut(&Entry) -> bool,
        mut line_matches: impl FnMut(&LiveLine) -> bool,
    ) {
        let mut changes = self.changed.subscribe();
        let (mut next_entry, mut next_line, mut found) = (0, 0, 0);
        loop {
            changes.borrow_and_update();
            let (entries, lines) = {
                let Written { entries, lines } = &*self.lock();
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
