//! Suggests claims for a sentence: by the terms that they share, weighted by how rare these are among all claims.

use std::collections::{BTreeMap, BTreeSet};

use itertools::Itertools as _;

use super::model::{Catalogue, Claim};

/// Words without a meaning of their own.
const COMMON: &str = " a about after all also an and any are as at be been before but by can could do does each even every \
    for from get has have here how however if in into is it its just let like may more most must need no not of on once \
    one only or other our out over same see set should so some such take than that the their them then there these they \
    this those to too two up use used very via was we were what when where whether which while who why will with within \
    without would you your ";
/// Names that people write in several ways, such as `post-start`.
const NAMES: [&str; 4] = ["poststart", "prestop", "sigterm", "sigkill"];
/// The share of the sentences around a sentence in its terms.
const AROUND: f64 = 0.3;
/// Lower scores are accidents.
const LEAST: f64 = 0.15;

/// The claims with the weights of their terms.
pub(crate) struct Index<'a> {
    claims: Vec<(&'a Claim, Vector)>,
    rarity: BTreeMap<String, f64>,
    /// The rarity of terms that no claim has.
    unknown: f64,
}

/// Weights by term, with a length of 1.
type Vector = BTreeMap<String, f64>;

/// A claim that may be what a sentence states.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suggestion<'a> {
    pub(crate) claim: &'a Claim,
    /// From 0 to 1: 1 if claim and sentence have the same terms.
    pub(crate) score: f64,
}

impl<'a> Index<'a> {
    pub(crate) fn new(catalogue: &'a Catalogue) -> Self {
        let claims = catalogue.claims().map(|(claim, _)| {
            let id = claim.id.replace('.', " ");
            (claim, terms(&format!("{} {id}", claim.says)))
        });
        let claims: Vec<(&Claim, BTreeSet<String>)> = claims.collect();
        let number = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        let rarity = |count| (1.0 + number(claims.len()) / number(count)).ln();
        let counts = claims.iter().flat_map(|(_, terms)| terms).counts();
        let counts = counts.into_iter();
        let mut index = Self {
            claims: Vec::new(),
            rarity: counts
                .map(|(term, count)| (term.clone(), rarity(count)))
                .collect(),
            unknown: rarity(1),
        };
        let vectors = claims
            .iter()
            .map(|(claim, terms)| (*claim, index.vector(terms, &BTreeSet::new())));
        index.claims = vectors.collect();
        index
    }

    /// The claims that fit a sentence best, the best first. `around` is text that its meaning may depend on.
    pub(crate) fn suggest(&self, sentence: &str, around: &str, most: usize) -> Vec<Suggestion<'a>> {
        let own = terms(sentence);
        if own.len() < 2 {
            return Vec::new();
        }
        let vector = self.vector(&own, &terms(around));
        let score = |weights: &Vector| {
            let shared = weights.iter();
            let shared = shared.filter_map(|(term, weight)| Some(weight * vector.get(term)?));
            shared.sum()
        };
        let found = self.claims.iter().map(|(claim, weights)| Suggestion {
            claim,
            score: score(weights),
        });
        let found = found.filter(|found| found.score >= LEAST);
        let best = found.sorted_by(|a, b| {
            let by_score = b.score.total_cmp(&a.score);
            by_score.then_with(|| a.claim.id.cmp(&b.claim.id))
        });
        best.take(most).collect()
    }

    fn vector(&self, own: &BTreeSet<String>, around: &BTreeSet<String>) -> Vector {
        let mut vector = Vector::new();
        for (terms, share) in [(around, AROUND), (own, 1.0)] {
            vector.extend(terms.iter().map(|term| {
                let rarity = self.rarity.get(term).unwrap_or(&self.unknown);
                (term.clone(), share * rarity)
            }));
        }
        let squares: f64 = vector.values().map(|weight| weight * weight).sum();
        let length = squares.sqrt().max(f64::MIN_POSITIVE);
        for weight in vector.values_mut() {
            *weight /= length;
        }
        vector
    }
}

/// The words of a text that carry meaning, without endings.
fn terms(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '-') {
        let joined = word.replace('-', "").to_lowercase();
        if NAMES.contains(&joined.as_str()) {
            found.insert(joined);
            continue;
        }
        // Parts of names such as terminationGracePeriodSeconds.
        let mut parts = String::new();
        for c in word.chars() {
            if c.is_uppercase() && parts.ends_with(char::is_lowercase) {
                parts.push('-');
            }
            parts.push(c);
        }
        found.extend(parts.to_lowercase().split('-').filter_map(term));
    }
    found
}

/// A word without its ending; `None` if it says nothing.
fn term(word: &str) -> Option<String> {
    if word.chars().count() < 2 || COMMON.contains(&format!(" {word} ")) {
        return None;
    }
    let endings = [
        "ations", "ation", "ings", "ing", "ions", "ion", "ers", "er", "ies", "es", "ed", "ly", "s",
        "e", "y",
    ];
    let stem = endings.iter().find_map(|ending| {
        let stem = word.strip_suffix(ending)?;
        (stem.chars().count() > 2).then_some(stem)
    });
    let stem = stem.unwrap_or(word);
    // `stopp` of `stopping` is `stop`.
    let shorter = stem.chars().rev().next_tuple().and_then(|(last, before)| {
        let doubled = last == before && !"aeiouls".contains(last);
        stem.strip_suffix(last).filter(|_| doubled)
    });
    Some(shorter.unwrap_or(stem).to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("The post-start hooks are stopping", &["hook", "poststart", "stop"])]
    #[case("postStart, PreStop", &["poststart", "prestop"])]
    #[case("terminationGracePeriodSeconds", &["grac", "period", "second", "termin"])]
    #[case("It is not", &[])]
    #[case("ÄÖ größer", &["größ", "äö"])]
    #[case("哈哈 металл", &["метал", "哈"])]
    fn terms_are_words_with_meaning(#[case] text: &str, #[case] wanted: &[&str]) {
        assert_eq!(Vec::from_iter(terms(text)), wanted);
    }

    #[test]
    fn rare_terms_count_more() {
        let claim = |id: &str, says: &str| Claim {
            id: id.into(),
            says: says.into(),
            ..Claim::default()
        };
        let catalogue = Catalogue {
            untestable: vec![
                claim("a.one", "The hook runs before the container is killed."),
                claim("a.two", "The hook runs twice after a kubelet restart."),
                claim("a.three", "The hook runs in the container."),
            ],
            ..Catalogue::default()
        };
        let index = Index::new(&catalogue);
        let found = index.suggest("A restarted kubelet may call a hook twice", "", 2);
        assert_eq!(found[0].claim.id, "a.two");
        assert!(found.len() == 1 || found[1].score < found[0].score / 2.0);
        assert!(
            index
                .suggest("Nothing of the kind is written here.", "", 3)
                .is_empty()
        );
    }
}
