//! Secrets in what programs print: the run's token, also in Base64, and credentials in well-known forms.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use itertools::Itertools as _;
use regex::{Captures, Regex};
use serde_json::Value;

/// JSON web tokens, private keys in PEM, the same in Base64, and keys and tokens of kubeconfigs.
const FORMS: [&str; 4] = [
    r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+",
    r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END|\z)",
    r"LS0tLS1CRUdJTi[A-Za-z0-9+/=\s]{32,}",
    r#"(?:client-key-data|token)["']?:\s*["']?[A-Za-z0-9+/=._-]{16,}"#,
];

pub(super) struct Secrets {
    /// The token in plain text.
    token: String,
    /// All other forms.
    forms: Option<Regex>,
}

impl Secrets {
    pub(super) fn new(token: &str) -> Self {
        let encoded = encoded(token).into_iter().map(|text| {
            // Programs that encode break lines anywhere.
            let mut chars = text.chars().map(|c| regex::escape(&c.to_string()));
            chars.join(r"[\r\n]*")
        });
        let mut all = encoded.chain(FORMS.map(str::to_owned));
        Self {
            token: token.to_owned(),
            // A test compiles these forms.
            forms: Regex::new(&all.join("|")).ok(),
        }
    }

    /// Masks secrets in all texts of an output. Lines keep their number, so that lists of lines match their text.
    pub(super) fn redact(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(masked) = self.masked(text) {
                    *text = masked;
                }
            }
            Value::Array(items) => self.redact_list(items),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.redact(field)),
            _ => {}
        }
    }

    /// Lines that a program printed are masked together: a secret may continue on the next line.
    fn redact_list(&self, items: &mut [Value]) {
        for stream in ["stdout", "stderr"] {
            let of_stream = |item: &&mut Value| item["stream"] == stream;
            let mut lines: Vec<&mut Value> = items.iter_mut().filter(of_stream).collect();
            let mut text = lines.iter().filter_map(|line| line["text"].as_str());
            let Some(masked) = self.masked(&text.join("\n")) else {
                continue;
            };
            for (line, text) in lines.iter_mut().zip(masked.split('\n')) {
                line["text"] = Value::from(text);
            }
        }
        for item in items {
            self.redact(item);
        }
    }

    fn masked(&self, text: &str) -> Option<String> {
        let plain = text.replace(&self.token, "(token)");
        let mask = |found: &Captures<'_>| -> String {
            let breaks = found[0].matches(['\r', '\n']);
            format!("(secret){}", breaks.format(""))
        };
        let masked = match &self.forms {
            Some(forms) => forms.replace_all(&plain, mask).into_owned(),
            None => "(hidden)".to_owned(),
        };
        (masked != text).then_some(masked)
    }
}

/// What every Base64 text with the token contains, depending on the number of bytes before it.
fn encoded(token: &str) -> Vec<String> {
    (0..3)
        .map(|before| {
            let mut text = vec![0; before];
            text.extend_from_slice(token.as_bytes());
            let encoded = BASE64.encode(&text);
            // The first and the last digits also depend on the bytes around the token.
            let from = (before * 8).div_ceil(6);
            let to = text.len() * 8 / 6;
            encoded.get(from..to).unwrap_or_default().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const TOKEN: &str = "abcdefghijklmnopqrstuvwx";

    #[rstest]
    #[case::plain("x abcdefghijklmnopqrstuvwx y", "x (token) y")]
    #[case::jwt("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl.", "(secret).")]
    #[case::key("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END", "(secret)\n\n")]
    #[case::kubeconfig(
        "    client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQ==",
        "    (secret)"
    )]
    #[case::other(
        "token: short, -----BEGIN CERTIFICATE-----",
        "token: short, -----BEGIN CERTIFICATE-----"
    )]
    fn secrets_are_masked(#[case] text: &str, #[case] masked: &str) {
        let mut value = json!({"stdout": text});
        Secrets::new(TOKEN).redact(&mut value);
        assert_eq!(value, json!({"stdout": masked}));
    }

    proptest! {
        /// `env | base64`
        #[test]
        fn the_token_is_masked_in_base64(before in "[A-Z=\n]{0,90}", after in "[A-Z=\n]{0,20}", width in 20_usize..80) {
            let encoded = BASE64.encode(format!("{before}{TOKEN}{after}"));
            let lines: Vec<&str> = encoded.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
            let rows: Vec<Value> = lines.iter().map(|line| json!({"stream": "stdout", "text": line})).collect();
            let mut value = json!({"stdout": lines.join("\n") + "\n", "lines": rows});
            Secrets::new(TOKEN).redact(&mut value);
            let text = value["stdout"].as_str().unwrap();
            prop_assert!(text.contains("(secret)"), "{text}");
            let rows: Vec<&str> = value["lines"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect();
            prop_assert_eq!(rows.join("\n") + "\n", text);
        }
    }
}
