//! Manifests as the API server would read them.

use serde_json::Value;

use super::finding::Finding;
use super::model::{Manifest, Place};

/// The objects of a manifest, empty documents left out. YAML is read the way kubectl does:
/// `0555` is an octal number, `yes` is true.
///
/// # Errors
/// Where it is not YAML: line, column and what is wrong.
pub fn documents(text: &str) -> Result<Vec<Value>, (u32, u32, String)> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let at = error
            .location()
            .map_or((1, 1), |at| (number(at.line()), number(at.column())));
        (at.0, at.1, error.without_snippet().to_string())
    })
}

/// Notes what would keep a manifest from being applied.
pub(super) fn check(shown: &str, manifest: &Manifest, findings: &mut Vec<Finding>) {
    let place = |line, column| Place {
        file: shown.to_owned(),
        line,
        column,
    };
    let documents = match documents(&manifest.text) {
        Ok(documents) => documents,
        Err((line, column, message)) => {
            findings.push(Finding::new(
                &place(line, column),
                format!("not YAML: {message}"),
            ));
            return;
        }
    };
    if documents.is_empty() {
        findings.push(Finding::new(&place(1, 1), "the manifest is empty"));
    }
    for (n, document) in documents.iter().enumerate() {
        let has = |path| document.pointer(path).and_then(Value::as_str).is_some();
        for path in ["/apiVersion", "/kind", "/metadata/name"] {
            if !has(path) {
                let name = path.trim_start_matches('/').replace('/', ".");
                let message = format!("document {} has no `{name}`", n + 1);
                findings.push(Finding::new(&place(1, 1), message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_and_words_mean_what_kubectl_takes_them_for() {
        let read = documents("mode: 0555\non: yes\nname: '0555'\n---\n---\nx: 1\n").unwrap();
        assert_eq!(
            read,
            [
                serde_json::json!({"mode": 365, "on": true, "name": "0555"}),
                serde_json::json!({"x": 1})
            ]
        );
    }
}
