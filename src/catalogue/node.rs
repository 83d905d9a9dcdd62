//! YAML as a tree of nodes with places. Scalars stay text: the field decides what `1.30` or `yes` means.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span};

use super::finding::Finding;
use super::model::Place;

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Scalar { text: String, plain: bool },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// Empty or `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    pub(super) fn describe(&self) -> String {
        match &self.kind {
            _ if self.is_null() => "nothing".to_owned(),
            Kind::Scalar { text, .. } => {
                let short: String = text.chars().take(40).collect();
                format!("`{short}`")
            }
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        }
    }
}

enum Open {
    List(Place, usize, Vec<Node>),
    Map(Place, usize, Vec<(Node, Node)>, Option<Node>),
}

/// Reads the one document of a text. Repeated keys and further documents are findings.
pub(super) fn parse(file: &str, text: &str, findings: &mut Vec<Finding>) -> Option<Node> {
    let mut anchors: HashMap<usize, Node> = HashMap::new();
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let marker = error.marker();
                let place = place(file, marker.line(), marker.col());
                findings.push(Finding::new(&place, format!("not YAML: {}", error.info())));
                return None;
            }
        };
        let at = start(file, &span);
        let done = match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                Some((
                    anchor,
                    Node {
                        place: at,
                        kind: Kind::Scalar {
                            text: text.into(),
                            plain,
                        },
                    },
                ))
            }
            Event::Alias(anchor) => anchors.get(&anchor).cloned().map(|mut node| {
                node.place = at;
                (0, node)
            }),
            Event::SequenceStart(_, anchor, _) => {
                open.push(Open::List(at, anchor, Vec::new()));
                None
            }
            Event::MappingStart(_, anchor, _) => {
                open.push(Open::Map(at, anchor, Vec::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|done| match done {
                Open::List(place, anchor, items) => (
                    anchor,
                    Node {
                        place,
                        kind: Kind::List(items),
                    },
                ),
                Open::Map(place, anchor, entries, _) => (
                    anchor,
                    Node {
                        place,
                        kind: Kind::Map(entries),
                    },
                ),
            }),
            Event::DocumentStart(..) if root.is_some() => {
                findings.push(
                    Finding::new(&at, "a suite file holds one YAML document")
                        .with_help("move what follows `---` to a file of its own"),
                );
                break;
            }
            _ => None,
        };
        let Some((anchor, node)) = done else { continue };
        if anchor != 0 {
            anchors.insert(anchor, node.clone());
        }
        match open.last_mut() {
            None => root = Some(node),
            Some(Open::List(_, _, items)) => items.push(node),
            Some(Open::Map(_, _, entries, key)) => match key.take() {
                None => *key = Some(node),
                Some(key) => {
                    if let Some(first) = repeated(entries, &key) {
                        findings.push(Finding::new(
                            &key.place,
                            format!("duplicate key {}, first on line {first}", key.describe()),
                        ));
                    } else {
                        entries.push((key, node));
                    }
                }
            },
        }
    }
    if root.is_none() {
        findings.push(Finding::new(&place(file, 1, 0), "the file is empty"));
    }
    root
}

fn repeated(entries: &[(Node, Node)], key: &Node) -> Option<u32> {
    let Kind::Scalar { text: wanted, .. } = &key.kind else {
        return None;
    };
    entries
        .iter()
        .find(|(known, _)| matches!(&known.kind, Kind::Scalar { text, .. } if text == wanted))
        .map(|(known, _)| known.place.line)
}

fn start(file: &str, span: &Span) -> Place {
    place(file, span.start.line(), span.start.col())
}

/// From a line from 1 and a column from 0.
fn place(file: &str, line: usize, column: usize) -> Place {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place {
        file: file.to_owned(),
        line: number(line.max(1)),
        column: number(column.saturating_add(1)),
    }
}
