//! The page.
use camino::Utf8Path;

use super::error::ReportError;
use super::results::Results;

/// Name of the page in a results folder.
pub const PAGE: &str = "index.html";

/// Writes the page.
///
/// # Errors
/// It cannot be put together or written.
pub fn write(_results: &Results, folder: &Utf8Path) -> Result<(), ReportError> {
    super::file::write_atomic(&folder.join(PAGE), b"")
}
