//! HTML: `index.html`, a self-contained page without external resources, and a static site.
//!
//! The template shows the verdicts. The details of claims and the timelines are JSON in the page, from which
//! the page's script builds a claim's details when a reader opens it.

mod claims;
pub(crate) mod site;

use std::collections::BTreeSet;

use camino::Utf8Path;
use include_dir::{Dir, include_dir};
use itertools::Itertools as _;
use jiff::Timestamp;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde_json::{Value, json};

use crate::catalogue::model::Verdict;
use crate::file::write_private;
use crate::report::error::ReportError;
use crate::report::essentials::verdict_in_words;
use crate::report::results::{ClaimInfo, Results};
use crate::report::text::{clean, count, one_line, seconds};
use crate::report::view::{Cell, Counts, State, labels};
use crate::version::number;
use claims::{Row, areas, differs, in_order, shown_by};

pub const PAGE: &str = "index.html";

/// The pages, their parts, styles and scripts.
static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/report/templates");

/// Writes the page, with timelines from the evidence files in the same folder.
pub fn write(results: &Results, folder: &Utf8Path) -> Result<(), ReportError> {
    let page = page(results, folder)?;
    Ok(write_private(&folder.join(PAGE), page.as_bytes())?)
}

fn page(results: &Results, folder: &Utf8Path) -> Result<String, ReportError> {
    let results = &by_version(results);
    let labels = labels(&results.clusters);
    let columns = results.clusters.iter().zip(&labels);
    let columns = columns.map(|(column, label)| {
        let counts = Counts::of(results, column);
        json!({
            "label": label, "in_words": counts.in_words(), "changed": counts.changed,
            "counts": totals(|state| counts.get(state)),
            "facts": column.facts, "phases": column.phases,
        })
    });
    let took = |ended: Timestamp| ended.duration_since(results.began).as_secs_f64();
    let all = (0..labels.len()).collect_vec();
    let claims = in_order(results);
    let rows = claims.iter().map(|claim| row(results, claim)).collect_vec();
    let context = json!({
        "data": script_json(claims::data(results, &labels, &claims, &all, folder)),
        "run": results.run,
        "began": results.began.strftime("%-d %B %Y, %H:%M UTC").to_string(),
        "took": results.ended.map(took),
        "version": results.hookproof,
        "attention": attention(results, &labels),
        "documents": documents(results),
        "claims": claims.len(),
        "states": by_state(results),
        "changed": shown_by(&rows, "changed"),
        "differs": shown_by(&rows, "differs"),
        "areas": areas(&rows),
        "columns": columns.collect_vec(),
    });
    let environment = environment()?;
    let template = environment.get_template("index.html")?;
    Ok(template.render(Serde(context))?)
}

/// JSON for a script element: no `<`, so that no text can end the element.
fn script_json(data: Value) -> String {
    cleaned(data).to_string().replace('<', "\\u003c")
}

/// The templates of all pages.
pub(super) fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    // Removes control characters from all text.
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => {
            minijinja::escape_formatter(out, state, &clean(text).into())
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.add_filter("count", |number, noun: &str| count(number, noun));
    environment.add_filter("one_line", one_line);
    environment.add_filter("seconds", seconds);
    environment.add_filter("verdict", |key: &str| State::of(key).map(State::word));
    for file in TEMPLATES.files() {
        if let (Some(name), Some(text)) = (file.path().to_str(), file.contents_utf8()) {
            environment.add_template(name, text)?;
        }
    }
    Ok(environment)
}

/// The value without control characters in its texts.
fn cleaned(value: Value) -> Value {
    match value {
        Value::String(text) => clean(&text).into(),
        Value::Array(list) => list.into_iter().map(cleaned).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            fields
                .map(|(key, value)| (clean(&key), cleaned(value)))
                .collect()
        }
        other => other,
    }
}

/// The results with columns ordered by Kubernetes version and profile; unknown versions come last.
fn by_version(results: &Results) -> Results {
    let mut results = results.clone();
    results.clusters.sort_by_cached_key(|column| {
        let parts = column.facts.kubernetes.split(|c: char| !c.is_ascii_digit());
        let version: Vec<u32> = parts.filter_map(number).collect();
        let profile = column.facts.profile.clone();
        (version.is_empty(), version, profile != "default", profile)
    });
    results
}

/// The numbers of claims that have a state in any column.
fn by_state(results: &Results) -> Vec<Value> {
    let claims = results.claims.iter();
    let states = claims.flat_map(|claim| results.cells(claim).map(|cell| cell.state()).unique());
    let numbers = states.counts();
    totals(|state| numbers.get(&state).copied().unwrap_or_default())
}

/// The numbers of claims by state, without zeros.
fn totals(number: impl Fn(State) -> usize) -> Vec<Value> {
    let totals = State::ALL.into_iter().map(|state| (state, number(state)));
    let totals = totals.filter(|(_, number)| *number > 0);
    totals
        .map(|(state, number)| json!({"key": state.key(), "number": number}))
        .collect()
}

fn documents(results: &Results) -> BTreeSet<String> {
    let cites = results.claims.iter().flat_map(|claim| &claim.cites);
    cites.map(|cite| one_line(&cite.document)).collect()
}

