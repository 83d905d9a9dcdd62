//! Decodes YAML nodes into the types in [`super::raw`]. An unknown field or a wrong type is a finding and leaves
//! its value missing; decoding continues.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

use super::finding::Finding;
use super::model::Place;
use super::node::{Kind, Node};

/// A value with its place; absent if it was invalid, which has been reported.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) place: Place,
    pub(super) value: Option<T>,
}

/// The entries of a map in the order written, with the places of their keys.
#[derive(Debug, Clone)]
pub(super) struct Entries<T>(pub(super) Vec<(At<String>, At<T>)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Decodes a node; problems go to `findings`.
pub(super) fn decode<'de, T: Deserialize<'de>>(
    node: &'de Node,
    findings: &mut Vec<Finding>,
) -> Option<T> {
    let sink = RefCell::new(Vec::new());
    let decoded = T::deserialize(Decoder {
        node,
        place: &node.place,
        sink: &sink,
        field: None,
    });
    findings.append(&mut sink.into_inner());
    match decoded {
        Ok(value) => Some(value),
        Err(error) => {
            findings.push(Finding::new(&node.place, error.0));
            None
        }
    }
}

/// Why a value does not have the expected type.
#[derive(Debug)]
pub(super) struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

#[derive(Clone, Copy)]
struct Decoder<'a, 'de> {
    node: &'de Node,
    place: &'de Place,
    sink: &'a RefCell<Vec<Finding>>,
    /// The field that this is the value of. There, `null` is a value.
    field: Option<&'static str>,
}

const AT: &str = "hookproof-at";
/// A step may be a bare word: a map with only that key.
const BARE_WORDS: &str = "RawStep";

impl<'de> Decoder<'_, 'de> {
    fn wrong(&self, wanted: &str) -> Wrong {
        let of = self
            .field
            .map(|field| format!("`{field}`: "))
            .unwrap_or_default();
        Wrong(format!(
            "{of}expected {wanted}, found {}",
            self.node.describe()
        ))
    }

    fn scalar(&self, wanted: &str) -> Result<&'de str, Wrong> {
        match &self.node.kind {
            Kind::Scalar { text, .. } if !self.node.is_null() => Ok(text),
            _ => Err(self.wrong(wanted)),
        }
    }

    fn number<T: std::str::FromStr>(&self, wanted: &str) -> Result<T, Wrong> {
        match &self.node.kind {
            Kind::Scalar { text, plain: true } => text.parse().map_err(|_| self.wrong(wanted)),
            _ => Err(self.wrong(wanted)),
        }
    }

    fn of(self, node: &'de Node) -> Self {
        Self {
            node,
            place: &node.place,
            sink: self.sink,
            field: None,
        }
    }
}

