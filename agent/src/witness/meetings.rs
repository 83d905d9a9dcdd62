//! Meetings of two processes of the same container start, in rounds.
//!
//! A round ends for a process only when its peer has reached the same round. A process requests the next round
//! only after the previous one, so a process that completes the third round has acted before and after its
//! peer acted. This proves, without clocks, that both ran at the same time.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::wire::{Meet, Peer};

/// All meetings in progress.
#[derive(Default)]
pub(crate) struct Meetings {
    pairs: Mutex<HashMap<Place, Vec<Pair>>>,
    changes: watch::Sender<u64>,
}

/// A container start and a meeting name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    pod_uid: String,
    container: String,
    instance: String,
    name: String,
}

#[derive(Debug)]
struct Pair {
    first: Member,
    second: Option<Member>,
}

#[derive(Debug, Clone)]
struct Member {
    peer: Peer,
    round: u32,
}

/// The peer has left, or never existed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl Meetings {
    /// Completes when the peer has reached the same round. Dropping the future earlier breaks the pair, because
    /// the requesting process is gone.
    ///
    /// # Errors
    ///
    /// When the pair is broken.
    pub(crate) async fn meet(&self, meet: &Meet) -> Result<Peer, Broken> {
        let place = Place {
            pod_uid: meet.pod_uid.clone(),
            container: meet.container.clone(),
            instance: meet.instance.clone(),
            name: meet.name.clone(),
        };
        let mut changes = self.changes.subscribe();
        self.arrive(&place, meet)?;
        let mut presence = Presence {
            meetings: self,
            place,
            process: &meet.process,
            waiting: true,
        };
        loop {
            match self.peer(&presence.place, meet) {
                Ok(Some(peer)) => {
                    presence.waiting = false;
                    return Ok(peer);
                }
                Ok(None) => {}
                Err(broken) => return Err(broken),
            }
            if changes.changed().await.is_err() {
                return Err(Broken);
            }
        }
    }

    fn arrive(&self, place: &Place, meet: &Meet) -> Result<(), Broken> {
        let peer = Peer {
            process: meet.process.clone(),
            role: meet.role.clone(),
            pid: meet.pid,
        };
        let member = Member {
            peer,
            round: meet.round,
        };
        let mut all = self.lock();
        let pairs = all.entry(place.clone()).or_default();
        if meet.round <= 1 {
            pairs.retain(|pair| !pair.has(&meet.process));
            match pairs.iter_mut().find(|pair| pair.second.is_none()) {
                Some(pair) => pair.second = Some(member),
                None => pairs.push(Pair {
                    first: member,
                    second: None,
                }),
            }
        } else {
            let own = pairs
                .iter_mut()
                .find_map(|pair| pair.own(&meet.process))
                .ok_or(Broken)?;
            own.round = meet.round;
        }
        drop(all);
        self.changes.send_modify(|count| *count += 1);
        Ok(())
    }

    /// The peer, once it has reached the same round.
    fn peer(&self, place: &Place, meet: &Meet) -> Result<Option<Peer>, Broken> {
        let all = self.lock();
        let pair = all
            .get(place)
            .and_then(|pairs| pairs.iter().find(|pair| pair.has(&meet.process)))
            .ok_or(Broken)?;
        let other = match &pair.second {
            Some(second) if second.peer.process == meet.process => Some(&pair.first),
            second => second.as_ref(),
        };
        Ok(other
            .filter(|other| other.round >= meet.round)
            .map(|other| other.peer.clone()))
    }

    fn leave(&self, place: &Place, process: &str) {
        let mut all = self.lock();
        if let Some(pairs) = all.get_mut(place) {
            pairs.retain(|pair| !pair.has(process));
            if pairs.is_empty() {
                all.remove(place);
            }
        }
        drop(all);
        self.changes.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Vec<Pair>>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pair {
    fn has(&self, process: &str) -> bool {
        let second = self.second.as_ref();
        self.first.peer.process == process || second.is_some_and(|s| s.peer.process == process)
    }

    fn own(&mut self, process: &str) -> Option<&mut Member> {
        if self.first.peer.process == process {
            return Some(&mut self.first);
        }
        self.second
            .as_mut()
            .filter(|second| second.peer.process == process)
    }
}

/// Removes a process from its pair when its request ends without a response.
struct Presence<'a> {
    meetings: &'a Meetings,
    place: Place,
    process: &'a str,
    waiting: bool,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        if self.waiting {
            self.meetings.leave(&self.place, self.process);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn meet(process: &str, instance: &str, round: u32) -> Meet {
        Meet {
            namespace: "ns".to_owned(),
            pod_uid: "uid".to_owned(),
            container: "app".to_owned(),
            instance: instance.to_owned(),
            name: "hook".to_owned(),
            process: process.to_owned(),
            role: format!("role of {process}"),
            pid: 7,
            round,
            cap_ms: 0,
        }
    }

    async fn through_all(meetings: &Meetings, process: &str) -> Result<Peer, Broken> {
        meetings.meet(&meet(process, "1", 1)).await?;
        meetings.meet(&meet(process, "1", 2)).await?;
        meetings.meet(&meet(process, "1", 3)).await
    }

    #[tokio::test]
    async fn two_processes_meet() {
        let meetings = Meetings::default();
        let (a, b) = tokio::join!(through_all(&meetings, "a"), through_all(&meetings, "b"));
        assert_eq!(a.unwrap().process, "b");
        assert_eq!(b.unwrap().process, "a");
    }

    #[tokio::test]
    async fn a_process_meets_neither_itself_nor_another_start() {
        let meetings = Meetings::default();
        let a = meet("a", "1", 1);
        let stranger = meet("b", "2", 1);
        let both = async { tokio::join!(meetings.meet(&a), meetings.meet(&stranger)) };
        assert!(timeout(Duration::from_millis(20), both).await.is_err());
        assert!(
            meetings.lock().is_empty(),
            "processes that left are removed"
        );
    }

    #[tokio::test]
    async fn a_peer_that_exits_breaks_the_pair() {
        let meetings = Meetings::default();
        let (a, b) = (meet("a", "1", 1), meet("b", "1", 1));
        let (first, second) = tokio::join!(meetings.meet(&a), meetings.meet(&b));
        assert!(first.is_ok() && second.is_ok());
        // b never requests the second round, so a waits forever.
        let waited = timeout(Duration::from_millis(20), meetings.meet(&meet("a", "1", 2))).await;
        assert!(waited.is_err());
        assert_eq!(meetings.meet(&meet("b", "1", 2)).await, Err(Broken));
    }
}
