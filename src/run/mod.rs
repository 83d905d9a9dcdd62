//! A run: its plan, its execution (dispatch) and its events.

pub mod dispatch;
pub mod event;
pub mod plan;

/// A random id of lowercase letters and digits, valid in Kubernetes names.
#[must_use]
pub fn random_id(length: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .take(length)
        .collect()
}
