//! Why verdicts differ between profiles: a table that people write.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::data::Column;
use super::view::{Difference, View};
use crate::catalogue::model::VersionRange;
use crate::catalogue::parse::version_range;

/// The causes of the differences in the built-in results.
const BUILT_IN: &str = include_str!("../../../docs/matrix/causes.yaml");

/// The cause of differences from the default profile.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    pub(crate) kind: Kind,
    /// What differs, in one sentence.
    pub(crate) what: String,
    /// The upstream change: package, pull request, or release note.
    pub(crate) upstream: String,
    pub(crate) claims: Vec<String>,
    /// The versions of the profiles that differ, such as `<1.30`; all if absent.
    #[serde(default, deserialize_with = "range")]
    kubernetes: Option<VersionRange>,
    /// The gates that these profiles set.
    #[serde(default)]
    gates: BTreeMap<String, bool>,
    /// How the name of their container runtime begins.
    #[serde(default)]
    runtime: Option<String>,
}

/// The kind of a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A feature gate is off or on.
    Gate,
    /// Upstream changed a text.
    Text,
    /// Upstream changed its code.
    Code,
    /// The container runtime behaves differently.
    Runtime,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Text => "text",
            Self::Code => "code",
            Self::Runtime => "runtime",
        }
    }
}

/// The causes of the differences in the built-in results. An error says what is wrong in the table.
pub fn built_in() -> Result<Vec<Cause>, String> {
    parse(BUILT_IN)
}

fn parse(text: &str) -> Result<Vec<Cause>, String> {
    serde_saphyr::from_str(text).map_err(|error| format!("causes.yaml: {error}"))
}

fn range<'de, D: Deserializer<'de>>(from: D) -> Result<Option<VersionRange>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    let range = text.as_deref().map(version_range);
    range.transpose().map_err(D::Error::custom)
}

impl Cause {
    fn explains(&self, claim: &str, column: &Column) -> bool {
        let (versions, gates) = (self.kubernetes.as_ref(), &mut self.gates.iter());
        let runs = |name: &String| column.runtimes.iter().any(|one| one.starts_with(name));
        self.claims.iter().any(|id| id == claim)
            && versions.is_none_or(|range| range.contains(&column.kubernetes))
            && gates.all(|(gate, on)| column.gates.get(gate) == Some(on))
            && self.runtime.as_ref().is_none_or(runs)
    }
}

/// Differences by cause, in the order of the causes; the last entry holds those without a cause.
pub(crate) fn explained<'a>(
    view: &View<'_>,
    causes: &'a [Cause],
    differences: &[Difference<'a>],
) -> Vec<(Option<&'a Cause>, Vec<Difference<'a>>)> {
    let groups = causes.iter().map(|cause| (Some(cause), Vec::new()));
    let mut groups: Vec<_> = groups.chain([(None, Vec::new())]).collect();
    for difference in differences {
        let column = view.profiles[difference.profile].column;
        let explains = |cause: &Cause| cause.explains(&difference.claim.id, column);
        let at = causes.iter().position(explains);
        groups[at.unwrap_or(causes.len())].1.push(*difference);
    }
    groups
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;

    use super::*;
    use crate::report::matrix::data::Matrix;
    use crate::report::matrix::view::tests::results;
    use crate::report::results::ClaimInfo;

    #[rstest]
    #[case::version("kubernetes: \"<1.30\"", &["1.29"])]
    #[case::gate("gates: {X: false}", &["1.30 X-off"])]
    #[case::other_value("gates: {X: true}", &[])]
    #[case::both("gates: {X: false}, kubernetes: \"<1.30\"", &[])]
    #[case::runtime("runtime: \"containerd://1\"", &[])]
    #[case::all("kubernetes: \">=1.2\"", &["1.29", "1.30 X-off"])]
    fn causes_explain(#[case] condition: &str, #[case] expected: &[&str]) {
        let text = format!("- {{kind: gate, what: w, upstream: u, claims: [a.b], {condition}}}");
        let causes = parse(&text).unwrap();
        let results = results(&["1.29 c", "1.30 r", "1.30/X-off c"]);
        let matrix = Matrix::of(&results);
        let view = View::new(&matrix);
        let groups = explained(&view, &causes, &view.differences(&results.claims));
        let labels = |at: usize| {
            groups[at]
                .1
                .iter()
                .map(|d| view.profiles[d.profile].label.as_str())
        };
        assert_eq!(labels(0).collect::<Vec<_>>(), expected);
        assert_eq!(labels(1).count(), 2 - expected.len());
    }

    /// Every difference in the built-in results has a cause, and every cause has a difference.
    #[test]
    fn the_built_in_causes_explain_the_built_in_results() {
        let (matrix, causes) = (Matrix::built_in().unwrap(), built_in().unwrap());
        let template = results(&["1.30 c"]).claims.remove(0);
        let claims = matrix.claims.keys().map(|id| ClaimInfo {
            id: id.clone(),
            ..template.clone()
        });
        let claims: Vec<_> = claims.collect();
        let view = View::new(&matrix);
        for (cause, found) in explained(&view, &causes, &view.differences(&claims)) {
            let label = |one: &Difference<'_>| view.profiles[one.profile].label.clone();
            let found: Vec<_> = found
                .iter()
                .map(|one| (&one.claim.id, label(one)))
                .collect();
            match cause {
                Some(cause) => assert!(!found.is_empty(), "{cause:?}"),
                None => assert_eq!(found, [], "docs/matrix/causes.yaml has no cause"),
            }
        }
    }

    #[rstest]
    #[case("- {kind: magic, what: w, upstream: u, claims: []}", "magic")]
    #[case(
        "- {kind: code, what: w, upstream: u, claims: [], kubernetes: new}",
        "invalid version range `new`"
    )]
    #[case("- {kind: code, what: w, claims: []}", "upstream")]
    fn wrong_tables_are_refused(#[case] text: &str, #[case] expected: &str) {
        let error = parse(text).unwrap_err();
        assert!(
            error.starts_with("causes.yaml: ") && error.contains(expected),
            "{error}"
        );
    }
}
