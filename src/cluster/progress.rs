//! Progress messages of long operations.

use std::fmt;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use jiff::fmt::friendly::{FractionalUnit, Spacing, SpanPrinter};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Time since the operation began.
    pub(crate) elapsed: Duration,
    pub(crate) text: String,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:>7}] {}", short(self.elapsed), self.text)
    }
}

/// A short form of a duration: `3.2s`, `4m7s`.
pub(crate) fn short(duration: Duration) -> String {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    let tenths = duration.as_secs() < 60;
    SpanPrinter::new()
        .spacing(Spacing::None)
        .fractional(Some(FractionalUnit::Second))
        .precision(Some(u8::from(tenths)))
        .duration_to_string(&duration)
}

/// A share in percent. Below 100, since what is left takes time, too.
pub(crate) fn percent(done: usize, total: usize) -> usize {
    (done * 100).checked_div(total).unwrap_or_default().min(99)
}

/// Sends progress messages with the time elapsed since its creation.
pub(crate) struct Reporter<'a> {
    began: Instant,
    on_progress: &'a dyn Fn(Progress),
}

impl<'a> Reporter<'a> {
    pub(crate) fn new(on_progress: &'a dyn Fn(Progress)) -> Self {
        Self {
            began: Instant::now(),
            on_progress,
        }
    }

    pub(crate) fn say(&self, text: impl Into<String>) {
        (self.on_progress)(Progress {
            elapsed: self.elapsed(),
            text: text.into(),
        });
    }

    pub(crate) fn elapsed(&self) -> Duration {
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
    #[case(127_000, "2m7s")]
    #[case(127_900, "2m7s")]
    #[case(3_700_000, "1h1m40s")]
    fn short_durations(#[case] millis: u64, #[case] text: &str) {
        assert_eq!(short(Duration::from_millis(millis)), text);
    }

    #[rstest]
    #[case(0, 0, 0)]
    #[case(1, 3, 33)]
    #[case(3, 3, 99)]
    #[case(4, 3, 99)]
    fn shares(#[case] done: usize, #[case] total: usize, #[case] share: usize) {
        assert_eq!(percent(done, total), share);
    }
}
