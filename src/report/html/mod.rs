//! HTML: the page of a results folder, and a static site.

mod claims;
mod page;
pub(crate) mod site;

pub use page::{PAGE, write};
