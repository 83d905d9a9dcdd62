//! Kernel features that this machine offers to containers.

/// Capability names, in the order of the kernel's numbers.
const NAMES: &str = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE \
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO \
    SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME \
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG \
    WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE";

/// Capabilities missing from the bounding set in `status`, the content of `/proc/self/status`.
/// `None` if it shows no bounding set.
fn missing(status: &str) -> Option<Vec<&'static str>> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    let names = NAMES.split(' ').enumerate();
    let missing = names.filter(|(number, _)| mask >> number & 1 == 0);
    Some(missing.map(|(_, name)| name).collect())
}

/// [`missing`] of this process.
pub(crate) fn missing_here() -> Option<Vec<&'static str>> {
    missing(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// Whether cgroup v2 is mounted.
pub(crate) fn cgroup_v2() -> bool {
    std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("CapBnd:\t000001ffffffffff\n", Some(vec![]))]
    #[case("Name:\tx\nCapBnd:\t000001fffeffffff\n", Some(vec!["SYS_RESOURCE"]))]
    #[case("CapBnd:\t000001ffffdfffff\n", Some(vec!["SYS_ADMIN"]))]
    #[case("CapBnd:\tgarbage\n", None)]
    #[case("", None)]
    fn missing_capabilities(#[case] status: &str, #[case] expected: Option<Vec<&str>>) {
        assert_eq!(missing(status), expected);
    }
}
