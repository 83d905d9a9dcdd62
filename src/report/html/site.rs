//! A static site: the matrix, a page per claim with its results on all profiles, wrong statements, and annotated
//! documents. Claims have stable URLs: `claims/ID.html`.

use std::collections::BTreeSet;

use camino::Utf8Path;
use itertools::Itertools as _;
use minijinja::Environment;
use minijinja::value::Serde;
use serde_json::{Value, json};

use super::claims::{self, Row, areas, cites, instead, shown_by};
use super::{PAGE, by_state, by_version, documents, environment, script_json, totals};
use crate::catalogue::model::Verdict;
use crate::document::Document;
use crate::file::{stays_inside, write_atomic};
use crate::report::annotate::annotate;
use crate::report::error::ReportError;
use crate::report::matrix::causes::{Cause, explained};
use crate::report::matrix::data::Matrix;
use crate::report::matrix::view::View;
use crate::report::results::{ClaimInfo, Results, key};
use crate::report::text::{line_numbers, one_line};
use crate::report::view::{Cell, State, labels, number, place};

/// What a site consists of, besides its marker.
pub(crate) const PARTS: [&str; 6] = [
    "evidence",
    "claims",
    "documents",
    "matrix.json",
    "wrong.html",
    PAGE,
];

/// Writes the site of results whose evidence is in the folder already.
pub(crate) fn write(
    results: &Results,
    folder: &Utf8Path,
    texts: &[Document],
    causes: &[Cause],
) -> Result<(), ReportError> {
    let results = by_version(results);
    let matrix = Matrix::of(&results);
    let labels = labels(&results.clusters);
    let anchors = number(labels.iter().map(|label| key(label)).collect(), "-");
    let site = Site {
        environment: environment()?,
        view: View::new(&matrix),
        results: &results,
        folder,
        labels,
        anchors,
        annotated: texts.iter().map(Document::name).collect(),
    };
    site.write("matrix.json", &matrix.to_json()?)?;
    for document in texts {
        let page = annotate(document, &results, "../")?.page;
        site.write(&format!("documents/{}.html", document.name()), &page)?;
    }
    site.render(PAGE, "site.html", site.index())?;
    site.render("wrong.html", "wrong.html", site.wrong())?;
    let differences = site.view.differences(&results.claims);
    let groups = explained(&site.view, causes, &differences);
    for claim in &results.claims {
        let causes = groups.iter().filter_map(|(cause, differences)| {
            let own = differences.iter().filter(|one| one.claim.id == claim.id);
            let mut on = own.map(|one| &site.view.profiles[one.profile].label);
            let on = on.join(", ");
            let cause = cause.map(|cause| (cause.kind.word(), &cause.what, &cause.upstream));
            (!on.is_empty()).then(|| json!({"cause": cause, "on": on}))
        });
        let page = site.claim(claim, &causes.collect_vec());
        site.render(&format!("claims/{}.html", claim.id), "claim.html", page)?;
    }
    Ok(())
}

struct Site<'a> {
    environment: Environment<'static>,
    view: View<'a>,
    /// Ordered by version.
    results: &'a Results,
    folder: &'a Utf8Path,
    /// Of the columns.
    labels: Vec<String>,
    anchors: Vec<String>,
    /// The documents that have a page.
    annotated: Vec<&'a str>,
}

