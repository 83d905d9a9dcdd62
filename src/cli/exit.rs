//! Exit codes. They are documented in the README and never change their meaning.

use std::process::ExitCode;

/// How a command ended, for whoever called it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Every verdict is the expected one; the command did what it was asked.
    AsExpected,
    /// At least one verdict differs from what was known.
    Changed,
    /// The command line, a suite, a document or a results folder is wrong. Nothing was started.
    Usage,
    /// A cluster could not be set up, or something could not be observed. No verdict came of it.
    Infrastructure,
    /// The user stopped it. What was found until then is written.
    Interrupted,
}

impl Exit {
    /// The number.
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

/// What went wrong, and which exit code that means.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// The message.
    pub message: String,
}

impl Failure {
    /// The user's input is at fault.
    pub fn usage(error: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Usage, message: error.to_string() }
    }

    /// The machine or the cluster is.
    pub fn infrastructure(error: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Infrastructure, message: error.to_string() }
    }
}
