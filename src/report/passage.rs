//! Locates a cited passage in the current text of a document.

use itertools::Itertools as _;

use crate::catalogue::citations::digest_of;
use crate::catalogue::model::Citation;
use crate::catalogue::parse;
use crate::document::Document;

/// Ranges of lines, ends included.
pub(super) type Ranges = Vec<(usize, usize)>;

/// The lines of a citation in a document. If the cited text no longer exists, its former lines are the error. Quotations
/// are found wherever they are. Lines added or removed above cited lines move all ranges by the same number. Lines
/// without a digest are not checked.
pub(super) fn find(document: &Document, citation: &Citation) -> Result<Ranges, Ranges> {
    let former = parse::lines(&citation.lines).unwrap_or_default();
    let former = former.into_iter();
    let former: Ranges = former
        .map(|(from, to)| (from as usize, to as usize))
        .collect();
    if let Some(quote) = &citation.quote {
        let found = document.quoted(quote, citation.occurrence);
        return found
            .map(|lines| vec![lines.into_inner()])
            .map_err(|_| former);
    }
    let (Some(digest), false) = (&citation.digest, former.is_empty()) else {
        return Ok(former);
    };
    let text = document.text();
    let count = isize::try_from(text.lines().count()).unwrap_or(isize::MAX);
    let moved = |by: isize| -> Option<Ranges> {
        let line = |line: usize| line.checked_add_signed(by);
        let ranges = former.iter();
        ranges
            .map(|(from, to)| Some((line(*from)?, line(*to)?)))
            .collect()
    };
    // The nearest place first.
    let mut places = (0..=count).flat_map(|by| [by, -by]).filter_map(moved);
    let found = places.find(|ranges| digest_of(text, &written(ranges)).as_ref() == Ok(digest));
    found.ok_or(former)
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
    #[case::unchanged(BEFORE, "2, 4-5", Ok(vec![(2, 2), (4, 5)]))]
    #[case::moved_down("zero\none\ntwo\nthree\nfour\nfive\n", "2, 4-5", Ok(vec![(3, 3), (5, 6)]))]
    #[case::moved_up("two\nthree\nfour\nfive\n", "2, 4-5", Ok(vec![(1, 1), (3, 4)]))]
    #[case::changed("one\ntwo\nthree\n4\nfive\n", "2, 4-5", Err(vec![(2, 2), (4, 5)]))]
    #[case::truncated("one\n", "4", Err(vec![(4, 4)]))]
    #[case::emptied("", "4", Err(vec![(4, 4)]))]
    fn finds_a_passage(
        #[case] now: &str,
        #[case] lines: &str,
        #[case] found: Result<Ranges, Ranges>,
    ) {
        let citation = Citation {
            digest: Some(digest_of(BEFORE, lines).unwrap()),
            ..citation("d", lines)
        };
        assert_eq!(find(&Document::new("d", now), &citation), found);
    }

    #[rstest]
    #[case::moved("zero\n\nTwo\nwords.\n", Ok(vec![(3, 4)]))]
    #[case::edited("Two lords.\n", Err(vec![(7, 7)]))]
    #[case::ambiguous("Two words.\n\nTwo words.\n", Err(vec![(7, 7)]))]
    fn finds_a_quotation(#[case] now: &str, #[case] found: Result<Ranges, Ranges>) {
        let citation = Citation {
            document: "d".into(),
            lines: "7".into(),
            quote: Some("Two words.".into()),
            ..Citation::default()
        };
        assert_eq!(find(&Document::new("d", now), &citation), found);
    }
}
