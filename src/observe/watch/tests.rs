//! Watches of a fake API server that closes connections and expires resource versions: no change is lost or recorded
//! twice, and possible gaps are noted.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use rstest::rstest;
use serde_json::json;

use super::super::fake::Fake;
use super::super::recorder::RunnerClock;
use super::*;
use crate::evidence::Entry;

const POD: &str = "/api/v1/namespaces/ns/pods/web";

fn pod(phase: &str) -> Value {
    json!({"metadata": {"labels": {RUN_LABEL: "r"}}, "status": {"phase": phase}})
}

/// A watch of the run's pods, with the timeline of the namespace `ns`.
struct Watched {
    fake: Fake,
    recorder: Recorder,
}

impl Watched {
    /// Begins with a pending pod.
    async fn begin() -> Self {
        let fake = Fake::start().await;
        fake.put(POD, pod("Pending"));
        let router = Router::default();
        let recorder = Recorder::new(RunnerClock::default());
        router.add("ns", recorder.clone());
        tokio::spawn(pods(fake.client.clone(), "r".to_owned(), router));
        let watched = Self { fake, recorder };
        watched.shows("Pending").await;
        watched.fake.watched("/api/v1/pods").await;
        watched
    }

    /// Waits until the timeline shows a phase.
    async fn shows(&self, phase: &str) {
        let is_shown = |entry: &Entry| matches!(&entry.seen, Seen::Pod(pod) if pod.object["status"]["phase"] == phase);
        let limit = Duration::from_secs(30);
        let shown = tokio::time::timeout(limit, self.recorder.wait(1, is_shown, |_| false)).await;
        assert!(shown.is_ok(), "{:#?}", self.recorder.entries());
    }

    fn phases(&self) -> Vec<(PodChange, String)> {
        let entries = self.recorder.entries().into_iter();
        let phases = entries.filter_map(|entry| match entry.seen {
            Seen::Pod(seen) => {
                let phase = seen.object["status"]["phase"].as_str()?;
                Some((seen.change, phase.to_owned()))
            }
            _ => None,
        });
        phases.collect()
    }

    fn gaps(&self) -> usize {
        let entries = self.recorder.entries();
        let is_gap =
            |entry: &&Entry| matches!(&entry.seen, Seen::Runner(note) if note.note == "gap");
        entries.iter().filter(is_gap).count()
    }

    fn lists(&self) -> usize {
        let requests = self.fake.requests("GET /api/v1/pods?").into_iter();
        requests
            .filter(|request| !request.contains("watch=true"))
            .count()
    }
}

fn applied(phases: &[&str]) -> Vec<(PodChange, String)> {
    let phases = phases.iter();
    phases
        .map(|phase| (PodChange::Applied, (*phase).to_owned()))
        .collect()
}

#[tokio::test]
async fn a_closed_watch_resumes_without_a_gap() {
    let watched = Watched::begin().await;
    watched.fake.put(POD, pod("Running"));
    watched.fake.close();
    watched.fake.put(POD, pod("Failed"));
    watched.shows("Failed").await;
    assert_eq!(watched.phases(), applied(&["Pending", "Running", "Failed"]));
    assert_eq!((watched.gaps(), watched.lists()), (0, 1));
}

#[tokio::test]
async fn a_new_list_is_a_gap_without_duplicates() {
    let watched = Watched::begin().await;
    watched.fake.expire();
    watched.fake.put(POD, pod("Running"));
    watched.shows("Running").await;
    watched.fake.put(POD, pod("Failed"));
    watched.shows("Failed").await;
    assert_eq!(watched.phases(), applied(&["Pending", "Running", "Failed"]));
    assert_eq!((watched.gaps(), watched.lists()), (1, 2));
}

#[tokio::test]
async fn unchanged_objects_of_a_new_list_are_not_recorded() {
    let watched = Watched::begin().await;
    watched.fake.expire();
    let other = "/api/v1/namespaces/ns/pods/other";
    watched.fake.put(other, pod("Running"));
    watched.shows("Running").await;
    assert_eq!(watched.phases(), applied(&["Pending", "Running"]));
    assert_eq!(watched.gaps(), 1);
}

#[tokio::test]
async fn other_namespaces_and_runs_are_ignored() {
    let watched = Watched::begin().await;
    let put = |path, object| watched.fake.put(path, object);
    put("/api/v1/namespaces/elsewhere/pods/web", pod("Running"));
    let unlabelled = json!({"status": {"phase": "Running"}});
    put("/api/v1/namespaces/ns/pods/unlabelled", unlabelled);
    watched.fake.remove(POD);
    watched.fake.put(POD, pod("Succeeded"));
    watched.shows("Succeeded").await;
    let mut expected = applied(&["Pending", "Pending", "Succeeded"]);
    expected[1].0 = PodChange::Deleted;
    assert_eq!(watched.phases(), expected);
}

#[rstest]
#[case("spec.containers{web}", "web")]
#[case("spec.initContainers{init}", "init")]
#[case("", "")]
fn container_is_read_from_the_field_path(#[case] path: &str, #[case] container: &str) {
    assert_eq!(container_of(path), container);
}

#[test]
fn new_style_events_have_times_and_counts() {
    let event = json!({"involvedObject": {"kind": "Pod", "name": "p"}, "type": "Normal",
        "reason": "Scheduled", "message": "m", "reportingComponent": "default-scheduler",
        "eventTime": "2026-01-01T00:00:00.5Z", "series": {"count": 3}});
    let event = event_seen("e".into(), &event);
    assert_eq!(
        (event.count, event.component.as_str()),
        (3, "default-scheduler")
    );
    assert!(event.first.is_some());
}
