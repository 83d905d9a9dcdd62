//! Progress messages of long operations.

use std::fmt;
use std::time::{Duration, Instant};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Time since the operation began.
    pub elapsed: Duration,
    pub text: String,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:>7}] {}", short(self.elapsed), self.text)
    }
}

/// A short form of a duration: `3.2s`, `4m07s`.
#[must_use]
pub fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1}s", duration.as_secs_f64())
    } else if seconds < 3600 {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    } else {
        format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60)
    }
}

/// Sends progress messages with the time elapsed since its creation.
pub struct Reporter<'a> {
    began: Instant,
    on_progress: &'a mut dyn FnMut(Progress),
}

impl<'a> Reporter<'a> {
    pub fn new(on_progress: &'a mut dyn FnMut(Progress)) -> Self {
        Self {
            began: Instant::now(),
            on_progress,
        }
    }

    pub fn say(&mut self, text: impl Into<String>) {
        (self.on_progress)(Progress {
            elapsed: self.began.elapsed(),
            text: text.into(),
        });
    }

    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(900, "0.9s")]
    #[case(59_940, "59.9s")]
    #[case(127_000, "2m07s")]
    #[case(3_700_000, "1h01m")]
    fn short_durations(#[case] millis: u64, #[case] text: &str) {
        assert_eq!(short(Duration::from_millis(millis)), text);
    }
}
