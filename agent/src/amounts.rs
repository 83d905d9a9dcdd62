//! Parses durations, sizes and repeat counts: `1500ms`, `2s`, `64Mi`, `36`.

use std::time::Duration;

/// Longest duration accepted; adding it to a clock cannot overflow.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Largest size accepted; a larger one is a typo.
const LARGEST: u64 = 64 << 30;

/// Largest repeat count accepted.
const MOST_REPEATS: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AmountError {
    #[error("invalid duration `{0}`: expected a value such as 1500ms, 2s or 1m, at most 24h")]
    Duration(String),
    #[error("invalid size `{0}`: expected a value such as 4096, 64Mi or 1Gi, at most 64Gi")]
    Bytes(String),
    #[error("invalid repeat count `{0}`: expected 1 to {MOST_REPEATS}")]
    Count(String),
}

/// Parses a whole number with the unit `ms`, `s`, `m` or `h`. The unit is required.
pub(crate) fn duration(text: &str) -> Result<Duration, AmountError> {
    let read = || {
        let (number, unit) = split(text)?;
        let millis = match unit {
            "ms" => number,
            "s" => number.checked_mul(1_000)?,
            "m" => number.checked_mul(60_000)?,
            "h" => number.checked_mul(3_600_000)?,
            _ => return None,
        };
        Some(Duration::from_millis(millis)).filter(|duration| *duration <= LONGEST)
    };
    read().ok_or_else(|| AmountError::Duration(text.to_owned()))
}

/// Parses a number of bytes with an optional suffix, as in Kubernetes memory limits.
pub(crate) fn bytes(text: &str) -> Result<usize, AmountError> {
    let read = || {
        let (number, unit) = split(text)?;
        let factor: u64 = match unit {
            "" => 1,
            "k" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            _ => return None,
        };
        let bytes = number
            .checked_mul(factor)
            .filter(|bytes| *bytes <= LARGEST)?;
        usize::try_from(bytes).ok()
    };
    read().ok_or_else(|| AmountError::Bytes(text.to_owned()))
}

/// Parses a repeat count.
pub(crate) fn count(text: &str) -> Result<usize, AmountError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|count| digits && (1..=MOST_REPEATS).contains(count))
        .ok_or_else(|| AmountError::Count(text.to_owned()))
}

/// Formats a duration so that [`duration`] parses it.
pub(crate) fn show(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1_000) {
        format!("{}s", millis / 1_000)
    } else {
        format!("{millis}ms")
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0ms", 0)]
    #[case("1500ms", 1_500)]
    #[case("2s", 2_000)]
    #[case("3m", 180_000)]
    #[case("24h", 86_400_000)]
    fn parses_durations(#[case] text: &str, #[case] millis: u64) {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
    }

    #[rstest]
    fn rejects_durations(
        #[values(
            "",
            "5",
            "s",
            "1.5s",
            "-1s",
            "2 s",
            "25h",
            "99999999999999999999s",
            "1d"
        )]
        text: &str,
    ) {
        assert_eq!(duration(text), Err(AmountError::Duration(text.to_owned())));
    }

    #[rstest]
    #[case("4096", 4096)]
    #[case("64Mi", 64 << 20)]
    #[case("1Gi", 1 << 30)]
    #[case("2k", 2_000)]
    fn parses_sizes(#[case] text: &str, #[case] expected: usize) {
        assert_eq!(bytes(text), Ok(expected));
    }

    #[rstest]
    fn rejects_sizes(#[values("", "Mi", "1Ti", "-1", "1.5Gi", "65Gi")] text: &str) {
        assert_eq!(bytes(text), Err(AmountError::Bytes(text.to_owned())));
    }

    #[rstest]
    #[case("1", 1)]
    #[case("1000", 1_000)]
    fn parses_counts(#[case] text: &str, #[case] expected: usize) {
        assert_eq!(count(text), Ok(expected));
    }

    #[rstest]
    fn rejects_counts(#[values("", "0", "1001", "-1", "+3", " 3", "2.5", "3s")] text: &str) {
        assert_eq!(count(text), Err(AmountError::Count(text.to_owned())));
    }
}
