//! Whole scenarios against a fake API server.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use itertools::Itertools as _;
use rstest::rstest;

use super::*;
use crate::evidence::{Output, PodChange, PodSeen};
use crate::observe::fake::{self, Fake, refusal};
use crate::observe::session::{NodeShell, Target, clean};

fn scenario(actions: &str, steps: &str) -> Scenario {
    let needs = if steps.contains("{node:") {
        "needs: {capabilities: [node-shell]}\n"
    } else {
        ""
    };
    fake::scenario(&fake::pod(actions), needs, steps)
}

struct Ran {
    evidence: Evidence,
    fake: Fake,
    session: Arc<Session>,
}

/// Runs a scenario with a pod `web` after `prepare`.
async fn run_with(actions: &str, steps: &str, prepare: impl FnOnce(&Fake)) -> Ran {
    let fake = Fake::start().await;
    let session = fake.session().await;
    prepare(&fake);
    observed(fake, session, &scenario(actions, steps), |_, _, _| {}).await
}

/// Runs a scenario; `on_step` may stop it.
async fn observed(
    fake: Fake,
    session: Arc<Session>,
    scenario: &Scenario,
    on_step: impl Fn(&str, &Fake, &CancellationToken),
) -> Ran {
    let stop = CancellationToken::new();
    let on_step = |step: String| on_step(&step, &fake, &stop);
    let evidence = observe(&session, scenario, 1, false, &stop, on_step).await;
    Ran {
        evidence,
        fake,
        session,
    }
}

/// Runs a scenario on a cluster that differs from the usual one.
async fn run_on(scenario: Scenario, change: impl FnOnce(&mut Target)) -> Ran {
    let fake = Fake::start().await;
    let mut target = fake.target();
    change(&mut target);
    let session = Box::pin(Session::start("run1", target)).await.unwrap();
    Box::pin(observed(fake, session, &scenario, |_, _, _| {})).await
}

async fn run(actions: &str, steps: &str) -> Ran {
    run_with(actions, steps, |_| {}).await
}

/// Runs a scenario that has no problems.
async fn passes(actions: &str, steps: &str) -> Ran {
    run(actions, steps).await.without_problems()
}

impl Ran {
    #[track_caller]
    fn without_problems(self) -> Self {
        assert_eq!(self.evidence.problems, [], "{:#?}", self.evidence.timeline);
        self
    }

    fn output(&self, name: &str) -> &Output {
        let found = self.evidence.outputs().find(|output| output.name == name);
        found.unwrap()
    }

    fn stamps(&self) -> Vec<&str> {
        let stamps = self.evidence.stamps();
        stamps.map(|(_, stamp)| stamp.stamp.as_str()).collect()
    }

