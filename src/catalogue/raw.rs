//! The suite format as written. Every field is optional here; `super::lower` requires some. The comments become the
//! descriptions in the JSON schema.

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
    pub(super) steps: Field<Vec<At<RawStep>>>,
    /// Points of the timeline beyond the standard moments of pods.
    pub(super) moments: Field<Entries<RawMoment>>,
    /// Pods that no manifest names, such as those that a kubectl step creates; a trailing `*` matches any rest.
    pub(super) pods: Field<Vec<At<String>>>,
    /// Expressions by name, for the checks and for each other. Reports show those that a claim uses.
    pub(super) values: Field<Entries<String>>,
    /// The statements that the evidence decides.
    #[schemars(required)]
    pub(super) claims: Field<Vec<At<RawClaim>>>,
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

/// A step: exactly one action and its options. A bare word, such as `apply`, is the action without options.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StepMap", transform = super::schema::or_word)]
pub(super) struct RawStep {
    /// Action: apply a manifest; the first if none is named.
    pub(super) apply: Field<Option<String>>,
    /// Action: delete `pod/NAME`, `deployment/NAME` …, or several of them one after the other.
    pub(super) delete: Field<RawSeveral>,
    /// Action: wait for a moment, or for several.
    pub(super) until: Field<RawSeveral>,
    /// Action: run kubectl with these arguments in the scenario's namespace.
    pub(super) kubectl: Text,
    /// Action: run a command on the node of `pod`.
    pub(super) node: Text,
    /// Action: start a container of the agent's image outside the cluster, with this name.
    pub(super) outside: Text,
    /// `outside`: the container's command.
    pub(super) command: Text,
    /// Action: release what holds, or will hold, under this name.
    pub(super) release: Text,
    /// Action: end this background step.
    pub(super) stop: Text,
    /// Action: wait until this background step has ended by itself.
    pub(super) ended: Text,
    /// Action: GET this path through the port-forward step named in `through`.
    pub(super) http: Text,
    /// Action: read an object such as `pod/NAME`.
    pub(super) get: Text,
    /// Action: let time pass that a claim is about; `because` says why.
    pub(super) pause: Text,
    /// Name of the output in expressions.
    #[serde(rename = "as")]
    pub(super) as_: Text,
    /// Limit of the step (60s).
    pub(super) cap: Text,
    /// `until`: continue after this time if the moment has not occurred, such as `8s`.
    pub(super) within: Text,
    /// `kubectl`: run in the background.
    pub(super) background: Field<bool>,
    /// `kubectl`: standard input.
    pub(super) stdin: Text,
    /// `kubectl`: `ordinary` runs it as a user without privileges.
    pub(super) user: Text,
    /// `apply`: server-side dry run.
    pub(super) dry_run: Field<bool>,
    /// `delete`: grace period in seconds.
    pub(super) grace: Field<i64>,
    /// `http`: name of the port-forward step.
    pub(super) through: Text,
    /// `release`: only in this pod; `node`: the pod whose node runs the command.
    pub(super) pod: Text,
    /// `release`: only in this container.
    pub(super) container: Text,
    /// `release`: only in this start of the container, from 1.
    pub(super) start: Field<u32>,
    /// `pause`: why time must pass.
    pub(super) because: Text,
}

/// A point of the timeline: an agent stamp, a pod state, an Event, or a printed line.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Moment")]
pub(super) struct RawMoment {
    /// Role of the agent process, such as `hook`.
    pub(super) agent: Text,
    /// With `agent`: the stamp's name, such as `begun`.
    pub(super) stamp: Text,
    /// Pod name; a trailing `*` matches any rest.
    pub(super) pod: Text,
    /// With `agent`: the container.
    pub(super) container: Text,
    /// With `agent`: start of the container, from 1.
    pub(super) start: Field<u32>,
    /// Reason of an event.
    pub(super) event: Text,
    /// Name of a background step.
    pub(super) line: Text,
    /// With `line`: text that the line contains.
    pub(super) contains: Text,
    /// CEL condition over `stamp`; over `pod`, `status`, `deleted`, and `containers`; or over `event`.
    pub(super) when: Text,
    /// Which of the matching entries, from 1; 0 is the last.
    pub(super) nth: Field<u32>,
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
    /// The lines of documents that make the statement, such as `NAME.txt:64,78-79 0123456789ab`; absent if none does.
    pub(super) cites: Field<RawSeveral>,
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
    pub(super) expect: Field<RawExpect>,
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

/// A verdict, or a list of verdicts.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Expect")]
pub(super) enum RawExpect {
    /// On every cluster.
    One(String),
    /// The first that applies counts.
    Table(Vec<At<RawExpectation>>),
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
