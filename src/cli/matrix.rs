//! `hookproof matrix`.

use camino::Utf8PathBuf;
use itertools::Itertools as _;

use crate::file::write_atomic;
use crate::report::json::read_results;
use crate::report::matrix::data::Matrix;
use crate::report::matrix::view::View;
use crate::report::matrix::{causes, markdown, text};
use crate::report::merge::merge;
use crate::report::terminal::Layout;
use crate::report::text::count;
use crate::report::view::State;
use crate::run::plan::claims;

use super::suites::Selection;
use super::{Exit, Failure, print};

/// Show the verdicts on all tested versions of Kubernetes, without a cluster
#[derive(Debug, clap::Args)]
pub(super) struct MatrixArgs {
    #[command(flatten)]
    selection: Selection,
    /// Results folder, or a file of --save, to show instead of the built-in results; repeat it for more
    #[arg(long, value_name = "DIR")]
    results: Vec<Utf8PathBuf>,
    /// Only claims with this verdict on a profile; repeat it for more
    #[arg(long = "verdict", value_name = "VERDICT", value_parser = state)]
    verdicts: Vec<State>,
    /// Only claims whose verdict differs between profiles
    #[arg(long)]
    differs: bool,
    /// Only claims whose verdict differs between runs of a profile
    #[arg(long)]
    flaky: bool,
    /// Format of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Write the compact results to a file instead, for all claims
    #[arg(long, value_name = "FILE")]
    save: Option<Utf8PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    #[default]
    Text,
    Markdown,
    Json,
}

fn state(text: &str) -> Result<State, String> {
    let mut states = State::ALL.into_iter();
    let known = states.find(|state| state.key() == text);
    known.ok_or_else(|| {
        let keys = State::ALL.into_iter().map(State::key);
        format!("expected one of: {}", keys.format(", "))
    })
}

pub(super) fn matrix(args: &MatrixArgs) -> Result<Exit, Failure> {
    let matrix = if args.results.is_empty() {
        Matrix::built_in().map_err(Failure::infrastructure)?
    } else {
        read(&args.results)?
    };
    if let Some(path) = &args.save {
        let json = matrix.to_json().map_err(Failure::infrastructure)?;
        write_atomic(path, json.as_bytes()).map_err(Failure::infrastructure)?;
        let (claims, columns) = (matrix.claims.len(), matrix.columns.len());
        line!(
            "{path}: {}, {}, {} kB",
            count(claims, "claim"),
            count(columns, "column"),
            json.len().div_ceil(1000)
        );
        return Ok(Exit::AsExpected);
    }
    let (catalogue, chosen) = args.selection.load()?;
    let view = View::new(&matrix);
    let mut claims = claims(&catalogue, &chosen);
    let is_wanted = |state: &State| args.verdicts.is_empty() || args.verdicts.contains(state);
    claims.retain(|claim| {
        view.all(&claim.id)
            .any(|(_, found)| found.states().iter().any(is_wanted))
            && (!args.differs || view.differs(&claim.id))
            && (!args.flaky || view.is_flaky(&claim.id))
    });
    let shown: Vec<_> = claims.iter().collect();
    match args.format {
        Format::Text if shown.is_empty() => line!("no claim matches"),
        Format::Text => print::page(&text::table(&view, &shown, Layout::for_stdout())),
        Format::Markdown => {
            let causes = causes::built_in().map_err(Failure::infrastructure)?;
            let page = markdown::page(&view, &claims, &causes);
            print::out(&page.map_err(Failure::infrastructure)?);
        }
        Format::Json => print::json(&text::json(&view, &shown))?,
    }
    Ok(Exit::AsExpected)
}

/// The matrix of results folders and files of compact results.
fn read(paths: &[Utf8PathBuf]) -> Result<Matrix, Failure> {
    let (folders, files): (Vec<_>, Vec<_>) = paths.iter().partition(|path| path.is_dir());
    let mut matrix = Matrix::default();
    for file in files {
        matrix.add(&Matrix::read(file).map_err(Failure::usage)?);
    }
    let parts = folders.into_iter().map(|folder| read_results(folder));
    let parts = parts.collect::<Result<_, _>>().map_err(Failure::usage)?;
    if let Some((results, _)) = merge(parts) {
        matrix.add(&Matrix::of(&results));
    }
    Ok(matrix)
}
