//! Locates a cited passage in the current text of a document.

use itertools::Itertools as _;

use crate::catalogue::citations::digest_of;
use crate::catalogue::model::Citation;
use crate::catalogue::parse;
use crate::document::Document;

/// The location of a cited passage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Passage {
    /// Line ranges, inclusive.
    At(Vec<(usize, usize)>),
    /// The cited text no longer exists; these are its former lines.
    Changed(Vec<(usize, usize)>),
}

/// Finds a citation in a document. Quotations are found wherever they are. Lines added or removed above cited lines move
/// all ranges by the same number. Lines without a digest are not checked.
pub(super) fn find(document: &Document, citation: &Citation) -> Passage {
    let former = parse::lines(&citation.lines);
    if let Some(quote) = &citation.quote {
        let former = former.ok().and_then(|ranges| moved(&ranges, 0));
        return match document.quoted(quote, citation.occurrence) {
            Ok(lines) => Passage::At(vec![(*lines.start(), *lines.end())]),
            Err(_) => Passage::Changed(former.unwrap_or_default()),
        };
    }
    let text = document.text();
    let Ok(ranges) = former else {
        return Passage::At(Vec::new());
    };
    let Some(digest) = &citation.digest else {
        return Passage::At(moved(&ranges, 0).unwrap_or_default());
    };
    let count = i64::try_from(text.lines().count()).unwrap_or(i64::MAX);
    // The nearest place first.
    let shifts = (0..=count).flat_map(|by| [by, -by]);
    let found = shifts.into_iter().find_map(|by| {
        let ranges = moved(&ranges, by)?;
        (digest_of(text, &written(&ranges)).as_ref() == Ok(digest)).then_some(ranges)
    });
    match found {
        Some(ranges) => Passage::At(ranges),
        None => Passage::Changed(moved(&ranges, 0).unwrap_or_default()),
    }
}

fn moved(ranges: &[(u32, u32)], by: i64) -> Option<Vec<(usize, usize)>> {
    let line = |line: u32| {
        let line = usize::try_from(i64::from(line) + by).ok()?;
        (line > 0).then_some(line)
    };
    let ranges = ranges.iter();
    ranges
        .map(|(from, to)| Some((line(*from)?, line(*to)?)))
        .collect()
}

/// Formats ranges as in citations: `64, 78-79`.
pub(super) fn written(ranges: &[(usize, usize)]) -> String {
    let mut words = ranges.iter().map(|(from, to)| match to {
        to if to == from => from.to_string(),
        to => format!("{from}-{to}"),
    });
    words.join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;
    use crate::fixture::citation;

    const BEFORE: &str = "one\ntwo\nthree\nfour\nfive\n";

    #[rstest]
    #[case::unchanged(BEFORE, "2, 4-5", Passage::At(vec![(2, 2), (4, 5)]))]
    #[case::moved_down("zero\none\ntwo\nthree\nfour\nfive\n", "2, 4-5", Passage::At(vec![(3, 3), (5, 6)]))]
    #[case::moved_up("two\nthree\nfour\nfive\n", "2, 4-5", Passage::At(vec![(1, 1), (3, 4)]))]
    #[case::changed("one\ntwo\nthree\n4\nfive\n", "2, 4-5", Passage::Changed(vec![(2, 2), (4, 5)]))]
    #[case::truncated("one\n", "4", Passage::Changed(vec![(4, 4)]))]
    #[case::emptied("", "4", Passage::Changed(vec![(4, 4)]))]
    fn finds_a_passage(#[case] now: &str, #[case] lines: &str, #[case] found: Passage) {
        let citation = Citation {
            digest: Some(digest_of(BEFORE, lines).unwrap()),
            ..citation("d", lines)
        };
        assert_eq!(find(&Document::new("d", now), &citation), found);
    }

    #[rstest]
    #[case::moved("zero\n\nTwo\nwords.\n", Passage::At(vec![(3, 4)]))]
    #[case::edited("Two lords.\n", Passage::Changed(vec![(7, 7)]))]
    #[case::ambiguous("Two words.\n\nTwo words.\n", Passage::Changed(vec![(7, 7)]))]
    fn finds_a_quotation(#[case] now: &str, #[case] found: Passage) {
        let citation = Citation {
            document: "d".into(),
            lines: "7".into(),
            quote: Some("Two words.".into()),
            ..Citation::default()
        };
        assert_eq!(find(&Document::new("d", now), &citation), found);
    }
}
