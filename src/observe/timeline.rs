//! Merges entries from several sources into one timeline.

use crate::evidence::Entry;

/// Sorts entries by time and numbers them. Entries with equal times keep their order of arrival.
pub fn build(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by_key(|entry| entry.at);
    for (n, entry) in (0..).zip(&mut entries) {
        entry.n = n;
    }
    entries
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::evidence::Seen;
    use crate::fixture::note;

    fn entry(second: i64, text: usize) -> Entry {
        let at = Timestamp::from_second(second).unwrap_or_default();
        note(at, &text.to_string())
    }

    fn text(entry: &Entry) -> usize {
        match &entry.seen {
            Seen::Runner(note) => note.text.parse().unwrap_or_default(),
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn timelines_are_sorted_complete_and_stable(seconds in prop::collection::vec(0i64..20, 0..40)) {
            let given: Vec<Entry> =
                seconds.iter().enumerate().map(|(n, second)| entry(*second, n)).collect();
            let built = build(given.clone());
            prop_assert_eq!(built.len(), given.len());
            for (n, entry) in built.iter().enumerate() {
                prop_assert_eq!(usize::try_from(entry.n).ok(), Some(n));
            }
            for pair in built.windows(2) {
                let [first, second] = pair else { continue };
                prop_assert!((first.at, text(first)) < (second.at, text(second)));
            }
            prop_assert_eq!(&build(built.clone()), &built, "build is idempotent");
            let mut texts: Vec<usize> = built.iter().map(text).collect();
            texts.sort_unstable();
            prop_assert_eq!(texts, (0..given.len()).collect::<Vec<_>>());
        }
    }
}
