//! `who`: identity and environment of the process.

use std::{collections::BTreeMap, env, fs};

use serde_json::{Value, json};

/// Prefix of the variables whose values are reported; other values may be secrets.
const REPORTED_PREFIX: &str = "PROBE_";

/// Identity, environment, namespaces and PID 1, as far as readable.
pub(crate) fn describe() -> Value {
    let names: Vec<String> = env::vars_os()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .collect();
    let probes: BTreeMap<String, String> = env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with(REPORTED_PREFIX))
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect();
    json!({
        "uid": rustix::process::getuid().as_raw(),
        "gid": rustix::process::getgid().as_raw(),
        "cwd": env::current_dir().ok(),
        "hostname": read("/proc/sys/kernel/hostname"),
        "env": {"names": names, "values": probes},
        "args": env::args().collect::<Vec<_>>(),
        "ppid": rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get()),
        "cgroup": read("/proc/self/cgroup"),
        "namespaces": namespaces("self"),
        "pid1": {"cmdline": arguments("1"), "namespaces": namespaces("1")},
    })
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path)
        .ok()
        .map(|text| text.trim_end().to_owned())
}

fn arguments(process: &str) -> Option<Vec<String>> {
    let text = fs::read(format!("/proc/{process}/cmdline")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    Some(
        text.trim_end_matches('\0')
            .split('\0')
            .map(ToOwned::to_owned)
            .collect(),
    )
}

/// Maps names to `name:[inode]`. Empty if the kernel denies access.
fn namespaces(process: &str) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/ns")) else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Some((name, target.to_string_lossy().into_owned()))
        })
        .collect()
}
