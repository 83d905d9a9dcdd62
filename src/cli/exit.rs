//! Exit codes. They are documented in the help and in docs/cli.md, and stable.

use std::fmt::Display;

use crate::cluster::error::ClusterError;
use crate::observe::connect::ConnectError;
use crate::report::results::Results;
use crate::report::view::{Cell, State};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exit {
    /// The command succeeded; all verdicts are as expected.
    AsExpected,
    /// At least one verdict differs from the expected one.
    Changed,
    /// The command line, a suite, a document or a results folder is invalid. Nothing was started.
    Usage,
    /// A cluster could not be set up or observed. Infrastructure failures never produce a verdict.
    Infrastructure,
    /// The user interrupted the command. Partial results are written.
    Interrupted,
}

impl Exit {
    /// The exit code that results imply. An infrastructure failure takes precedence over a changed
    /// verdict, since it may hide one. So does an incomplete run, unless `partial` results are expected;
    /// claims that a run did not select have no effect.
    pub(super) fn of(results: &Results, partial: bool) -> Self {
        let mut exit = Self::AsExpected;
        for column in &results.clusters {
            let unfinished = column.run.ended.is_none() && !partial;
            if unfinished || column.phases.iter().any(|phase| phase.error.is_some()) {
                return Self::Infrastructure;
            }
            for claim in &results.claims {
                let cell = Cell::of(column, claim);
                if cell.state() == State::Error || (cell.is_missing() && !partial) {
                    return Self::Infrastructure;
                }
                if cell.changed() {
                    exit = Self::Changed;
                }
            }
        }
        exit
    }

    /// [`Self::Changed`] if there are differences, else [`Self::AsExpected`].
    pub(super) fn changed_if(differs: bool) -> Self {
        if differs {
            Self::Changed
        } else {
            Self::AsExpected
        }
    }

    pub(super) fn code(self) -> u8 {
        match self {
            Self::AsExpected => 0,
            Self::Changed => 1,
            Self::Usage => 2,
            Self::Infrastructure => 3,
            Self::Interrupted => 130,
        }
    }
}

/// The section on exit codes in the help of a command. Codes that are not `own` have their usual meaning.
pub(super) fn codes(own: &[(Exit, &str)]) -> String {
    let mut meanings = std::collections::BTreeMap::from([
        (Exit::AsExpected, "success"),
        (
            Exit::Usage,
            "invalid usage, suite, document or results folder; nothing was started",
        ),
        (Exit::Infrastructure, "output could not be written"),
    ]);
    meanings.extend(own.iter().copied());
    let lines = meanings
        .into_iter()
        .map(|(exit, meaning)| format!("\n  {:<3}  {meaning}", exit.code()));
    format!("Exit codes:{}", lines.collect::<String>())
}

/// An error message with its exit code.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: String,
}

impl Failure {
    fn new(is_usage: bool, error: impl Display) -> Self {
        let exit = if is_usage {
            Exit::Usage
        } else {
            Exit::Infrastructure
        };
        let message = error.to_string();
        Self { exit, message }
    }

    /// The user's input is invalid.
    pub(super) fn usage(error: impl Display) -> Self {
        Self::new(true, error)
    }

    /// The machine or the cluster failed.
    pub(super) fn infrastructure(error: impl Display) -> Self {
        Self::new(false, error)
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        Self::new(error.is_usage(), error)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::new(error.is_usage(), error)
    }
}
