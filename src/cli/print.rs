//! Standard output and standard error.
//!
//! A closed pipe is ignored, as with `| head`: the command continues and returns its own exit code. Any other
//! error, such as a full disk, is kept until the command ends.

use std::io::{self, ErrorKind, Write as _};
use std::sync::{Mutex, PoisonError};

use super::exit::Failure;
use crate::report::text::{clean, for_terminal};

/// The first error in writing to standard output.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints text to standard output, without control characters.
pub(super) fn out(text: &str) {
    write(&plain(text));
}

/// Prints a page to standard output; only pages have colours.
pub(super) fn page(text: &str) {
    write(&for_terminal(text));
}

/// Prints JSON to standard output.
pub(super) fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::infrastructure)?;
    out(&format!("{text}\n"));
    Ok(())
}

fn write(text: &str) {
    keep(io::stdout().write_all(text.as_bytes()));
}

/// Prints a line to standard error, without control characters.
pub(super) fn note(text: &str) {
    // An error on standard error cannot be reported anywhere.
    let _ = writeln!(io::stderr(), "{}", plain(text));
}

/// Removes escape sequences and control characters, which suites and containers may contain.
fn plain(text: &str) -> String {
    clean(text).replace('\r', "")
}

/// Keeps an error in writing to standard output.
pub(super) fn keep(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert(error);
    }
}

/// Writes what is left.
pub(super) fn finish() -> Result<(), Failure> {
    keep(io::stdout().flush());
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    match failed.take() {
        Some(error) => Err(Failure::infrastructure(format!(
            "failed to write to standard output: {error}; free disk space or write elsewhere"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_has_no_control_characters() {
        let text = "a\u{1b}]0;title\u{7}b\u{1b}[2J\r\u{9b}c\nd\n";
        assert_eq!(plain(text), "abc\nd\n");
    }
}
