//! `hookproof report`.

use camino::Utf8PathBuf;

use crate::report::error::ReportError;
use crate::report::html::PAGE;
use crate::report::json::read_results;
use crate::report::junit;
use crate::report::merge::{gather, merge, rekey};
use crate::report::output::Output;
use crate::report::reports::write_all;
use crate::report::results::Results;
use crate::report::terminal::{self, Layout};
use crate::report::text::count;

use super::links::Links;
use super::suites::{ProjectArgs, results_of};
use super::{Exit, Failure, print};

/// Write the reports of results again, with the runs of several results folders side by side
#[derive(Debug, clap::Args)]
pub(super) struct ReportArgs {
    /// Results folders of `hookproof run` [default: the results of the project]
    #[arg(value_name = "DIR")]
    folders: Vec<Utf8PathBuf>,
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    labels: Labels,
    /// Folder for the report [default: the results folder, if there is only one]
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
    #[command(flatten)]
    links: Links,
}

#[derive(Debug, clap::Args)]
pub(super) struct Labels {
    /// Heading of a folder's columns; repeat it for each folder, in the same order
    #[arg(long = "label", value_name = "TEXT")]
    given: Vec<String>,
}

impl Labels {
    /// Sets the labels of the results of each folder.
    pub(super) fn set(&self, parts: &mut Parts) -> Result<(), Failure> {
        if !self.given.is_empty() && self.given.len() != parts.len() {
            return Err(Failure::usage(format!(
                "{} for {}; pass --label once for each folder",
                count(self.given.len(), "label"),
                count(parts.len(), "folder")
            )));
        }
        for ((_, results), label) in parts.iter_mut().zip(&self.given) {
            for column in &mut results.clusters {
                column.label = Some(label.clone());
            }
        }
        Ok(())
    }
}

/// Results, with the folders of their evidence.
pub(super) type Parts = Vec<(Utf8PathBuf, Results)>;

pub(super) fn read(folders: &[Utf8PathBuf]) -> Result<Parts, ReportError> {
    let part = |folder: &Utf8PathBuf| Ok((folder.clone(), read_results(folder)?));
    folders.iter().map(part).collect()
}

/// Returns the exit code that the results imply.
pub(super) fn report(args: &ReportArgs) -> Result<Exit, Failure> {
    let folders = results_of(&args.folders, &args.project.project()?)?;
    args.links.apply();
    let mut parts = read(&folders).map_err(Failure::usage)?;
    args.labels.set(&mut parts)?;
    let place = |folder: &Utf8PathBuf| folder.canonicalize_utf8().ok();
    let is_same = |out: &Utf8PathBuf| match folders.as_slice() {
        [one] => place(out).is_some_and(|out| Some(out) == place(one)),
        _ => false,
    };
    let other = args.out.as_ref().filter(|out| !is_same(out));
    match (other, parts.as_mut_slice()) {
        (Some(out), _) => {
            let out = Output::new(out, &folders).map_err(Failure::usage)?;
            Ok(publish(parts, Some(out), args.links.base())?.0)
        }
        (None, [(folder, results)]) => {
            write_all(results, folder, args.links.base()).map_err(Failure::infrastructure)?;
            junit::remove_others(results, folder).map_err(Failure::infrastructure)?;
            Ok(show(results, Some(folder)))
        }
        _ => Err(Failure::usage(
            "several results folders given; pass the folder for the report with --out DIR",
        )),
    }
}

/// Puts several results together, copies their evidence, and prints warnings.
pub(super) fn merged(mut parts: Parts, out: Option<&Output>) -> Result<Results, Failure> {
    rekey(parts.iter_mut().map(|(_, results)| results));
    let mut notes = Vec::new();
    if let Some(out) = out {
        for (folder, results) in &mut parts {
            notes.extend(gather(results, folder, &out.path()).map_err(Failure::usage)?);
        }
    }
    let parts = parts.into_iter().map(|(_, results)| results).collect();
    let (results, more) = merge(parts).ok_or_else(|| Failure::usage("no results folder given"))?;
    for note in notes.iter().chain(&more) {
        note!("warning: {note}");
    }
    Ok(results)
}

/// Writes the reports of several results, with their evidence, and prints the summary.
pub(super) fn publish(
    parts: Parts,
    out: Option<Output>,
    base: &str,
) -> Result<(Exit, Results), Failure> {
    let results = merged(parts, out.as_ref())?;
    let mut folder = None;
    if let Some(out) = out {
        write_all(&results, &out.path(), base).map_err(Failure::infrastructure)?;
        folder = Some(out.commit().map_err(Failure::infrastructure)?);
    }
    Ok((show(&results, folder.as_ref()), results))
}

fn show(results: &Results, folder: Option<&Utf8PathBuf>) -> Exit {
    let page = folder.map(|folder| folder.join(PAGE));
    let layout = Layout::for_stdout();
    print::page(&terminal::summary(results, page.as_deref(), layout));
    Exit::of(results, false)
}