impl<'de> Deserializer<'de> for Decoder<'_, 'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.kind {
            _ if self.node.is_null() => visitor.visit_unit(),
            Kind::Scalar { text, .. } => visitor.visit_borrowed_str(text),
            Kind::List(_) => self.deserialize_seq(visitor),
            Kind::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_borrowed_str(self.scalar("text")?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_bool(self.number("a boolean")?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_u32(self.number("a whole number, 0 or more")?)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_i64(self.number("a whole number")?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.node.is_null() && self.field.is_none() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let Kind::List(items) = &self.node.kind else {
            return Err(self.wrong("a list"));
        };
        visitor.visit_seq(Items {
            decoder: self,
            items: items.iter(),
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let Kind::Map(entries) = &self.node.kind else {
            return Err(self.wrong("a map"));
        };
        visitor.visit_map(Pairs {
            decoder: self,
            entries: entries.iter(),
            value: None,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let entries: Vec<(&'de Node, &'de Node)> = match &self.node.kind {
            Kind::Map(entries) => entries.iter().map(|(key, value)| (key, value)).collect(),
            Kind::Scalar { plain: true, .. } if name == BARE_WORDS && !self.node.is_null() => {
                vec![(self.node, &EMPTY)]
            }
            _ => return Err(self.wrong("a map")),
        };
        visitor.visit_map(Fields {
            decoder: self,
            known: fields,
            entries: entries.into_iter(),
            value: None,
        })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        if name == AT {
            visitor.visit_seq(Placed {
                decoder: self,
                next: 0,
            })
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        tuple tuple_struct enum identifier ignored_any
    }
}

static EMPTY: Node = Node {
    place: Place {
        file: String::new(),
        line: 0,
        column: 0,
    },
    kind: Kind::Scalar {
        text: String::new(),
        plain: true,
    },
};

struct Items<'a, 'de> {
    decoder: Decoder<'a, 'de>,
    items: std::slice::Iter<'de, Node>,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Wrong> {
        self.items
            .next()
            .map(|item| seed.deserialize(self.decoder.of(item)))
            .transpose()
    }
}

struct Pairs<'a, 'de> {
    decoder: Decoder<'a, 'de>,
    entries: std::slice::Iter<'de, (Node, Node)>,
    value: Option<&'de Node>,
}

impl<'de> MapAccess<'de> for Pairs<'_, 'de> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(self.decoder.of(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let value = self.value.take().unwrap_or(&EMPTY);
        seed.deserialize(self.decoder.of(value))
    }
}

struct Fields<'a, 'de> {
    decoder: Decoder<'a, 'de>,
    known: &'static [&'static str],
    entries: std::vec::IntoIter<(&'de Node, &'de Node)>,
    value: Option<(&'static str, &'de Node)>,
}

impl<'de> MapAccess<'de> for Fields<'_, 'de> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        for (key, value) in self.entries.by_ref() {
            let name = match &key.kind {
                Kind::Scalar { text, .. } => text.as_str(),
                _ => "",
            };
            if let Some(field) = self.known.iter().find(|field| **field == name) {
                self.value = Some((field, value));
                let key: StrDeserializer<'_, Wrong> = (*field).into_deserializer();
                return seed.deserialize(key).map(Some);
            }
            let finding = Finding::new(&key.place, format!("unknown field {}", key.describe()));
            let finding = if name.contains(|c: char| !c.is_alphanumeric() && c != '_' && c != '-') {
                finding.with_help("if this is part of the previous value, put that value in quotes")
            } else {
                finding.with_near(name, self.known.iter().copied())
            };
            self.decoder.sink.borrow_mut().push(finding);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let (field, node) = self.value.take().unwrap_or(("", &EMPTY));
        let place = if node.place.line == 0 {
            self.decoder.place
        } else {
            &node.place
        };
        seed.deserialize(Decoder {
            node,
            place,
            sink: self.decoder.sink,
            field: Some(field),
        })
    }
}

/// Deserializes an [`At`]: its place, then its value.
struct Placed<'a, 'de> {
    decoder: Decoder<'a, 'de>,
    next: u8,
}

impl<'de> SeqAccess<'de> for Placed<'_, 'de> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Wrong> {
        let place = self.decoder.place;
        self.next += 1;
        match self.next {
            1 => seed
                .deserialize(place.file.as_str().into_deserializer())
                .map(Some),
            2 => seed.deserialize(place.line.into_deserializer()).map(Some),
            3 => seed.deserialize(place.column.into_deserializer()).map(Some),
            _ => {
                // The inner type reports an empty value, since it knows the field's name.
                let mut decoder = self.decoder;
                if decoder.node.is_null() {
                    decoder.field = None;
                }
                seed.deserialize(decoder).map(Some).inspect_err(|error| {
                    let of = match (self.decoder.field, decoder.field) {
                        (Some(field), None) => format!("`{field}`: "),
                        _ => String::new(),
                    };
                    let finding = Finding::new(place, format!("{of}{}", error.0));
                    self.decoder.sink.borrow_mut().push(finding);
                })
            }
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AtVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for AtVisitor<T> {
            type Value = At<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its place")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<At<T>, A::Error> {
                let place = Place {
                    file: parts.next_element()?.unwrap_or_default(),
                    line: parts.next_element()?.unwrap_or_default(),
                    column: parts.next_element()?.unwrap_or_default(),
                };
                // The decoder has reported the problem.
                let value = parts.next_element::<T>().ok().flatten();
                Ok(At { place, value })
            }
        }

        deserializer.deserialize_newtype_struct(AT, AtVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Entries".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        std::collections::BTreeMap::<String, T>::json_schema(generator)
    }
}
