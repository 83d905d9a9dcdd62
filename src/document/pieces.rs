//! Reads a document as blocks and words with their line numbers.

use std::ops::{Range, RangeInclusive};

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::format::Format;
use super::html::{self, Located};

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
        starts: std::iter::once(0)
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

    fn read(&mut self, event: Event<'a>, range: &Range<usize>) {
        let line = self.line(range.start);
        let last = self.line(range.end.saturating_sub(1)).max(line);
        match event {
            Event::Text(text) => {
                self.extend_loose(line..=last);
                for (nth, part) in text.split_inclusive('\n').enumerate() {
                    let part = Event::Text(part.to_owned().into());
                    self.pieces.push(Piece::Words(line + nth, part));
                }
            }
            Event::Html(text) | Event::InlineHtml(text) => {
                self.read(Event::Text(text), range);
            }
            Event::Code(text) => {
                self.extend_loose(line..=last);
                self.pieces.push(Piece::Words(line, Event::Code(text)));
            }
            Event::Start(tag) if is_inline(&tag) => {
                self.extend_loose(line..=last);
                self.start_inline(tag);
            }
            Event::End(end) if is_inline_end(end) => self.end_inline(end),
            Event::Start(tag) => {
                self.end_loose();
                let tag = match tag {
                    // The page has a heading above the document's.
                    Tag::Heading { level, .. } => Tag::Heading {
                        level: lower(level),
                        id: None,
                        classes: Vec::new(),
                        attrs: Vec::new(),
                    },
                    Tag::HtmlBlock | Tag::CodeBlock(_) => Tag::CodeBlock(CodeBlockKind::Indented),
                    tag => tag,
                };
                if self.open.is_none() && is_leaf(tag.to_end()) {
                    self.open = Some(Open::Tagged);
                    self.pieces.push(Piece::Block(line..=last));
                }
                self.pieces.push(Piece::Markup(Event::Start(tag)));
            }
            Event::End(end) => {
                self.end_loose();
                let end = match end {
                    TagEnd::Heading(level) => TagEnd::Heading(lower(level)),
                    TagEnd::HtmlBlock => TagEnd::CodeBlock,
                    end => end,
                };
                self.pieces.push(Piece::Markup(Event::End(end)));
                if is_leaf(end) {
                    self.open = None;
                    self.pieces.push(Piece::BlockEnd);
                }
            }
            Event::SoftBreak | Event::HardBreak => self.pieces.push(Piece::Markup(event)),
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
                let start = Event::InlineHtml("<div class=\"p\">".into());
                self.pieces.push(Piece::Markup(start));
            }
        }
    }

    fn end_loose(&mut self) {
        if matches!(self.open, Some(Open::Loose(_))) {
            self.open = None;
            let end = Event::InlineHtml("</div>".into());
            self.pieces.extend([Piece::Markup(end), Piece::BlockEnd]);
        }
    }

    fn start_inline(&mut self, tag: Tag<'a>) {
        let event = match tag {
            Tag::Image { .. } => Event::InlineHtml("<span class=\"image\">image: ".into()),
            Tag::Link { ref dest_url, .. } => {
                let safe = ["https://", "http://", "mailto:"];
                let kept = safe.iter().any(|scheme| dest_url.starts_with(scheme));
                self.links.push(kept);
                if !kept {
                    return;
                }
                Event::Start(tag)
            }
            tag => Event::Start(tag),
        };
        self.pieces.push(Piece::Markup(event));
    }

    fn end_inline(&mut self, end: TagEnd) {
        let event = match end {
            TagEnd::Image => Event::InlineHtml("</span>".into()),
            TagEnd::Link if self.links.pop() != Some(true) => return,
            end => Event::End(end),
        };
        self.pieces.push(Piece::Markup(event));
    }
}

fn is_inline(tag: &Tag<'_>) -> bool {
    is_inline_end(tag.to_end())
}

fn is_inline_end(end: TagEnd) -> bool {
    use TagEnd::{Emphasis, Image, Link, Strikethrough, Strong};
    matches!(end, Emphasis | Strong | Strikethrough | Link | Image)
}

/// Whether a block contains no blocks, except for the cells of a table.
fn is_leaf(end: TagEnd) -> bool {
    use TagEnd::{CodeBlock, Heading, Paragraph, Table};
    matches!(end, Paragraph | Heading(_) | CodeBlock | Table)
}

fn lower(level: HeadingLevel) -> HeadingLevel {
    HeadingLevel::try_from(level as usize + 1).unwrap_or(HeadingLevel::H6)
}

/// Lines as paragraphs, and adjacent lines of code as code blocks.
fn plain(text: &str) -> Vec<Located<'_>> {
    let mut events: Vec<Located<'_>> = Vec::new();
    let mut at = 0;
    let lines: Vec<(Range<usize>, &str)> = text
        .split_inclusive('\n')
        .map(|line| {
            at += line.len();
            (at - line.len()..at, line)
        })
        .filter(|(_, line)| !line.trim().is_empty())
        .collect();
    for run in lines.chunk_by(|(_, a), (_, b)| is_code(a) && is_code(b)) {
        let [(first, line), rest @ ..] = run else {
            continue;
        };
        let whole = first.start..rest.last().map_or(first.end, |(range, _)| range.end);
        let code = !rest.is_empty() || line.starts_with("$ ");
        let tag = if code {
            Tag::CodeBlock(CodeBlockKind::Indented)
        } else {
            Tag::Paragraph
        };
        let end = tag.to_end();
        events.push((Event::Start(tag), whole.clone()));
        for (range, line) in run {
            events.push((Event::Text((*line).into()), range.clone()));
        }
        events.push((Event::End(end), whole));
    }
    events
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
