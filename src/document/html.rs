//! Reads the visible text of HTML as the events of Markdown, so that both are read and rendered in the same way.

use std::ops::Range;

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{StartTag, Token, Tokenizer};
use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, LinkType, Tag, TagEnd};

/// An event and the offsets of its source.
pub(super) type Located<'a> = (Event<'a>, Range<usize>);

/// Elements without visible text.
const HIDDEN: [&str; 12] = [
    "head", "iframe", "math", "noscript", "object", "script", "select", "style", "svg", "template",
    "textarea", "title",
];
/// Elements without content.
const VOID: [&str; 8] = ["br", "col", "hr", "img", "input", "link", "meta", "wbr"];
/// Elements within a paragraph that have no mark of their own.
const INLINE: [&str; 18] = [
    "abbr", "b", "bdi", "bdo", "big", "cite", "dfn", "font", "ins", "label", "mark", "q", "small",
    "span", "sub", "sup", "time", "u",
];
/// Deeper nesting is flattened.
const DEEPEST: usize = 32;

/// The events of an HTML document with the offsets of their text. They are well-formed, whatever the document is.
pub(super) fn events(html: &str) -> Vec<Located<'static>> {
    let mut writer = Writer::default();
    let mut emitter = DefaultEmitter::<usize>::new_with_span();
    emitter.naively_switch_states(true);
    for token in Tokenizer::new_with_emitter(html, emitter).flatten() {
        match token {
            Token::StartTag(tag) => {
                writer.at = tag.span.start..tag.span.end;
                writer.start(&String::from_utf8_lossy(&tag.name), &tag);
            }
            Token::EndTag(tag) => {
                writer.at = tag.span.start..tag.span.end;
                writer.end(&String::from_utf8_lossy(&tag.name));
            }
            Token::String(text) => {
                writer.at = text.span.start..text.span.end;
                writer.text(&String::from_utf8_lossy(&text));
            }
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }
    writer.end_leaf();
    writer.leave(0);
    writer.events
}

/// A block that contains text.
struct Leaf {
    end: TagEnd,
    /// The index of its start.
    start: usize,
}

struct Inline {
    name: String,
    tag: Tag<'static>,
    is_open: bool,
}

#[derive(Default)]
struct Writer {
    events: Vec<Located<'static>>,
    /// Where the current token is.
    at: Range<usize>,
    /// Lists, their items, and quotations that are open.
    containers: Vec<TagEnd>,
    leaf: Option<Leaf>,
    inlines: Vec<Inline>,
    /// How many elements of code are open.
    code: usize,
    /// The end of the row and whether a cell is open, within a table.
    row: Option<(TagEnd, bool)>,
    /// The hidden element that is being skipped, and how many of them are open.
    skipped: Option<(String, usize)>,
}

impl Writer {
    fn push(&mut self, event: Event<'static>) {
        self.events.push((event, self.at.clone()));
    }