    fn notes(&self, kind: &str) -> Vec<&str> {
        let entries = self.evidence.timeline.iter();
        let texts = entries.filter_map(|entry| match &entry.seen {
            Seen::Runner(note) if note.note == kind => Some(note.text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    fn problem(&self) -> String {
        self.evidence.problems.iter().join("\n")
    }

    #[track_caller]
    fn has_problem(&self, expected: &str) {
        assert!(self.problem().contains(expected), "{}", self.problem());
    }
}

#[tokio::test]
async fn everything_is_observed_and_removed() {
    // Events arrive by a watch of their own.
    let steps = "  - apply\n  - until: web.running\n  - until: web.event.Started\n  - delete: pod/web\n  - until: web.gone";
    let ran = passes("wait", steps).await;
    assert_eq!(ran.stamps(), ["begun", "signal", "ended"]);
    let phase = |seen: &PodSeen| seen.object["status"]["phase"].as_str().unwrap().to_owned();
    let pods = ran
        .evidence
        .pods()
        .map(|(_, seen)| (seen.change, phase(seen)));
    let pods = pods.collect_vec();
    let (first, last) = (&pods[0], &pods[pods.len() - 1]);
    assert_eq!(*first, (PodChange::Applied, "Pending".into()), "{pods:?}");
    assert_eq!(*last, (PodChange::Deleted, "Succeeded".into()), "{pods:?}");
    let is_started =
        |entry: &Entry| matches!(&entry.seen, Seen::Event(event) if event.reason == "Started");
    assert!(ran.evidence.timeline.iter().any(is_started));
    assert_eq!(ran.notes("step").len(), 5);
    assert_eq!(ran.notes("gap"), [""; 0]);
    assert_eq!(ran.fake.requests("fieldValidation=Strict").len(), 1);
    assert_eq!(ran.fake.namespaces(), ["hookproof-run1"]);
    ran.session.finish(false).await.unwrap();
    assert_eq!(ran.fake.namespaces(), [""; 0]);
}

#[tokio::test]
async fn a_hold_lasts_until_its_release() {
    let steps =
        "  - apply\n  - until: web.entrypoint.held\n  - release: go\n  - until: web.succeeded";
    let ran = passes("hold=go", steps).await;
    assert_eq!(ran.stamps(), ["begun", "held", "released", "ended"]);
}

#[tokio::test]
async fn a_hold_that_no_step_releases_ends_with_the_scenario() {
    let ran = passes("hold=go", "  - apply\n  - until: web.entrypoint.held").await;
    ran.session.finish(false).await.unwrap();
    assert_eq!(ran.fake.namespaces(), [""; 0]);
}

#[tokio::test]
async fn a_step_that_times_out_is_a_problem_with_a_description_of_the_pods() {
    let ran = run(
        "wait",
        "  - apply\n  - {until: web.failed, cap: 200ms}\n  - delete: pod/web",
    )
    .await;
    let problem = ran.problem();
    assert!(problem.contains("suites/test/one.yaml:6"), "{problem}");
    assert!(problem.ends_with("timed out after 0.2 s"), "{problem}");
    assert_eq!(ran.output("at_problem").data["stdout"], "describe pods\n");
    assert_eq!(
        ran.fake
            .requests("DELETE /api/v1/namespaces/hookproof-run1-test-one/pods/web"),
        [""; 0]
    );
}

#[tokio::test]
async fn a_step_for_other_versions_is_left_out() {
    let steps = "  - apply\n  - {until: web.failed, kubernetes: '<1.2'}\n  - {delete: pod/web, kubernetes: '>=1.2'}";
    let ran = passes("wait", steps).await;
    assert_eq!(
        ran.notes("skipped"),
        ["wait until web.failed: only on Kubernetes <1.2"]
    );
    assert_eq!(
        ran.notes("step"),
        ["apply manifests/test/one.yaml", "delete pod/web"]
    );
}

#[tokio::test]
async fn a_moment_with_a_time_limit_may_not_occur() {
    let steps = "  - apply\n  - {until: web.failed, within: 200ms}\n  - delete: pod/web";
    let ran = passes("wait", steps).await;
    assert_eq!(
        ran.notes("optional"),
        ["wait at most 200 ms for web.failed: timed out"]
    );
}

#[rstest]
#[case::apply(
    "POST",
    "/pods",
    "  - apply",
    "rejected the request (422 Invalid): refused by the test"
)]
#[case::delete(
    "DELETE",
    "/pods/web",
    "  - apply\n  - delete: pod/web",
    "rejected the request (422 Invalid)"
)]
#[case::get(
    "GET",
    "/pods/web",
    "  - apply\n  - get: pod/web",
    "failed to get pod/web"
)]
#[case::placeholder(
    "GET",
    "/pods/web",
    "  - apply\n  - kubectl: explain {pod_ip:web}",
    "{pod_ip:web}: failed to get pod/web"
)]
#[case::namespace("POST", "/namespaces", "  - apply", "create the scenario's namespace")]
#[case::release("POST", "/release", "  - release: go", "the witness did not answer")]
#[case::last_stamps(
    "GET",
    "/time",
    "  - apply",
    "collect the last stamps: the witness did not answer"
)]
#[tokio::test]
async fn a_refusal_is_a_problem(
    #[case] method: &'static str,
    #[case] path: &'static str,
    #[case] steps: &str,
    #[case] expected: &str,
) {
    let ran = run_with("hold=go", steps, |fake| {
        fake.fault(method, path, Some(refusal(422, "Invalid")));
    })
    .await;
    ran.has_problem(expected);
}

#[rstest]
#[case::apply("POST", "/pods", "  - {apply: manifests/test/one.yaml, as: answer}")]
#[case::delete("DELETE", "/pods/web", "  - apply\n  - {delete: pod/web, as: answer}")]
#[tokio::test]
async fn a_refusal_of_a_named_step_is_its_output(
    #[case] method: &'static str,
    #[case] path: &'static str,
    #[case] steps: &str,
) {
    let ran = run_with("wait", steps, |fake| {
        fake.fault(method, path, Some(refusal(422, "Invalid")));
    })
    .await
    .without_problems();
    let answer = &ran.output("answer").data;
    let found = ["accepted", "code", "reason", "message"].map(|field| &answer[field]);
    assert_eq!(
        json!(found),
        json!([false, 422, "Invalid", "refused by the test"])
    );
}

