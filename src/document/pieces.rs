//! Reads a document as blocks and words with their line numbers.

use std::iter;
use std::ops::{Range, RangeInclusive};

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::html::{self, Located, is_leaf};

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

/// A part of a document, in order.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece<'a> {
    /// A paragraph, heading, code block or table begins. It has these lines.
    Block(RangeInclusive<usize>),
    /// Text or code on a line, within a block.
    Words(usize, Event<'a>),
    /// Markup. Links lead only to web pages and mail addresses; images are replaced by their description.
    Markup(Event<'a>),
    BlockEnd,
}

/// Whatever the document contains, rendering the pieces as HTML gives neither scripts nor requests.
pub(super) fn pieces(format: Format, text: &str) -> Vec<Piece<'_>> {
    let mut reader = Reader {
        starts: iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect(),
        pieces: Vec::new(),
        open: None,
        links: Vec::new(),
    };
    let events: Vec<Located<'_>> = match format {
        Format::Html => html::events(text),
        Format::Lines => plain(text),
        Format::Markdown => {
            let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
            Parser::new_ext(text, options).into_offset_iter().collect()
        }
    };
    for (event, range) in events {
        reader.read(event, &range);
    }
    reader.end_loose();
    reader.pieces
}

/// The block that is being read.
enum Open {
    /// It has a start tag and ends with the end tag.
    Tagged,
    /// Text of a list item without a paragraph. It begins at this piece and ends before the next block.
    Loose(usize),
}

struct Reader<'a> {
    /// Offset of each line.
    starts: Vec<usize>,
    pieces: Vec<Piece<'a>>,
    open: Option<Open>,
    /// Whether each link around the current text is kept.
    links: Vec<bool>,
}

impl<'a> Reader<'a> {
    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    fn read(&mut self, mut event: Event<'a>, range: &Range<usize>) {
        let line = self.line(range.start);
        let lines = line..=self.line(range.end.saturating_sub(1)).max(line);
        match &mut event {
            // The page has a heading above the document's.
            Event::Start(Tag::Heading { level, .. }) | Event::End(TagEnd::Heading(level)) => {
                *level = HeadingLevel::try_from(*level as usize + 1).unwrap_or(HeadingLevel::H6);
            }
            Event::Start(tag @ (Tag::HtmlBlock | Tag::CodeBlock(_))) => {
                *tag = Tag::CodeBlock(CodeBlockKind::Indented);
            }
            Event::End(end @ TagEnd::HtmlBlock) => *end = TagEnd::CodeBlock,
            _ => {}
        }
        match event {
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => {
                self.extend_loose(lines);
                for (nth, part) in text.split_inclusive('\n').enumerate() {
                    let part = Event::Text(part.to_owned().into());
                    self.pieces.push(Piece::Words(line + nth, part));
                }
            }
            Event::Code(text) => {
                self.extend_loose(lines);
                self.pieces.push(Piece::Words(line, Event::Code(text)));
            }
            Event::Start(Tag::Image { .. }) => {
                self.extend_loose(lines);
                self.html("<span class=\"image\">image: ");
            }
            Event::End(TagEnd::Image) => self.html("</span>"),
            Event::Start(Tag::Link { ref dest_url, .. }) => {
                self.extend_loose(lines);
                let safe = ["https://", "http://", "mailto:"];
                let is_kept = safe.iter().any(|scheme| dest_url.starts_with(scheme));
                self.links.push(is_kept);
                self.pieces.extend(is_kept.then_some(Piece::Markup(event)));
            }
            Event::End(TagEnd::Link) => {
                let is_kept = self.links.pop().unwrap_or_default();
                self.pieces.extend(is_kept.then_some(Piece::Markup(event)));
            }
            Event::Start(Tag::Emphasis | Tag::Strong | Tag::Strikethrough) => {
                self.extend_loose(lines);
                self.pieces.push(Piece::Markup(event));
            }
            Event::SoftBreak
            | Event::HardBreak
            | Event::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough) => {
                self.pieces.push(Piece::Markup(event));
            }
            Event::Start(tag) => {
                self.end_loose();
                if self.open.is_none() && is_leaf(tag.to_end()) {
                    self.open = Some(Open::Tagged);
                    self.pieces.push(Piece::Block(lines));
                }
                self.pieces.push(Piece::Markup(Event::Start(tag)));
            }
            Event::End(end) => {
                self.end_loose();
                self.pieces.push(Piece::Markup(event));
                if is_leaf(end) {
                    self.open = None;
                    self.pieces.push(Piece::BlockEnd);
                }
            }
            event => {
                self.end_loose();
                self.pieces.push(Piece::Markup(event));
            }
        }
    }

    /// Adds lines to the text of a list item, which begins here if no block is open.
    fn extend_loose(&mut self, lines: RangeInclusive<usize>) {
        match self.open {
            Some(Open::Tagged) => {}
            Some(Open::Loose(at)) => {
                if let Some(Piece::Block(block)) = self.pieces.get_mut(at) {
                    *block = *block.start()..=*lines.end();
                }
            }
            None => {
                self.open = Some(Open::Loose(self.pieces.len()));
                self.pieces.push(Piece::Block(lines));
                self.html("<div class=\"p\">");
            }
        }
    }

    fn end_loose(&mut self) {
        if matches!(self.open, Some(Open::Loose(_))) {
            self.open = None;
            self.html("</div>");
            self.pieces.push(Piece::BlockEnd);
        }
    }

    fn html(&mut self, text: &'static str) {
        let event = Event::InlineHtml(text.into());
        self.pieces.push(Piece::Markup(event));
    }
}

