//! Test fixtures: `tests/fixtures/report` is a results folder with invented results and evidence.

#![allow(clippy::unwrap_used)]

use camino::{Utf8Path, Utf8PathBuf};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::json::read_results;
use super::results::{ClaimInfo, ClusterResults, Results, Run};
use crate::evidence::Evidence;
use crate::judge::judgement::Judgement;
use crate::observe::store;
use crate::report::event::RunEvent;
use crate::report::terminal::Layout;

/// A terminal of 80 columns without colours.
pub(super) const PLAIN: Layout = Layout {
    width: 80,
    colour: false,
};

pub(super) fn folder() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/report")
}

pub(super) fn results() -> Results {
    read_results(&folder()).unwrap()
}

pub(super) fn evidence(path: &str) -> Evidence {
    store::read(&folder().join(path)).unwrap()
}

/// Container output that could break or inject into a report.
pub(super) fn nasty_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        any::<String>(),
        Just("]]></system-out><script>alert(1)</script>".to_owned()),
        Just("\u{1b}[31m\u{1b}]0;title\u{7}red\u{1b}[0m".to_owned()),
        Just("\"' onload='x' &amp; &#0; <!-- --> </style></svg> {{ 7 * 7 }} {% raw %}".to_owned()),
        Just("| a | b |\n```\n# heading [x](javascript:alert(1))".to_owned()),
        Just("\0\u{fffe}\u{ffff}\u{85}\u{2028}\r\n".to_owned()),
    ]
}

/// Adds these claims again with their verdicts, under ids that end in `nth`.
pub(super) fn repeat(results: &mut Results, claims: &[ClaimInfo], nth: usize) {
    let rename = |id: &str| format!("{id}-{nth}");
    results.claims.extend(claims.iter().map(|claim| ClaimInfo {
        id: rename(&claim.id),
        ..claim.clone()
    }));
    for column in &mut results.clusters {
        let known = column.judgements.iter();
        let known = known.filter(|found| claims.iter().any(|claim| claim.id == found.claim));
        let again = known.map(|found| Judgement {
            claim: rename(&found.claim),
            ..found.clone()
        });
        let again: Vec<_> = again.collect();
        column.judgements.extend(again);
    }
}

/// The results with `text` in every field that holds untrusted text.
pub(super) fn poisoned(text: &str) -> Results {
    let mut poisoned = serde_json::to_value(results()).unwrap();
    poison(&mut poisoned, text);
    let mut poisoned: Results = serde_json::from_value(poisoned).unwrap();
    for column in &mut poisoned.clusters {
        column.label = Some(text.to_owned());
        text.clone_into(&mut column.facts.name);
        for check in column
            .judgements
            .iter_mut()
            .flat_map(|found| &mut found.checks)
        {
            text.clone_into(&mut check.name);
            check.control.error = Some(text.to_owned());
        }
    }
    poisoned
}

fn poison(value: &mut Value, text: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| poison(item, text)),
        Value::Object(fields) => {
            for (name, field) in fields {
                match name.as_str() {
                    "says" | "instead" | "document" | "lines" | "profile" | "node_image" => {
                        *field = json!(text);
                    }
                    "title" | "note" | "error" | "reason" => *field = json!(text),
                    "problems" => *field = json!([text]),
                    "measured" => field[text] = json!(text),
                    "read" => *field = json!([[text, text]]),
                    _ => poison(field, text),
                }
            }
        }
        _ => {}
    }
}

/// Evidence with `text` in every field that holds untrusted text.
pub(super) fn poisoned_evidence(text: &str) -> Evidence {
    use crate::evidence::Seen;

    let mut evidence = evidence("evidence/1.36/poststart/slow-hook.json");
    for entry in &mut evidence.timeline {
        match &mut entry.seen {
            Seen::Agent(stamp) => {
                stamp.role = text.to_owned();
                stamp.data = serde_json::json!({"name": text, "signal": text, "path": text});
            }
            Seen::Pod(seen) => seen.pod = text.to_owned(),
            Seen::Event(event) => {
                event.reason = text.to_owned();
                event.message = text.to_owned();
            }
            Seen::Output(output) => {
                output.name = text.to_owned();
                output.data.insert("stdout".to_owned(), text.into());
                output.data.insert("argv".to_owned(), vec![text].into());
            }
            Seen::Runner(note) => note.text = text.to_owned(),
        }
    }
    evidence
}

fn empty(column: &ClusterResults) -> ClusterResults {
    ClusterResults {
        key: column.key.clone(),
        run: Run {
            ended: None,
            ..column.run.clone()
        },
        ..ClusterResults::new(&column.facts.name)
    }
}

/// The events of a run that ends with these results.
pub(super) fn events(results: &Results) -> Vec<RunEvent> {
    let mut events = vec![RunEvent::Begun {
        run: results.run.clone(),
        claims: results.claims.clone(),
        accounts: results.accounts.clone(),
        clusters: results.clusters.iter().map(empty).collect(),
    }];
    for cluster in &results.clusters {
        let name = cluster.facts.name.clone();
        for phase in &cluster.phases {
            events.push(RunEvent::PhaseEnded {
                cluster: name.clone(),
                phase: phase.clone(),
            });
        }
        events.push(RunEvent::ClusterReady {
            cluster: name.clone(),
            facts: cluster.facts.clone(),
            scenarios: cluster.scenarios.len(),
        });
        for judgement in cluster.judgements.iter().filter(|j| j.scenario.is_none()) {
            let judgement = Box::new(judgement.clone());
            events.push(RunEvent::Judged {
                cluster: name.clone(),
                judgement,
            });
        }
        for scenario in &cluster.scenarios {
            events.push(RunEvent::ScenarioBegun {
                cluster: name.clone(),
                scenario: scenario.scenario.clone(),
                after: scenario.earlier.last().cloned(),
            });
            let of = |j: &&Judgement| j.scenario.as_ref() == Some(&scenario.scenario);
            events.push(RunEvent::ScenarioEnded {
                cluster: name.clone(),
                scenario: scenario.clone(),
                judgements: cluster.judgements.iter().filter(of).cloned().collect(),
            });
        }
        events.push(RunEvent::ClusterEnded { cluster: name });
    }
    events.push(RunEvent::Ended { stopped: None });
    events
}
