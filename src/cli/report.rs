//! `hookproof report`.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use crate::report::html::PAGE;
use crate::report::merge::{gather, merge};
use crate::report::reports::write_all;
use crate::report::{json, terminal};

use super::exit::{Exit, Failure};
use super::links::Links;

/// Write the reports of results again, merging several results folders into one
#[derive(Debug, clap::Args)]
pub(super) struct ReportArgs {
    /// Results folders of `hookproof run`
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<Utf8PathBuf>,
    /// Folder for the report [default: the results folder, if there is only one]
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
    #[command(flatten)]
    links: Links,
}

/// Returns the exit code that the merged results imply.
pub(super) fn report(args: &ReportArgs) -> Result<Exit, Failure> {
    let out = match (&args.out, args.folders.as_slice()) {
        (Some(out), _) => out.clone(),
        (None, [only]) => only.clone(),
        (None, _) => {
            return Err(Failure::usage(
                "several results folders given; pass the folder for the merged report with --out DIR",
            ));
        }
    };
    let in_place = args.folders.len() == 1 && same_folder(&out, &args.folders[0]);
    if !in_place {
        check_out(&out, &args.folders)?;
    }
    let mut parts = Vec::new();
    let mut taken = BTreeSet::new();
    for folder in &args.folders {
        parts.push((folder, json::read_results(folder).map_err(Failure::usage)?));
    }
    for (folder, results) in &mut parts {
        if !in_place {
            gather(results, folder, &out, &mut taken).map_err(Failure::infrastructure)?;
        }
    }
    let parts = parts.into_iter().map(|(_, results)| results).collect();
    let Some(merged) = merge(parts) else {
        return Err(Failure::usage("no results folder given"));
    };
    for note in &merged.notes {
        note!("warning: {note}");
    }
    write_all(&merged.results, &out, args.links.base()).map_err(Failure::infrastructure)?;
    let layout = terminal::Layout::for_stdout();
    let page = out.join(PAGE);
    super::print::page(&terminal::summary(&merged.results, Some(&page), layout));
    Ok(Exit::of(&merged.results, false))
}

fn same_folder(a: &Utf8Path, b: &Utf8Path) -> bool {
    match (a.canonicalize_utf8(), b.canonicalize_utf8()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// The output folder must not be one of the inputs, and may hold only earlier results.
fn check_out(out: &Utf8Path, folders: &[Utf8PathBuf]) -> Result<(), Failure> {
    if folders.iter().any(|folder| same_folder(out, folder)) {
        return Err(Failure::usage(format!(
            "{out} is one of the input folders; choose another with --out"
        )));
    }
    let Ok(mut entries) = out.read_dir_utf8() else {
        return Ok(());
    };
    if entries.next().is_some() && !out.join(json::RESULTS_FILE).is_file() {
        return Err(Failure::usage(format!(
            "{out} contains files other than results; choose another folder with --out"
        )));
    }
    Ok(())
}