    fn start(&mut self, name: &str, tag: &StartTag<usize>) {
        if let Some((skipped, depth)) = &mut self.skipped {
            *depth += usize::from(skipped == name);
            return;
        }
        let is_void = VOID.contains(&name);
        let attribute = |name: &str| {
            let value = tag.attributes.get(name.as_bytes());
            value.map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let is_hidden = attribute("hidden").is_some();
        if !is_void && (HIDDEN.contains(&name) || is_hidden) {
            if is_hidden && name == "p" {
                self.end_leaf();
            }
            self.skipped = Some((name.to_owned(), 1));
            return;
        }
        match name {
            "br" if self.is_in(TagEnd::CodeBlock) => self.push(Event::Text("\n".into())),
            "br" if self.leaf.is_some() => self.push(Event::HardBreak),
            "img" => {
                if let Some(text) = attribute("alt").filter(|text| !text.trim().is_empty()) {
                    self.image(&text);
                }
            }
            "code" | "kbd" | "samp" | "tt" | "var" => self.code += 1,
            "a" => {
                let to = attribute("href").unwrap_or_default();
                let tag = Tag::Link {
                    link_type: LinkType::Inline,
                    dest_url: to.into(),
                    title: CowStr::Borrowed(""),
                    id: CowStr::Borrowed(""),
                };
                self.inline(name, tag);
            }
            "em" | "i" => self.inline(name, Tag::Emphasis),
            "strong" | "b" => self.inline(name, Tag::Strong),
            "del" | "s" => self.inline(name, Tag::Strikethrough),
            _ if is_void && name != "hr" || INLINE.contains(&name) => {}
            "tr" | "td" | "th" if self.is_in(TagEnd::Table) => self.part_of_table(name),
            // Blocks in a cell are flattened.
            _ if self.is_in(TagEnd::Table) => {}
            _ => self.block(name),
        }
    }

    fn block(&mut self, name: &str) {
        self.end_leaf();
        match name {
            "hr" => self.push(Event::Rule),
            "pre" => self.leaf(Tag::CodeBlock(CodeBlockKind::Indented)),
            "table" => self.leaf(Tag::Table(Vec::new())),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                let level = usize::from(name.as_bytes()[1] - b'0');
                let level = HeadingLevel::try_from(level).unwrap_or(HeadingLevel::H6);
                let (id, classes, attrs) = (None, Vec::new(), Vec::new());
                self.leaf(Tag::Heading {
                    level,
                    id,
                    classes,
                    attrs,
                });
            }
            "ul" => self.enter(Tag::List(None)),
            "ol" => self.enter(Tag::List(Some(1))),
            "li" => {
                let list = |end: &TagEnd| matches!(end, TagEnd::List(_));
                match self.containers.iter().rposition(list) {
                    Some(at) => self.leave(at + 1),
                    None => self.enter(Tag::List(None)),
                }
                if self.containers.last().is_some_and(list) {
                    self.enter(Tag::Item);
                }
            }
            "blockquote" => self.enter(Tag::BlockQuote(None)),
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        if let Some((skipped, depth)) = &mut self.skipped {
            *depth -= usize::from(skipped == name);
            if *depth == 0 {
                self.skipped = None;
            }
            return;
        }
        let is_table = self.is_in(TagEnd::Table);
        match name {
            "code" | "kbd" | "samp" | "tt" | "var" => self.code = self.code.saturating_sub(1),
            "a" | "em" | "i" | "strong" | "b" | "del" | "s" => {
                if let Some(at) = self.inlines.iter().rposition(|inline| inline.name == name) {
                    self.close_inlines(at);
                }
            }
            _ if VOID.contains(&name) || INLINE.contains(&name) => {}
            "td" | "th" if is_table => self.end_cell(),
            "tr" if is_table => self.end_row(),
            "table" => self.end_leaf(),
            _ if is_table => {}
            _ => {
                self.end_leaf();
                let ends = |end: &TagEnd| match end {
                    TagEnd::List(_) => name == "ul" || name == "ol",
                    TagEnd::Item => name == "li",
                    TagEnd::BlockQuote(_) => name == "blockquote",
                    _ => false,
                };
                if let Some(at) = self.containers.iter().rposition(ends) {
                    self.leave(at);
                }
            }
        }
    }

    fn text(&mut self, mut text: &str) {
        let is_table = self.is_in(TagEnd::Table);
        let is_open = if is_table {
            self.row.is_some_and(|(_, cell)| cell)
        } else {
            self.leaf.is_some()
        };
        if self.skipped.is_some() || (text.trim().is_empty() && !is_open) {
            return;
        }
        if is_table {
            if !is_open {
                self.part_of_table("td");
            }
        } else if self.leaf.is_none() {
            let first = text.trim_start();
            self.at.start = (self.at.start + text.len() - first.len()).min(self.at.end);
            text = first;
            self.leaf(Tag::Paragraph);
        }
        let is_code = self.is_in(TagEnd::CodeBlock);
        if !is_code {
            self.open_inlines();
        }
        // Entities make the text shorter than its source, but not its lines.
        let start = self.at.start;
        let mut offset = start;
        for line in text.split_inclusive('\n') {
            self.at.start = offset.min(self.at.end);
            offset += line.len();
            if is_code {
                self.push(Event::Text(line.to_owned().into()));
            } else if line.trim().is_empty() {
                self.push(Event::SoftBreak);
            } else if self.code > 0 {
                self.push(Event::Code(line.trim_end_matches('\n').to_owned().into()));
                if line.ends_with('\n') {
                    self.push(Event::SoftBreak);
                }
            } else {
                self.push(Event::Text(line.to_owned().into()));
            }
        }
        self.at.start = start;
    }

    fn image(&mut self, text: &str) {
        if self.is_in(TagEnd::CodeBlock) {
            return;
        }
        let tag = Tag::Image {
            link_type: LinkType::Inline,
            dest_url: CowStr::Borrowed(""),
            title: CowStr::Borrowed(""),
            id: CowStr::Borrowed(""),
        };
        match (self.is_in(TagEnd::Table), self.row, &self.leaf) {
            (true, None | Some((_, false)), _) => self.part_of_table("td"),
            (false, _, None) => self.leaf(Tag::Paragraph),
            _ => {}
        }
        self.push(Event::Start(tag));
        self.push(Event::Text(text.replace('\n', " ").into()));
        self.push(Event::End(TagEnd::Image));
    }

    fn is_in(&self, end: TagEnd) -> bool {
        self.leaf.as_ref().is_some_and(|leaf| leaf.end == end)
    }

    fn leaf(&mut self, tag: Tag<'static>) {
        self.leaf = Some(Leaf {
            end: tag.to_end(),
            start: self.events.len(),
        });
        self.push(Event::Start(tag));
    }

    /// Ends the open leaf, which extends to the current token.
    fn end_leaf(&mut self) {
        self.end_row();
        self.close_inlines(0);
        self.code = 0;
        if let Some(Leaf { end, start }) = self.leaf.take() {
            let until = self.events.last().map_or(0, |(_, range)| range.end);
            if let Some((_, range)) = self.events.get_mut(start) {
                range.end = until.max(range.end);
            }
            self.push(Event::End(end));
        }
    }

    fn part_of_table(&mut self, name: &str) {
        self.end_cell();
        if name == "tr" {
            self.end_row();
        }
        if self.row.is_none() {
            let is_first = matches!(self.events.last(), Some((Event::Start(Tag::Table(_)), _)));
            let tag = if is_first {
                Tag::TableHead
            } else {
                Tag::TableRow
            };
            self.row = Some((tag.to_end(), false));
            self.push(Event::Start(tag));
        }
        if let (true, Some((_, cell))) = (name != "tr", &mut self.row) {
            *cell = true;
            self.push(Event::Start(Tag::TableCell));
        }
    }

    fn end_cell(&mut self) {
        if let Some((_, cell @ true)) = &mut self.row {
            *cell = false;
            self.close_inlines(0);
            self.push(Event::End(TagEnd::TableCell));
        }
    }

    fn end_row(&mut self) {
        self.end_cell();
        if let Some((end, _)) = self.row.take() {
            self.push(Event::End(end));
        }
    }

    fn enter(&mut self, tag: Tag<'static>) {
        if self.containers.len() < DEEPEST {
            self.containers.push(tag.to_end());
            self.push(Event::Start(tag));
        }
    }

    /// Ends containers until `depth` of them remain.
    fn leave(&mut self, depth: usize) {
        for end in self
            .containers
            .split_off(depth.min(self.containers.len()))
            .into_iter()
            .rev()
        {
            self.push(Event::End(end));
        }
    }

    /// The mark begins with the next text.
    fn inline(&mut self, name: &str, tag: Tag<'static>) {
        if self.inlines.len() < DEEPEST {
            self.inlines.push(Inline {
                name: name.to_owned(),
                tag,
                is_open: false,
            });
        }
    }

    fn open_inlines(&mut self) {
        for at in 0..self.inlines.len() {
            let inline = &mut self.inlines[at];
            if !std::mem::replace(&mut inline.is_open, true) {
                let tag = inline.tag.clone();
                self.push(Event::Start(tag));
            }
        }
    }

    /// Ends marks until `depth` of them remain.
    fn close_inlines(&mut self, depth: usize) {
        let closed = self.inlines.split_off(depth.min(self.inlines.len()));
        for inline in closed.into_iter().rev().filter(|inline| inline.is_open) {
            self.push(Event::End(inline.tag.to_end()));
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::{Document, Piece};

    const PAGE: &str = "\
<!doctype html>
<html><head><title>No</title><style>p {}</style></head>
<body>
<h1>Hooks &amp; more</h1>
<p>The hook runs
<b>before</b> the
<code>SIGTERM</code>.
<p hidden>No</p>
<ul><li>one<li>two
<ul><li>three</ul>
</ul>
<pre><code>a: 1
b: 2
</code></pre>
<script>no()</script>
<table>
<tr><th>A</th><th>B</th></tr>
<tr><td>c<td>d
</table>
last
</body>
";

    /// The text of each block with its lines.
    #[test]
    fn visible_text_has_its_lines() {
        let document = Document::new("page.html", PAGE);
        let mut found: Vec<String> = Vec::new();
        for piece in document.pieces() {
            match piece {
                Piece::Block(lines) => found.push(format!("{}-{}:", lines.start(), lines.end())),
                Piece::Words(line, event) => {
                    let text = match &event {
                        pulldown_cmark::Event::Text(text) | pulldown_cmark::Event::Code(text) => {
                            text.trim()
                        }
                        _ => "?",
                    };
                    if let Some(last) = found.last_mut() {
                        *last = format!("{last} {line}={text}");
                    }
                }
                _ => {}
            }
        }
        let wanted = [
            "4-4: 4=Hooks & more",
            "5-7: 5=The hook runs 6=before 6=the 7=SIGTERM 7=.",
            "9-9: 9=one",
            "9-9: 9=two",
            "10-10: 10=three",
            "12-13: 12=a: 1 13=b: 2",
            "16-19: 17=A 17=B 18=c 18=d",
            "20-20: 20=last",
        ];
        assert_eq!(found, wanted);
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
        "<p>aimage: z</p>\n"
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
    fn rendered(#[case] html: &str, #[case] wanted: &str) {
        let document = Document::new("page.html", html);
        let events = document
            .pieces()
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Words(_, event) | Piece::Markup(event) => Some(event),
                Piece::Block(_) | Piece::BlockEnd => None,
            });
        let mut page = String::new();
        pulldown_cmark::html::push_html(&mut page, events);
        let page = page
            .replace("<span class=\"image\">", "")
            .replace("</span>", "");
        assert_eq!(page, wanted);
    }
}