#[rstest]
#[case::pod_security("POST", "/pods", "  - {apply: manifests/test/one.yaml, as: answer}")]
#[case::quota("POST", "/namespaces", "  - apply")]
#[case::delete("DELETE", "/pods/web", "  - apply\n  - delete: pod/web")]
#[case::read("GET", "/pods/web", "  - apply\n  - {get: pod/web, as: found}")]
#[tokio::test]
async fn what_the_cluster_forbids_is_recorded_as_such(
    #[case] method: &'static str,
    #[case] path: &'static str,
    #[case] steps: &str,
) {
    let ran = run_with("wait", steps, |fake| {
        fake.fault(method, path, Some(refusal(403, "Forbidden")));
    })
    .await;
    let forbidden = ran.evidence.forbidden().unwrap();
    assert!(
        forbidden.what.contains("refused by the test"),
        "{forbidden:?}"
    );
}

#[rstest]
#[case::image(
    "/api/v1/namespaces/hookproof-run1-test-one/pods/web",
    json!({"status": {"containerStatuses": [
        {"name": "main", "image": "x:1", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}}),
    "a node cannot pull the image x:1 (ImagePullBackOff)"
)]
#[case::controller(
    "/api/v1/namespaces/hookproof-run1-test-one/events/e",
    json!({"involvedObject": {"kind": "ReplicaSet", "name": "web"}, "type": "Warning", "reason": "FailedCreate",
        "message": "pods \"web\" is forbidden: exceeded quota"}),
    "pods \"web\" is forbidden: exceeded quota"
)]
#[tokio::test]
async fn a_timeout_may_be_due_to_what_the_cluster_forbids(
    #[case] path: &str,
    #[case] object: Value,
    #[case] expected: &str,
) {
    let fake = Fake::start().await;
    let session = fake.session().await;
    fake.watched("/api/v1/events").await;
    let scenario = scenario("hold=go", "  - apply\n  - {until: web.gone, cap: 2s}");
    let put = AtomicBool::new(false);
    let ran = observed(fake, session, &scenario, |step, fake, _| {
        if step.starts_with("wait") && !put.swap(true, Ordering::SeqCst) {
            fake.put(path, object.clone());
        }
    })
    .await;
    let forbidden = ran.evidence.forbidden();
    let forbidden = forbidden.map(|problem| problem.what.as_str());
    assert_eq!(forbidden, Some(expected), "{:#?}", ran.evidence.problems);
}

#[tokio::test]
async fn a_closed_connection_is_a_problem_even_of_a_named_step() {
    let steps = "  - {apply: manifests/test/one.yaml, as: answer}";
    let ran = run_with("wait", steps, |fake| fake.fault("POST", "/pods", None)).await;
    ran.has_problem("failed to POST");
}

#[tokio::test]
async fn a_dry_run_creates_nothing() {
    let steps = "  - {apply: manifests/test/one.yaml, dry_run: true, as: answer}";
    let ran = passes("wait", steps).await;
    assert_eq!(ran.output("answer").data["accepted"], true);
    assert_eq!(ran.stamps(), [""; 0]);
    assert_eq!(ran.fake.requests("dryRun=All").len(), 1);
}

#[tokio::test]
async fn an_object_is_read_without_bookkeeping_and_one_that_is_gone_is_absent() {
    let steps = "  - {get: pod/web, as: before}\n  - apply\n  - until: web.succeeded\n  - {get: pod/web, as: after}";
    let ran = passes("exit=0", steps).await;
    assert_eq!(ran.output("before").data.get("object"), None);
    let object = &ran.output("after").data["object"];
    assert_eq!(object["status"]["phase"], "Succeeded");
    assert_eq!(object["metadata"].get("managedFields"), None);
    assert_eq!(object["spec"]["containers"][0]["env"], json!([]));
}

