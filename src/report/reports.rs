//! Collects results during a run and writes them after every event, so that an interrupted run
//! keeps all results so far.

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::error::ReportError;
use super::results::{ClusterResults, Results, SCHEMA};
use super::view::Cell;
use super::{html, json, junit, markdown};
use crate::report::event::RunEvent;

/// Writes all reports: `results.json`, `junit/`, `summary.md`, `index.html`. Reads evidence from the
/// same folder. `base` is the folder's URL for links, with a slash at the end.
pub fn write_all(results: &Results, folder: &Utf8Path, base: &str) -> Result<(), ReportError> {
    json::write_results(results, folder)?;
    junit::write(results, folder)?;
    markdown::write(results, folder, base)?;
    html::write(results, folder)
}

/// Reports of a run in progress.
#[derive(Debug)]
pub(crate) struct Reports {
    folder: Utf8PathBuf,
    /// URL of the folder, with a slash at the end.
    base: String,
    results: Results,
    /// Cluster names as used in events; the name in the facts may differ.
    names: Vec<String>,
}

impl Reports {
    /// Reports into a folder, which is created on the first write. Links use `base`.
    pub(crate) fn new(folder: Utf8PathBuf, base: &str) -> Self {
        Self {
            folder,
            base: base.to_owned(),
            results: Results {
                schema: SCHEMA.to_owned(),
                hookproof: env!("CARGO_PKG_VERSION").to_owned(),
                began: Timestamp::now(),
                ..Results::default()
            },
            names: Vec::new(),
        }
    }

    pub(crate) fn results(&self) -> &Results {
        &self.results
    }

    pub(crate) fn page(&self) -> Utf8PathBuf {
        self.folder.join(html::PAGE)
    }

    /// Records an event and writes the affected reports.
    pub(crate) fn on(&mut self, event: &RunEvent) -> Result<(), ReportError> {
        match event {
            RunEvent::Begun {
                run,
                claims,
                accounts,
                clusters,
            } => {
                let results = &mut self.results;
                results.run.clone_from(run);
                results.began = Timestamp::now();
                results.claims.clone_from(claims);
                results.accounts.clone_from(accounts);
                results.clusters.clear();
                self.names.clear();
                for column in clusters {
                    let mut column = column.clone();
                    self.names.push(column.facts.name.clone());
                    column.run.began = results.began;
                    column.run.claims = claims.iter().map(|claim| claim.id.clone()).collect();
                    results.clusters.push(column);
                }
                return json::write_results(results, &self.folder);
            }
            RunEvent::PhaseEnded { cluster, phase } => {
                let column = self.cluster(cluster);
                if column.phases.is_empty() {
                    column.run.began = phase.began;
                }
                column.phases.push(phase.clone());
            }
            RunEvent::ClusterReady { cluster, facts, .. } => {
                self.cluster(cluster).facts = facts.clone();
            }
            RunEvent::ScenarioEnded {
                cluster,
                scenario,
                judgements,
            } => {
                let column = self.cluster(cluster);
                column.scenarios.push(scenario.clone());
                column.judgements.extend(judgements.iter().cloned());
            }
            RunEvent::Judged { cluster, judgement } => {
                self.cluster(cluster).judgements.push((**judgement).clone());
            }
            RunEvent::ClusterEnded { cluster } => {
                self.cluster(cluster).run.ended = Some(Timestamp::now());
            }
            RunEvent::Ended { stopped } => {
                let now = Timestamp::now();
                self.results.ended = stopped.is_none().then_some(now);
                for column in &mut self.results.clusters {
                    let mut cells = self.results.claims.iter().map(|c| Cell::of(column, c));
                    let complete = !cells.any(|cell| cell.is_missing());
                    let ended = column.run.ended.unwrap_or(now);
                    column.run.ended = (stopped.is_none() || complete).then_some(ended);
                }
                return write_all(&self.results, &self.folder, &self.base);
            }
            RunEvent::Planned { .. }
            | RunEvent::PhaseBegun { .. }
            | RunEvent::PhaseProgress { .. }
            | RunEvent::ScenarioBegun { .. }
            | RunEvent::ScenarioStep { .. }
            | RunEvent::Warning { .. }
            | RunEvent::Stopping { .. } => return Ok(()),
        }
        // The machine-readable files are cheap enough for every scenario.
        json::write_results(&self.results, &self.folder)?;
        junit::write(&self.results, &self.folder)
    }

    fn cluster(&mut self, name: &str) -> &mut ClusterResults {
        let known = self.names.iter().position(|known| known == name);
        let at = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.results.clusters.push(ClusterResults::new(name));
            self.names.len() - 1
        });
        &mut self.results.clusters[at]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::fixture::folder;
    use crate::report::fixture;

    #[test]
    fn collects_a_run_and_writes_every_report() {
        let (_keep, path) = folder();
        let expected = fixture::results();
        let mut reports = Reports::new(path.clone(), "./");
        for event in fixture::events(&expected) {
            reports.on(&event).unwrap();
        }
        let found = json::read_results(&path).unwrap();
        assert!(found.ended.is_some());
        for (found, expected) in found.clusters.iter().zip(&expected.clusters) {
            assert_eq!(found.facts, expected.facts);
            assert_eq!(found.scenarios, expected.scenarios);
            assert_eq!(found.judgements.len(), expected.judgements.len());
        }
        for file in [
            "summary.md",
            "index.html",
            "junit/junit-1.35-default.xml",
            "junit/junit-1.36-default.xml",
        ] {
            assert!(path.join(file).is_file(), "{file}");
        }
    }

    #[test]
    fn writes_results_after_every_event() {
        let (_keep, path) = folder();
        let mut reports = Reports::new(path.clone(), "./");
        for event in fixture::events(&fixture::results()) {
            reports.on(&event).unwrap();
            assert_eq!(&json::read_results(&path).unwrap(), reports.results());
            let first = "hookproof-1.35";
            if matches!(&event, RunEvent::ScenarioEnded { cluster, .. } if cluster == first) {
                let xml =
                    std::fs::read_to_string(path.join("junit/junit-1.35-default.xml")).unwrap();
                assert!(xml.contains("the run is not complete"));
            }
        }
    }
}
