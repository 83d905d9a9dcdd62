//! JSON schema of the suite format, for editors.

use schemars::{Schema, schema_for};
use serde_json::{Value, json};

use super::raw::RawSuite;

#[must_use]
pub fn suite_schema() -> Value {
    let mut schema = schema_for!(RawSuite).to_value();
    schema["title"] = json!("hookproof suite");
    schema
}

/// A step may be a bare word.
pub(super) fn or_word(schema: &mut Schema) {
    let map = schema.clone().to_value();
    *schema = schemars::json_schema!({ "anyOf": [{ "enum": ["apply"] }, map] });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_describes_steps() {
        let schema = suite_schema();
        let step = &schema["$defs"]["StepMap"]["anyOf"];
        assert_eq!(step[0]["enum"][0], "apply");
        assert!(
            step[1]["properties"]["kubectl"]["description"].is_string(),
            "{step}"
        );
        assert_eq!(step[1]["additionalProperties"], false);
        assert!(
            schema["$defs"]["Claim"]["required"]
                .as_array()
                .is_some_and(|r| r.contains(&json!("id")))
        );
    }
}
