#![allow(clippy::unwrap_used)]
use std::sync::LazyLock;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::evidence::{Entry, Problem};
use crate::fixture::{sample_catalogue, sample_evidence};
use crate::judge::alter::{Alteration, alter};

const REFUSED: usize = 0;
const ORDER: usize = 1;
const REPORTED: usize = 2;

static SCENARIO: LazyLock<Scenario> =
    LazyLock::new(|| sample_catalogue().scenarios["poststart/slow-hook"].clone());

static EVIDENCE: LazyLock<Evidence> = LazyLock::new(|| Evidence {
    scenario_digest: SCENARIO.digest.clone(),
    ..sample_evidence()
});

fn scenario() -> Scenario {
    SCENARIO.clone()
}

fn evidence() -> Evidence {
    EVIDENCE.clone()
}

fn altered(alterations: &str) -> Evidence {
    let alterations: Vec<Alteration> = serde_saphyr::from_str(alterations).unwrap();
    alter(&scenario(), &evidence(), &alterations).unwrap()
}

fn judged(evidence: &Evidence) -> Vec<Judgement> {
    let judged = judge(&SCENARIO, evidence).unwrap();
    assert!(judged.warnings.is_empty());
    judged.judgements
}

#[test]
fn verdicts_come_with_their_values() {
    let judgements = judged(&evidence());
    let wanted = [Verdict::Confirmed, Verdict::Refuted, Verdict::Refuted];
    assert_eq!(judgements.iter().map(|j| j.verdict).collect_vec(), wanted);
    assert_eq!(
        judgements.iter().map(|j| j.expected).collect_vec(),
        wanted.map(Some)
    );
    insta::assert_yaml_snapshot!(judgements);
}

/// What people read of an expression: what was found in lists, which moments came, by how much.
#[rstest]
#[case::found("stamps.exists(s, s.role == 'hook')")]
#[case::how_many("stamps.filter(s, s.stamp == 'begun').size() == 2")]
#[case::nothing("!stamps.exists(s, s.role == 'other' || !(s.at > running))")]
#[case::no_exception("stamps.all(s, s.pod == 'slow')")]
#[case::exceptions("stamps.all(s, s.role in ['hook'])")]
#[case::events("events.exists(e, e.reason == 'Started')")]
#[case::pods("pods.exists(p, p.phase == 'Running')")]
#[case::moments("'running' in moments && !('unseen' in moments)")]
#[case::spans("hook.ended - hook.begun > duration('1s')")]
#[case::sums("(hook.ended - hook.begun) - (hook.ended - running) < duration('1s')")]
#[case::presence("has(hook.begun) && !has(hook.missing)")]
#[case::states("states(slow).exists(s, s.state == 'running')")]
#[case::whole_names("has(refused_for) && has(logs_during) && !has(never)")]
#[case::text("logs_during.stderr.contains('waiting')")]
fn expressions_are_explained(#[case] text: &str) {
    use crate::judge::reasons::explain;
    use crate::judge::scene::Scene;

    let explained = explain(text, &Scene::new(&SCENARIO.knowing([text]), &evidence()));
    let value = explained.evaluation.value;
    let value = value.map_or("none".to_owned(), |v| v.to_string());
    let name = format!("explained_{}", case());
    insta::assert_snapshot!(name, format!("{text}\n{value}: {}", explained.because));
}

/// The name of the case under test, by which its snapshot is found whatever the order.
fn case() -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default();
    name.rsplit("::").next().unwrap_or_default().to_owned()
}

/// What people read when a check decides nothing, or decides otherwise.
#[rstest]
#[case::moment_missing(REFUSED, "[{in: stamps, where: it.stamp == 'ended', drop: true}]")]
#[case::control_not_met(REFUSED, "[{in: outputs, name: logs_after, set: {exit_code: 1}}]")]
#[case::control_not_there(REFUSED, "[{in: outputs, name: logs_after, drop: true}]")]
#[case::neither(REFUSED, "[{in: outputs, name: logs_during, shift: -1s}]")]
#[case::no_such_field(REFUSED, "[{in: outputs, name: logs_during, unset: [exit_code]}]")]
#[case::wrong_kind(REFUSED, "[{in: outputs, name: logs_during, set: {exit_code: many}}]")]
#[case::killed(REFUSED, "[{in: outputs, name: logs_during, set: {exit_code: null}}]")]
#[case::gap(
    ORDER,
    "[{in: notes, add: {note: gap, text: the pod watch was restarted}}]"
)]
#[case::lost(ORDER, "[{in: stamps, where: it.stamp == 'ended', set: {seq: 4}}]")]
#[case::neither_before(
    ORDER,
    "[{in: stamps, where: it.stamp == 'begun', set: {at: '=hook.begun'}}]"
)]
#[case::qualified(REPORTED, "[{in: pods, shift: -1s}]")]
#[case::empty_list(REPORTED, "[{in: stamps, where: it.stamp == 'begun', drop: true}]")]
#[case::turned(ORDER, "[{in: stamps, where: it.role == 'entrypoint', shift: 1s}]")]
fn reasons_name_what_decided(#[case] claim: usize, #[case] alterations: &str) {
    let name = case();
    let judgement = judged(&altered(alterations)).remove(claim);
    insta::assert_snapshot!(name, format!("{}\n{}", judgement.verdict, judgement.reason));
}

