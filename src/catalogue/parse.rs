//! Values that suites write in a notation of their own: durations, version ranges, line ranges, citations, verdicts.

use std::cmp::Ordering::{self, Equal, Greater, Less};
use std::fmt;
use std::time::Duration;

use camino::Utf8Path;
use itertools::Itertools as _;
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::file::stays_inside;
use crate::version::{number, version};

use super::finding::Place;

/// `1500ms`, `2s`, `1m30s`, `1h`: whole numbers with units, largest first.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    // Of the formats that jiff reads, only this one.
    let is_plain = |c: char| c.is_ascii_digit() || "hms".contains(c);
    let read = Some(text).filter(|text| text.chars().all(is_plain));
    let read = read.and_then(|text| text.parse::<SignedDuration>().ok());
    read.and_then(|read| read.try_into().ok()).ok_or_else(|| {
        format!("invalid duration `{text}`: expected a value such as `1500ms`, `2s`, or `1m30s`")
    })
}

/// A range of Kubernetes minor versions: every condition must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct VersionRange {
    pub(crate) text: String,
    /// How a version may compare with (major, minor).
    conditions: Vec<(&'static [Ordering], (u32, u32))>,
}

const OPERATORS: [(&str, &[Ordering]); 7] = [
    ("<=", &[Less, Equal]),
    (">=", &[Greater, Equal]),
    ("==", &[Equal]),
    ("<", &[Less]),
    (">", &[Greater]),
    ("=", &[Equal]),
    ("", &[Equal]),
];

/// `>=1.30`, `>=1.29, <1.34`, `1.33`: conditions on the minor version, all of which must hold.
pub(crate) fn version_range(text: &str) -> Result<VersionRange, String> {
    let condition = |part: &str| {
        let mut operators = OPERATORS.into_iter();
        let (sign, allowed) = operators.find(|(sign, _)| part.trim().starts_with(sign))?;
        let minor = part.trim()[sign.len()..].trim();
        let version = version(minor).filter(|_| minor.matches('.').count() == 1)?;
        Some((allowed, version))
    };
    let conditions = text.split(',').map(condition).collect::<Option<_>>();
    let conditions = conditions.ok_or_else(|| {
        format!(
            "invalid version range `{text}`: expected a value such as `>=1.30` or `>=1.29, <1.34`"
        )
    })?;
    let text = text.to_owned();
    Ok(VersionRange { text, conditions })
}

impl VersionRange {
    /// Whether a version such as `v1.36.3` is in the range; an invalid version is not.
    pub(crate) fn contains(&self, kubernetes: &str) -> bool {
        version(kubernetes).is_some_and(|seen| {
            let mut conditions = self.conditions.iter();
            conditions.all(|(allowed, wanted)| allowed.contains(&seen.cmp(wanted)))
        })
    }
}

const MOST_RANGES: usize = 64;

/// `64`, `78-79`, `64, 78-79`: ranges of lines from 1, ends included.
pub(crate) fn lines(text: &str) -> Result<Vec<(u32, u32)>, String> {
    if text.split(',').nth(MOST_RANGES).is_some() {
        return Err(format!("more than {MOST_RANGES} line ranges"));
    }
    text.split(',')
        .map(|part| {
            let part = part.trim();
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let wrong = |why| Err(format!("invalid line range `{part}`: {why}"));
            match (number(from.trim()), number(to.trim())) {
                (Some(0), Some(_)) => Err("line numbers start at 1".to_owned()),
                (Some(from), Some(to)) if to < from => wrong("the end is before the beginning"),
                (Some(from), Some(to)) => Ok((from, to)),
                _ => wrong("expected a value such as `64, 78-79`"),
            }
        })
        .collect()
}

/// `NAME.txt:64,78-79 0123456789ab`: a document, line ranges, and perhaps a digest of these lines.
pub(crate) fn citation(text: &str) -> Result<Citation, String> {
    let trimmed = text.trim();
    let (place, digest) = match trimmed.rsplit_once(char::is_whitespace) {
        Some((place, digest)) if !place.ends_with(',') => (place.trim_end(), Some(digest)),
        _ => (trimmed, None),
    };
    let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if let Some(digest) = digest
        && !(digest.len() == 12 && digest.bytes().all(is_hex))
    {
        return Err(format!("invalid digest `{digest}`: expected 12 hex digits"));
    }
    let (document, ranges) = match place.rsplit_once(':') {
        Some((document, ranges)) if !document.is_empty() => (document, ranges),
        _ => {
            return Err(format!(
                "invalid citation `{text}`: expected `DOCUMENT:LINES DIGEST`"
            ));
        }
    };
    if !stays_inside(Utf8Path::new(document)) {
        return Err(format!(
            "the document `{document}` is outside the folder of the documents"
        ));
    }
    lines(ranges)?;
    Ok(Citation {
        document: document.to_owned(),
        lines: ranges.split(',').map(str::trim).join(", "),
        digest: digest.map(str::to_owned),
        ..Citation::default()
    })
}

/// A passage of a document: lines with a digest so that edits are detected, or a quotation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Citation {
    /// The document's path in the folder of documents.
    pub document: String,
    /// Line ranges as written: `64`, `78-79`, `64,79`. Of a quotation: where it was found, or empty.
    pub lines: String,
    /// First 12 hex digits of the SHA-256 of those lines.
    pub digest: Option<String>,
    /// The words of the passage, in place of a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// Which of several places with those words, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurrence: Option<u32>,
    #[serde(skip)]
    pub(crate) place: Place,
}

