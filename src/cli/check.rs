//! `hookproof check`: recorded evidence and its alterations.

use camino::Utf8PathBuf;

use crate::judge::recorded;
use crate::report::text::count;

use super::exit::{Exit, Failure};
use super::suites::{SuiteArgs, Suites, select_from};

/// Judge recorded evidence and every alteration of it
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Claims, scenarios, suites or documents; all if none is named
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    #[command(flatten)]
    suites: SuiteArgs,
    /// Folder with `evidence` and `alterations` [default: `tests` in the folder given by --suites]
    #[arg(long, value_name = "DIR")]
    recorded: Option<Utf8PathBuf>,
}

/// Prints every failure.
pub(super) fn check(args: &CheckArgs) -> Result<Exit, Failure> {
    let suites = args.suites.open()?;
    let folder = suites.recorded(args.recorded.as_deref())?;
    let (loaded, findings) = suites.checked();
    let chosen = select_from(&loaded, &args.words)?;
    let scenarios = loaded.catalogue.testing(&chosen).filter(|scenario| {
        // Without words every scenario of the folder is checked, also one without evidence yet.
        !args.words.is_empty() || suites.includes(&scenario.place.file)
    });
    let scenarios: Vec<_> = scenarios.collect();
    Suites::refuse_of(findings, &scenarios)?;
    let (mut evidence, mut alterations, mut failures) = (0, 0, 0);
    for scenario in &scenarios {
        let checked = recorded::check(scenario, &folder);
        evidence += checked.files;
        alterations += checked.alterations;
        failures += checked.failures.len();
        for failure in checked.failures {
            line!("{failure}");
        }
    }
    line!(
        "{}, {}, {} as predicted, {}",
        count(scenarios.len(), "scenario"),
        count(evidence, "evidence file"),
        count(alterations, "alteration"),
        count(failures, "failure"),
    );
    Ok(Exit::changed_if(failures > 0))
}