#[rstest]
#[case::both_true(&SCENARIO.claims[ORDER].checks[0].fails.text, "both `holds` and `fails` are true")]
#[case::no_value(
    "hook.begun < nothing.there",
    "`fails` is true, but `holds` cannot be evaluated"
)]
fn other_predictions_make_a_check_inconclusive(#[case] holds: &str, #[case] reason: &str) {
    let mut scenario = scenario();
    scenario.claims[ORDER].checks[0].holds.text = holds.to_owned();
    let judged = judge(&scenario, &evidence()).unwrap();
    let judgement = &judged.judgements[ORDER];
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(judgement.reason.contains(reason), "{}", judgement.reason);
}

#[test]
fn problems_give_no_verdict() {
    let mut evidence = evidence();
    evidence.problems.push(Problem {
        forbidden: false,
        doing: "until running".to_owned(),
        what: "timed out after 60 s".to_owned(),
    });
    let error = judge(&scenario(), &evidence).unwrap_err().to_string();
    assert_eq!(
        error,
        "failed to observe poststart/slow-hook: until running: timed out after 60 s"
    );
}

#[test]
fn what_the_cluster_forbids_makes_the_claims_not_applicable() {
    let mut evidence = evidence();
    evidence.problems.push(Problem {
        forbidden: true,
        doing: "apply".to_owned(),
        what: "pods \"x\" is forbidden".to_owned(),
    });
    let judged = judge(&scenario(), &evidence).unwrap();
    assert_eq!(judged.judgements.len(), 3);
    for judgement in judged.judgements {
        assert_eq!(judgement.verdict, Verdict::NotApplicable);
        assert!(!judgement.is_unexpected());
        assert_eq!(
            judgement.reason,
            "not applicable: this cluster forbids it: apply: pods \"x\" is forbidden"
        );
    }
}

#[test]
fn evidence_of_a_changed_experiment_is_judged_with_a_warning() {
    let evidence = Evidence {
        scenario_digest: "old".to_owned(),
        ..evidence()
    };
    let judged = judge(&scenario(), &evidence).unwrap();
    assert_eq!(judged.judgements.len(), 3);
    assert!(judged.warnings[0].contains("changed since this evidence was recorded"));
    let other = Evidence {
        scenario: "other/one".to_owned(),
        ..evidence
    };
    assert!(matches!(
        judge(&scenario(), &other),
        Err(Unusable::OtherScenario { .. })
    ));
}

#[test]
fn requirements_are_compared_with_cluster_facts() {
    let mut scenario = scenario();
    scenario.needs.capabilities.push("node-shell".to_owned());
    let judgements = judge(&scenario, &evidence()).unwrap().judgements;
    assert!(
        judgements
            .iter()
            .all(|j| j.verdict == Verdict::NotApplicable)
    );
    assert_eq!(
        judgements[0].reason,
        "not applicable: needs node-shell, nodes that are kind containers on this machine"
    );
    // The gate makes the check apply, and its claim is then expected as before.
    let with_gate = altered("[{in: cluster, set: {gates_seen.Imagined: true}}]");
    let checks = judged(&with_gate).remove(REPORTED).checks;
    assert_eq!(checks[1].outcome, Outcome::Fails);
    let older = judged(&altered("[{in: cluster, set: {kubernetes: v1.29.3}}]"));
    assert_eq!(older[REPORTED].expected, Some(Verdict::NotApplicable));
}

#[test]
fn untestable_claims_have_their_reason() {
    let judgements = untestable(&sample_catalogue());
    assert_eq!(judgements.len(), 1);
    assert_eq!(judgements[0].verdict, Verdict::NotTestable);
    assert_eq!(judgements[0].reason, "advice, not a statement of fact");
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC{0,8}".prop_map(Into::into),
    ];
    let name = prop_oneof![
        "[a-z]{1,3}",
        Just("status".to_owned()),
        Just("state".to_owned())
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(name.clone(), inner, 0..4)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let all = evidence().timeline;
    let time = prop::option::of(-377_705_023_201_i64..253_402_207_200);
    let parts = (prop::sample::select(all), json(), time, any::<u32>());
    parts.prop_map(|(mut entry, json, second, number)| {
        if let Some(at) = second.and_then(|second| jiff::Timestamp::from_second(second).ok()) {
            entry.at = at;
        }
        match &mut entry.seen {
            Seen::Agent(stamp) => (stamp.seq, stamp.data) = (number, json),
            Seen::Pod(pod) => pod.object = json,
            Seen::Output(output) => {
                output.data.insert("exit_code".to_owned(), json.clone());
                output.data.insert("lines".to_owned(), json);
            }
            _ => {}
        }
        entry
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_judge_never_panics(timeline in prop::collection::vec(entry(), 0..12)) {
        let evidence = Evidence { timeline, ..evidence() };
        prop_assert_eq!(judged(&evidence).len(), 3);
    }

    #[test]
    fn the_stored_order_of_entries_does_not_matter(
        timeline in Just(evidence().timeline).prop_shuffle(),
    ) {
        let shuffled = Evidence { timeline, ..evidence() };
        prop_assert_eq!(judged(&shuffled), judged(&evidence()));
    }

    #[test]
    fn removing_an_entry_never_reverses_a_verdict(n in 0usize..8) {
        let mut evidence = evidence();
        evidence.timeline.remove(n);
        for (with, without) in judged(&self::evidence()).iter().zip(judged(&evidence)) {
            prop_assert!([with.verdict, Verdict::Inconclusive].contains(&without.verdict));
        }
    }
}
