//! Releases. They are permanent: later holds of the same name end immediately.

use std::sync::{Mutex, PoisonError};

use hookproof_protocol::{EVERY, Release};
use tokio::sync::watch;

use crate::wire::Hold;

/// All releases of a run.
#[derive(Default)]
pub(crate) struct Holds {
    releases: Mutex<Vec<Release>>,
    count: watch::Sender<usize>,
}

impl Holds {
    pub(crate) fn release(&self, release: Release) {
        let mut releases = self.releases.lock().unwrap_or_else(PoisonError::into_inner);
        if !releases.contains(&release) {
            releases.push(release);
        }
        self.count.send_replace(releases.len());
    }

    /// Completes when the hold is released.
    pub(crate) async fn released(&self, hold: &Hold) {
        let mut changes = self.count.subscribe();
        while !self.is_released(hold) {
            // The sender lives as long as `self`.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn is_released(&self, hold: &Hold) -> bool {
        let releases = self.releases.lock().unwrap_or_else(PoisonError::into_inner);
        releases.iter().any(|release| matches(release, hold))
    }
}

fn matches(release: &Release, hold: &Hold) -> bool {
    let Release {
        namespace,
        name,
        pod,
        container,
        start,
        role,
    } = release;
    let agrees = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
    *namespace == hold.namespace
        && (name == EVERY || *name == hold.name)
        && agrees(pod, &hold.pod)
        && agrees(container, &hold.container)
        && agrees(role, &hold.role)
        && start.is_none_or(|start| start == hold.start)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!({"namespace": "ns", "name": "go"}), true)]
    #[case(json!({"namespace": "other", "name": "go"}), false)]
    #[case(json!({"namespace": "ns", "name": "stay"}), false)]
    #[case(json!({"namespace": "ns", "name": "*"}), true)]
    #[case(json!({"namespace": "other", "name": "*"}), false)]
    #[case(json!({"namespace": "ns", "name": "go", "pod": "web", "container": "app", "start": 2, "role": "hook"}), true)]
    #[case(json!({"namespace": "ns", "name": "go", "pod": "db"}), false)]
    #[case(json!({"namespace": "ns", "name": "go", "container": "side"}), false)]
    #[case(json!({"namespace": "ns", "name": "go", "start": 1}), false)]
    #[case(json!({"namespace": "ns", "name": "go", "role": "entrypoint"}), false)]
    fn releases_match_holds(#[case] release: serde_json::Value, #[case] expected: bool) {
        let hold = Hold {
            namespace: "ns".to_owned(),
            name: "go".to_owned(),
            pod: "web".to_owned(),
            container: "app".to_owned(),
            start: 2,
            role: "hook".to_owned(),
            cap_ms: 0,
        };
        assert_eq!(
            matches(&serde_json::from_value(release).unwrap(), &hold),
            expected
        );
    }
}