impl Citation {
    /// The citation as results contain it.
    pub(crate) fn without_place(&self) -> Self {
        Self {
            place: Place::default(),
            ..self.clone()
        }
    }
}

/// Lines of a document that need no claim, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    #[serde(flatten)]
    pub cites: Citation,
    /// Why, such as `heading`.
    pub because: String,
    /// The lines of the document whose statements these lines repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<String>,
}

/// The result for a claim.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every check that applies holds.
    Confirmed,
    /// Every check that applies fails.
    Refuted,
    /// Some applicable checks hold, some fail: the checks show the condition.
    Qualified,
    /// The evidence decides nothing: a control is not met, a moment is missing, or both or neither prediction is true.
    Inconclusive,
    /// This version, gate, or cluster cannot test it.
    NotApplicable,
    /// No experiment can decide it.
    NotTestable,
}

impl Verdict {
    /// Its name in suites and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Refuted => "refuted",
            Self::Qualified => "qualified",
            Self::Inconclusive => "inconclusive",
            Self::NotApplicable => "not-applicable",
            Self::NotTestable => "not-testable",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

pub(crate) const VERDICTS: [Verdict; 6] = [
    Verdict::Confirmed,
    Verdict::Refuted,
    Verdict::Qualified,
    Verdict::Inconclusive,
    Verdict::NotApplicable,
    Verdict::NotTestable,
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1500ms", 1500)]
    #[case("2s", 2000)]
    #[case("1m30s", 90_000)]
    #[case("1h", 3_600_000)]
    fn durations(#[case] text: &str, #[case] millis: u64) {
        assert_eq!(duration(text).unwrap(), Duration::from_millis(millis));
    }

    #[rstest]
    #[case("")]
    #[case("2")]
    #[case("s")]
    #[case("2 s")]
    #[case("-1s")]
    #[case("1.5s")]
    #[case("18446744073709551615h")]
    #[case("99999999999999999999s")]
    fn no_durations(#[case] text: &str) {
        assert!(duration(text).unwrap_err().contains("invalid duration"));
    }

    #[rstest]
    #[case(">=1.30", "v1.30.1", true)]
    #[case(">=1.30", "v1.29.9", false)]
    #[case(">=1.29, <1.34", "v1.33.0", true)]
    #[case(">=1.29, <1.34", "v1.34.0-alpha.1", false)]
    #[case("1.33", "v1.33.7", true)]
    #[case("=1.33", "v1.34.0", false)]
    #[case("<=1.9", "v1.10.0", false)]
    #[case(">1.9", "v1.10+", true)]
    #[case(">=1.0", "unknown", false)]
    fn ranges(#[case] range: &str, #[case] version: &str, #[case] inside: bool) {
        assert_eq!(version_range(range).unwrap().contains(version), inside);
    }

    #[rstest]
    #[case("")]
    #[case("1")]
    #[case(">=1.30.1")]
    #[case("~1.30")]
    #[case(">=1.30,")]
    #[case(">=1.x")]
    fn no_ranges(#[case] text: &str) {
        assert!(version_range(text).is_err());
    }

    #[rstest]
    #[case("64", &[(64, 64)])]
    #[case("78-79", &[(78, 79)])]
    #[case("64, 78 - 79", &[(64, 64), (78, 79)])]
    fn line_ranges(#[case] text: &str, #[case] ranges: &[(u32, u32)]) {
        assert_eq!(lines(text).unwrap(), ranges);
    }

    #[rstest]
    #[case("0")]
    #[case("9-3")]
    #[case("")]
    #[case("1,,2")]
    #[case("+1")]
    fn no_line_ranges(#[case] text: &str) {
        assert!(lines(text).is_err());
    }

    #[rstest]
    #[case("a.txt:64", "a.txt", "64", None)]
    #[case(
        "a b.txt:64,78-79 0123456789ab",
        "a b.txt",
        "64, 78-79",
        Some("0123456789ab")
    )]
    #[case("a.txt:64, 79", "a.txt", "64, 79", None)]
    fn citations(
        #[case] text: &str,
        #[case] document: &str,
        #[case] lines: &str,
        #[case] digest: Option<&str>,
    ) {
        let wanted = Citation {
            document: document.into(),
            lines: lines.into(),
            digest: digest.map(Into::into),
            ..Citation::default()
        };
        assert_eq!(citation(text), Ok(wanted));
    }

    #[rstest]
    #[case("a.txt")]
    #[case(":64")]
    #[case("a.txt:9-3")]
    #[case("a.txt:1 zz")]
    #[case("../a.txt:1")]
    #[case("/etc/passwd:1")]
    fn invalid_citations(#[case] text: &str) {
        assert!(citation(text).is_err());
    }

    proptest! {
        #[test]
        fn parsers_take_anything(text in "\\PC{0,24}") {
            let _ = (duration(&text), version_range(&text), version(&text), lines(&text), citation(&text));
        }

        #[test]
        fn every_duration_is_read(h in 0u64..9, m in 0u64..99, s in 0u64..99, ms in 0u64..9999) {
            let read = duration(&format!("{h}h{m}m{s}s{ms}ms")).unwrap();
            prop_assert_eq!(read, Duration::from_millis(((h * 60 + m) * 60 + s) * 1000 + ms));
        }

        #[test]
        fn a_range_and_its_opposite_split_all_versions(minor in 0u32..99, at in 0u32..99) {
            let version = format!("v1.{minor}.0");
            let below = version_range(&format!("<1.{at}")).unwrap().contains(&version);
            let rest = version_range(&format!(">=1.{at}")).unwrap().contains(&version);
            prop_assert!(below != rest);
        }
    }
}
