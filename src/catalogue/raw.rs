//! The suite format as it is written. Every field may be missing here: `super::lower` says what
//! must be there. The comments become the descriptions in the JSON schema that editors read.

use schemars::JsonSchema;
use serde::Deserialize;

use super::decode::{At, Entries};

type Field<T> = Option<At<T>>;
type Text = Field<String>;

/// A suite file: one scenario and the claims that its evidence decides.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Suite")]
pub(super) struct RawSuite {
    /// What is tried, in one line.
    pub(super) scenario: Text,
    /// The manifest that `apply` applies.
    pub(super) manifest: Text,
    /// The manifests, where there are several; a bare `apply` takes the first.
    pub(super) manifests: Field<Vec<At<String>>>,
    /// Listings of documents by name: `{listing:NAME}` in arguments of kubectl is a file with them.
    pub(super) listings: Field<Entries<RawCitation>>,
    /// What the cluster must have; elsewhere the claims are not applicable.
    pub(super) needs: Field<RawNeeds>,
    /// About how long it takes, such as `8s`; the longest scenarios are started first.
    pub(super) takes: Text,
    /// What is done, in order.
    pub(super) steps: Field<Vec<At<RawStep>>>,
    /// Points of the timeline beyond the standard moments of pods.
    pub(super) moments: Field<Entries<RawMoment>>,
    /// Pods that no manifest names, such as those that a kubectl step creates; a trailing `*` matches any rest.
    pub(super) pods: Field<Vec<At<String>>>,
    /// Expressions by name, for the checks and for each other. Reports show those that a claim uses.
    pub(super) values: Field<Entries<String>>,
    /// The statements that this decides.
    #[schemars(required)]
    pub(super) claims: Field<Vec<At<RawClaim>>>,
}

/// What a cluster must have.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Needs")]
pub(super) struct RawNeeds {
    /// Range of Kubernetes versions, such as `">=1.30, <1.34"`.
    pub(super) kubernetes: Text,
    /// Feature gates that must be set so.
    pub(super) gates: Field<Entries<bool>>,
    /// What the cluster must allow, such as `node-shell`.
    pub(super) capabilities: Field<Vec<At<String>>>,
}

/// A step: exactly one of the actions, and what goes with it. A word alone, such as `apply`, is
/// the action without anything.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StepMap", transform = super::schema::or_word)]
pub(super) struct RawStep {
    /// Action: apply a manifest; the first where none is named.
    pub(super) apply: Field<Option<String>>,
    /// Action: delete `pod/NAME`, `deployment/NAME` …, or several of them one after the other.
    pub(super) delete: Field<RawSeveral>,
    /// Action: wait for a moment, or for several.
    pub(super) until: Field<RawSeveral>,
    /// Action: the real kubectl with these arguments, in the scenario's namespace.
    pub(super) kubectl: Text,
    /// Action: a command on the node of `pod`.
    pub(super) node: Text,
    /// Action: a container of the agent's image beside the nodes, in no cluster, with this name.
    pub(super) outside: Text,
    /// `outside`: the command it runs.
    pub(super) command: Text,
    /// Action: let go what holds, or will hold, under this name.
    pub(super) release: Text,
    /// Action: end the background step of this name.
    pub(super) stop: Text,
    /// Action: wait until the background step of this name has ended by itself.
    pub(super) ended: Text,
    /// Action: GET of this path through the port-forward step named in `through`.
    pub(super) http: Text,
    /// Action: read an object such as `pod/NAME` and keep it.
    pub(super) get: Text,
    /// Action: let time pass that a claim is about; `because` says why.
    pub(super) pause: Text,
    /// Name under which the output is kept and appears in expressions.
    #[serde(rename = "as")]
    pub(super) as_: Text,
    /// The longest it may take; 60s where nothing is said.
    pub(super) cap: Text,
    /// `until`: continue after this time if the moment has not occurred, such as `8s`.
    pub(super) within: Text,
    /// `kubectl`: goes on beside the next steps.
    pub(super) background: Field<bool>,
    /// `kubectl`: what it reads on standard input.
    pub(super) stdin: Text,
    /// `kubectl`: `ordinary` runs it as a user without privileges.
    pub(super) user: Text,
    /// `apply`: ask the API server only what it would do.
    pub(super) dry_run: Field<bool>,
    /// `delete`: grace period in seconds.
    pub(super) grace: Field<i64>,
    /// `http`: name of the port-forward step.
    pub(super) through: Text,
    /// `release`: only holders in this pod; `node`: whose node.
    pub(super) pod: Text,
    /// `release`: only holders in this container.
    pub(super) container: Text,
    /// `release`: only holders in this start of the container, from 1.
    pub(super) start: Field<u32>,
    /// `pause`: why time itself is needed.
    pub(super) because: Text,
}

