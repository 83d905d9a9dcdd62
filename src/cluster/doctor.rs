//! Checks whether this machine can run hookproof.

use std::process::Command;

use camino::Utf8Path;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use super::cache::Cache;
use super::command::{answer, find};
use super::docker::{docker, versions};
use super::error::{ClusterError, Result};
use super::kernel::{cgroup_v2, missing_here};
use super::kind::tool;
use super::node_image::list;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Good,
    /// Not ideal, but handled automatically.
    Adapted,
    /// Not met, but only needed in some cases.
    Optional,
    /// Prevents runs.
    Bad,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub name: &'static str,
    pub outcome: Outcome,
    pub found: String,
    /// The command or action that fixes it.
    pub remedy: Option<String>,
}

use Outcome::{Adapted, Bad, Good, Optional};

fn check(name: &'static str, outcome: Outcome, found: impl Into<String>) -> Check {
    Check {
        name,
        outcome,
        found: found.into(),
        remedy: None,
    }
}

impl Check {
    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Gigabytes of disk that a cold build needs, and that a run with a warm cache needs.
const DISK: (u64, u64) = (20, 4);
/// Gigabytes of memory that a cluster needs.
const MEMORY: u64 = 2;
/// Installs everything that is missing.
const SETUP: &str = "./ci/setup";

pub(crate) fn examine(cache: &Cache) -> Vec<Check> {
    let mut checks = vec![docker_check(versions())];
    let docker_is_there = checks[0].outcome != Bad;
    let ask = |format| answer(&mut docker(["info", format])).ok().flatten();
    let mut runtime = None;
    let mut images = Vec::new();
    if docker_is_there {
        let root = ask("--format={{.DockerRootDir}}").unwrap_or_default();
        checks.push(disk("disk: docker", root.as_str().into(), DISK.1));
        runtime = ask("--format={{.DefaultRuntime}}");
        let built = list(cache).unwrap_or_default().into_iter();
        images.extend(built.map(|image| image.version));
    }
    let (needed, space) = if images.is_empty() {
        (Bad, DISK.0)
    } else {
        (Optional, DISK.1)
    };
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    checks.extend([
        capabilities(missing_here().as_deref(), runtime.as_deref()),
        cgroups(cgroup_v2()),
        node_images(&images),
        go(needed),
        debootstrap(needed),
        kind(cache),
        busybox(),
        disk("disk: cache", cache.root(), space),
        memory(&read("/proc/meminfo")),
        inotify(&read("/proc/sys/fs/inotify/max_user_instances")),
    ]);
    checks
}

/// Whether a run is possible.
pub(crate) fn fit(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.outcome != Bad)
}

fn docker_check(versions: Result<String>) -> Check {
    const NAME: &str = "docker";
    match versions {
        Ok(versions) => {
            let (client, daemon) = versions.split_once(' ').unwrap_or((&versions, "?"));
            let found = format!("daemon {daemon}, client {client}");
            check(NAME, Good, found)
        }
        Err(ClusterError::Missing { what, remedy }) => check(NAME, Bad, what).remedy(remedy),
        Err(error) => check(NAME, Bad, error.to_string()).remedy(SETUP),
    }
}

fn capabilities(missing: Option<&[&str]>, runtime: Option<&str>) -> Check {
    const NAME: &str = "capabilities";
    let missing = match missing {
        None => return check(NAME, Optional, "unknown"),
        Some([]) => return check(NAME, Good, "none missing"),
        Some(missing) => format!("{} missing", missing.join(", ")),
    };
    match runtime {
        Some("hookproof") => check(NAME, Adapted, missing + "; docker's runtime drops it"),
        Some(_) => {
            let found = missing + ", so privileged containers do not start";
            let remedy = format!("{SETUP} (configures a docker runtime that drops it)");
            check(NAME, Bad, found).remedy(remedy)
        }
        None => check(NAME, Optional, missing).remedy(SETUP),
    }
}

fn cgroups(v2: bool) -> Check {
    if v2 {
        return check("cgroups", Good, "version 2");
    }
    let found = "version 1; the kubelet is configured to accept it";
    check("cgroups", Adapted, found)
}

fn node_images(versions: &[String]) -> Check {
    const NAME: &str = "node images";
    if versions.is_empty() {
        let found = "none yet; pulled if a registry is reachable, else built (some minutes)";
        return check(NAME, Optional, found);
    }
    check(NAME, Good, format!("built: {}", versions.join(", ")))
}

fn go(needed: Outcome) -> Check {
    let version = find("go").map(|go| answer(Command::new(go).arg("version")));
    let Some(Ok(version)) = version else {
        let found = "not installed; needed to build node images and kind";
        return check("go", needed, found).remedy(SETUP);
    };
    let version = version.unwrap_or_default();
    let version = version.split(' ').nth(2).unwrap_or("?");
    check("go", Good, version.trim_start_matches("go"))
}

fn debootstrap(needed: Outcome) -> Check {
    const NAME: &str = "debootstrap";
    if find(NAME).is_none() {
        let found = "not installed; needed to build node images and the nginx image";
        return check(NAME, needed, found).remedy(SETUP);
    }
    if rustix::process::geteuid().is_root() || find("sudo").is_some() {
        return check(NAME, Good, "installed");
    }
    let remedy = "run `hookproof node-image build` as root once";
    check(NAME, needed, "needs root, and sudo is not installed").remedy(remedy)
}

