//! Exit codes. They are documented in the README and stable.

use std::process::ExitCode;

use crate::report::results::{Results, Standing};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
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
    /// verdict, since it may hide one.
    pub(super) fn of(results: &Results) -> Self {
        let mut exit = Self::AsExpected;
        for cluster in &results.clusters {
            if cluster.phases.iter().any(|phase| phase.error.is_some()) {
                return Self::Infrastructure;
            }
            for claim in &results.claims {
                match cluster.standing(&claim.id) {
                    Standing::Error => return Self::Infrastructure,
                    Standing::Changed => exit = Self::Changed,
                    Standing::AsExpected | Standing::Skipped => {}
                }
            }
        }
        exit
    }

    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::AsExpected => 0,
            Self::Changed => 1,
            Self::Usage => 2,
            Self::Infrastructure => 3,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error message with its exit code.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
}

impl Failure {
    /// The user's input is invalid.
    pub fn usage(error: impl std::fmt::Display) -> Self {
        Self {
            exit: Exit::Usage,
            message: error.to_string(),
        }
    }

    /// The machine or the cluster failed.
    pub fn infrastructure(error: impl std::fmt::Display) -> Self {
        Self {
            exit: Exit::Infrastructure,
            message: error.to_string(),
        }
    }
}

impl From<crate::cluster::error::ClusterError> for Failure {
    fn from(error: crate::cluster::error::ClusterError) -> Self {
        let exit = if error.is_usage() {
            Exit::Usage
        } else {
            Exit::Infrastructure
        };
        Self {
            exit,
            message: error.with_causes(),
        }
    }
}
