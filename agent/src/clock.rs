//! The node's real-time clock, as stamps carry it.

use jiff::Timestamp;

/// Now, RFC 3339 with all nine digits, so that texts of equal length sort like times.
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
    fn has_nine_digits() {
        let text = now();
        assert_eq!(text.len(), "2026-01-01T00:00:00.000000000Z".len(), "{text}");
    }
}
