//! A run: its plan, its execution on each cluster (driver, dispatch) and its interruption.

pub mod dispatch;
pub(crate) mod driver;
pub mod plan;
pub(crate) mod signals;
