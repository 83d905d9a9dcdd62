//! A run: its plan, its execution (dispatch) and its events.

pub mod dispatch;
pub mod plan;
