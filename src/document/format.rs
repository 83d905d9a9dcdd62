//! The formats of documents.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Html,
    Markdown,
    /// Each line is a paragraph.
    Lines,
}

impl Format {
    pub(super) fn of(name: &str, text: &str) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let start = text.trim_start().get(..14).unwrap_or_default();
        let start = start.to_ascii_lowercase();
        match extension.to_ascii_lowercase().as_str() {
            "html" | "htm" | "xhtml" => Self::Html,
            "md" | "markdown" => Self::Markdown,
            _ if start.starts_with("<!doctype html") || start.starts_with("<html") => Self::Html,
            _ if is_plain(text) => Self::Lines,
            _ => Self::Markdown,
        }
    }
}

/// Whether each line is a paragraph: some are long, and no Markdown heading or code fence begins a line.
fn is_plain(text: &str) -> bool {
    let markup = |line: &str| {
        ["# ", "## ", "```", "~~~"]
            .iter()
            .any(|m| line.trim_start().starts_with(m))
    };
    !text.lines().any(markup) && text.lines().any(|line| line.len() > 160)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a.html", "# a", Format::Html)]
    #[case("a.MD", "<html>", Format::Markdown)]
    #[case("a.txt", " <!DOCTYPE html>", Format::Html)]
    #[case("a.txt", "a\nb\n", Format::Markdown)]
    #[case("a", "", Format::Markdown)]
    fn formats(#[case] name: &str, #[case] text: &str, #[case] format: Format) {
        assert_eq!(Format::of(name, text), format);
    }

    #[test]
    fn long_lines_without_markup_are_paragraphs() {
        let long = "A long sentence. ".repeat(20);
        assert_eq!(Format::of("a.txt", &long), Format::Lines);
        assert_eq!(
            Format::of("a.txt", &format!("# A\n{long}")),
            Format::Markdown
        );
        assert_eq!(Format::of("a.md", &long), Format::Markdown);
    }
}
