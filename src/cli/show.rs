//! Shows a run while it goes on, and at its end.

use camino::Utf8PathBuf;

use crate::report::reports::Reports;
use crate::report::results::{Results, Standing};
use crate::report::terminal;
use crate::run::event::RunEvent;

use super::exit::{Exit, Failure};
use super::run::Events;

/// Takes the run's events until the last one, keeps the reports written, and prints the summary.
/// Returns the exit code that the results mean.
///
/// # Errors
/// The reports could not be written.
pub async fn show(mut events: Events, out: Utf8PathBuf) -> Result<Exit, Failure> {
    let mut reports = Reports::new(out);
    let mut failed = None;
    while let Some(event) = events.recv().await {
        if let RunEvent::Warning { text } = &event {
            eprintln!("warning: {text}");
        }
        if let Err(error) = reports.on(&event) {
            // Said once: the disk is full or the folder gone, and every event would say so.
            if failed.is_none() {
                eprintln!("warning: {error}");
            }
            failed = Some(error);
        }
    }
    let results = reports.results();
    print!("{}", terminal::summary(results, Some(&reports.page()), terminal::Layout::for_stdout()));
    match failed {
        Some(error) => Err(Failure::infrastructure(error)),
        None => Ok(exit(results)),
    }
}

/// What the results mean for the caller: infrastructure weighs more than a changed verdict, as
/// it may hide one.
#[must_use]
pub fn exit(results: &Results) -> Exit {
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
