//! Stamping: time and number are taken when the thing happens, then the stamp is delivered, in
//! order, and whoever stamped goes on only when it has arrived or is known to be lost.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};

use crate::{
    clock,
    identity::Identity,
    say,
    wire::Stamp,
    witness_client::{Refusal, WitnessClient},
};

/// How long one stamp may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(10);
const TRIES: u32 = 5;

/// Stamps for one process. Clones share its numbering.
#[derive(Clone)]
pub(crate) struct Stamper(Arc<Inner>);

struct Inner {
    identity: Identity,
    start: AtomicU64,
    /// Number and queue under one lock, so that the order of arrival is the order of numbers.
    next: Mutex<(u64, mpsc::UnboundedSender<Queued>)>,
}

struct Queued {
    stamp: Stamp,
    done: oneshot::Sender<()>,
}

impl Stamper {
    /// Begins to deliver to the witness, or to stderr where there is none.
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

    /// Which start of the container this is, as the witness counts; 0 until it has answered once.
    pub(crate) fn start(&self) -> u64 {
        self.0.start.load(Ordering::Relaxed)
    }

    /// Stamps now; the future ends when the stamp has arrived or is lost. Delivery goes on even if
    /// the future is dropped.
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
                stamp: name.to_owned(),
                data,
            };
            next.0 += 1;
            // It fails only when the runtime is going down, and then nobody waits any more.
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
    // After a loss the next ones get a single try, until one arrives again: a witness that is gone
    // must not slow every step of a hook by the whole patience.
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
                        "hookproof-agent: lost stamp {} (seq {}): {refusal}; is the witness pod running, and reachable from this pod?",
                        stamp.stamp, stamp.seq
                    ));
                }
            },
        }
        done.send(()).ok();
    }
}

async fn report(witness: &WitnessClient, line: &str, tries: u32) -> Result<u64, Refusal> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(100);
    let mut tried = 0;
    loop {
        tried += 1;
        let left = deadline.saturating_duration_since(Instant::now());
        match witness.stamp(line, left).await {
            Ok(receipt) => return Ok(receipt.start),
            Err(refusal)
                if tried == tries || refusal.is_final() || Instant::now() + pause >= deadline =>
            {
                return Err(refusal);
            }
            Err(_) => sleep(pause).await,
        }
        pause *= 2;
    }
}