fn row<'a>(results: &Results, claim: &'a ClaimInfo) -> Row<'a> {
    let cells = results.cells(claim).collect_vec();
    let mut states = cells.iter().map(|cell| cell.state().key()).collect_vec();
    states.extend(differs(results, claim).then_some("differs"));
    states.extend(cells.iter().any(Cell::changed).then_some("changed"));
    let cells = cells.iter();
    let cells = cells.map(|cell| json!({"key": cell.state().key(), "changed": cell.changed()}));
    let cells = cells.collect();
    Row {
        claim,
        states,
        cells,
    }
}

/// What a reader should look at first; `claim` is the claim to open.
fn attention(results: &Results, labels: &[String]) -> Vec<Value> {
    let mut found = Vec::new();
    for (column, label) in results.clusters.iter().zip(labels) {
        for phase in column.phases.iter().filter(|phase| phase.error.is_some()) {
            found.push(json!({
                "key": State::Error.key(), "title": "Cluster failed", "label": label,
                "id": phase.name, "text": phase.error,
            }));
        }
        for claim in &results.claims {
            let cell = Cell::of(column, claim);
            let title = match cell {
                _ if cell.changed() => "Verdict changed",
                Cell::Problem { .. } => "No verdict",
                _ => continue,
            };
            let text = format!("{}: {}", verdict_in_words(&cell), cell.reason());
            found.push(json!({
                "key": cell.state().key(), "title": title, "label": label,
                "id": claim.id, "claim": claim.id, "text": text,
            }));
        }
        for scenario in &column.scenarios {
            let decides = |claim: &&ClaimInfo| claim.scenario.as_ref() == Some(&scenario.scenario);
            let claim = results.claims.iter().find(decides);
            let claim = claim.map(|claim| &claim.id);
            for earlier in &scenario.earlier {
                let text = format!("attempt {}: {}", earlier.attempt, earlier.why().join("; "));
                found.push(json!({
                    "key": State::Verdict(Verdict::Inconclusive).key(), "title": "Retried",
                    "label": label, "id": scenario.scenario, "claim": claim, "text": text,
                }));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::report::fixture;

    fn fixture_page() -> String {
        page(&fixture::results(), &fixture::folder()).unwrap()
    }

    /// The page without its JSON, and the JSON.
    fn parts(page: &str) -> (String, serde_json::Value) {
        let (before, rest) = page.split_once("id=\"data\">").unwrap();
        let (data, after) = rest.split_once("</script>").unwrap();
        assert!(!data.contains('<'));
        (
            format!("{before}{after}"),
            serde_json::from_str(data).unwrap(),
        )
    }

    /// The results with every claim several times, under different ids.
    fn many(times: usize) -> Results {
        let mut results = fixture::results();
        let claims = results.claims.clone();
        for nth in 1..times {
            fixture::repeat(&mut results, &claims, nth);
        }
        results
    }

    #[test]
    fn the_page_is_complete_and_self_contained() {
        let results = fixture::results();
        let page = fixture_page();
        for external in ["src=", "<link", "@import", "fetch(", "url(http"] {
            assert!(!page.contains(external), "{external}");
        }
        let (_, data) = parts(&page);
        assert_eq!(data["timelines"].as_array().unwrap().len(), 7);
        let claims = data["claims"].as_array().unwrap();
        assert_eq!(claims.len(), results.claims.len());
        for claim in claims {
            let cells = claim["cells"].as_array().unwrap();
            assert_eq!(cells.len(), results.clusters.len());
        }
    }

    #[test]
    fn a_claim_has_an_anchor_with_its_id() {
        let page = fixture_page();
        for claim in &fixture::results().claims {
            assert!(page.contains(&format!("<tr id=\"{}\"", claim.id)));
        }
        for link in page.split("href=\"#").skip(1) {
            let id = link.split('"').next().unwrap();
            assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }

    #[test]
    fn the_initial_page_is_small() {
        let results = many(30);
        assert!(results.claims.len() >= 186, "{}", results.claims.len());
        let page = page(&results, &fixture::folder()).unwrap();
        let (shown, _) = parts(&page);
        let elements = shown.matches('<').count() - shown.matches("</").count();
        let per_claim = elements / results.claims.len();
        assert!(elements < 6000 && per_claim < 16, "{elements} elements");
    }

    #[test]
    fn columns_are_ordered_by_version() {
        let mut results = fixture::results();
        let mut old = results.clusters[0].clone();
        old.facts.kubernetes = "v1.9.10".to_owned();
        let mut unknown = old.clone();
        unknown.facts.kubernetes.clear();
        results.clusters.insert(0, unknown);
        results.clusters.push(old);
        let ordered = by_version(&results);
        let found = ordered
            .clusters
            .iter()
            .map(|column| &*column.facts.kubernetes);
        assert_eq!(found.collect_vec(), ["v1.9.10", "v1.35.6", "v1.36.3", ""]);
    }

    #[test]
    fn script_tags_in_text_stay_text() {
        let text = "</script><img src=x onerror=alert(1)><!--";
        let page = page(&fixture::poisoned(text), &fixture::folder()).unwrap();
        assert!(!page.contains("<img"));
        assert_eq!(page.matches("</script>").count(), 2);
        assert_eq!(parts(&page).1["claims"][0]["cites"][0]["document"], text);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn untrusted_text_is_escaped(text in fixture::nasty_text()) {
            let page = page(&fixture::poisoned(&text), &fixture::folder()).unwrap();
            let (shown, _) = parts(&page);
            prop_assert_eq!(page.matches("<script").count(), 2);
            prop_assert!(!shown.contains("onload='"));
            prop_assert!(!page.chars().any(|c| c.is_control() && c != '\n' && c != '\t' && c != '\r'));
        }
    }
}
