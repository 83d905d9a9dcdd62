//! A static site: the matrix, a page per claim with its results on all profiles, wrong statements, and annotated
//! documents. Claims have stable URLs: `claims/ID.html`.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};

use super::claims;
use super::page::{
    DETAILS, FILTERS, PAGE, by_version, documents, environment, headline, safe_json, style, totals,
};
use crate::catalogue::model::Verdict;
use crate::document::Document;
use crate::file::{stays_inside, write_atomic};
use crate::report::annotate::annotate;
use crate::report::error::ReportError;
use crate::report::matrix::causes::{Cause, explained};
use crate::report::matrix::data::Matrix;
use crate::report::matrix::view::View;
use crate::report::results::{ClaimInfo, Results, key};
use crate::report::text::{count, line_numbers, one_line};
use crate::report::view::{Cell, State, labels, number};

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
        view: View::new(&matrix),
        results: &results,
        folder,
        labels,
        anchors,
        texts,
    };
    site.write("matrix.json", &matrix.to_json()?)?;
    for document in texts {
        let page = annotate(document, &results, "../")?.page;
        site.write(&format!("documents/{}.html", document.name()), &page)?;
    }
    site.pages(causes)?
        .iter()
        .try_for_each(|(path, page)| site.write(path, page))
}

struct Site<'a> {
    view: View<'a>,
    /// Ordered by version.
    results: &'a Results,
    folder: &'a Utf8Path,
    /// Of the columns.
    labels: Vec<String>,
    anchors: Vec<String>,
    texts: &'a [Document],
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

    /// Paths and pages.
    fn pages(&self, causes: &[Cause]) -> Result<Vec<(String, String)>, minijinja::Error> {
        let environment = environment()?;
        let mut pages = vec![
            (PAGE.to_owned(), self.index(&environment)?),
            ("wrong.html".to_owned(), self.wrong(&environment)?),
        ];
        let differences = self.view.differences(&self.results.claims);
        let groups = explained(&self.view, causes, &differences);
        for claim in &self.results.claims {
            let own = groups.iter().filter_map(|(cause, differences)| {
                let own = differences.iter().filter(|one| one.claim.id == claim.id);
                let on = own.map(|one| self.view.profiles[one.profile].label.as_str());
                let on: Vec<&str> = on.collect();
                let (kind, what, upstream) = cause.map_or(
                    ("Unexplained", "the verdict differs", "no cause known"),
                    |cause| (cause.kind.word(), &*cause.what, &*cause.upstream),
                );
                (!on.is_empty()).then(|| context! { kind, what, upstream, on => on.join(", ") })
            });
            let page = self.claim(&environment, claim, own.collect())?;
            pages.push((format!("claims/{}.html", claim.id), page));
        }
        Ok(pages)
    }

    fn has_page(&self, document: &str) -> bool {
        self.texts.iter().any(|text| text.name() == document)
    }

    fn index(&self, environment: &Environment<'_>) -> Result<String, minijinja::Error> {
        let (view, claims) = (&self.view, &self.results.claims);
        let mut groups: Vec<(&str, Vec<Value>)> = Vec::new();
        let mut in_order = Vec::new();
        let families: BTreeSet<&str> = claims.iter().map(|claim| family(&claim.id)).collect();
        let mut counts: BTreeMap<State, usize> = BTreeMap::new();
        for name in &families {
            for claim in claims.iter().filter(|claim| family(&claim.id) == *name) {
                let states = view.all(&claim.id).flat_map(|(_, found)| found.states());
                let states: BTreeSet<State> = states.collect();
                for state in &states {
                    *counts.entry(*state).or_default() += 1;
                }
                let row = self.row(claim, &states);
                match groups.last_mut().filter(|(last, _)| last == name) {
                    Some((_, rows)) => rows.push(row),
                    None => groups.push((name, vec![row])),
                }
                in_order.push(serde_json::json!({"cites": claim.cites, "cells": []}));
            }
        }
        let profiles = view.profiles.iter().map(|profile| {
            let long = profile.label.chars().count() > 5;
            context! { label => &profile.label, long, observed => profile.column.observed() }
        });
        let number =
            |is: &dyn Fn(&str) -> bool| claims.iter().filter(|claim| is(&claim.id)).count();
        let dates = self.results.clusters.iter().map(|column| column.run.began);
        let tested = format!(
            "{}, {}, tested from {} to {}",
            count(view.profiles.len(), "profile"),
            count(self.results.clusters.len(), "run"),
            dates.clone().min().unwrap_or_default().strftime("%Y-%m-%d"),
            dates.max().unwrap_or_default().strftime("%Y-%m-%d"),
        );
        environment.get_template("site.html")?.render(context! {
            style => style(),
            script => Value::from_safe_string([DETAILS, FILTERS, include_str!("../templates/site.js")].concat()),
            data => safe_json(serde_json::json!({"claims": in_order})),
            headline => headline(self.results),
            tested,
            version => env!("CARGO_PKG_VERSION"),
            annotated => self.texts.iter().map(|text| text.name().to_owned()).collect::<Vec<_>>(),
            documents => documents(self.results),
            families => Value::from(Serde(&families)),
            states => totals(|state| counts.get(&state).copied().unwrap_or_default()),
            differs => number(&|id| view.differs(id)),
            flaky => number(&|id| view.is_flaky(id)),
            profiles => profiles.collect::<Vec<_>>(),
            groups => groups
                .into_iter()
                .map(|(name, rows)| Value::from(vec![Value::from(name), Value::from(rows)]))
                .collect::<Vec<_>>(),
        })
    }

    fn row(&self, claim: &ClaimInfo, states: &BTreeSet<State>) -> Value {
        let mut keys: Vec<&str> = states.iter().map(|state| state.key()).collect();
        if self.view.differs(&claim.id) {
            keys.push("differs");
        }
        if self.view.is_flaky(&claim.id) {
            keys.push("flaky");
        }
        let cells = self.view.all(&claim.id).map(|(profile, found)| {
            let key = found.state().map_or("flaky", State::key);
            let newest = profile.runs.last().map(|at| self.anchors[*at].as_str());
            let words = format!("{}: {}", profile.label, found.in_words());
            let words = (!found.0.is_empty()).then_some(words);
            context! { key, words, anchor => newest }
        });
        context! {
            id => &claim.id, says => one_line(&claim.says), states => keys.join(" "),
            cells => cells.collect::<Vec<_>>(),
        }
    }

    fn claim(
        &self,
        environment: &Environment<'_>,
        claim: &ClaimInfo,
        causes: Vec<Value>,
    ) -> Result<String, minijinja::Error> {
        // The newest version comes first.
        let columns: Vec<usize> = (0..self.results.clusters.len()).rev().collect();
        let data = claims::data(self.results, &self.labels, &[claim], &columns, self.folder);
        let columns = columns.into_iter().map(|at| {
            let column = &self.results.clusters[at];
            let cell = Cell::of(column, claim);
            context! {
                label => &self.labels[at], anchor => &self.anchors[at],
                key => cell.state().key(), word => cell.state().word(), reason => cell.reason(),
                observed => self.view.matrix.columns[at].observed(), evidence => cell.evidence(),
            }
        });
        let wrong = [Verdict::Refuted, Verdict::Qualified].map(State::Verdict);
        let is_wrong = |column| wrong.contains(&Cell::of(column, claim).state());
        let instead = claim.instead.as_deref();
        let cites = claim.cites.iter().map(|cite| {
            let page = self.has_page(&cite.document);
            context! { document => &cite.document, lines => line_numbers(&one_line(&cite.lines)), page }
        });
        environment.get_template("claim.html")?.render(context! {
            style => style(),
            script => Value::from_safe_string([DETAILS, include_str!("../templates/claim.js")].concat()),
            data => safe_json(data),
            id => &claim.id,
            says => one_line(&claim.says),
            instead => instead.filter(|_| self.results.clusters.iter().any(is_wrong)),
            history => self.view.history(&claim.id),
            causes,
            cites => cites.collect::<Vec<_>>(),
            columns => columns.collect::<Vec<_>>(),
        })
    }

    fn wrong(&self, environment: &Environment<'_>) -> Result<String, minijinja::Error> {
        let documents = documents(self.results).into_iter().map(|name| {
            let mut claims: Vec<(usize, Value)> = Vec::new();
            for claim in &self.results.claims {
                let states: Vec<State> = self
                    .view
                    .all(&claim.id)
                    .flat_map(|(_, found)| found.states())
                    .collect();
                let worst = [Verdict::Refuted, Verdict::Qualified].map(State::Verdict);
                let Some(state) = worst.into_iter().find(|state| states.contains(state)) else {
                    continue;
                };
                for cite in claim
                    .cites
                    .iter()
                    .filter(|cite| one_line(&cite.document) == name)
                {
                    let first = cite.lines.split(|c: char| !c.is_ascii_digit()).next();
                    let first = first
                        .and_then(|first| first.parse().ok())
                        .unwrap_or_default();
                    let value = context! {
                        key => state.key(), id => &claim.id, says => one_line(&claim.says),
                        instead => &claim.instead, lines => line_numbers(&one_line(&cite.lines)),
                        history => self.view.history(&claim.id),
                    };
                    claims.push((first, value));
                }
            }
            claims.sort_by_key(|(line, _)| *line);
            let claims: Vec<Value> = claims.into_iter().map(|(_, value)| value).collect();
            context! { page => self.has_page(&name), name, claims }
        });
        environment.get_template("wrong.html")?.render(context! {
            style => style(),
            documents => documents.collect::<Vec<_>>(),
        })
    }
}

fn family(id: &str) -> &str {
    id.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

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
