//! The suite format as written. Every field is optional here; the loader requires some. The comments become the
//! descriptions in the JSON schema.

use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::form::Written;
use super::super::step;
use super::super::yaml::{At, Entries, Several};
use super::cites::{RawAccount, RawCitations, RawCited};
use super::moments;

type Field<T> = Option<At<T>>;
type Text = Field<String>;

/// A suite file: one scenario and the claims that its evidence decides.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Suite")]
pub(super) struct RawSuite {
    /// The experiment, in one line.
    pub(super) scenario: Text,
    /// The manifest that `apply` applies; `manifests/` with the scenario's id if there is no `manifests`.
    pub(super) manifest: Text,
    /// Several manifests; `apply` without a path applies the first.
    pub(super) manifests: Field<Vec<At<String>>>,
    /// Listings by name, such as `NAME.txt:16-32 0123456789ab`: `{listing:NAME}` in kubectl's arguments is a file with them.
    pub(super) listings: Field<Entries<String>>,
    /// Requirements; on other clusters the claims are not applicable.
    pub(super) needs: Field<RawNeeds>,
    /// Approximate duration, such as `8s`; the longest scenarios start first.
    pub(super) takes: Text,
    /// In order.
    #[serde(default)]
    #[schemars(schema_with = "step::schema")]
    pub(super) steps: Field<Vec<At<Written>>>,
    /// Points of the timeline beyond the standard moments of pods.
    #[serde(default)]
    #[schemars(schema_with = "moments::schema")]
    pub(super) moments: Field<Entries<Written>>,
    /// Pods that no manifest names, such as those that a kubectl step creates; a trailing `*` matches any rest.
    pub(super) pods: Field<Vec<At<String>>>,
    /// Expressions by name, for the checks and for each other. Reports show those that a claim uses.
    pub(super) values: Field<Entries<String>>,
    /// The statements that the evidence decides; required except in a file with `cites` or `no_claim`.
    pub(super) claims: Field<Vec<At<RawClaim>>>,
    /// Passages of documents that make the statements of claims of other suites.
    pub(super) cites: Field<Vec<At<RawCited>>>,
    /// Lines of documents that need no claim.
    pub(super) no_claim: Field<Vec<At<RawAccount>>>,
}

/// Requirements.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Needs")]
pub(super) struct RawNeeds {
    /// Range of Kubernetes versions, such as `">=1.30, <1.34"`.
    pub(super) kubernetes: Text,
    /// Required states of feature gates.
    pub(super) gates: Field<Entries<bool>>,
    /// Required capabilities, such as `node-shell`.
    pub(super) capabilities: Field<Vec<At<String>>>,
}

/// A statement and how it is decided.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Claim")]
pub(super) struct RawClaim {
    /// Id, such as `poststart.concurrent-with-entrypoint`.
    #[schemars(required)]
    pub(super) id: Text,
    /// The statement in one sentence in your own words.
    #[schemars(required)]
    pub(super) says: Text,
    /// What is true instead, if the statement is refuted or qualified.
    pub(super) instead: Text,
    /// The passages of documents that make the statement, such as `NAME.txt:64,78-79 0123456789ab`, or quotations; absent
    /// if none does.
    pub(super) cites: Field<RawCitations>,
    /// Must be true before the others count.
    pub(super) control: Text,
    /// What is seen if the statement is true.
    pub(super) holds: Text,
    /// What is seen if the statement is false; not just `!holds`.
    pub(super) fails: Text,
    /// Several predictions; a `control` of the claim applies to all of them.
    pub(super) checks: Field<Vec<At<RawCheck>>>,
    /// Expressions by name that reports show in addition to the values used.
    pub(super) measures: Field<Entries<String>>,
    /// The known verdict, or a list of which the first that applies counts.
    pub(super) expect: Field<Several<RawExpectation>>,
    /// Why no experiment can decide it.
    pub(super) not_testable: Text,
}

/// One prediction of a claim.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Check")]
pub(super) struct RawCheck {
    /// Name, unique within the claim.
    #[schemars(required)]
    pub(super) name: Text,
    /// Requirements; elsewhere the check is not applicable.
    pub(super) needs: Field<RawNeeds>,
    /// Must be true before the others count.
    #[schemars(required)]
    pub(super) control: Text,
    /// What is seen if the statement is true.
    #[schemars(required)]
    pub(super) holds: Text,
    /// What is seen if the statement is false; not just `!holds`.
    #[schemars(required)]
    pub(super) fails: Text,
}

/// A verdict and the clusters that it applies to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Expectation")]
pub(super) struct RawExpectation {
    /// Range of Kubernetes versions.
    pub(super) kubernetes: Text,
    /// States of feature gates.
    pub(super) gates: Field<Entries<bool>>,
    /// Capabilities.
    pub(super) capabilities: Field<Vec<At<String>>>,
    /// The verdict.
    #[schemars(required)]
    pub(super) verdict: Text,
}

/// The JSON schema of suite files, for editors.
pub(crate) fn suite_schema() -> Value {
    let mut schema = schema_for!(RawSuite).to_value();
    schema["title"] = json!("hookproof suite");
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_describes_steps() {
        let schema = suite_schema();
        let step = &schema["properties"]["steps"]["items"]["anyOf"];
        assert_eq!(step[0]["enum"][0], "apply", "{schema:#}");
        assert_eq!(step[3]["required"], json!(["until"]));
        assert_eq!(step[3]["additionalProperties"], false);
        assert!(step[4]["properties"]["kubectl"]["description"].is_string());
        let claim = schema["$defs"]["Claim"]["required"].as_array();
        assert!(claim.is_some_and(|required| required.contains(&json!("id"))));
    }
}
