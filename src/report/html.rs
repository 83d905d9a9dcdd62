//! `index.html`: a self-contained page without external resources.

use std::collections::BTreeMap;

use camino::Utf8Path;
use minijinja::{AutoEscape, Environment, Value};
use serde::Serialize;

use super::error::ReportError;
use super::file::{stays_inside, write_atomic};
use super::html_claims::{Area, areas};
use super::json::read_evidence;
use super::results::{ClaimInfo, ClusterResults, Phase, Results};
use super::text::{clean, count, seconds};
use super::timeline::Timeline;
use super::timeline_svg::{WIDTH, draw};
use super::view::{Cell, Counts, State, document_stem, labels};
use crate::catalogue::model::Verdict;
use crate::evidence::ClusterFacts;

pub const PAGE: &str = "index.html";

/// A drawn timeline. The page contains it once and references it for each claim.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    pub(super) id: usize,
    pub(super) width: f64,
    pub(super) height: f64,
    #[serde(skip)]
    drawing: String,
}

/// Timelines by cluster index and scenario id, or why there is none.
pub(super) type Pictures = BTreeMap<(usize, String), Result<Picture, String>>;

#[derive(Serialize)]
struct Count {
    key: &'static str,
    word: &'static str,
    number: usize,
}

#[derive(Serialize)]
struct Fact {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
struct PhaseRow {
    name: String,
    took: String,
    error: Option<String>,
    note: String,
}

#[derive(Serialize)]
struct Cluster {
    label: String,
    name: String,
    counts: Vec<Count>,
    in_words: String,
    changed: usize,
    facts: Vec<Fact>,
    phases: Vec<PhaseRow>,
}

#[derive(Serialize)]
struct Attention {
    key: &'static str,
    title: &'static str,
    label: String,
    id: String,
    anchor: Option<String>,
    text: String,
}

#[derive(Serialize)]
struct Page {
    headline: String,
    run: String,
    began: String,
    took: Option<String>,
    version: String,
    clusters: Vec<Cluster>,
    attention: Vec<Attention>,
    documents: Vec<String>,
    states: Vec<Count>,
    areas: Vec<Area>,
}

/// Writes the page, with timelines from the evidence files in the same folder.
///
/// # Errors
/// The page cannot be rendered or written.
pub fn write(results: &Results, folder: &Utf8Path) -> Result<(), ReportError> {
    let page = page(results, folder).map_err(|source| ReportError::Page { source })?;
    write_atomic(&folder.join(PAGE), page.as_bytes())
}

/// Renders the page.
///
/// # Errors
/// The template fails.
pub fn page(results: &Results, folder: &Utf8Path) -> Result<String, minijinja::Error> {
    let pictures = pictures(results, folder);
    let labels = labels(&results.clusters);
    let page = Page {
        headline: headline(results),
        run: results.run.clone(),
        began: results.began.strftime("%-d %B %Y, %H:%M UTC").to_string(),
        took: results
            .ended
            .map(|e| seconds(e.duration_since(results.began).as_secs_f64())),
        version: results.hookproof.clone(),
        clusters: results
            .clusters
            .iter()
            .zip(&labels)
            .map(|(cluster, label)| cluster_of(results, cluster, label))
            .collect(),
        attention: attention(results, &labels),
        documents: documents(results),
        states: totals(results),
        areas: areas(results, &labels, &pictures),
    };

    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    // Removes control characters from all text.
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => {
            minijinja::escape_formatter(out, state, &Value::from(clean(text)))
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.add_template("marks.svg", include_str!("templates/marks.svg"))?;
    environment.add_template("index.html", include_str!("templates/index.html"))?;
    let drawings: Vec<Value> = pictures
        .values()
        .flatten()
        .map(|picture| {
            let drawing = Value::from_safe_string(picture.drawing.clone());
            minijinja::context! { id => picture.id, drawing }
        })
        .collect();
    let context = minijinja::context! {
        style => Value::from_safe_string(include_str!("templates/style.css").to_owned()),
        script => Value::from_safe_string(include_str!("templates/script.js").to_owned()),
        timelines => drawings,
        ..Value::from(minijinja::value::Serde(&page))
    };
    environment.get_template("index.html")?.render(context)
}

fn pictures(results: &Results, folder: &Utf8Path) -> Pictures {
    let mut pictures = Pictures::new();
    for (at, cluster) in results.clusters.iter().enumerate() {
        for scenario in &cluster.scenarios {
            let id = pictures.len();
            let picture = match scenario.evidence.as_deref().map(Utf8Path::new) {
                None => Err("No timeline: no evidence was written.".to_owned()),
                Some(path) if !stays_inside(path) => Err(format!(
                    "No timeline: {path} is outside the results folder."
                )),
                Some(path) => match read_evidence(&folder.join(path)) {
                    Ok(evidence) => {
                        let (drawing, height) = draw(&Timeline::of(&evidence));
                        Ok(Picture {
                            id,
                            width: WIDTH,
                            height: height.ceil(),
                            drawing,
                        })
                    }
                    Err(ReportError::Read { .. }) => {
                        Err(format!("No timeline: {path} is missing."))
                    }
                    Err(error) => Err(format!("No timeline: {error}.")),
                },
            };
            pictures.insert((at, scenario.scenario.clone()), picture);
        }
    }
    pictures
}

/// The results in one line: `12 claims: 7 confirmed, 3 refuted and 1 qualified`.
fn headline(results: &Results) -> String {
    let claims = count(results.claims.len(), "claim");
    let mut words = Vec::new();
    let total = |state| -> usize {
        let found = |claim| {
            results
                .clusters
                .iter()
                .any(|c| Cell::of(c, claim).state() == state)
        };
        results.claims.iter().filter(|claim| found(claim)).count()
    };
    for state in &State::ALL[..3] {
        if total(*state) > 0 {
            words.push(format!("{} {}", total(*state), state.word()));
        }
    }
    match words.split_last() {
        None => claims,
        Some((last, [])) => format!("{claims}: {last}"),
        Some((last, rest)) => format!("{claims}: {} and {last}", rest.join(", ")),
    }
}

fn totals(results: &Results) -> Vec<Count> {
    let cells: Vec<State> = results
        .clusters
        .iter()
        .flat_map(|cluster| {
            results
                .claims
                .iter()
                .map(|claim| Cell::of(cluster, claim).state())
        })
        .collect();
    State::ALL
        .into_iter()
        .map(|state| (state, cells.iter().filter(|cell| **cell == state).count()))
        .filter(|(_, number)| *number > 0)
        .map(|(state, number)| Count {
            key: state.key(),
            word: state.word(),
            number,
        })
        .collect()
}

fn documents(results: &Results) -> Vec<String> {
    let cites = results.claims.iter().flat_map(|claim| &claim.cites);
    let mut documents: Vec<_> = cites
        .map(|cite| document_stem(&cite.document).to_owned())
        .collect();
    documents.sort();
    documents.dedup();
    documents
}

fn attention(results: &Results, labels: &[String]) -> Vec<Attention> {
    let mut found = Vec::new();
    for (at, (cluster, label)) in results.clusters.iter().zip(labels).enumerate() {
        for phase in &cluster.phases {
            if let Some(error) = &phase.error {
                found.push(Attention {
                    key: State::Error.key(),
                    title: "Cluster failed",
                    label: label.clone(),
                    id: phase.name.clone(),
                    anchor: None,
                    text: error.clone(),
                });
            }
        }
        for (number, claim) in results.claims.iter().enumerate() {
            let cell = Cell::of(cluster, claim);
            let title = match cell {
                _ if cell.changed() => "Verdict changed",
                Cell::Problem { .. } => "No verdict",
                _ => continue,
            };
            let verdict = super::essentials::verdict_in_words(&cell);
            found.push(Attention {
                key: cell.state().key(),
                title,
                label: label.clone(),
                id: claim.id.clone(),
                anchor: Some(super::html_claims::cell_anchor(number, at)),
                text: format!("{verdict}: {}", cell.reason()),
            });
        }
        for scenario in &cluster.scenarios {
            let decides = |claim: &ClaimInfo| claim.scenario.as_ref() == Some(&scenario.scenario);
            let number = results.claims.iter().position(decides);
            for earlier in &scenario.earlier {
                found.push(Attention {
                    key: State::Verdict(Verdict::Inconclusive).key(),
                    title: "Retried",
                    label: label.clone(),
                    id: scenario.scenario.clone(),
                    anchor: number.map(|number| super::html_claims::cell_anchor(number, at)),
                    text: format!("attempt {}: {}", earlier.attempt, earlier.why().join("; ")),
                });
            }
        }
    }
    found
}

fn cluster_of(results: &Results, cluster: &ClusterResults, label: &str) -> Cluster {
    let counts = Counts::of(results, cluster);
    Cluster {
        label: label.to_owned(),
        name: cluster.facts.name.clone(),
        in_words: counts.in_words(),
        changed: counts.changed,
        counts: State::ALL
            .into_iter()
            .filter(|state| counts.get(*state) > 0)
            .map(|state| Count {
                key: state.key(),
                word: state.word(),
                number: counts.get(state),
            })
            .collect(),
        facts: facts(&cluster.facts),
        phases: cluster.phases.iter().map(phase).collect(),
    }
}

fn phase(phase: &Phase) -> PhaseRow {
    let Phase {
        name,
        began: _,
        seconds: took,
        error,
        note,
    } = phase;
    PhaseRow {
        name: name.clone(),
        took: seconds(*took),
        error: error.clone(),
        note: note.clone(),
    }
}

fn facts(facts: &ClusterFacts) -> Vec<Fact> {
    let ClusterFacts {
        name: _,
        profile,
        kubernetes,
        kubelets,
        kubectl,
        container_runtimes,
        node_image,
        gates,
        gates_seen,
        capabilities,
        nodes,
        clock_offset,
    } = facts;
    let gates_in_words = |gates: &BTreeMap<String, bool>| {
        let gates: Vec<_> = gates
            .iter()
            .map(|(gate, on)| format!("{gate} {}", if *on { "on" } else { "off" }))
            .collect();
        gates.join(", ")
    };
    [
        ("Kubernetes", kubernetes.clone()),
        ("profile", profile.clone()),
        ("nodes", nodes.to_string()),
        ("kubelets", kubelets.join(", ")),
        ("kubectl", kubectl.clone()),
        ("runtimes", container_runtimes.join(", ")),
        ("node image", node_image.clone().unwrap_or_default()),
        ("gates set", gates_in_words(gates)),
        ("gates observed", gates_in_words(gates_seen)),
        ("capabilities", capabilities.join(", ")),
        ("clock offset", format!("{clock_offset:.3} s")),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| Fact { name, value })
    .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::report::fixture;

    #[test]
    fn the_page_is_complete_and_self_contained() {
        let results = fixture::results();
        let page = page(&results, &fixture::folder()).unwrap();
        for claim in &results.claims {
            assert!(page.contains(&claim.id));
        }
        for external in ["src=", "<link", "@import", "fetch(", "url(http"] {
            assert!(!page.contains(external), "{external}");
        }
        let drawn = page.matches("<g class=\"tl\"").count();
        assert_eq!(drawn, 7);
        if let Some(path) = std::env::var_os("HOOKPROOF_KEEP_PAGE") {
            std::fs::write(path, page).unwrap();
        }
    }

    #[test]
    fn every_anchor_exists() {
        let page = page(&fixture::results(), &fixture::folder()).unwrap();
        for link in page.split("href=\"#").skip(1) {
            let id = link.split('"').next().unwrap();
            assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn untrusted_text_is_escaped(text in fixture::nasty_text()) {
            let page = page(&fixture::poisoned(&text), &fixture::folder()).unwrap();
            let clean_page = super::page(&fixture::results(), &fixture::folder()).unwrap();
            prop_assert_eq!(page.matches("<script").count(), clean_page.matches("<script").count());
            prop_assert!(!page.contains("onload='"));
            prop_assert!(!page.chars().any(|c| c.is_control() && c != '\n' && c != '\t' && c != '\r'));
        }
    }
}
