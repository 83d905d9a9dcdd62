//! Forms: maps whose kind is given by one of their fields, such as steps. Reading, the JSON schema and the reference
//! in docs/suites.md follow from the definition of a form.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::once;
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
    pub(super) options: &'static [Field],
    /// The fields of what it gives expressions.
    pub(super) output: Fields,
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
#[derive(Debug, Default)]
pub(super) struct Written(Vec<(At<String>, At<Several>)>);

/// The fields of a form, of which those that are required are there.
#[derive(Debug)]
pub(crate) struct Given {
    pub(super) at: Location,
    /// The field that gives the kind.
    name: &'static str,
    /// The value of the field that gives the kind.
    pub(super) argument: At<Several>,
    options: BTreeMap<&'static str, At<String>>,
}

impl Written {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        match &fields.find(|(key, _)| key.value == name)?.1.value {
            Several::One(text) => Some(text),
            _ => None,
        }
    }

    /// The one of `kinds` that this is, and its fields. Problems become findings.
    pub(super) fn read<'k, R>(
        self,
        reader: &mut Reader<'_>,
        at: Location,
        kinds: &'k [Form<R>],
    ) -> Option<(&'k Form<R>, Given)> {
        let mut fields = self.0;
        if let [(word, nothing)] = fields.as_mut_slice()
            && word.at == Location::UNKNOWN
        {
            (word.at, nothing.at) = (at, at);
        }
        let is_given = |kind: &&Form<R>| fields.iter().any(|(key, _)| key.value == kind.name);
        let given = kinds.iter().filter(is_given).collect_vec();
        // The name of one kind may be an option of another.
        let is_option = |kind: &&&Form<R>| given.iter().any(|other| other.has(kind.name));
        let mains = given.iter().filter(|kind| !is_option(kind)).collect_vec();
        let kind = match mains.as_slice() {
            [kind] => **kind,
            [] => {
                let is_known = |key: &str| kinds.iter().any(|kind| kind.has(key));
                let mut unknown = fields.iter().filter(|(key, _)| !is_known(&key.value));
                let mut names = kinds.iter().map(|kind| kind.name);
                match unknown.next() {
                    Some((key, _)) => reader.unknown(key.at, &key.value, names),
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
                let known = kind.options.iter().map(|option| option.name);
                reader.unknown(key.at, &key.value, known);
            }
        }
        let required = kind.options.iter().filter(|option| option.required);
        let missing = required
            .filter(|option| !options.contains_key(option.name))
            .collect_vec();
        for option in &missing {
            reader.find(at, format!("missing `{}`: {}", option.name, option.does));
        }
        let given = Given {
            at,
            name: kind.name,
            argument: argument?,
            options,
        };
        missing.is_empty().then_some((kind, given))
    }
}

fn one(reader: &mut Reader<'_>, name: &str, At { value, at }: At<Several>) -> Option<At<String>> {
    let found = match value {
        Several::One(value) => return Some(At { value, at }),
        Several::Many(_) => "a list",
        Several::Nothing => "nothing",
    };
    reader.find(at, format!("`{name}`: expected text, found {found}"));
    None
}

impl Given {
    pub(super) fn argument(&self, reader: &mut Reader<'_>) -> Option<At<String>> {
        one(reader, self.name, self.argument.clone())
    }

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

    fn map_schema(&self) -> Value {
        let one = |title| json!({"type": "string", "title": title});
        let mut argument = match self.argument {
            Argument::One(title) => one(title),
            Argument::Several(title) => {
                json!({"anyOf": [one(title), {"type": "array", "items": one(title)}]})
            }
            Argument::Maybe(title) => json!({"type": ["string", "null"], "title": title}),
        };
        argument["description"] = self.does.into();
        let options = self.options.iter().map(|option| {
            let value = json!({"type": option.value, "description": option.does});
            (option.name.to_owned(), value)
        });
        let properties: Map<_, _> = once((self.name.to_owned(), argument))
            .chain(options)
            .collect();
        let required = self.options.iter().filter(|option| option.required);
        let required = once(self.name)
            .chain(required.map(|option| option.name))
            .collect_vec();
        json!({"type": "object", "additionalProperties": false, "properties": properties, "required": required})
    }

    /// The JSON schema of a map of one of these kinds.
    pub(super) fn schema(kinds: &[Self]) -> schemars::Schema {
        let bare = |kind: &&Self| matches!(kind.argument, Argument::Maybe(_));
        let words = kinds
            .iter()
            .filter(bare)
            .map(|kind| kind.name)
            .collect_vec();
        let words = (!words.is_empty()).then(|| json!({"enum": words}));
        let maps = kinds.iter().map(Self::map_schema);
        let all = words.into_iter().chain(maps).collect_vec();
        schemars::json_schema!({"anyOf": all})
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

#[cfg(test)]
mod tests {
    use super::*;

    impl<R> Form<R> {
        /// The cells of the reference: how it is written, what it does, and its options.
        pub(in crate::catalogue) fn reference(&self) -> String {
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
}
