//! The identity of a process: pod, container, start of the container, process.

use std::{env, fs};

use hookproof_protocol::env::{CONTAINER, NAMESPACE, POD, POD_UID};

use crate::clock;

/// The fields that all stamps of a process share.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) pod_uid: String,
    pub(crate) container: String,
    /// Differs for every start of the container.
    pub(crate) instance: String,
    pub(crate) role: String,
    /// Random, because PIDs repeat after a restart.
    pub(crate) process: String,
    pub(crate) pid: u32,
}

impl Identity {
    /// Determines the identity from the environment set by the runner and from the termination log, a file
    /// that the kubelet mounts into every container at every start.
    pub(crate) fn discover(role: &str) -> Self {
        let mount = fs::read_to_string("/proc/self/mountinfo")
            .ok()
            .and_then(|text| termination_mount(&text));
        let (uid, container, instance) = mount.unwrap_or_default();
        let or = |name: &str, fallback: String| env::var(name).unwrap_or(fallback);
        Self {
            namespace: or(NAMESPACE, String::new()),
            pod: or(POD, String::new()),
            pod_uid: or(POD_UID, uid),
            container: or(CONTAINER, container),
            instance: if instance.is_empty() {
                start_of_first_process()
            } else {
                instance
            },
            role: role.to_owned(),
            process: random_id(),
            pid: std::process::id(),
        }
    }
}

/// Pod UID, container and hash of this start, from the source of the termination log's mount,
/// `.../pods/<uid>/containers/<container>/<hash>`.
fn termination_mount(mountinfo: &str) -> Option<(String, String, String)> {
    let root = mountinfo.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let root = fields.next()?;
        (fields.next()? == "/dev/termination-log").then_some(root)
    })?;
    let mut parts = root.rsplit('/');
    let hash = parts.next().filter(|hash| !hash.is_empty())?;
    let container = parts.next()?;
    if parts.next()? != "containers" {
        return None;
    }
    let uid = parts.next()?;
    Some((uid.to_owned(), container.to_owned(), hash.to_owned()))
}

/// Start time of PID 1 in clock ticks since boot. It differs for every start unless containers share the
/// PID namespace.
fn start_of_first_process() -> String {
    fs::read_to_string("/proc/1/stat")
        .ok()
        .and_then(|stat| start_time(&stat).map(|ticks| format!("pid1-{ticks}")))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Field 22. The command in field 2 may contain spaces and parentheses, so counting starts after it.
fn start_time(stat: &str) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)
}

fn random_id() -> String {
    let mut bytes = [0_u8; 8];
    let id = match rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty()) {
        Ok(8) => u64::from_ne_bytes(bytes),
        // Fallback: PID and clock together are unique on one node.
        _ => u64::from(std::process::id()) << 32 | u64::from(clock::subsecond_nanos()),
    };
    format!("{id:016x}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;

    use super::*;

    const UID: &str = "0d8e6b7c-1111-2222-3333-444455556666";

    #[rstest]
    #[case::plain("/var/lib/kubelet/pods/{uid}/containers/app/1f2e3d4c")]
    #[case::inside_a_volume(
        "/docker/volumes/abc/_data/lib/kubelet/pods/{uid}/containers/app/1f2e3d4c"
    )]
    fn reads_the_start_from_mountinfo(#[case] root: &str) {
        let root = root.replace("{uid}", UID);
        let text = format!(
            "501 490 0:53 / / rw,relatime - overlay overlay rw\n\
             512 501 8:1 {root} /dev/termination-log rw,relatime - ext4 /dev/sda1 rw\n"
        );
        let found = termination_mount(&text);
        assert_eq!(
            found,
            Some((UID.to_owned(), "app".to_owned(), "1f2e3d4c".to_owned()))
        );
    }

    #[rstest]
    #[case::empty("")]
    #[case::no_such_mount("501 490 0:53 / / rw,relatime - overlay overlay rw")]
    #[case::other_source("5 4 8:1 /x/y/z /dev/termination-log rw - ext4 /dev/sda1 rw")]
    #[case::cut_short("5 4 8:1")]
    fn ignores_other_mountinfo(#[case] text: &str) {
        assert_eq!(termination_mount(text), None);
    }

    #[test]
    fn start_time_handles_unusual_commands() {
        let stat = "1 (a) b (c) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3";
        assert_eq!(start_time(stat), Some("987654"));
        assert_eq!(start_time("1 (a) S"), None);
    }

    #[test]
    fn random_ids_differ() {
        assert_ne!(random_id(), random_id());
    }
}