#[tokio::test]
async fn kubectl_runs_in_the_namespace_and_never_shows_the_token() {
    let ran = passes(
        "wait",
        "  - apply\n  - until: web.running\n  - {kubectl: logs web, as: refused}\n  \
         - {kubectl: 'explain {pod_ip:web} {namespace}', as: filled}\n  - {kubectl: attach web, stdin: 'to {node_name:web}', as: typed}\n  \
         - {kubectl: 'create -f {manifest}', as: created}",
    ).await;
    let refused = &ran.output("refused").data;
    assert_eq!(refused["exit_code"], 1);
    assert_eq!(refused["argv"], json!(["kubectl", "logs", "web"]));
    let printed = refused["stderr"].as_str().unwrap();
    assert!(printed.contains("waiting to start"));
    assert_eq!(
        ran.output("filled").data["stdout"],
        "explain 10.0.0.7 hookproof-run1-test-one\n"
    );
    assert_eq!(ran.output("typed").data["stdout"], "to node-1\n");
    let created = ran.output("created").data["stdout"].as_str().unwrap();
    assert!(created.contains("hookproof/agent:test"), "{created}");
    assert!(created.contains("(token)"), "{created}");
    let whole = serde_json::to_string(&ran.evidence).unwrap();
    assert!(!whole.contains(&ran.session.witness.token));
}

#[tokio::test]
async fn a_placeholder_without_a_value_is_a_problem() {
    let ran = run("wait", "  - apply\n  - kubectl: explain {container_id:web}").await;
    ran.has_problem("{container_id:web} has no value yet");
}

#[tokio::test]
async fn requests_go_through_a_port_forward_in_the_background() {
    let ran = passes(
        "wait",
        "  - apply\n  - until: web.running\n  - {kubectl: port-forward web :80, as: forward, background: true}\n  \
         - {http: /version, through: forward, as: found}\n  - {http: /absent, through: forward, as: absent}\n  - stop: forward",
    ).await;
    let found = &ran.output("found").data;
    assert_eq!(found["status"], 200);
    assert!(found["body"].as_str().unwrap().contains("v1.36.3"));
    assert_eq!(ran.output("absent").data["status"], 404);
    let forward = &ran.output("forward").data;
    assert_eq!(
        json!([forward["stopped"], forward["exit_code"]]),
        json!([true, null])
    );
    let line = forward["lines"][0]["text"].as_str().unwrap();
    assert!(line.starts_with("Forwarding from"));
}

#[tokio::test]
async fn background_programs_are_awaited_or_stopped_at_the_end() {
    let ran = passes(
        "wait",
        "  - {kubectl: version, as: short, background: true}\n  - {kubectl: port-forward web :80, as: long, background: true}\n  \
         - ended: short",
    ).await;
    let short = &ran.output("short").data;
    assert_eq!(
        json!([short["stopped"], short["exit_code"]]),
        json!([false, 0])
    );
    assert_eq!(ran.output("long").data["stopped"], true);
}

#[tokio::test]
async fn a_program_that_runs_for_too_long_is_interrupted() {
    let steps = "  - {kubectl: port-forward web :80, as: forward, cap: 500ms}";
    let ran = passes("wait", steps).await;
    assert_eq!(ran.output("forward").data["stopped"], true);
}

#[tokio::test]
async fn commands_on_nodes_need_the_capability() {
    let steps = "  - apply\n  - until: web.running\n  - {node: uptime -p, pod: web, as: uptime}";
    let ran = passes("wait", steps).await;
    assert_eq!(
        ran.notes("skipped"),
        ["node uptime -p: the cluster has no node-shell"]
    );

    let ran = run_on(scenario("wait", steps), |target| {
        allow_nodes(target, "node-1");
    });
    let ran = ran.await.without_problems();
    assert_eq!(ran.output("uptime").data["stdout"], "node-1 uptime -p\n");
}

/// Allows commands on one node.
fn allow_nodes(target: &mut Target, node: &str) {
    target.allowed = vec!["node-shell".to_owned()];
    target.node_shell = Some(NodeShell {
        prefix: vec!["echo".to_owned()],
        nodes: vec![node.to_owned()],
    });
}

#[tokio::test]
async fn commands_run_on_nodes_of_the_cluster_only() {
    let steps = "  - apply\n  - until: web.running\n  - {node: uptime -p, pod: web, as: uptime}";
    let ran = run_on(scenario("wait", steps), |target| {
        allow_nodes(target, "other");
    })
    .await;
    ran.has_problem("`node-1`, which is not a node of this cluster");
}

const NAMESPACE: &str = "hookproof-run1-test-one";

