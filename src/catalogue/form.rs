//! Forms: maps whose kind is given by one of their fields, such as steps. Reading, the JSON schema and the reference
//! in docs/suites.md follow from the definition of a form.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use itertools::Itertools as _;
use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use serde_saphyr::Location;

use super::yaml::{At, Entries, Reader, Several};
use crate::expr::types::Fields;

/// One kind of map.
#[derive(Debug)]
pub(crate) struct Form<R> {
    /// The field that gives the kind.
    pub(super) name: &'static str,
    pub(super) argument: Argument,
    /// The kind in the reference, without a subject.
    pub(super) does: &'static str,
    /// The other fields.
    pub(super) options: &'static [Field],
    /// The fields of what it gives expressions.
    pub(super) output: Fields,
    /// What reads it.
    pub(super) read: R,
}

/// The value of the field that gives the kind, with its name in the reference.
#[derive(Debug, Clone, Copy)]
pub(super) enum Argument {
    One(&'static str),
    /// It, or a list.
    Several(&'static str),
    /// It, or nothing; then the field may be a bare word.
    Maybe(&'static str),
}

/// An option of a form.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    /// The JSON type.
    value: &'static str,
    pub(super) does: &'static str,
    required: bool,
}

impl Field {
    pub(super) const fn text(name: &'static str, does: &'static str) -> Self {
        Self::new(name, "string", does)
    }

    pub(super) const fn flag(name: &'static str, does: &'static str) -> Self {
        Self::new(name, "boolean", does)
    }

    pub(super) const fn number(name: &'static str, does: &'static str) -> Self {
        Self::new(name, "integer", does)
    }

    const fn new(name: &'static str, value: &'static str, does: &'static str) -> Self {
        Self {
            name,
            value,
            does,
            required: false,
        }
    }

    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// A form as written: its fields, or a bare word.
#[derive(Debug)]
pub(super) struct Written(Vec<(At<String>, At<Several>)>);

/// The fields of a form, of which those that are required are there.
#[derive(Debug)]
pub(super) struct Given {
    /// Where the whole is written.
    pub(super) at: Location,
    /// The value of the field that gives the kind.
    pub(super) argument: At<Several>,
    options: BTreeMap<&'static str, At<String>>,
}

impl Written {
    /// The one of `kinds` that this is, and its fields. Problems become findings.
    pub(super) fn read<'k, R>(
        self,
        reader: &mut Reader<'_>,
        at: Location,
        kinds: &'k [Form<R>],
    ) -> Option<(&'k Form<R>, Given)> {
        let placed = |key: At<String>| match key.at {
            Location::UNKNOWN => At { at, ..key },
            _ => key,
        };
        let fields = self.0.into_iter();
        let fields: Vec<_> = fields.map(|(key, value)| (placed(key), value)).collect();
        let has = |name: &str| fields.iter().any(|(key, _)| key.value == name);
        let given = kinds.iter().filter(|kind| has(kind.name)).collect_vec();
        // The name of one kind may be an option of another.
        let option = |kind: &Form<R>| given.iter().any(|other| other.has(kind.name));
        let mains = given
            .iter()
            .filter(|kind| !option(kind))
            .copied()
            .collect_vec();
        let kind = match mains.as_slice() {
            [kind] => *kind,
            [] => {
                let is_known = |key: &str| kinds.iter().any(|kind| kind.has(key));
                let mut unknown = fields.iter().filter(|(key, _)| !is_known(&key.value));
                let mut names = kinds.iter().map(|kind| kind.name);
                match unknown.next() {
                    Some((key, _)) => reader.unknown(key, names),
                    None => reader.find(at, format!("expected one of {}", names.join(", "))),
                }
                return None;
            }
            several => {
                let names = several.iter().map(|kind| kind.name).join("` and `");
                reader.find(at, format!("`{names}` in one map: make a map of each"));
                return None;
            }
        };
        let mut argument = None;
        let mut options = BTreeMap::new();
        for (key, value) in fields {
            let mut known = kind.options.iter();
            if key.value == kind.name {
                argument = Some(value);
            } else if let Some(option) = known.find(|option| option.name == key.value) {
                let text = one(reader, &key.value, value);
                options.extend(text.map(|text| (option.name, text)));
            } else if kinds.iter().any(|other| other.has(&key.value)) {
                let message = format!("`{}` does not go with `{}`", key.value, kind.name);
                reader.find(key.at, message);
            } else {
                reader.unknown(&key, kind.options.iter().map(|option| option.name));
            }
        }
        let mut complete = true;
        for option in kind.options.iter().filter(|option| option.required) {
            if !options.contains_key(option.name) {
                reader.find(at, format!("missing `{}`: {}", option.name, option.does));
                complete = false;
            }
        }
        let given = Given {
            at,
            argument: argument?,
            options,
        };
        complete.then_some((kind, given))
    }
}

/// The text of a field.
pub(super) fn one(reader: &mut Reader<'_>, name: &str, value: At<Several>) -> Option<At<String>> {
    let found = match value.value {
        Several::One(text) => {
            return Some(At {
                value: text,
                at: value.at,
            });
        }
        Several::Many(_) => "a list",
        Several::Nothing => "nothing",
    };
    reader.find(value.at, format!("`{name}`: expected text, found {found}"));
    None
}

impl Given {
    pub(super) fn option(&self, name: &str) -> Option<&At<String>> {
        self.options.get(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.option(name).map(|at| at.value.clone())
    }

    /// An option that is `true` or `false`; absent is `false`.
    pub(super) fn flag(&self, reader: &mut Reader<'_>, name: &str) -> bool {
        self.value(reader, name, "`true` or `false`")
            .unwrap_or(false)
    }

    pub(super) fn number<T: FromStr>(&self, reader: &mut Reader<'_>, name: &str) -> Option<T> {
        self.value(reader, name, "a whole number")
    }

    fn value<T: FromStr>(&self, reader: &mut Reader<'_>, name: &str, expected: &str) -> Option<T> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| format!("`{name}`: expected {expected}, found `{text}`"))
        };
        reader.parsed(self.option(name), parse)
    }
}

impl<R> Form<R> {
    fn has(&self, option: &str) -> bool {
        self.options.iter().any(|known| known.name == option)
    }

    fn value(&self) -> Value {
        match self.argument {
            Argument::One(title) => json!({"type": "string", "title": title}),
            Argument::Several(title) => {
                let one = json!({"type": "string", "title": title});
                json!({"anyOf": [one, {"type": "array", "items": one}]})
            }
            Argument::Maybe(title) => json!({"type": ["string", "null"], "title": title}),
        }
    }

    fn map_schema(&self) -> Value {
        let described = |mut value: Value, does: &str| {
            value["description"] = json!(does);
            value
        };
        let mut properties =
            Map::from_iter([(self.name.to_owned(), described(self.value(), self.does))]);
        let options = self.options.iter();
        properties.extend(options.map(|option| {
            let value = described(json!({"type": option.value}), option.does);
            (option.name.to_owned(), value)
        }));
        let required = self.options.iter().filter(|option| option.required);
        let required = required.map(|option| option.name);
        let required: Vec<&str> = std::iter::once(self.name).chain(required).collect();
        json!({"type": "object", "additionalProperties": false, "properties": properties, "required": required})
    }

    /// The JSON schema of a map of one of these kinds.
    pub(super) fn schema(kinds: &[Self]) -> schemars::Schema {
        let words = kinds
            .iter()
            .filter(|kind| matches!(kind.argument, Argument::Maybe(_)));
        let words = words.map(|kind| kind.name).collect_vec();
        let words = (!words.is_empty()).then(|| json!({"enum": words}));
        let all = words.into_iter().chain(kinds.iter().map(Self::map_schema));
        let all: Vec<Value> = all.collect();
        schemars::json_schema!({"anyOf": all})
    }

    #[cfg(test)]
    /// The cells of the reference: how it is written, what it does, and its options.
    pub(super) fn reference(&self) -> String {
        let name = self.name;
        let syntax = match self.argument {
            Argument::One(argument) => format!("`{name}: {argument}`"),
            Argument::Several(argument) => format!("`{name}: {argument}` or a list"),
            Argument::Maybe(argument) => format!("`{name}`, `{name}: {argument}`"),
        };
        let mut options = self
            .options
            .iter()
            .map(|option| match (option.name, option.does) {
                // Described once for all kinds.
                (name @ ("as" | "cap" | "kubernetes" | "nth"), _) => format!("`{name}`"),
                (name, does) if option.required => format!("`{name}` (required): {does}"),
                (name, does) => format!("`{name}`: {does}"),
            });
        format!("| {syntax} | {} | {}", self.does, options.join("; "))
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrMap;

        impl<'de> Visitor<'de> for WordOrMap {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word or a map")
            }

            fn visit_str<E>(self, word: &str) -> Result<Written, E> {
                let at = Location::UNKNOWN;
                let value = word.to_owned();
                let nothing = Several::Nothing;
                Ok(Written(vec![(At { value, at }, At { value: nothing, at })]))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Written, A::Error> {
                Entries::deserialize(MapAccessDeserializer::new(map))
                    .map(|entries| Written(entries.0))
            }
        }

        deserializer.deserialize_any(WordOrMap)
    }
}
