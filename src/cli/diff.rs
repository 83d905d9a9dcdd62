//! `hookproof diff A B`.

use camino::Utf8PathBuf;

use crate::report::diff::{Change, Kind, compare, text};
use crate::report::json::read_results;
use crate::report::terminal::Layout;

use super::{Exit, Failure, print};

/// Show the verdicts, outcomes and texts that differ between two results
#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// Results folder
    a: Utf8PathBuf,
    /// Results folder to compare with the first
    b: Utf8PathBuf,
    /// Compare the values that decided verdicts too; times and durations differ between all runs
    #[arg(long)]
    values: bool,
    /// Print the differences as a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) fn diff(args: &DiffArgs) -> Result<Exit, Failure> {
    let read = |folder| read_results(folder).map_err(Failure::usage);
    let mut changes = compare(&read(&args.a)?, &read(&args.b)?);
    let counts = |change: &Change| args.values || change.kind != Kind::Value;
    let differs = changes.iter().any(counts);
    if args.json {
        changes.retain(counts);
        print::json(&changes)?;
    } else {
        print::page(&text(&changes, args.values, Layout::for_page()));
    }
    Ok(Exit::changed_if(differs))
}
