//! Citations: lines of a document, or a quotation.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Location;

use super::super::model::{Account, Citation, Place};
use super::super::parse;
use super::super::yaml::{At, Reader};

/// A passage: lines such as `NAME.txt:64,78-79 0123456789ab`, or a quotation.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "Citation", untagged)]
pub(super) enum RawCitation {
    Lines(String),
    Quote(RawQuote),
}

/// One passage, or a list.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "Citations", untagged)]
pub(super) enum RawCitations {
    One(RawCitation),
    Many(Vec<At<RawCitation>>),
}

/// A passage by its words, wherever they are in the document.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Quotation")]
pub(super) struct RawQuote {
    /// The document's path in the folder of documents.
    document: String,
    /// Words of the document; line breaks and markup do not matter.
    quote: String,
    /// Which of several places with these words, from 1.
    occurrence: Option<u32>,
}

/// A passage that makes the statement of a claim of another suite.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Cited")]
pub(super) struct RawCited {
    /// The claim's id.
    claim: String,
    /// The document's path in the folder of documents.
    document: String,
    /// Words of the document; line breaks and markup do not matter.
    quote: String,
    /// Which of several places with these words, from 1.
    occurrence: Option<u32>,
}

/// Lines of a document that need no claim, and either why or which lines they repeat.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Account")]
pub(super) struct RawAccount {
    /// The lines, such as `NAME.txt:64,78-79 0123456789ab`, or a quotation.
    #[schemars(required)]
    cites: Option<At<RawCitation>>,
    /// Why they need no claim, such as `heading`.
    because: Option<At<String>>,
    /// Lines of the same document whose statements they repeat, such as `12,14-15`.
    repeats: Option<At<String>>,
}

pub(super) fn each(At { value, at }: At<RawCitations>) -> Vec<At<RawCitation>> {
    match value {
        RawCitations::One(value) => vec![At { value, at }],
        RawCitations::Many(list) => list,
    }
}

pub(super) fn citation(
    reader: &mut Reader<'_>,
    At { value, at }: At<RawCitation>,
) -> Option<Citation> {
    match value {
        RawCitation::Lines(value) => lines(reader, &At { value, at }),
        RawCitation::Quote(value) => {
            quotation(reader, at, value.document, value.quote, value.occurrence)
        }
    }
}

pub(super) fn lines(reader: &mut Reader<'_>, text: &At<String>) -> Option<Citation> {
    let citation = reader.parsed(Some(text), parse::citation)?;
    let place = reader.place(text.at);
    Some(Citation { place, ..citation })
}

pub(super) fn cited(
    reader: &mut Reader<'_>,
    At { value, at }: At<RawCited>,
) -> Option<(String, Citation)> {
    let citation = quotation(reader, at, value.document, value.quote, value.occurrence)?;
    Some((value.claim, citation))
}

fn quotation(
    reader: &mut Reader<'_>,
    at: Location,
    document: String,
    quote: String,
    occurrence: Option<u32>,
) -> Option<Citation> {
    let problem = if document.is_empty() {
        "empty `document`: expected the path of a document"
    } else if !quote.contains(char::is_alphanumeric) {
        "empty `quote`: expected words of the document"
    } else if occurrence == Some(0) {
        "`occurrence` starts at 1"
    } else {
        return Some(Citation {
            document,
            quote: Some(quote),
            occurrence,
            place: reader.place(at),
            ..Citation::default()
        });
    };
    reader.find(at, problem);
    None
}

pub(super) fn account(
    reader: &mut Reader<'_>,
    At { value: raw, at }: At<RawAccount>,
) -> Option<(Place, Account)> {
    let cites = reader.must(raw.cites, at, "missing `cites`: the lines");
    if raw.repeats.is_some() {
        reader.parsed(raw.repeats.as_ref(), parse::lines)?;
    }
    let repeats = raw.repeats.map(|lines| lines.value);
    let because = match (raw.because, &repeats) {
        (Some(because), None) => because.value,
        (None, Some(lines)) => format!("repeats lines {lines}"),
        (because, _) => {
            let found = match because {
                Some(_) => "both `because` and",
                None => "neither `because` nor",
            };
            reader.find(at, format!("{found} `repeats`: write one of them"));
            return None;
        }
    };
    let account = Account {
        cites: citation(reader, cites?)?,
        because,
        repeats,
    };
    Some((reader.place(at), account))
}

/// Reads a citation, and lists of them if `T` may be one.
struct Passages<T>(fn(RawCitation) -> T, Option<OfList<T>>);

type OfList<T> = fn(Vec<At<RawCitation>>) -> T;

impl<'de, T> Visitor<'de> for Passages<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.1.map_or("", |_| ", or a list of them");
        write!(
            f,
            "`DOCUMENT:LINES DIGEST` or a map of `document` and `quote`{list}"
        )
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(self.0(RawCitation::Lines(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        RawQuote::deserialize(MapAccessDeserializer::new(map))
            .map(|quote| self.0(RawCitation::Quote(quote)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<T, A::Error> {
        match self.1 {
            Some(many) => Vec::deserialize(SeqAccessDeserializer::new(items)).map(many),
            None => Err(Error::invalid_type(Unexpected::Seq, &self)),
        }
    }
}

impl<'de> Deserialize<'de> for RawCitation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Passages(|one| one, None))
    }
}

impl<'de> Deserialize<'de> for RawCitations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Passages(Self::One, Some(Self::Many)))
    }
}