/// A point of the timeline: a stamp of the agent, a pod's state, an event or a printed line.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Moment")]
pub(super) struct RawMoment {
    /// Role of the agent's process that stamps, such as `hook`.
    pub(super) agent: Text,
    /// With `agent`: the stamp's name, such as `begun`.
    pub(super) stamp: Text,
    /// Pod name; a trailing `*` matches the rest. On its own: the pod whose state is meant.
    pub(super) pod: Text,
    /// With `agent`: the container.
    pub(super) container: Text,
    /// With `agent`: which start of the container, from 1.
    pub(super) start: Field<u32>,
    /// Reason of an event.
    pub(super) event: Text,
    /// Name of a background step that prints lines.
    pub(super) line: Text,
    /// With `line`: text that the line contains.
    pub(super) contains: Text,
    /// CEL condition over `stamp`, over `pod`, `status` and `deleted`, or over `event`.
    pub(super) when: Text,
    /// Which of the matching entries, from 1; 0 for the last.
    pub(super) nth: Field<u32>,
}

/// One statement and how it is decided.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Claim")]
pub(super) struct RawClaim {
    /// Id, such as `poststart.runs-beside-entrypoint`.
    #[schemars(required)]
    pub(super) id: Text,
    /// The statement in one sentence of one's own.
    #[schemars(required)]
    pub(super) says: Text,
    /// What is true instead, for where the statement is refuted or qualified.
    pub(super) instead: Text,
    /// Who says it; nobody where the claim goes beyond the documents.
    pub(super) cites: Field<Vec<At<RawCitation>>>,
    /// Must be true before either of the others counts.
    pub(super) control: Text,
    /// True if the statement is true.
    pub(super) holds: Text,
    /// True if the statement is false.
    pub(super) fails: Text,
    /// Several predictions, each with its own control, holds and fails.
    pub(super) checks: Field<Vec<At<RawCheck>>>,
    /// Values worth showing, as expressions by name.
    pub(super) measures: Field<Entries<String>>,
    /// The verdict that is known, or a table of them, the first that applies.
    pub(super) expect: Field<RawExpect>,
    /// Why no experiment can decide it; then there are no checks.
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
    /// Where it applies.
    pub(super) needs: Field<RawNeeds>,
    /// Must be true before either of the others counts.
    #[schemars(required)]
    pub(super) control: Text,
    /// True if the prediction comes true.
    #[schemars(required)]
    pub(super) holds: Text,
    /// True if its opposite comes true.
    #[schemars(required)]
    pub(super) fails: Text,
}

/// Lines of a document.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CitedLines")]
pub(super) struct RawCitation {
    /// The document's file name.
    #[schemars(required)]
    pub(super) document: Text,
    /// Lines: `64`, `78-79` or `"64, 78-79"`.
    #[schemars(required, with = "Option<LinesSchema>")]
    pub(super) lines: Text,
    /// First 12 hex digits of the SHA-256 of those lines, so that a changed text is noticed.
    pub(super) digest: Text,
}

/// For the schema: a number needs no quotes.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum LinesSchema {
    One(u32),
    Ranges(String),
}

/// One name, or a list of names.
#[derive(Debug, Clone, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Several")]
pub(super) enum RawSeveral {
    /// One.
    One(String),
    /// Several.
    Many(Vec<At<String>>),
}

/// A verdict, or a table of them.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Expect")]
pub(super) enum RawExpect {
    /// Everywhere the same.
    One(String),
    /// The first that applies.
    Table(Vec<At<RawExpectation>>),
}

/// A verdict and where it is known.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Expectation")]
pub(super) struct RawExpectation {
    /// Range of Kubernetes versions.
    pub(super) kubernetes: Text,
    /// Feature gates that are set so.
    pub(super) gates: Field<Entries<bool>>,
    /// What the cluster allows.
    pub(super) capabilities: Field<Vec<At<String>>>,
    /// The verdict.
    #[schemars(required)]
    pub(super) verdict: Text,
}

/// Deserializes a type that is written as text or as a list.
macro_rules! text_or_list {
    ($name:ident, $text:ident, $list:ident, $expected:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;

                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_unit<E: serde::de::Error>(self) -> Result<$name, E> {
                        Err(E::custom(concat!(
                            "expected ",
                            $expected,
                            ", found nothing"
                        )))
                    }

                    fn visit_str<E>(self, text: &str) -> Result<$name, E> {
                        Ok($name::$text(text.to_owned()))
                    }

                    fn visit_seq<A: serde::de::SeqAccess<'de>>(
                        self,
                        mut items: A,
                    ) -> Result<$name, A::Error> {
                        let mut list = Vec::new();
                        while let Some(item) = items.next_element()? {
                            list.push(item);
                        }
                        Ok($name::$list(list))
                    }
                }

                deserializer.deserialize_any(Visitor)
            }
        }
    };
}

text_or_list!(
    RawExpect,
    One,
    Table,
    "a verdict or a list of verdicts by version"
);
text_or_list!(RawSeveral, One, Many, "a name or a list of names");
