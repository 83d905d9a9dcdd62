//! Reads the visible text of HTML as the events of Markdown, so that both are read and rendered in the same way.

use std::iter;
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
    let mut writer = Writer {
        html,
        ..Writer::default()
    };
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
    writer.end_blocks(0);
    writer.events
}

/// An open list, item, quotation, leaf, row or cell.
struct Block {
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
struct Writer<'a> {
    html: &'a str,
    events: Vec<Located<'static>>,
    /// Where the current token is.
    at: Range<usize>,
    /// From the outside in.
    blocks: Vec<Block>,
    /// Marks around the current text.
    inlines: Vec<Inline>,
    /// How many elements of code are open.
    code: usize,
    /// The hidden element that is being skipped, and how many of them are open.
    skipped: Option<(String, usize)>,
}

impl Writer<'_> {
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
            "br" if self.blocks.iter().any(|block| is_leaf(block.end)) => {
                self.push(Event::HardBreak);
            }
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
            "pre" => self.begin(Tag::CodeBlock(CodeBlockKind::Indented)),
            "table" => self.begin(Tag::Table(Vec::new())),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                let level = usize::from(name.as_bytes()[1] - b'0');
                self.begin(Tag::Heading {
                    level: HeadingLevel::try_from(level).unwrap_or(HeadingLevel::H6),
                    id: None,
                    classes: Vec::new(),
                    attrs: Vec::new(),
                });
            }
            "ul" => self.enter(Tag::List(None)),
            "ol" => self.enter(Tag::List(Some(1))),
            "li" => {
                let is_list = |block: &Block| matches!(block.end, TagEnd::List(_));
                match self.blocks.iter().rposition(is_list) {
                    Some(at) => self.end_blocks(at + 1),
                    None => self.enter(Tag::List(None)),
                }
                if self.blocks.last().is_some_and(is_list) {
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
            "tr" | "td" | "th" if is_table => self.end_part_of_table(name),
            "table" => self.end_leaf(),
            _ if is_table => {}
            _ => {
                self.end_leaf();
                self.end_innermost(|end| match end {
                    TagEnd::List(_) => name == "ul" || name == "ol",
                    TagEnd::Item => name == "li",
                    TagEnd::BlockQuote(_) => name == "blockquote",
                    _ => false,
                });
            }
        }
    }

    fn text(&mut self, mut text: &str) {
        if self.skipped.is_some() || (text.trim().is_empty() && !self.is_in_text()) {
            return;
        }
        // Lines begin elsewhere in the source, where entities are longer.
        let start = self.at.start;
        let source = self.html.get(self.at.clone()).unwrap_or_default();
        let starts = source.match_indices('\n').map(|(at, _)| start + at + 1);
        let mut starts = iter::once(start).chain(starts);
        let mut blank = 0;
        if !self.is_in_text() && !self.is_in(TagEnd::Table) {
            let first = text.trim_start();
            blank = text[..text.len() - first.len()].matches('\n').count();
            text = first;
        }
        let start = starts.nth(blank).unwrap_or(start);
        self.at.start = start;
        self.begin_text();
        let is_code = self.is_in(TagEnd::CodeBlock);
        if !is_code {
            self.open_inlines();
        }
        for line in text.split_inclusive('\n') {
            if !is_code && line.trim().is_empty() {
                self.push(Event::SoftBreak);
            } else if is_code || self.code == 0 {
                self.push(Event::Text(line.to_owned().into()));
            } else {
                self.push(Event::Code(line.trim_end_matches('\n').to_owned().into()));
                if line.ends_with('\n') {
                    self.push(Event::SoftBreak);
                }
            }
            self.at.start = starts.next().unwrap_or(self.at.start);
        }
        self.at.start = start;
    }

    fn image(&mut self, text: &str) {
        if self.is_in(TagEnd::CodeBlock) {
            return;
        }
        self.begin_text();
        self.push(Event::Start(Tag::Image {
            link_type: LinkType::Inline,
            dest_url: CowStr::Borrowed(""),
            title: CowStr::Borrowed(""),
            id: CowStr::Borrowed(""),
        }));
        self.push(Event::Text(text.replace('\n', " ").into()));
        self.push(Event::End(TagEnd::Image));
    }

    fn is_in(&self, end: TagEnd) -> bool {
        self.blocks.iter().any(|block| block.end == end)
    }

    /// Whether the innermost block contains text.
    fn is_in_text(&self) -> bool {
        let is_text = |end| end == TagEnd::TableCell || is_leaf(end) && end != TagEnd::Table;
        self.blocks.last().is_some_and(|block| is_text(block.end))
    }

    /// Begins a paragraph or, in a table, a cell, unless text can follow here.
    fn begin_text(&mut self) {
        if self.is_in_text() {
            return;
        }
        if self.is_in(TagEnd::Table) {
            self.part_of_table("td");
        } else {
            self.begin(Tag::Paragraph);
        }
    }

    fn part_of_table(&mut self, name: &str) {
        self.end_part_of_table(name);
        if !self.blocks.iter().any(|block| is_row(block.end)) {
            let is_first = matches!(self.events.last(), Some((Event::Start(Tag::Table(_)), _)));
            self.begin(if is_first {
                Tag::TableHead
            } else {
                Tag::TableRow
            });
        }
        if name != "tr" {
            self.begin(Tag::TableCell);
        }
    }

    fn end_part_of_table(&mut self, name: &str) {
        self.end_innermost(|end| match end {
            TagEnd::TableCell => name != "tr",
            end => name == "tr" && is_row(end),
        });
    }

    /// Begins a list, an item or a quotation.
    fn enter(&mut self, tag: Tag<'static>) {
        if self.blocks.len() < DEEPEST {
            self.begin(tag);
        }
    }

    fn begin(&mut self, tag: Tag<'static>) {
        self.blocks.push(Block {
            end: tag.to_end(),
            start: self.events.len(),
        });
        self.push(Event::Start(tag));
    }

    fn end_leaf(&mut self) {
        self.end_innermost(is_leaf);
        self.close_inlines(0);
        self.code = 0;
    }

    /// Ends the innermost block of a kind, and what is open in it.
    fn end_innermost(&mut self, is_wanted: impl Fn(TagEnd) -> bool) {
        if let Some(at) = self.blocks.iter().rposition(|block| is_wanted(block.end)) {
            self.end_blocks(at);
        }
    }

    /// Ends blocks, which extend to the current token, until `depth` of them remain.
    fn end_blocks(&mut self, depth: usize) {
        while self.blocks.len() > depth
            && let Some(Block { end, start }) = self.blocks.pop()
        {
            if end == TagEnd::TableCell || is_leaf(end) {
                self.close_inlines(0);
            }
            let until = self.events.last().map_or(0, |(_, range)| range.end);
            let (_, range) = &mut self.events[start];
            range.end = until.max(range.end);
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
        for inline in self.inlines.iter_mut().filter(|inline| !inline.is_open) {
            inline.is_open = true;
            let start = Event::Start(inline.tag.clone());
            self.events.push((start, self.at.clone()));
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

/// Whether a block contains no blocks, except for the cells of a table.
pub(super) fn is_leaf(end: TagEnd) -> bool {
    use TagEnd::{CodeBlock, Heading, Paragraph, Table};
    matches!(end, Paragraph | Heading(_) | CodeBlock | Table)
}

fn is_row(end: TagEnd) -> bool {
    matches!(end, TagEnd::TableHead | TagEnd::TableRow)
}

#[cfg(test)]
mod tests {
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
<pre><code>a: &quot;&lt;&gt;&quot;
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
            "12-13: 12=a: \"<>\" 13=b: 2",
            "16-19: 17=A 17=B 18=c 18=d",
            "20-20: 20=last",
        ];
        assert_eq!(found, wanted);
    }
}
