//! Listings of documents, extracted exactly as a reader copies them into a file for kubectl.

use camino::Utf8Path;

use crate::catalogue::citations::digest_of;
use crate::catalogue::model::Citation;
use crate::catalogue::parse;
use crate::file::{inside, limit, read as read_file};

/// Reads a listing from its document, without code fences and common indentation.
pub fn read(documents: &Utf8Path, citation: &Citation) -> Result<String, String> {
    let path = documents.join(&citation.document);
    let bytes = inside(documents, &path)
        .and_then(|()| read_file(&path, limit::DOCUMENT))
        .map_err(|e| format!("failed to read {path}: {e}"))?;
    let text = String::from_utf8_lossy(&bytes);
    // Fails if the document has fewer lines.
    digest_of(&text, &citation.lines).map_err(|e| format!("{path}: {e}"))?;
    let mut lines = Vec::new();
    for (from, to) in parse::lines(&citation.lines)? {
        let (skip, take) = (from as usize - 1, (to - from) as usize + 1);
        lines.extend(text.lines().skip(skip).take(take));
    }
    Ok(listing(&lines))
}

fn listing(lines: &[&str]) -> String {
    let is_fence = |line: &str| line.trim_start().starts_with("```");
    let inner = lines.iter().filter(|line| !is_fence(line));
    textwrap::dedent(&inner.flat_map(|line| [line, "\n"]).collect::<String>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain(&["a:", "  b: 1"], "a:\n  b: 1\n")]
    #[case::fenced(&["```yaml", "a: 1", "```"], "a: 1\n")]
    #[case::indented(&["    ```yaml", "    a:", "", "      b: 1", "    ```"], "a:\n\n  b: 1\n")]
    fn listings_lose_fences_and_common_indentation(#[case] lines: &[&str], #[case] text: &str) {
        assert_eq!(listing(lines), text);
    }

    #[test]
    fn the_error_names_a_missing_document() {
        let citation = Citation {
            document: "none.txt".into(),
            lines: "1".into(),
            ..Citation::default()
        };
        let error = read(Utf8Path::new("/no-such-folder"), &citation).unwrap_err();
        assert!(error.contains("/no-such-folder/none.txt"), "{error}");
    }
}