impl Site<'_> {
    fn write(&self, path: &str, text: &str) -> Result<(), ReportError> {
        if path.split('/').any(|part| part.starts_with('.')) || !stays_inside(Utf8Path::new(path)) {
            return Err(ReportError::Outside {
                path: path.into(),
                folder: self.folder.to_owned(),
            });
        }
        Ok(write_atomic(&self.folder.join(path), text.as_bytes())?)
    }

    fn render(&self, path: &str, template: &str, context: Value) -> Result<(), ReportError> {
        let template = self.environment.get_template(template)?;
        self.write(path, &template.render(Serde(context))?)
    }

    fn index(&self) -> Value {
        let claims = self.results.claims.iter();
        let claims = claims.sorted_by_key(|claim| claim.family()).collect_vec();
        let rows = claims.iter().map(|claim| self.row(claim)).collect_vec();
        // For the filters.
        let details = claims
            .iter()
            .map(|claim| json!({"cites": claim.cites, "cells": []}));
        let profiles = self.view.profiles.iter();
        let profiles = profiles
            .map(|profile| json!({"label": profile.label, "observed": profile.column.observed()}));
        let dates = self.results.clusters.iter();
        let dates = dates.map(|column| column.run.began.strftime("%Y-%m-%d").to_string());
        json!({
            "data": script_json(json!({"claims": details.collect_vec()})),
            "claims": claims.len(),
            "found": by_state(self.results),
            "runs": self.results.clusters.len(),
            "dates": dates.collect_vec(),
            "version": env!("CARGO_PKG_VERSION"),
            "annotated": self.annotated,
            "documents": documents(self.results),
            "states": totals(|state| shown_by(&rows, state.key())),
            "differs": shown_by(&rows, "differs"),
            "flaky": shown_by(&rows, "flaky"),
            "profiles": profiles.collect_vec(),
            "areas": areas(&rows),
        })
    }

    /// The states of a claim on all profiles.
    fn states(&self, claim: &ClaimInfo) -> BTreeSet<State> {
        let found = self.view.all(&claim.id);
        found.flat_map(|(_, found)| found.states()).collect()
    }

    fn row<'c>(&self, claim: &'c ClaimInfo) -> Row<'c> {
        let mut states = self.states(claim).into_iter().map(State::key).collect_vec();
        states.extend(self.view.differs(&claim.id).then_some("differs"));
        states.extend(self.view.is_flaky(&claim.id).then_some("flaky"));
        let cells = self.view.all(&claim.id).map(|(profile, found)| {
            let key = found.state().map_or("flaky", State::key);
            let newest = profile.runs.last().map(|at| &self.anchors[*at]);
            let words = format!("{}: {}", profile.label, found.in_words());
            let words = (!found.0.is_empty()).then_some(words);
            json!({"key": key, "words": words, "anchor": newest})
        });
        Row {
            claim,
            states,
            cells: cells.collect(),
        }
    }

    fn claim(&self, claim: &ClaimInfo, causes: &[Value]) -> Value {
        // The newest version comes first.
        let columns = (0..self.results.clusters.len()).rev().collect_vec();
        let data = claims::data(self.results, &self.labels, &[claim], &columns, self.folder);
        let columns = columns.into_iter().map(|at| {
            let cell = Cell::of(&self.results.clusters[at], claim);
            json!({
                "label": self.labels[at], "anchor": self.anchors[at],
                "key": cell.state().key(), "reason": cell.reason(),
                "observed": self.view.matrix.columns[at].observed(), "evidence": cell.evidence(),
            })
        });
        json!({
            "data": script_json(data),
            "id": claim.id,
            "says": claim.says,
            "instead": instead(self.results, claim),
            "history": self.view.history(&claim.id),
            "causes": causes,
            "cites": cites(claim),
            "annotated": self.annotated,
            "columns": columns.collect_vec(),
        })
    }

    fn wrong(&self) -> Value {
        let wrong = self.results.claims.iter().filter_map(|claim| {
            let states = self.states(claim);
            let worst = [Verdict::Refuted, Verdict::Qualified].map(State::Verdict);
            let state = worst.into_iter().find(|state| states.contains(state))?;
            Some((claim, state))
        });
        let wrong = wrong.collect_vec();
        let documents = documents(self.results).into_iter().map(|name| {
            let cites = wrong.iter().flat_map(|(claim, state)| {
                let cites = claim.cites.iter();
                let cites = cites.filter(|cite| one_line(&cite.document) == name);
                cites.map(move |cite| (claim, state, cite))
            });
            let cites = cites.sorted_by_key(|(.., cite)| {
                let first = cite.lines.split(|c: char| !c.is_ascii_digit()).next()?;
                first.parse::<usize>().ok()
            });
            let claims = cites.map(|(claim, state, cite)| {
                json!({
                    "key": state.key(), "id": claim.id, "says": claim.says,
                    "instead": claim.instead, "lines": place(cite, line_numbers),
                    "history": self.view.history(&claim.id),
                })
            });
            json!({"name": name, "claims": claims.collect_vec()})
        });
        json!({"documents": documents.collect_vec(), "annotated": self.annotated})
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::report::fixture;
    use crate::report::matrix::causes;

    fn site(results: &Results, texts: &[Document]) -> (tempfile::TempDir, Vec<(String, String)>) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        write(results, path, texts, &causes::built_in().unwrap()).unwrap();
        let mut pages = Vec::new();
        for part in ["", "claims", "documents"] {
            for entry in path
                .join(part)
                .read_dir_utf8()
                .into_iter()
                .flatten()
                .flatten()
            {
                if entry.path().extension() == Some("html") {
                    let name = entry.path().strip_prefix(path).unwrap().to_string();
                    pages.push((name, fs::read_to_string(entry.path()).unwrap()));
                }
            }
        }
        (folder, pages)
    }

    /// Every link leads to a page of the site, an anchor of that page, or evidence.
    #[test]
    fn links_lead_somewhere() {
        let results = fixture::results();
        let document = results.claims.iter().find_map(|claim| claim.cites.first());
        let text = "A line.\n".repeat(300);
        let texts = [Document::new(&document.unwrap().document, text)];
        let (folder, pages) = site(&results, &texts);
        assert_eq!(pages.len(), 3 + results.claims.len());
        let known: BTreeMap<_, _> = pages.iter().cloned().collect();
        let mut checked = 0;
        for (name, page) in &pages {
            let parent = Utf8Path::new(name).parent().unwrap();
            for link in page.split(" href=\"").skip(1) {
                let link = link.split('"').next().unwrap().replace("&#x2f;", "/");
                if link.starts_with("#v-") {
                    continue;
                }
                let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
                let path = match path {
                    "" => name.clone(),
                    path => match path.strip_prefix("../") {
                        Some(path) => path.to_owned(),
                        None => parent.join(path).to_string(),
                    },
                };
                checked += 1;
                if path.starts_with("evidence/") || path == "matrix.json" {
                    continue;
                }
                let page = known.get(&path).unwrap_or_else(|| panic!("{name}: {link}"));
                let found = anchor.is_empty()
                    || anchor.contains('=')
                    || page.contains(&format!("id=\"{anchor}\""));
                assert!(found, "{name}: {link}");
            }
        }
        assert!(checked > 40);
        drop(folder);
    }

    /// Without the document, a quotation has no lines.
    #[test]
    fn a_quotation_without_lines_is_shown() {
        let mut results = fixture::results();
        for cite in results.claims.iter_mut().flat_map(|claim| &mut claim.cites) {
            cite.lines.clear();
            cite.quote = Some("The words.".to_owned());
        }
        let cited = results
            .claims
            .iter()
            .filter(|claim| !claim.cites.is_empty());
        let cited: Vec<String> = cited
            .map(|claim| format!("claims/{}.html", claim.id))
            .collect();
        let (_keep, pages) = site(&results, &[]);
        for (name, page) in pages {
            if name == "wrong.html" || cited.contains(&name) {
                assert!(page.contains("“The words.”"), "{name}");
            }
        }
    }

    #[test]
    fn a_claim_id_cannot_leave_the_site() {
        let mut results = fixture::results();
        results.claims[0].id = "../x".to_owned();
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        let refused = write(&results, path, &[], &[]);
        assert!(matches!(refused, Err(ReportError::Outside { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn untrusted_text_is_escaped(text in fixture::nasty_text()) {
            let (_keep, pages) = site(&fixture::poisoned(&text), &[]);
            for (name, page) in pages {
                let scripts = if name == "wrong.html" { 0 } else { 2 };
                prop_assert_eq!(page.matches("<script").count(), scripts, "{}", name);
                let shown = page.split("<script").next().unwrap_or_default();
                prop_assert!(!page.contains("<img") && !shown.contains("onload='"));
            }
        }
    }
}
