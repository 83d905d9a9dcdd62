//! Stops a run early: by a signal, at a deadline, or after a failure.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::report::event::Stopped;

#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    reason: Arc<watch::Sender<Option<Stopped>>>,
    /// Ends the scenarios that are running.
    pub(crate) now: CancellationToken,
}

impl Stop {
    /// Starts no further scenario. Running ones end at once, except after a failure.
    pub(crate) fn request(&self, reason: Stopped) {
        self.reason.send_if_modified(|known| {
            let later = *known < Some(reason);
            *known = (*known).max(Some(reason));
            later
        });
        if reason != Stopped::FailFast {
            self.now.cancel();
        }
    }

    pub(crate) fn reason(&self) -> Option<Stopped> {
        *self.reason.borrow()
    }

    /// The reason, each time that there is a new one.
    pub(crate) fn reasons(&self) -> watch::Receiver<Option<Stopped>> {
        self.reason.subscribe()
    }

    /// Waits until the run times out.
    pub(crate) async fn timed_out(&self) {
        let is_timeout = |reason: &Option<Stopped>| *reason == Some(Stopped::TimedOut);
        // The sender is alive as long as `self`.
        let _ = self.reasons().wait_for(is_timeout).await;
    }

    /// Stops the run on Ctrl-C or SIGTERM; calls `again` on a second signal, which exits without cleanup.
    /// The next run or `hookproof clean` removes what remains on the cluster.
    pub(crate) fn on_signals(&self, again: impl Fn() + Send + 'static) {
        let stop = self.clone();
        tokio::spawn(async move {
            let Ok(mut term) = signal(SignalKind::terminate()) else {
                return;
            };
            loop {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = term.recv() => {}
                }
                if stop.reason() == Some(Stopped::Interrupted) {
                    again();
                }
                stop.request(Stopped::Interrupted);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use Stopped::{FailFast, Interrupted, TimedOut};

    #[rstest]
    #[case::nothing(&[], None, false)]
    #[case::running_scenarios_end_by_themselves(&[FailFast], Some(FailFast), false)]
    #[case::deadline(&[TimedOut], Some(TimedOut), true)]
    #[case::a_signal_after_a_failure(&[FailFast, Interrupted], Some(Interrupted), true)]
    #[case::a_failure_after_a_signal(&[Interrupted, FailFast], Some(Interrupted), true)]
    fn reasons(
        #[case] requests: &[Stopped],
        #[case] reason: Option<Stopped>,
        #[case] at_once: bool,
    ) {
        let stop = Stop::default();
        for request in requests {
            stop.request(*request);
        }
        assert_eq!(stop.reason(), reason);
        assert_eq!(stop.now.is_cancelled(), at_once);
    }
}
