//! Watches against a fake API server that drops connections and expires resource versions: no change is lost
//! or recorded twice, and possible gaps are noted.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router as Routes;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use hookproof::evidence::{Entry, PodChange, Seen};
use hookproof::observe::recorder::{Recorder, RunnerClock};
use hookproof::observe::watch::{self, Router};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The lines that the server sends in one watch before it closes the connection.
type Watch = Vec<Value>;

#[derive(Clone)]
struct Fake {
    lists: Arc<Mutex<VecDeque<Value>>>,
    watches: Arc<Mutex<VecDeque<Watch>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

fn pod(version: u32, phase: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "ns", "uid": "u1",
            "resourceVersion": version.to_string(), "labels": {"hookproof/run": "r"}},
        "spec": {"nodeName": "n"}, "status": {"phase": phase}})
}

fn list(version: u32, items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "PodList",
        "metadata": {"resourceVersion": version.to_string()}, "items": items})
}

fn change(kind: &str, object: &Value) -> Value {
    json!({"type": kind, "object": object})
}

fn gone() -> Value {
    change(
        "ERROR",
        &json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 410,
            "reason": "Expired", "message": "too old resource version"}),
    )
}

async fn answer(State(fake): State<Fake>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    fake.asked.lock().unwrap().push(query.clone());
    if !query.contains("watch=true") {
        let next = fake.lists.lock().unwrap().pop_front();
        let list = next.unwrap_or_else(|| list(99, &[]));
        return Response::new(Body::from(list.to_string()));
    }
    let next = fake.watches.lock().unwrap().pop_front();
    let Some(lines) = next else {
        // The script has ended: the watch stays open without changes.
        let silent = futures::stream::pending::<Result<String, std::io::Error>>();
        return Response::new(Body::from_stream(silent));
    };
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    Response::new(Body::from(lines.join("\n") + "\n"))
}

/// Runs the pod watch against scripted lists and watches until the timeline satisfies `enough`. Returns the
/// timeline and the queries.
async fn observed(
    lists: Vec<Value>,
    watches: Vec<Watch>,
    enough: impl Fn(&[Entry]) -> bool,
) -> (Vec<Entry>, Vec<String>) {
    let fake = Fake {
        lists: Arc::new(Mutex::new(lists.into())),
        watches: Arc::new(Mutex::new(watches.into())),
        asked: Arc::default(),
    };
    let paths = Routes::new()
        .route("/api/v1/pods", get(answer))
        .with_state(fake.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, paths).await });

    let config = Config::new(format!("http://{address}").parse().unwrap());
    let client = Client::try_from(config).unwrap();
    let router = Router::default();
    let recorder = Recorder::new(RunnerClock::default());
    router.add("ns", recorder.clone());
    let stop = CancellationToken::new();
    let watching = tokio::spawn(watch::pods(client, "r".into(), router, stop.clone()));

    let wait = async {
        let mut seen = Vec::new();
        recorder
            .wait(
                1,
                |entry| {
                    seen.push(entry.clone());
                    Ok::<bool, ()>(enough(&seen))
                },
                |_| false,
            )
            .await
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
    stop.cancel();
    watching.await.unwrap();
    server.abort();
    let entries = recorder.entries();
    assert!(waited.is_ok(), "timed out; entries: {entries:#?}");
    let asked = fake.asked.lock().unwrap().clone();
    (entries, asked)
}

fn phases(entries: &[Entry]) -> Vec<(PodChange, String)> {
    entries
        .iter()
        .filter_map(|entry| match &entry.seen {
            Seen::Pod(seen) => Some((
                seen.change,
                seen.object["status"]["phase"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            )),
            _ => None,
        })
        .collect()
}

fn gaps(entries: &[Entry]) -> usize {
    entries
        .iter()
        .filter(|entry| matches!(&entry.seen, Seen::Runner(note) if note.note == "gap"))
        .count()
}

#[tokio::test]
async fn a_closed_watch_resumes_without_a_gap() {
    let (entries, asked) = observed(
        vec![list(1, &[pod(1, "Pending")])],
        vec![
            vec![change("MODIFIED", &pod(2, "Running"))],
            vec![change("DELETED", &pod(3, "Succeeded"))],
        ],
        |seen| {
            phases(seen)
                .iter()
                .any(|(change, _)| *change == PodChange::Deleted)
        },
    )
    .await;
    let expected = [
        (PodChange::Applied, "Pending".to_owned()),
        (PodChange::Applied, "Running".to_owned()),
        (PodChange::Deleted, "Succeeded".to_owned()),
    ];
    assert_eq!(phases(&entries), expected);
    assert_eq!(gaps(&entries), 0, "a resumed watch misses nothing");
    assert_eq!(
        asked.iter().filter(|q| !q.contains("watch=true")).count(),
        1,
        "{asked:?}"
    );
    assert!(
        asked.iter().any(|q| q.contains("resourceVersion=2")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_new_list_is_a_gap_without_duplicates() {
    let (entries, _) = observed(
        vec![
            list(1, &[pod(1, "Pending")]),
            // The resource version has expired; the pod has changed meanwhile.
            list(8, &[pod(8, "Running")]),
        ],
        vec![vec![gone()], vec![change("MODIFIED", &pod(9, "Failed"))]],
        |seen| phases(seen).iter().any(|(_, phase)| phase == "Failed"),
    )
    .await;
    let expected: Vec<_> = ["Pending", "Running", "Failed"]
        .map(|phase| (PodChange::Applied, phase.to_owned()))
        .into();
    assert_eq!(phases(&entries), expected);
    assert_eq!(gaps(&entries), 1);
}

#[tokio::test]
async fn unchanged_objects_of_a_new_list_are_not_recorded() {
    let (entries, _) = observed(
        vec![list(1, &[pod(1, "Pending")]), list(5, &[pod(1, "Pending")])],
        vec![vec![gone()], vec![change("MODIFIED", &pod(6, "Running"))]],
        |seen| phases(seen).iter().any(|(_, phase)| phase == "Running"),
    )
    .await;
    assert_eq!(phases(&entries).len(), 2, "{entries:#?}");
    assert_eq!(gaps(&entries), 1);
}

#[tokio::test]
async fn other_namespaces_are_ignored() {
    let mut other = pod(2, "Running");
    other["metadata"]["namespace"] = json!("elsewhere");
    other["metadata"]["uid"] = json!("u2");
    let (entries, _) = observed(
        vec![list(1, &[other.clone(), pod(1, "Pending")])],
        vec![vec![
            change("MODIFIED", &other),
            change("MODIFIED", &pod(3, "Running")),
        ]],
        |seen| phases(seen).iter().any(|(_, phase)| phase == "Running"),
    )
    .await;
    assert_eq!(phases(&entries).len(), 2);
}
