//! A run: what to do (plan) and doing it (dispatch). It tells what happens as events.

pub mod dispatch;
pub mod event;
pub mod plan;

/// A random id of lower-case letters and digits, fit for names on a cluster.
#[must_use]
pub fn random_id(length: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .take(length)
        .collect()
}
