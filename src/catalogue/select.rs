//! Selects claims by id, prefix, scenario, suite folder, or document.

use std::collections::BTreeSet;

use camino::Utf8Path;

use super::finding::nearest;
use super::model::{Catalogue, Claim};

/// A word that selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no claim, scenario, suite or document named `{word}`{}; `hookproof list` shows them",
    near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
)]
pub(crate) struct NothingChosen {
    word: String,
    near: Option<String>,
}

/// The ids of the claims that the words select; all claims without words.
///
/// A word is a claim's id, its beginning up to a dot or `*`, a scenario's id, a suite's folder, or
/// the file name of a document that is cited.
pub(crate) fn claims(
    catalogue: &Catalogue,
    words: &[String],
) -> Result<BTreeSet<String>, NothingChosen> {
    let all = all(catalogue);
    if words.is_empty() {
        return Ok(all.into_iter().map(|(claim, _)| claim.id.clone()).collect());
    }
    let mut chosen = BTreeSet::new();
    for word in words {
        let before = chosen.len();
        let mut known_already = false;
        for (claim, scenario) in &all {
            if fits(word, claim, scenario) {
                known_already |= !chosen.insert(claim.id.clone());
            }
        }
        if chosen.len() == before && !known_already {
            let ids = all
                .iter()
                .flat_map(|(claim, scenario)| [claim.id.as_str(), scenario]);
            let near = nearest(word, ids).map(ToOwned::to_owned);
            return Err(NothingChosen {
                word: word.clone(),
                near,
            });
        }
    }
    Ok(chosen)
}

fn all(catalogue: &Catalogue) -> Vec<(&Claim, &str)> {
    let claims = catalogue.claims();
    claims
        .map(|(claim, scenario)| (claim, scenario.map_or("", |scenario| scenario.id.as_str())))
        .collect()
}

fn fits(word: &str, claim: &Claim, scenario: &str) -> bool {
    let begins = |text: &str, separator: char| {
        text.strip_prefix(word)
            .is_some_and(|rest| rest.starts_with(separator))
    };
    let starred = word.strip_suffix('*');
    let name = word.rsplit('/').next().unwrap_or(word);
    claim.id == word
        || scenario == word
        || begins(&claim.id, '.')
        || begins(scenario, '/')
        || starred.is_some_and(|beginning| claim.id.starts_with(beginning))
        || claim
            .cites
            .iter()
            .any(|cite| cite.document == name || Utf8Path::new(word).ends_with(&cite.document))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;
    use crate::catalogue::model::Citation;

    fn claim(id: &str, document: &str) -> Claim {
        Claim {
            id: id.into(),
            place: super::super::model::Place::default(),
            says: String::new(),
            instead: None,
            cites: vec![Citation {
                document: document.into(),
                lines: "1".into(),
                ..Citation::default()
            }],
            checks: Vec::new(),
            measures: std::collections::BTreeMap::new(),
            expect: Vec::new(),
            not_testable: Some("why".into()),
        }
    }

    #[rstest]
    #[case(&["a.one"], 1)]
    #[case(&["a"], 2)]
    #[case(&["a.*"], 2)]
    #[case(&["doc.txt"], 1)]
    #[case(&["some/where/doc.txt", "a"], 3)]
    #[case(&["a.one", "a.one"], 1)]
    #[case(&[], 3)]
    fn words_choose_claims(#[case] words: &[&str], #[case] count: usize) {
        let catalogue = Catalogue {
            untestable: vec![
                claim("a.one", "x"),
                claim("a.two", "x"),
                claim("ab.three", "doc.txt"),
            ],
            ..Catalogue::default()
        };
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        assert_eq!(claims(&catalogue, &words).unwrap().len(), count);
    }

    #[test]
    fn an_unknown_word_is_an_error() {
        let catalogue = Catalogue {
            untestable: vec![claim("a.one", "x")],
            ..Catalogue::default()
        };
        let error = claims(&catalogue, &["a.ome".to_owned()]).unwrap_err();
        assert!(
            error.to_string().contains("did you mean `a.one`?"),
            "{error}"
        );
    }
}
