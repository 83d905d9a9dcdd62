//! Waits for the runner's release, for another process of the container, and for files.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    identity::Identity,
    stamps::Stamper,
    wire::{Hold, Meet, Peer},
    witness_client::{Waited, WitnessClient},
};

/// Interval at which a file is polled. A watch would miss renames and mounts over the path.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Delay before a retry after a failed request to the witness.
const PAUSE: Duration = Duration::from_millis(200);
/// Rounds needed to prove that two processes run at the same time.
const ROUNDS: u32 = 3;

/// Waits that depend on the identity of the process.
#[derive(Clone)]
pub(crate) struct Waits {
    pub(crate) stamper: Stamper,
    pub(crate) witness: Option<WitnessClient>,
}

impl Waits {
    /// Stamps `held`, waits for a release or the cap, and stamps `released`. Both stamps include `about`.
    pub(crate) async fn hold(&self, name: &str, cap: Duration, mut about: Map<String, Value>) {
        about.insert("name".to_owned(), json!(name));
        self.stamper
            .stamp("held", Value::Object(about.clone()))
            .await;
        let by = if self.released(name, cap).await {
            "runner"
        } else {
            "cap"
        };
        about.insert("by".to_owned(), json!(by));
        self.stamper.stamp("released", Value::Object(about)).await;
    }

    async fn released(&self, name: &str, cap: Duration) -> bool {
        let Some(witness) = &self.witness else {
            let file = PathBuf::from(format!("/tmp/hookproof-release-{name}"));
            return appears(&file, cap).await;
        };
        let deadline = Instant::now() + cap;
        loop {
            let Identity {
                namespace,
                pod,
                container,
                role,
                ..
            } = self.stamper.identity().clone();
            let hold = Hold {
                namespace,
                name: name.to_owned(),
                pod,
                container,
                start: self.stamper.start(),
                role,
                cap_ms: left_ms(deadline),
            };
            match witness.hold(&hold).await {
                Ok(Waited::Done(())) => return true,
                Ok(Waited::Cap) => return false,
                Ok(Waited::Broken) | Err(_) if Instant::now() + PAUSE >= deadline => return false,
                Ok(Waited::Broken) | Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Stamps `met` if another process of the same container start completes all rounds with this one, else
    /// `alone`.
    pub(crate) async fn meet(&self, name: &str, cap: Duration) {
        let Some(witness) = &self.witness else {
            let data = json!({"name": name, "reason": "no witness configured"});
            self.stamper.stamp("alone", data).await;
            return;
        };
        match timeout(cap, self.take_turns(witness, name, Instant::now() + cap)).await {
            Ok(Some(Peer { role, pid, process })) => {
                let data = json!({
                    "name": name, "peer_role": role, "peer_pid": pid, "peer_process": process,
                });
                self.stamper.stamp("met", data).await;
            }
            Ok(None) | Err(_) => self.stamper.stamp("alone", json!({"name": name})).await,
        }
    }

    async fn take_turns(
        &self,
        witness: &WitnessClient,
        name: &str,
        deadline: Instant,
    ) -> Option<Peer> {
        let mut round = 1;
        loop {
            let Identity {
                namespace,
                pod_uid,
                container,
                instance,
                role,
                process,
                pid,
                ..
            } = self.stamper.identity().clone();
            let meet = Meet {
                namespace,
                pod_uid,
                container,
                instance,
                name: name.to_owned(),
                process,
                role,
                pid,
                round,
                cap_ms: left_ms(deadline),
            };
            match witness.meet(&meet).await {
                Ok(Waited::Done(peer)) if round == ROUNDS => return Some(peer),
                Ok(Waited::Done(_)) => round += 1,
                Ok(Waited::Cap) => return None,
                // Only an unbroken series of rounds counts.
                Ok(Waited::Broken) => round = 1,
                Err(_) => {
                    round = 1;
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Waits for the file to exist. Returns `false` after the cap.
pub(crate) async fn appears(path: &Path, cap: Duration) -> bool {
    let look = async {
        while !path.exists() {
            sleep(POLL_INTERVAL).await;
        }
    };
    timeout(cap, look).await.is_ok()
}

fn left_ms(deadline: Instant) -> u64 {
    let left = deadline
        .saturating_duration_since(Instant::now())
        .as_millis();
    u64::try_from(left).unwrap_or(u64::MAX)
}
