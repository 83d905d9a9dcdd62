//! Progress and summary of a run.

use camino::Utf8PathBuf;

use crate::report::progress::Progress;
use crate::report::reports::Reports;
use crate::report::results::{Results, Standing};
use crate::report::terminal;

use super::exit::{Exit, Failure};
use super::run::Events;

/// Writes the reports and shows progress until the last event, then prints the summary.
pub(super) async fn show(mut events: Events, out: Utf8PathBuf) -> Result<Exit, Failure> {
    let mut reports = Reports::new(out);
    let mut progress = Progress::for_stderr();
    let mut failed = None;
    while let Some(event) = events.recv().await {
        progress.on(&event);
        if let Err(error) = reports.on(&event) {
            // Warn once: every event fails if the disk is full or the folder is gone.
            if failed.is_none() {
                eprintln!("warning: {error}");
            }
            failed = Some(error);
        }
    }
    let results = reports.results();
    text!(
        "{}",
        terminal::summary(
            results,
            Some(&reports.page()),
            terminal::Layout::for_stdout()
        )
    );
    match failed {
        Some(error) => Err(Failure::infrastructure(error)),
        None => Ok(exit(results)),
    }
}

/// An infrastructure failure takes precedence over a changed verdict, since it may hide one.
#[must_use]
pub(super) fn exit(results: &Results) -> Exit {
    let mut exit = Exit::AsExpected;
    for cluster in &results.clusters {
        if cluster.phases.iter().any(|phase| phase.error.is_some()) {
            return Exit::Infrastructure;
        }
        for claim in &results.claims {
            match cluster.standing(&claim.id) {
                Standing::Error => return Exit::Infrastructure,
                Standing::Changed => exit = Exit::Changed,
                Standing::AsExpected | Standing::Skipped => {}
            }
        }
    }
    exit
}
