//! One watch per kind of object for the whole run. Changes are routed to scenarios by namespace.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::Value;

use super::recorder::Recorder;
use super::workload::{RUN_LABEL, essential};
use crate::evidence::{EventSeen, PodChange, PodSeen, Seen};

/// Maps namespaces to the timelines of running scenarios.
#[derive(Debug, Clone, Default)]
pub struct Router(Arc<Mutex<HashMap<String, Recorder>>>);

impl Router {
    /// Routes changes in `namespace` to `recorder`.
    pub fn add(&self, namespace: &str, recorder: Recorder) {
        self.lock().insert(namespace.to_owned(), recorder);
    }

    /// Stops routing changes in `namespace`.
    pub fn remove(&self, namespace: &str) {
        self.lock().remove(namespace);
    }

    /// The timeline of the scenario in `namespace`, if any.
    pub fn find(&self, namespace: &str) -> Option<Recorder> {
        self.lock().get(namespace).cloned()
    }

    /// Adds a note to every running scenario's timeline.
    pub fn note_all(&self, note: &str, text: &str) {
        for recorder in self.lock().values() {
            recorder.note(note, text);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Recorder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches the run's pods.
pub async fn pods(client: Client, run: String, router: Router) {
    let api = Api::all_with(client, &ApiResource::erase::<Pod>(&()));
    let config = watcher::Config::default().labels(&format!("{RUN_LABEL}={run}"));
    // A new list repeats objects that have not changed; these are not recorded again.
    let mut shown = HashMap::new();
    follow(api, config, "pods", &router, |change, object| {
        let metadata = &object.metadata;
        let version = metadata.resource_version.clone();
        let last = shown.insert(metadata.uid.clone(), version.clone());
        if change == PodChange::Applied && last == Some(version) {
            return;
        }
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        if let Some(recorder) = router.find(namespace) {
            recorder.record_now(Seen::Pod(PodSeen {
                pod: metadata.name.clone().unwrap_or_default(),
                change,
                object: essential(&serde_json::to_value(&object).unwrap_or_default()),
            }));
        }
    })
    .await;
}

/// Watches Events. They have no labels to select, so most are read and dropped.
pub async fn events(client: Client, router: Router) {
    let api = Api::all_with(client, &ApiResource::erase::<Event>(&()));
    let mut shown = HashSet::new();
    let config = watcher::Config::default();
    follow(api, config, "events", &router, |change, object| {
        let metadata = object.metadata;
        let namespace = metadata.namespace.unwrap_or_default();
        let Some(recorder) = router.find(&namespace) else {
            return;
        };
        let key = (metadata.uid, metadata.resource_version);
        if change == PodChange::Applied && shown.insert(key) {
            let name = metadata.name.unwrap_or_default();
            recorder.record_now(Seen::Event(event_seen(name, &object.data)));
        }
    })
    .await;
}

async fn follow(
    api: Api<DynamicObject>,
    config: watcher::Config,
    what: &str,
    router: &Router,
    mut seen: impl FnMut(PodChange, DynamicObject),
) {
    let mut stream = watcher(api, config).default_backoff().boxed();
    let mut lists = 0;
    while let Some(next) = stream.next().await {
        match next {
            Ok(watcher::Event::Init) => {
                lists += 1;
                if lists > 1 {
                    let text = format!(
                        "the watch of {what} was restarted with a new list; changes may be missing"
                    );
                    router.note_all("gap", &text);
                }
            }
            Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                seen(PodChange::Applied, object);
            }
            Ok(watcher::Event::Delete(object)) => seen(PodChange::Deleted, object),
            Ok(watcher::Event::InitDone) => {}
            // The watcher resumes by itself; only a new list is a gap.
            Err(error) => tracing::warn!("watch of {what} failed: {error}"),
        }
    }
}

fn event_seen(name: String, event: &Value) -> EventSeen {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let time = |value: &Value| value.as_str().and_then(|t| t.parse::<Timestamp>().ok());
    let involved = &event["involvedObject"];
    let count = event["count"].as_u64();
    let count = count.or_else(|| event["series"]["count"].as_u64());
    let component = text(&event["source"]["component"]);
    EventSeen {
        name,
        kind: text(&involved["kind"]),
        pod: text(&involved["name"]),
        container: container_of(&text(&involved["fieldPath"])),
        type_: text(&event["type"]),
        reason: text(&event["reason"]),
        message: text(&event["message"]),
        count: count.and_then(|count| count.try_into().ok()).unwrap_or(1),
        component: match component.as_str() {
            "" => text(&event["reportingComponent"]),
            _ => component,
        },
        first: time(&event["firstTimestamp"]).or_else(|| time(&event["eventTime"])),
        last: time(&event["lastTimestamp"]).or_else(|| time(&event["eventTime"])),
    }
}

/// `spec.containers{web}` → `web`.
fn container_of(field_path: &str) -> String {
    let rest = field_path.split_once('{').map(|(_, rest)| rest);
    let inside = rest.and_then(|rest| rest.strip_suffix('}'));
    inside.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