/// An account that RBAC restricts to the namespace, Pod Security, and no environment.
#[tokio::test]
async fn a_scenario_acts_with_few_permissions() {
    let ran = run(
        "wait",
        "  - apply\n  - until: web.running\n  - {get: pod/web, as: seen}\n  - {kubectl: version, as: environment}\n  - delete: pod/web",
    )
    .await
    .without_problems();
    let namespace = ran
        .fake
        .last(&format!("/api/v1/namespaces/{NAMESPACE}"))
        .unwrap();
    let labels = &namespace["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "baseline");
    let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    for request in [
        format!("POST {pods}?"),
        format!("GET {pods}/web"),
        format!("DELETE {pods}/web"),
    ] {
        assert_eq!(ran.fake.by_scenario(&request), 1, "{request}");
    }
    let roles = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}");
    let last = |path: &str| {
        ran.fake
            .last(&format!("{roles}/{path}/hookproof-scenario"))
            .unwrap()
    };
    let permitted = last("roles")["rules"].to_string();
    for absent in [
        "secrets",
        "token",
        "roles",
        "\"*\"",
        "impersonate",
        "escalate",
        "\"namespaces\"",
        "\"nodes\"",
    ] {
        assert!(!permitted.contains(absent), "{absent}: {permitted}");
    }
    assert_eq!(last("rolebindings")["roleRef"]["kind"], "Role");
    assert_eq!(ran.fake.requests("clusterrole"), [""; 0]);
    let printed = ran.output("environment").data["stdout"].as_str().unwrap();
    let names = printed
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0));
    // The shell of the test's kubectl adds two of its own.
    let names = names.filter(|name| !["PWD", "OLDPWD", "_", "SHLVL", "port"].contains(name));
    assert_eq!(names.sorted().collect_vec(), ["HOME", "TMPDIR"]);
}

