//! YAML with places: values keep the line and column of their text, and problems become findings.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::from_fn;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Error, Location, MessageFormatter, Spanned};

use super::finding::{Finding, Place};

// A value and where it is written. As a doc comment, this would be in the JSON schema.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(transparent)]
pub(super) struct At<T> {
    pub(super) value: T,
    #[schemars(skip)]
    pub(super) at: Location,
}

/// The entries of a map in the order written, with the places of their keys.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(inline)]
pub(super) struct Entries<T>(
    #[schemars(with = "BTreeMap<String, T>")] pub(super) Vec<(At<String>, At<T>)>,
);

/// One text, or a list.
#[derive(Debug, Clone, JsonSchema)]
#[serde(untagged)]
pub(super) enum Several<T = String> {
    /// One.
    One(String),
    /// Several.
    Many(Vec<At<T>>),
    #[schemars(skip)]
    Nothing,
}

/// How all YAML is read: what a file may contain is bounded, aliases above all, and errors show no part of it.
pub(crate) fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! { max_nodes: 50_000, max_events: 150_000, max_documents: 256 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 5_000 },
    }
}

/// Reads a file of one document. A value of the wrong shape ends the reading, so it is the only finding of its file.
pub(super) fn read<T: DeserializeOwned>(reader: &mut Reader<'_>) -> Option<At<T>> {
    let mut options = options();
    options.strict_booleans = true;
    match serde_saphyr::from_str_with_options(reader.source, options) {
        Ok(read) => Some(read),
        Err(error) => {
            reader.explain(&error);
            None
        }
    }
}

/// A type as the rest of the messages call it.
fn plain(name: &str) -> &str {
    match name {
        "sequence start" | "sequence" => "a list",
        "mapping start" | "map" => "a map",
        "string scalar" => "text",
        other => other,
    }
}

/// Collects the findings of a suite file while it is read.
pub(super) struct Reader<'a> {
    pub(super) file: &'a str,
    pub(super) source: &'a str,
    pub(super) findings: Vec<Finding>,
}

impl Reader<'_> {
    pub(super) fn place(&self, at: Location) -> Place {
        place(self.file, at)
    }

    pub(super) fn find(&mut self, at: Location, message: impl Into<String>) {
        self.findings.push(Finding::new(&self.place(at), message));
    }

    /// A finding about a word, with the most similar known one as a suggestion.
    pub(super) fn find_near<'a>(
        &mut self,
        at: Location,
        message: impl Into<String>,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        let finding = Finding::new(&self.place(at), message);
        self.findings.push(finding.with_near(word, known));
    }

    /// A finding about a field that its owner does not have.
    pub(super) fn unknown<'a>(
        &mut self,
        at: Location,
        field: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        let finding = Finding::new(&self.place(at), format!("unknown field `{field}`"));
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        self.findings.push(if field.chars().all(is_name) {
            finding.with_near(field, known)
        } else {
            finding.with_help("if this is part of the previous value, put that value in quotes")
        });
    }

    /// A finding about what keeps the file from being read.
    fn explain(&mut self, error: &Error) {
        let at = error.location().unwrap_or(Location::UNKNOWN);
        let message = match error {
            Error::MultipleDocuments { .. } => {
                let finding = Finding::new(&self.place(at), "a suite file holds one YAML document");
                let help = "move what follows `---` to a file of its own";
                return self.findings.push(finding.with_help(help));
            }
            Error::SerdeUnknownField {
                field, expected, ..
            } => {
                return self.unknown(at, field, expected.iter().copied());
            }
            Error::DuplicateMappingKey { key, .. } => {
                format!("duplicate key `{}`", key.as_deref().unwrap_or_default())
            }
            Error::SerdeInvalidType {
                unexpected,
                expected,
                ..
            } => {
                format!("expected {expected}, found {}", plain(unexpected))
            }
            Error::Unexpected { expected, .. } => format!("expected {}", plain(expected)),
            Error::InvalidBooleanStrict { .. } => "expected `true` or `false`".to_owned(),
            Error::Message { msg, .. } => msg.clone(),
            other => {
                let message = serde_saphyr::DefaultMessageFormatter.format_message(other);
                format!("not YAML: {message}")
            }
        };
        self.find(at, message);
    }

    pub(super) fn must<T>(
        &mut self,
        field: Option<At<T>>,
        owner: Location,
        missing: &str,
    ) -> Option<At<T>> {
        if field.is_none() {
            self.find(owner, missing);
        }
        field
    }

    /// Reads the items of a list, of which those with problems are left out.
    pub(super) fn each<T, U>(
        &mut self,
        list: Option<At<Vec<At<T>>>>,
        read: impl Fn(&mut Self, At<T>) -> Option<U>,
    ) -> Vec<U> {
        let items = filled(list).into_iter();
        items.filter_map(|item| read(self, item)).collect()
    }

    /// Drops what is more than a suite may have of something.
    pub(super) fn at_most<T>(
        &mut self,
        most: usize,
        what: &str,
        field: &mut Option<At<impl AsMut<Vec<T>>>>,
    ) {
        if let Some(At { value, at }) = field
            && value.as_mut().len() > most
        {
            let message = format!("{} {what}; {most} are allowed", value.as_mut().len());
            let help = "make several suites of this one";
            self.findings
                .push(Finding::new(&self.place(*at), message).with_help(help));
            value.as_mut().truncate(most);
        }
    }

    /// A value read by one of the parsers in [`super::parse`].
    pub(super) fn parsed<T>(
        &mut self,
        field: Option<&At<String>>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let At { value, at } = field?;
        parse(value).map_err(|message| self.find(*at, message)).ok()
    }
}

pub(super) fn place(file: &str, at: Location) -> Place {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    Place::new(file, number(at.line()), number(at.column()))
}

/// The value of a field, or an empty one.
pub(super) fn filled<T: Default>(field: Option<At<T>>) -> T {
    field.map(|field| field.value).unwrap_or_default()
}

impl<T> AsMut<Vec<(At<String>, At<T>)>> for Entries<T> {
    fn as_mut(&mut self) -> &mut Vec<(At<String>, At<T>)> {
        &mut self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::deserialize(deserializer)?;
        let (value, at) = (spanned.value, spanned.referenced);
        Ok(Self { value, at })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMap<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let entries = from_fn(|| map.next_entry().transpose());
                entries.collect::<Result<_, _>>().map(Entries)
            }
        }

        deserializer.deserialize_map(OfMap(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrList<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for TextOrList<T> {
            type Value = Several<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a list")
            }

            fn visit_unit<E>(self) -> Result<Several<T>, E> {
                Ok(Several::Nothing)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Several<T>, E> {
                Ok(Several::One(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Several<T>, E> {
                Ok(Several::One(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Several<T>, E> {
                Ok(Several::One(value.to_string()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Several<T>, E> {
                Ok(Several::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Several<T>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(Several::Many)
            }
        }

        deserializer.deserialize_any(TextOrList(PhantomData))
    }
}
