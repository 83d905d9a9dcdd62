//! Stamps. Time and number are taken when something happens. Stamps are then delivered in order, and the
//! process continues only when the stamp has arrived or is known to be lost.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hookproof_protocol::Stamp;
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};

use crate::{
    clock,
    identity::Identity,
    say,
    witness_client::{Refusal, WitnessClient},
};

/// Timeout for the delivery of one stamp.
const TIMEOUT: Duration = Duration::from_secs(10);
const TRIES: u32 = 5;

/// Creates the stamps of one process. Clones share its numbering.
#[derive(Clone)]
pub(crate) struct Stamper(Arc<Inner>);

struct Inner {
    identity: Identity,
    start: AtomicU64,
    /// Next number and queue under one lock, so that stamps are queued in the order of their numbers.
    next: Mutex<(u64, mpsc::UnboundedSender<Queued>)>,
}

struct Queued {
    stamp: Stamp,
    done: oneshot::Sender<()>,
}

impl Stamper {
    /// Delivers stamps to the witness, or to standard error without one.
    pub(crate) fn new(identity: Identity, witness: Option<WitnessClient>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let inner = Inner {
            identity,
            start: AtomicU64::new(0),
            next: Mutex::new((1, sender)),
        };
        let stamper = Self(Arc::new(inner));
        tokio::spawn(deliver(stamper.clone(), witness, receiver));
        stamper
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Number of the container's start as counted by the witness; 0 before its first answer.
    pub(crate) fn start(&self) -> u64 {
        self.0.start.load(Ordering::Relaxed)
    }

    /// Creates a stamp immediately. The future completes when the stamp has arrived or is lost; delivery
    /// continues even if the future is dropped.
    pub(crate) fn stamp(&self, name: &str, data: Value) -> impl Future<Output = ()> + use<> {
        let (done, arrived) = oneshot::channel();
        {
            let Identity {
                namespace,
                pod,
                pod_uid,
                container,
                instance,
                role,
                process,
                pid,
            } = self.identity().clone();
            let mut next = self.0.next.lock().unwrap_or_else(PoisonError::into_inner);
            let stamp = Stamp {
                at: clock::now(),
                namespace,
                pod,
                pod_uid,
                container,
                instance,
                role,
                process,
                pid,
                seq: next.0,
                name: name.to_owned(),
                data,
            };
            next.0 += 1;
            // Fails only while the runtime shuts down, when nothing waits for the stamp.
            next.1.send(Queued { stamp, done }).ok();
        }
        async move {
            arrived.await.ok();
        }
    }
}

async fn deliver(
    stamper: Stamper,
    witness: Option<WitnessClient>,
    mut queue: mpsc::UnboundedReceiver<Queued>,
) {
    // After a loss, stamps are tried once until one arrives: a missing witness must not delay every step of a
    // hook by the whole timeout.
    let mut tries = TRIES;
    while let Some(Queued { stamp, done }) = queue.recv().await {
        let line = serde_json::to_string(&stamp).unwrap_or_default();
        match &witness {
            None => say(&line),
            Some(witness) => match report(witness, &line, tries).await {
                Ok(start) => {
                    stamper.0.start.store(start, Ordering::Relaxed);
                    tries = TRIES;
                }
                Err(refusal) => {
                    tries = 1;
                    say(&format!(
                        "hookproof-agent: lost stamp {} (seq {}): {refusal}; check that the witness pod \
                         is running and reachable",
                        stamp.name, stamp.seq
                    ));
                }
            },
        }
        done.send(()).ok();
    }
}

async fn report(witness: &WitnessClient, line: &str, tries: u32) -> Result<u64, Refusal> {
    let deadline = Instant::now() + TIMEOUT;
    let mut pause = Duration::from_millis(100);
    let mut attempt = 0;
    loop {
        attempt += 1;
        let left = deadline.saturating_duration_since(Instant::now());
        match witness.stamp(line, left).await {
            Ok(receipt) => return Ok(receipt.start),
            Err(refusal)
                if attempt == tries || refusal.is_final() || Instant::now() + pause >= deadline =>
            {
                return Err(refusal);
            }
            Err(_) => sleep(pause).await,
        }
        pause *= 2;
    }
}