/// Capabilities of suites that are not built in need `--allow`.
#[rstest]
#[case::denied(&[], "baseline", 0)]
#[case::allowed(&["privileged-pods", "cluster-objects"], "privileged", 2)]
#[tokio::test]
async fn capabilities_are_granted_as_allowed(
    #[case] allowed: &[&str],
    #[case] level: &str,
    #[case] cluster_roles: usize,
) {
    let steps = "  - apply\n  - {get: node/node-1, as: node}";
    let mut scenario = scenario("wait", steps);
    scenario.needs.capabilities = vec!["privileged-pods".to_owned(), "cluster-objects".to_owned()];
    let allowed: Vec<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(scenario.denied(&allowed).is_none(), cluster_roles > 0);
    let ran = run_on(scenario, |target| target.allowed = allowed).await;
    let namespace = format!("/api/v1/namespaces/{NAMESPACE}");
    let namespace = ran.fake.last(&namespace).unwrap();
    let labels = &namespace["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], level);
    let created = ran
        .fake
        .requests("POST /apis/rbac.authorization.k8s.io/v1/clusterrole");
    assert_eq!(created.len(), cluster_roles, "{created:?}");
    if cluster_roles > 0 {
        let path = format!("/apis/rbac.authorization.k8s.io/v1/clusterroles/{NAMESPACE}");
        let role = ran.fake.last(&path).unwrap();
        assert_eq!(role["metadata"]["ownerReferences"][0]["kind"], "Namespace");
    }
}

const IN_THE_MIDDLE: &str = "  - apply\n  - until: web.entrypoint.held\n  - release: go\n  - until: [web.entrypoint.ended, web.succeeded]";

/// Runs a scenario during which `interrupt` happens, before its third step.
async fn interrupted(interrupt: impl Fn(&Fake)) -> Ran {
    let fake = Fake::start().await;
    let session = fake.session().await;
    fake.watched("/api/v1/pods").await;
    fake.watched("/api/v1/events").await;
    let scenario = scenario("stamp=a, hold=go, stamp=b", IN_THE_MIDDLE);
    let ran = observed(fake, session, &scenario, |step, fake, _| {
        if step == "release the hold go" {
            interrupt(fake);
        }
    });
    let ran = ran.await.without_problems();
    assert_eq!(
        ran.stamps(),
        ["begun", "a", "held", "released", "b", "ended"]
    );
    ran
}

#[tokio::test]
async fn closed_streams_resume_without_a_gap() {
    let ran = interrupted(Fake::close).await;
    assert_eq!(ran.notes("gap"), [""; 0]);
}

#[tokio::test]
async fn an_expired_watch_is_a_gap() {
    let ran = interrupted(Fake::expire).await;
    let gaps = ran.notes("gap").join("\n");
    assert!(gaps.contains("watch of pods was restarted"), "{gaps}");
}

#[tokio::test]
async fn an_interrupted_scenario_leaves_nothing() {
    let fake = Fake::start().await;
    let session = fake.session().await;
    let steps = "  - apply\n  - until: web.entrypoint.held\n  - until: web.failed";
    let ran = observed(
        fake,
        session,
        &scenario("hold=go", steps),
        |step, _, stop| {
            if step == "wait until web.failed" {
                stop.cancel();
            }
        },
    )
    .await;
    ran.has_problem("the run was interrupted");
    ran.session.finish(false).await.unwrap();
    assert_eq!(ran.fake.namespaces(), [""; 0]);
}

#[tokio::test]
async fn kept_namespaces_are_removed_by_label_when_their_run_is_over() {
    let fake = Fake::start().await;
    let session = fake.session().await;
    let stop = CancellationToken::new();
    let scenario = scenario("hold=go", "  - apply");
    for attempt in [1, 2] {
        observe(&session, &scenario, attempt, true, &stop, |_| {}).await;
    }
    session.finish(true).await.unwrap();
    fake.put("/api/v1/namespaces/other", json!({}));
    let all = [
        "hookproof-run1",
        "hookproof-run1-test-one",
        "hookproof-run1-test-one-2",
        "other",
    ];
    assert_eq!(fake.namespaces(), all);
    // The lease is fresh.
    assert_eq!(clean(&fake.client, false).await.unwrap(), [""; 0]);
    assert_eq!(fake.namespaces(), all);
    fake.put(
        "/apis/coordination.k8s.io/v1/namespaces/hookproof-run1/leases/run",
        json!({"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}}),
    );
    assert_eq!(clean(&fake.client, false).await.unwrap(), ["run1"]);
    assert_eq!(fake.namespaces(), ["other"]);
}

#[rstest]
#[case::starting(Some(0), None, None, true)]
#[case::killed_while_starting(Some(100), None, None, false)]
#[case::renewed(Some(100), Some(0), Some(0), true)]
#[case::clock_of_the_runner_is_behind(Some(100), Some(100), Some(0), true)]
#[case::clock_of_the_runner_is_ahead(Some(100), Some(-1000), Some(100), false)]
#[case::killed(Some(100), Some(60), Some(60), false)]
#[tokio::test]
async fn a_run_of_another_machine_is_removed_only_if_it_is_dead(
    #[case] created: Option<i64>,
    #[case] renewed: Option<i64>,
    #[case] changed: Option<i64>,
    #[case] alive: bool,
) {
    let fake = Fake::start().await;
    let ago =
        |seconds: i64| (Timestamp::now() - jiff::SignedDuration::from_secs(seconds)).to_string();
    let namespace = json!({"metadata": {"labels": {"hookproof/run": "other"}, "creationTimestamp": created.map(ago)}});
    fake.put("/api/v1/namespaces/hookproof-other", namespace);
    if let Some(renewed) = renewed {
        let lease = json!({"spec": {"renewTime": ago(renewed)}, "metadata": {"managedFields":
            [{"manager": "hookproof", "time": changed.map(ago)}]}});
        fake.put(
            "/apis/coordination.k8s.io/v1/namespaces/hookproof-other/leases/run",
            lease,
        );
    }
    let removed = clean(&fake.client, false).await.unwrap();
    assert_eq!(removed.is_empty(), alive, "{removed:?}");
}

#[tokio::test]
async fn a_quota_of_priority_classes_does_not_keep_the_witness_away() {
    let fake = Fake::start().await;
    let quota = "insufficient quota to match these scopes";
    fake.fault("POST", "/pods", Some((403, "Forbidden", quota)));
    let session = Session::start("run1", fake.target()).await.unwrap();
    session.finish(false).await.unwrap();
}

#[tokio::test]
async fn a_session_without_a_witness_does_not_start() {
    let fake = Fake::start().await;
    fake.fault("POST", "/pods", Some(refusal(403, "Forbidden")));
    let session = Session::start("run1", fake.target()).await;
    let error = session.map(drop).unwrap_err().to_string();
    assert!(
        error.contains("failed to create the witness pod"),
        "{error}"
    );
}
