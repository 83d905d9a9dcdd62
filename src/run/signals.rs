//! Interruption of a run by signals.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels the run on Ctrl-C or SIGTERM; `again` is called on a second signal and exits without cleanup.
/// The next run or `hookproof clean` removes what remains on the cluster.
pub(crate) fn stop_on_signals(again: impl Fn() + Send + 'static) -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let Ok(mut term) = signal(SignalKind::terminate()) else {
            return;
        };
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = term.recv() => {}
            }
            if token.is_cancelled() {
                again();
            }
            eprintln!("stopping and cleaning up; press Ctrl-C again to exit immediately");
            token.cancel();
        }
    });
    stop
}
