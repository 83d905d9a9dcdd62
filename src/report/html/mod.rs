//! HTML: the page of a results folder, and a static site.

mod claims;
mod page;
pub(crate) mod site;

pub(super) use page::environment;
pub use page::{PAGE, write};