fn kind(cache: &Cache) -> Check {
    const NAME: &str = "kind";
    if let Some(path) = tool::installed(cache) {
        return check(NAME, Good, path);
    }
    if find("go").is_some() {
        let found = "not installed; installed with go when needed";
        return check(NAME, Adapted, found);
    }
    let found = "not installed, and go is missing to install it";
    check(NAME, Bad, found).remedy(SETUP)
}

fn busybox() -> Check {
    const NAME: &str = "busybox";
    if let Some(path) = find("busybox") {
        return check(NAME, Good, path);
    }
    let found = "not installed; needed in the agent image";
    check(NAME, Bad, found).remedy(SETUP)
}

fn disk(name: &'static str, path: &Utf8Path, needed: u64) -> Check {
    match rustix::fs::statvfs(path.as_std_path()) {
        Ok(disk) => disk_space(name, path, (disk.f_bavail * disk.f_frsize) >> 30, needed),
        Err(error) => check(name, Optional, format!("{path}: {error}")),
    }
}

fn disk_space(name: &'static str, path: &Utf8Path, free: u64, needed: u64) -> Check {
    let found = format!("{free} GB free in {path}");
    if free >= needed {
        return check(name, Good, found);
    }
    check(name, Bad, format!("{found}, {needed} GB needed"))
        .remedy("docker system prune; hookproof clean --images")
}

/// Number of clusters for which the available memory suffices.
pub(crate) fn clusters_in_memory() -> usize {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let clusters = available(&meminfo).map(|gigabytes| gigabytes / MEMORY);
    clusters.and_then(|n| n.try_into().ok()).unwrap_or(1)
}

/// Available memory in gigabytes.
fn available(meminfo: &str) -> Option<u64> {
    let mut lines = meminfo.lines();
    let available = lines.find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = available.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes >> 20)
}

fn memory(meminfo: &str) -> Check {
    const NAME: &str = "memory";
    let Some(free) = available(meminfo) else {
        return check(NAME, Optional, "unknown");
    };
    let found = format!("{free} GB available");
    if free >= MEMORY {
        return check(NAME, Good, found);
    }
    check(NAME, Bad, format!("{found}, {MEMORY} GB needed"))
        .remedy("hookproof cluster delete --all, or stop other programs")
}

fn inotify(limit: &str) -> Check {
    const NAME: &str = "inotify";
    let Ok(limit) = limit.trim().parse::<u64>() else {
        return check(NAME, Optional, "unknown");
    };
    let found = format!("{limit} instances");
    if limit >= 128 {
        return check(NAME, Good, found);
    }
    check(NAME, Optional, found + "; too few for several clusters")
        .remedy("sudo sysctl fs.inotify.max_user_instances=512")
}

/// Renders the checks, wrapped at 80 columns.
pub(crate) fn render(checks: &[Check]) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(80);
    for check in checks {
        let sign = match check.outcome {
            Good => "ok",
            Adapted => "adapted",
            Optional => "note",
            Bad => "FAILED",
        };
        let remedy = check.remedy.iter().map(|remedy| format!("\nfix: {remedy}"));
        let found = check.found.clone() + &remedy.collect::<String>();
        table.add_row([sign, check.name, &found]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let end = if fit(checks) {
        "This machine can run hookproof."
    } else {
        "This machine cannot run hookproof yet: fix the FAILED checks."
    };
    format!("{}\n\n{end}\n", table.trim_fmt())
}

#[cfg(test)]
mod tests {
    use super::super::docker::unusable;
    use super::*;
    use rstest::rstest;

    #[test]
    fn renders_checks() {
        let checks = vec![
            docker_check(Ok("28.2.2 20.10.24".to_owned())),
            capabilities(Some(&["SYS_RESOURCE"]), Some("hookproof")),
            capabilities(Some(&["SYS_RESOURCE", "SYS_ADMIN"]), Some("runc")),
            cgroups(false),
            node_images(&["1.34.4".to_owned(), "1.36.3".to_owned()]),
            node_images(&[]),
            disk_space("disk: cache", "/home/user/.cache/hookproof".into(), 3, 20),
            memory("MemTotal: 1 kB\nMemAvailable:   22106112 kB\n"),
            inotify("64\n"),
            check(
                "go",
                Bad,
                "not installed; needed to build node images and kind",
            )
            .remedy(SETUP),
        ];
        let text = render(&checks);
        let mut lines = text.lines();
        assert!(lines.all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(text);
    }

    #[rstest]
    #[case("permission denied while trying to connect", "usermod")]
    #[case("Cannot connect to the Docker daemon", "./ci/setup")]
    fn docker_failure_has_remedy(#[case] complaint: &str, #[case] remedy: &str) {
        let check = docker_check(Err(unusable(complaint)));
        assert_eq!(check.outcome, Bad);
        assert!(check.remedy.is_some_and(|text| text.contains(remedy)));
    }

    #[test]
    fn only_failed_checks_prevent_a_run() {
        assert!(fit(&[cgroups(true), node_images(&[]), cgroups(false)]));
        assert!(!fit(&[disk_space("disk: cache", Utf8Path::new("/"), 1, 2)]));
    }
}
