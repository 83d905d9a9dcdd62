//! Waiting for others: the runner's release, another process of the container, a file.

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

/// How often a file is looked for; a rename or a mount over it would escape a watch.
const LOOK: Duration = Duration::from_millis(20);
/// Before the witness is asked again after a failure.
const PAUSE: Duration = Duration::from_millis(200);
/// A peer that answers this often in turn with us runs at the same time as we do.
const ROUNDS: u32 = 3;

/// Waits that need to know who waits.
#[derive(Clone)]
pub(crate) struct Waits {
    pub(crate) stamper: Stamper,
    pub(crate) witness: Option<WitnessClient>,
}

impl Waits {
    /// Stamps `held`, waits for the runner or the cap, stamps `released`. The `about` fields go
    /// into both.
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

    /// Stamps `met` when another process of this start of the container took turns with this one,
    /// else `alone`.
    pub(crate) async fn meet(&self, name: &str, cap: Duration) {
        let Some(witness) = &self.witness else {
            let data = json!({"name": name, "reason": "there is no witness to meet through"});
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
                // Whatever broke, only an unbroken series of rounds counts.
                Ok(Waited::Broken) => round = 1,
                Err(_) => {
                    round = 1;
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Whether the file is there before the cap has passed.
pub(crate) async fn appears(path: &Path, cap: Duration) -> bool {
    let look = async {
        while !path.exists() {
            sleep(LOOK).await;
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
