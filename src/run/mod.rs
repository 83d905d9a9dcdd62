//! A run: its plan, its execution on each cluster (driver, dispatch) and its early end.

pub(crate) mod dispatch;
pub(crate) mod driver;
pub(crate) mod job;
pub(crate) mod plan;
pub(crate) mod provide;
mod resume;
pub(crate) mod stop;

use std::time::Duration;

use camino::Utf8PathBuf;
use tokio::sync::mpsc::UnboundedSender;

use crate::catalogue::model::Catalogue;
use crate::report::event::RunEvent;
use crate::report::results::Shards;
use plan::Plan;
use stop::Stop;

/// A run of a plan on one or more clusters.
pub(crate) struct Run {
    pub(crate) catalogue: Catalogue,
    pub(crate) plan: Plan,
    /// The part of the run that the plan is.
    pub(crate) shards: Option<Shards>,
    /// Number of clusters that exist at a time.
    pub(crate) clusters: usize,
    /// Number of rounds on each cluster.
    pub(crate) repeat: u32,
    /// Maximum number of parallel scenarios on all clusters together.
    pub(crate) jobs: usize,
    /// Maximum attempts at a scenario that has a problem, is undecided, or gives an unexpected verdict.
    pub(crate) attempts: u32,
    /// Start no further scenario after an unexpected verdict or an error.
    pub(crate) fail_fast: bool,
    /// Limit of the whole run.
    pub(crate) timeout: Option<Duration>,
    /// Limit of an attempt at a scenario.
    pub(crate) scenario_timeout: Option<Duration>,
    /// Keep namespaces after the run.
    pub(crate) keep: bool,
    /// Keep the evidence that an interrupted run left in `out`.
    pub(crate) resume: bool,
    /// Heading of the run in reports.
    pub(crate) label: Option<String>,
    pub(crate) out: Utf8PathBuf,
    pub(crate) events: UnboundedSender<RunEvent>,
    pub(crate) stop: Stop,
}

impl Run {
    fn send(&self, event: RunEvent) {
        // The receiver is gone only when the program exits.
        let _ = self.events.send(event);
    }

    fn warn(&self, text: String) {
        self.send(RunEvent::Warning { text });
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    impl Run {
        /// A run without retries of one scenario at a time, and its events.
        pub(super) fn example(
            catalogue: Catalogue,
            plan: Plan,
        ) -> (Self, UnboundedReceiver<RunEvent>) {
            let (events, received) = unbounded_channel();
            let run = Self {
                catalogue,
                plan,
                shards: None,
                clusters: 1,
                repeat: 1,
                jobs: 1,
                attempts: 1,
                fail_fast: false,
                timeout: None,
                scenario_timeout: None,
                keep: false,
                resume: false,
                label: None,
                out: "unused".into(),
                events,
                stop: Stop::default(),
            };
            (run, received)
        }
    }
}
