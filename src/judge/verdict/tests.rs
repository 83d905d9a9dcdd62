#![allow(clippy::unwrap_used)]
use camino::Utf8Path;
use serde_json::json;

use super::*;
use crate::catalogue::load::{Source, load};
use crate::observe::evidence::Problem;
use crate::observe::timeline;

fn catalogue() -> Catalogue {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sample");
    load(&[Source::Folder(root)]).checked().unwrap()
}

fn scenario() -> Scenario {
    catalogue().scenarios["poststart/slow-hook"].clone()
}

fn at(millis: i64) -> String {
    let zero: jiff::Timestamp = "2026-01-02T03:04:00Z".parse().unwrap();
    (zero + jiff::SignedDuration::from_millis(millis)).to_string()
}

fn stamp(millis: i64, role: &str, seq: u32, stamp: &str) -> serde_json::Value {
    json!({"n": 0, "at": at(millis), "clock": "node", "source": "agent", "pod": "slow",
        "container": "main", "start": 1, "role": role, "process": format!("p-{role}"), "pid": 7,
        "seq": seq, "stamp": stamp, "data": {}})
}

fn logs(name: &str, begin: i64, end: i64, code: i32, stdout: &str) -> serde_json::Value {
    json!({"n": 0, "at": at(end), "clock": "runner", "source": "output", "name": name,
        "step": "kubectl", "begin": at(begin), "end": at(end), "argv": ["kubectl", "logs", "slow"],
        "exit_code": code, "stdout": stdout, "stderr": "", "lines": []})
}

fn pod(millis: i64, running: bool) -> serde_json::Value {
    let state = if running {
        json!({"running": {}})
    } else {
        json!({"waiting": {}})
    };
    json!({"n": 0, "at": at(millis), "clock": "runner", "source": "pod", "pod": "slow",
        "change": "applied", "object": {"metadata": {"name": "slow"}, "status": {
            "phase": "Pending", "containerStatuses": [{"name": "main", "state": state}]}}})
}

fn entries() -> Vec<serde_json::Value> {
    vec![
        pod(100, false),
        stamp(1020, "hook", 1, "begun"),
        stamp(1010, "entrypoint", 1, "begun"),
        logs("logs_during", 1310, 1600, 1, ""),
        stamp(2300, "hook", 2, "ended"),
        pod(2350, true),
        logs("logs_after", 2500, 2600, 0, "begun\n"),
        json!({"n": 0, "at": at(2700), "clock": "runner", "source": "output", "name": "forward",
            "step": "kubectl", "begin": at(1700), "end": at(2700), "exit_code": null,
            "lines": [{"at": at(1800), "stream": "stdout", "text": "Forwarding from 127.0.0.1:1"}]}),
    ]
}

fn evidence(entries: Vec<serde_json::Value>) -> Evidence {
    let evidence: Evidence = serde_json::from_value(json!({
        "schema": crate::observe::evidence::SCHEMA, "scenario": "poststart/slow-hook",
        "scenario_digest": scenario().digest, "run": "r", "cluster": {"name": "c",
        "profile": "default", "kubernetes": "v1.36.1", "kubelets": [], "kubectl": "v1.36.1",
        "container_runtimes": [], "node_image": null, "gates": {}, "capabilities": [], "nodes": 1},
        "began": at(0), "ended": at(3000), "attempt": 1, "timeline": entries}))
    .unwrap();
    Evidence {
        timeline: timeline::build(evidence.timeline.clone()),
        ..evidence
    }
}

fn judged(entries: Vec<serde_json::Value>) -> Vec<Judgement> {
    let judged = judge(&scenario(), &evidence(entries)).unwrap();
    assert!(judged.warnings.is_empty());
    judged.judgements
}

#[test]
fn verdicts_come_with_their_values() {
    let judgements = judged(entries());
    let verdicts: Vec<Verdict> = judgements.iter().map(|j| j.verdict).collect();
    assert_eq!(
        verdicts,
        [Verdict::Confirmed, Verdict::Refuted, Verdict::Refuted]
    );
    let expected: Vec<Option<Verdict>> = judgements.iter().map(|j| j.expected).collect();
    assert_eq!(
        expected,
        verdicts.iter().copied().map(Some).collect::<Vec<_>>()
    );
    insta::assert_yaml_snapshot!(judgements);
}
