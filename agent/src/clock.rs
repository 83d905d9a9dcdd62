//! The node's real-time clock.

use jiff::Timestamp;

/// The current time in RFC 3339 with nine fractional digits, so that strings sort like times.
pub(crate) fn now() -> String {
    format!("{:.9}", Timestamp::now())
}

pub(crate) fn subsecond_nanos() -> u32 {
    Timestamp::now().subsec_nanosecond().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_nine_fractional_digits() {
        let text = now();
        assert_eq!(text.len(), "2026-01-01T00:00:00.000000000Z".len(), "{text}");
    }
}