/// Lines as paragraphs, and adjacent lines of code as code blocks.
fn plain(text: &str) -> Vec<Located<'_>> {
    let mut end = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        end += line.len();
        (line, end - line.len()..end)
    });
    let lines = lines.filter(|(line, _)| !line.trim().is_empty());
    let lines: Vec<_> = lines.collect();
    let runs = lines.chunk_by(|(a, _), (b, _)| is_code(a) && is_code(b));
    let blocks = runs.flat_map(|run| {
        let whole = run[0].1.start..run[run.len() - 1].1.end;
        let tag = if run.len() > 1 || run[0].0.starts_with("$ ") {
            Tag::CodeBlock(CodeBlockKind::Indented)
        } else {
            Tag::Paragraph
        };
        let end = (Event::End(tag.to_end()), whole.clone());
        let lines = run.iter().cloned();
        let lines = lines.map(|(line, range)| (Event::Text(line.into()), range));
        iter::once((Event::Start(tag), whole))
            .chain(lines)
            .chain([end])
    });
    blocks.collect()
}

/// Whether a line of plain text looks like YAML or a command.
fn is_code(line: &str) -> bool {
    let line = line.trim().trim_start_matches("- ");
    let is_key = |key: &str| !key.contains(char::is_whitespace);
    let key = line
        .split_once(": ")
        .map_or(line.strip_suffix(':'), |(key, _)| Some(key));
    line.starts_with(['$', '[', '{']) || (line.len() < 120 && key.is_some_and(is_key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn rendered(format: Format, text: &str) -> String {
        let events = pieces(format, text)
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Words(_, event) | Piece::Markup(event) => Some(event),
                Piece::Block(_) | Piece::BlockEnd => None,
            });
        let mut html = String::new();
        pulldown_cmark::html::push_html(&mut html, events);
        html
    }

    #[rstest]
    #[case("a.html", "# a", Format::Html)]
    #[case("a.MD", "<html>", Format::Markdown)]
    #[case("a.txt", " <!DOCTYPE html>", Format::Html)]
    #[case("a.txt", "a\nb\n", Format::Markdown)]
    #[case("a", "", Format::Markdown)]
    #[case::long("a.txt", &"A long sentence. ".repeat(20), Format::Lines)]
    #[case::long("a.txt", &format!("# A\n{}", "A long sentence. ".repeat(20)), Format::Markdown)]
    #[case::long("a.md", &"A long sentence. ".repeat(20), Format::Markdown)]
    fn formats(#[case] name: &str, #[case] text: &str, #[case] format: Format) {
        assert_eq!(Format::of(name, text), format);
    }

    #[rstest]
    #[case::heading("# A\n", "<h2>A</h2>\n")]
    #[case::code("```yaml\na: 1\n```\n", "<pre><code>a: 1\n</code></pre>\n")]
    #[case::html("<b onclick=x>\n", "<pre><code>&lt;b onclick=x&gt;\n</code></pre>\n")]
    #[case::inline_html("a <i>b</i>\n", "<p>a &lt;i&gt;b&lt;/i&gt;</p>\n")]
    #[case::link("[a](https://b.c)", "<p><a href=\"https://b.c\">a</a></p>\n")]
    #[case::script("[a](javascript:b)", "<p>a</p>\n")]
    #[case::data("[a](data:text/html,b)", "<p>a</p>\n")]
    #[case::image("![a](https://b.c)", "<p><span class=\"image\">image: a</span></p>\n")]
    fn renders_markdown(#[case] text: &str, #[case] html: &str) {
        assert_eq!(rendered(Format::Markdown, text), html);
    }

    #[rstest]
    #[case::lists(
        "<ul><li>a<ol><li>b</ol></ul>c",
        "<ul>\n<li>\n<p>a</p>\n<ol>\n<li>\n<p>b</p>\n</li>\n</ol>\n</li>\n</ul>\n<p>c</p>\n"
    )]
    #[case::soup(
        "<b>a<p>b</i></p></li>c<td>d",
        "<p><strong>a</strong></p>\n<p>b</p>\n<p>c</p>\n<p>d</p>\n"
    )]
    #[case::script(
        "a<script>alert(1)</script><img src=x onerror=y alt=z>",
        "<p>a<span class=\"image\">image: z</span></p>\n"
    )]
    #[case::link(
        "<a href='javascript:x'>a</a> <a href='https://b.c'>d</a>",
        "<p>a\n<a href=\"https://b.c\">d</a></p>\n"
    )]
    #[case::table(
        "<table><td>a</table>",
        "<table><thead><tr><th>a</th></tr></thead><tbody>\n</tbody></table>\n"
    )]
    #[case::escaped("&lt;script&gt;", "<p>&lt;script&gt;</p>\n")]
    fn renders_html(#[case] text: &str, #[case] html: &str) {
        assert_eq!(rendered(Format::Html, text), html);
    }

    #[test]
    fn lines_are_paragraphs_or_code() {
        let long = "A long sentence. ".repeat(20);
        let text = format!(
            "{long}\n{long}\napiVersion: v1\nkind: Pod\nNote: one.\n\n$ kubectl get pods\n"
        );
        let html = rendered(Format::Lines, &text);
        assert_eq!(html.matches("<p>").count(), 2, "{html}");
        assert!(
            html.contains("<pre><code>apiVersion: v1\nkind: Pod\n"),
            "{html}"
        );
        assert!(html.contains("$ kubectl get pods\n</code></pre>"), "{html}");
    }

    #[rstest]
    #[case::paragraph("a\nb\n\nc\n", &[1..=2, 4..=4])]
    #[case::tight_list("- a\n  b\n  - c\n- d\n", &[1..=2, 3..=3, 4..=4])]
    #[case::loose_list("- a\n\n- b\n", &[1..=1, 3..=3])]
    #[case::fence("```\na\n```\nb\n", &[1..=3, 4..=4])]
    #[case::table("|a|\n|-|\n|b|\n", &[1..=3])]
    fn blocks_have_their_lines(#[case] text: &str, #[case] lines: &[RangeInclusive<usize>]) {
        let blocks = pieces(Format::Markdown, text)
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Block(lines) => Some(lines),
                _ => None,
            });
        assert_eq!(blocks.collect::<Vec<_>>(), lines);
    }

    proptest! {
        #[test]
        fn words_are_within_blocks_and_lines(
            text in "([-#>*`|\\[\\]()!<> a-c1.]|\n|\n\n|    |```\n|</?(p|ul|li|b|a|pre|td|table|h1|code|div)>){0,40}",
            format in prop::sample::select(vec![Format::Markdown, Format::Html, Format::Lines]),
        ) {
            let mut open = false;
            for piece in pieces(format, &text) {
                match piece {
                    Piece::Block(lines) => {
                        prop_assert!(!open && lines.start() <= lines.end());
                        open = true;
                    }
                    Piece::BlockEnd => {
                        prop_assert!(open);
                        open = false;
                    }
                    Piece::Words(line, _) => prop_assert!(open && line <= text.lines().count()),
                    Piece::Markup(_) => {}
                }
            }
            prop_assert!(!open);
        }
    }
}
