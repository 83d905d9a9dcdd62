//! Selects claims by id, prefix, scenario, suite folder, or document.

use std::collections::BTreeSet;
use std::iter::once;

use camino::Utf8Path;
use itertools::Itertools as _;

use super::finding::suggestion;
use super::model::{Catalogue, Claim, Scenario};

/// The ids of the claims that the words select; all claims without words. Fails if a word selects nothing.
///
/// A word is a claim's id, its beginning up to a dot or `*`, a scenario's id, a suite's folder, or
/// the file name of a document that is cited.
pub(crate) fn claims(catalogue: &Catalogue, words: &[String]) -> Result<BTreeSet<String>, String> {
    let all = catalogue.claims().collect_vec();
    let mut chosen = BTreeSet::new();
    for word in words {
        let fitting = all
            .iter()
            .filter(|(claim, scenario)| fits(word, claim, *scenario));
        let mut fitting = fitting.map(|(claim, _)| claim.id.clone()).peekable();
        if fitting.peek().is_none() {
            let ids = all.iter().flat_map(|(claim, scenario)| {
                let scenario = scenario.map(|scenario| &scenario.id);
                once(&claim.id).chain(scenario).map(String::as_str)
            });
            let near = suggestion(word, ids).map(|near| format!("; {near}"));
            return Err(format!(
                "no claim, scenario, suite or document named `{word}`{}; `hookproof list` shows them",
                near.unwrap_or_default()
            ));
        }
        chosen.extend(fitting);
    }
    if words.is_empty() {
        chosen.extend(all.iter().map(|(claim, _)| claim.id.clone()));
    }
    Ok(chosen)
}

fn fits(word: &str, claim: &Claim, scenario: Option<&Scenario>) -> bool {
    let begins = |text: &str, separator: char| {
        let rest = text.strip_prefix(word);
        rest.is_some_and(|rest| rest.starts_with(separator))
    };
    let name = word.rsplit('/').next().unwrap_or(word);
    let mut cites = claim.cites.iter();
    claim.id == word
        || begins(&claim.id, '.')
        || scenario.is_some_and(|scenario| scenario.id == word || begins(&scenario.id, '/'))
        || word
            .strip_suffix('*')
            .is_some_and(|beginning| claim.id.starts_with(beginning))
        || cites.any(|cite| cite.document == name || Utf8Path::new(word).ends_with(&cite.document))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;

    fn claim(id: &str, document: &str) -> Claim {
        Claim {
            id: id.into(),
            cites: vec![crate::fixture::citation(document, "1")],
            ..Claim::default()
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

    #[rstest]
    #[case("a.ome", "`a.ome`; did you mean `a.one`?")]
    #[case("", "``; `hookproof list`")]
    fn an_unknown_word_is_an_error(#[case] word: &str, #[case] wanted: &str) {
        let catalogue = Catalogue {
            untestable: vec![claim("a.one", "x")],
            ..Catalogue::default()
        };
        let error = claims(&catalogue, &[word.to_owned()]).unwrap_err();
        assert!(error.contains(wanted), "{error}");
    }
}
