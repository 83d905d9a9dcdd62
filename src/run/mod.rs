//! A run: its plan, its execution on each cluster (driver, dispatch) and its early end.

pub(crate) mod dispatch;
pub(crate) mod driver;
pub(crate) mod job;
pub(crate) mod plan;
pub(crate) mod provide;
mod resume;
pub(crate) mod stop;
