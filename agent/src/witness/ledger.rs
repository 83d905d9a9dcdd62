//! Stores stamps in order of arrival, up to a limit.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use hookproof_protocol::{FULL, KeptStamp, Stamp};
use hyper::body::Bytes;
use serde_json::json;
use tokio::sync::watch;

use crate::{clock, wire::Receipt};

/// More than any run needs, and too little to endanger the node.
const MOST_STAMPS: usize = 200_000;
const MOST_BYTES: usize = 128 << 20;
/// Maximum number of lines per read.
const BATCH: usize = 256;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the witness is full")]
pub(crate) struct Full;

/// All stamps of a run.
pub(crate) struct Ledger {
    most_stamps: usize,
    most_bytes: usize,
    kept: Mutex<Kept>,
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct Kept {
    lines: Vec<Bytes>,
    bytes: usize,
    full: bool,
    /// Instances of each (pod uid, container), in the order of their first stamp.
    starts: HashMap<(String, String), Vec<String>>,
    /// Last stamp of each process. A process sends one at a time, so a stamp repeated after a lost receipt is
    /// always the last one.
    last: HashMap<String, (u64, Receipt)>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::bounded(MOST_STAMPS, MOST_BYTES)
    }
}

impl Ledger {
    fn bounded(most_stamps: usize, most_bytes: usize) -> Self {
        Self {
            most_stamps,
            most_bytes,
            kept: Mutex::default(),
            count: watch::Sender::new(0),
        }
    }

    /// Stores a stamp unless it is a repetition.
    ///
    /// # Errors
    ///
    /// When the limit is reached.
    pub(crate) fn add(&self, stamp: Stamp) -> Result<Receipt, Full> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seq, receipt)) = kept.last.get(&stamp.process)
            && *seq == stamp.seq
        {
            return Ok(*receipt);
        }
        if kept.full || kept.lines.len() >= self.most_stamps || kept.bytes >= self.most_bytes {
            self.close(&mut kept);
            return Err(Full);
        }
        let starts = kept
            .starts
            .entry((stamp.pod_uid.clone(), stamp.container.clone()))
            .or_default();
        let start = starts
            .iter()
            .position(|known| *known == stamp.instance)
            .unwrap_or_else(|| {
                starts.push(stamp.instance.clone());
                starts.len() - 1
            });
        let (process, seq) = (stamp.process.clone(), stamp.seq);
        let receipt = self.write(&mut kept, start as u64 + 1, stamp);
        kept.last.insert(process, (seq, receipt));
        Ok(receipt)
    }

    /// Adds a notice to the stream, which is all that the runner reads, that later stamps are missing.
    fn close(&self, kept: &mut Kept) {
        if std::mem::replace(&mut kept.full, true) {
            return;
        }
        let notice = Stamp {
            at: clock::now(),
            namespace: String::new(),
            pod: String::new(),
            pod_uid: String::new(),
            container: String::new(),
            instance: String::new(),
            role: "witness".to_owned(),
            process: "witness".to_owned(),
            pid: std::process::id(),
            seq: 1,
            name: FULL.to_owned(),
            data: json!({"stamps": kept.lines.len(), "bytes": kept.bytes}),
        };
        self.write(kept, 1, notice);
    }

    fn write(&self, kept: &mut Kept, start: u64, stamp: Stamp) -> Receipt {
        let n = kept.lines.len() as u64 + 1;
        let whole = KeptStamp {
            n,
            start,
            received: clock::now(),
            stamp,
        };
        let mut line = serde_json::to_vec(&whole).unwrap_or_default();
        line.push(b'\n');
        kept.bytes += line.len();
        kept.lines.push(line.into());
        self.count.send_replace(kept.lines.len());
        Receipt { n, start }
    }

    /// Up to [`BATCH`] lines from number `n` on.
    pub(crate) fn read(&self, n: usize) -> Vec<Bytes> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.lines
            .iter()
            .skip(n.saturating_sub(1))
            .take(BATCH)
            .cloned()
            .collect()
    }

    /// The number of stored stamps.
    pub(crate) fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Signals every added stamp.
    pub(crate) fn changes(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn stamp(container: &str, instance: &str, process: &str, seq: u64) -> Stamp {
        Stamp {
            at: clock::now(),
            namespace: "ns".to_owned(),
            pod: "pod".to_owned(),
            pod_uid: "uid".to_owned(),
            container: container.to_owned(),
            instance: instance.to_owned(),
            role: "entrypoint".to_owned(),
            process: process.to_owned(),
            pid: 1,
            seq,
            name: "begun".to_owned(),
            data: json!({}),
        }
    }

    #[test]
    fn numbers_arrivals_and_starts() {
        let ledger = Ledger::default();
        let add = |container, instance, process, seq| {
            let receipt = ledger
                .add(stamp(container, instance, process, seq))
                .unwrap();
            (receipt.n, receipt.start)
        };
        assert_eq!(add("app", "a", "p1", 1), (1, 1));
        assert_eq!(add("app", "a", "p2", 1), (2, 1));
        assert_eq!(add("app", "b", "p3", 1), (3, 2));
        assert_eq!(add("side", "c", "p4", 1), (4, 1));
        assert_eq!(add("app", "a", "p1", 2), (5, 1));
    }

    #[test]
    fn repeated_stamps_are_stored_once() {
        let ledger = Ledger::default();
        let first = ledger.add(stamp("app", "a", "p", 1)).unwrap();
        assert_eq!(ledger.add(stamp("app", "a", "p", 1)), Ok(first));
        assert_eq!(ledger.read(1).len(), 1);
    }

    #[test]
    fn reports_once_that_it_is_full() {
        let ledger = Ledger::bounded(2, MOST_BYTES);
        for seq in 1..=2 {
            ledger.add(stamp("app", "a", "p", seq)).unwrap();
        }
        for seq in 3..=5 {
            assert_eq!(ledger.add(stamp("app", "a", "p", seq)), Err(Full));
        }
        let lines = ledger.read(1);
        assert_eq!(lines.len(), 3);
        let last: KeptStamp = serde_json::from_slice(&lines[2]).unwrap();
        assert_eq!((last.n, last.stamp.name.as_str()), (3, "witness-full"));
    }

    #[test]
    fn bytes_are_limited() {
        let ledger = Ledger::bounded(MOST_STAMPS, 10);
        ledger.add(stamp("app", "a", "p", 1)).unwrap();
        assert_eq!(ledger.add(stamp("app", "a", "p", 2)), Err(Full));
    }
}
