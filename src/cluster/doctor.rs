//! Checks whether this machine can run hookproof.

use std::fmt::Write as _;
use std::process::Command;

use camino::Utf8Path;
use serde::Serialize;

use super::cache::Cache;
use super::command::{find, output};
use super::docker::docker;
use super::kernel::{cgroup_v2, missing_here};
use super::kind::tool;
use super::node_image::list;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Good,
    /// Not ideal, but handled automatically.
    Adapted,
    /// Not met, but only needed in some cases.
    Optional,
    /// Prevents runs.
    Bad,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub outcome: Outcome,
    pub found: String,
    /// The command or action that fixes it.
    pub remedy: Option<String>,
}

impl Check {
    fn new(name: &'static str, outcome: Outcome, found: impl Into<String>) -> Self {
        Self {
            name,
            outcome,
            found: found.into(),
            remedy: None,
        }
    }

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

#[must_use]
pub fn examine(cache: &Cache) -> Vec<Check> {
    let mut checks = Vec::new();
    let docker = docker_check();
    let docker_is_there = docker.outcome != Outcome::Bad;
    checks.push(docker);
    if docker_is_there {
        checks.push(docker_disk());
    }
    let missing = missing_here();
    let runtime = docker_is_there.then(default_runtime).flatten();
    checks.push(capabilities(missing.as_deref(), runtime.as_deref()));
    checks.push(cgroups(cgroup_v2()));
    let images = if docker_is_there {
        list(cache).unwrap_or_default()
    } else {
        Vec::new()
    };
    let images: Vec<_> = images.iter().map(|image| image.version.clone()).collect();
    checks.push(node_images(&images));
    let needed = if images.is_empty() {
        Outcome::Bad
    } else {
        Outcome::Optional
    };
    checks.push(go(needed));
    checks.push(debootstrap(needed));
    checks.push(kind(cache));
    checks.push(busybox());
    checks.push(disk(
        "disk: cache",
        cache.root(),
        if images.is_empty() { DISK.0 } else { DISK.1 },
    ));
    checks.push(memory(
        &std::fs::read_to_string("/proc/meminfo").unwrap_or_default(),
    ));
    checks.push(inotify(
        &std::fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").unwrap_or_default(),
    ));
    checks
}

/// Whether a run is possible.
#[must_use]
pub fn fit(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.outcome != Outcome::Bad)
}

fn docker_check() -> Check {
    const NAME: &str = "docker";
    if find("docker").is_none() {
        return Check::new(NAME, Outcome::Bad, "not installed").remedy(SETUP);
    }
    let format = "--format={{.Client.Version}} {{.Server.Version}}";
    let Ok(answer) = output(&mut docker(["version", format])) else {
        return Check::new(NAME, Outcome::Bad, "does not start").remedy(SETUP);
    };
    let (said, complaint) = (text(&answer.stdout), text(&answer.stderr));
    docker_answer(answer.status.success(), &said, &complaint)
}

fn docker_answer(success: bool, said: &str, complaint: &str) -> Check {
    const NAME: &str = "docker";
    if success {
        let (client, daemon) = said.split_once(' ').unwrap_or((said, "?"));
        return Check::new(
            NAME,
            Outcome::Good,
            format!("daemon {daemon}, client {client}"),
        );
    }
    if complaint.contains("permission denied") {
        return Check::new(NAME, Outcome::Bad, "permission denied for this user")
            .remedy("sudo usermod -aG docker $USER, then log in again");
    }
    Check::new(NAME, Outcome::Bad, "the daemon does not respond").remedy(SETUP)
}

fn default_runtime() -> Option<String> {
    let answer = output(&mut docker(["info", "--format={{.DefaultRuntime}}"])).ok()?;
    answer.status.success().then(|| text(&answer.stdout))
}

fn capabilities(missing: Option<&[&str]>, runtime: Option<&str>) -> Check {
    const NAME: &str = "capabilities";
    match missing {
        None => Check::new(NAME, Outcome::Optional, "unknown"),
        Some([]) => Check::new(NAME, Outcome::Good, "none missing"),
        Some(missing) => {
            let missing = missing.join(", ");
            match runtime {
                Some("hookproof") => Check::new(
                    NAME,
                    Outcome::Adapted,
                    format!("{missing} missing; docker's runtime drops it"),
                ),
                Some(_) => Check::new(
                    NAME,
                    Outcome::Bad,
                    format!("{missing} missing, so privileged containers do not start"),
                )
                .remedy(format!(
                    "{SETUP} (configures a docker runtime that drops it)"
                )),
                None => {
                    Check::new(NAME, Outcome::Optional, format!("{missing} missing")).remedy(SETUP)
                }
            }
        }
    }
}

fn cgroups(v2: bool) -> Check {
    if v2 {
        Check::new("cgroups", Outcome::Good, "version 2")
    } else {
        Check::new(
            "cgroups",
            Outcome::Adapted,
            "version 1; the kubelet is configured to accept it",
        )
    }
}

fn node_images(versions: &[String]) -> Check {
    if versions.is_empty() {
        Check::new(
            "node images",
            Outcome::Optional,
            "none yet; pulled if a registry is reachable, else built (some minutes)",
        )
    } else {
        Check::new(
            "node images",
            Outcome::Good,
            format!("built: {}", versions.join(", ")),
        )
    }
}

fn go(needed: Outcome) -> Check {
    let version = find("go").and_then(|go| output(Command::new(go).arg("version")).ok());
    match version {
        Some(answer) => {
            let said = text(&answer.stdout);
            let version = said
                .split(' ')
                .nth(2)
                .unwrap_or("?")
                .trim_start_matches("go")
                .to_owned();
            Check::new("go", Outcome::Good, version)
        }
        None => Check::new(
            "go",
            needed,
            "not installed; needed to build node images and kind",
        )
        .remedy(SETUP),
    }
}

fn debootstrap(needed: Outcome) -> Check {
    let root = rustix::process::geteuid().is_root();
    match (find("debootstrap"), root || find("sudo").is_some()) {
        (Some(_), true) => Check::new("debootstrap", Outcome::Good, "installed"),
        (Some(_), false) => Check::new(
            "debootstrap",
            needed,
            "needs root, and sudo is not installed",
        )
        .remedy("run `hookproof node-image build` as root once"),
        (None, _) => Check::new(
            "debootstrap",
            needed,
            "not installed; needed to build node images and the nginx image",
        )
        .remedy(SETUP),
    }
}

fn kind(cache: &Cache) -> Check {
    if let Some(path) = tool::on_path() {
        return Check::new("kind", Outcome::Good, path);
    }
    let installed = tool::installed(cache);
    if installed.exists() {
        return Check::new("kind", Outcome::Good, installed);
    }
    if find("go").is_some() {
        return Check::new(
            "kind",
            Outcome::Adapted,
            "not installed; installed with go when needed",
        );
    }
    Check::new(
        "kind",
        Outcome::Bad,
        "not installed, and go is missing to install it",
    )
    .remedy(SETUP)
}

fn busybox() -> Check {
    match find("busybox") {
        Some(path) => Check::new("busybox", Outcome::Good, path),
        None => Check::new(
            "busybox",
            Outcome::Bad,
            "not installed; needed in the agent image",
        )
        .remedy(SETUP),
    }
}

fn docker_disk() -> Check {
    let root = output(&mut docker(["info", "--format={{.DockerRootDir}}"]));
    let root = root.map(|answer| text(&answer.stdout)).unwrap_or_default();
    disk("disk: docker", Utf8Path::new(&root), DISK.1)
}

fn disk(name: &'static str, path: &Utf8Path, needed: u64) -> Check {
    match rustix::fs::statvfs(path.as_std_path()) {
        Ok(disk) => disk_space(name, path, (disk.f_bavail * disk.f_frsize) >> 30, needed),
        Err(error) => Check::new(name, Outcome::Optional, format!("{path}: {error}")),
    }
}

fn disk_space(name: &'static str, path: &Utf8Path, free: u64, needed: u64) -> Check {
    let found = format!("{free} GB free in {path}");
    if free >= needed {
        return Check::new(name, Outcome::Good, found);
    }
    Check::new(name, Outcome::Bad, format!("{found}, {needed} GB needed"))
        .remedy("docker system prune; hookproof clean --images")
}

fn memory(meminfo: &str) -> Check {
    let available = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let available = available.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    match available.map(|kilobytes| kilobytes >> 20) {
        None => Check::new("memory", Outcome::Optional, "unknown"),
        Some(free) if free >= MEMORY => {
            Check::new("memory", Outcome::Good, format!("{free} GB available"))
        }
        Some(free) => Check::new(
            "memory",
            Outcome::Bad,
            format!("{free} GB available, {MEMORY} GB needed"),
        )
        .remedy("hookproof cluster delete --all, or stop other programs"),
    }
}

fn inotify(limit: &str) -> Check {
    match limit.trim().parse::<u64>() {
        Ok(limit) if limit >= 128 => {
            Check::new("inotify", Outcome::Good, format!("{limit} instances"))
        }
        Ok(limit) => Check::new(
            "inotify",
            Outcome::Optional,
            format!("{limit} instances; too few for several clusters"),
        )
        .remedy("sudo sysctl fs.inotify.max_user_instances=512"),
        Err(_) => Check::new("inotify", Outcome::Optional, "unknown"),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// Renders the checks, wrapped at 80 columns between words.
#[must_use]
pub fn render(checks: &[Check]) -> String {
    const MARGIN: usize = 23;
    let mut shown = String::new();
    for check in checks {
        let sign = match check.outcome {
            Outcome::Good => "ok",
            Outcome::Adapted => "adapted",
            Outcome::Optional => "note",
            Outcome::Bad => "FAILED",
        };
        let found = wrap(&check.found, 80 - MARGIN, MARGIN);
        // Writing to a string cannot fail.
        let _ = writeln!(shown, "{sign:<8} {:<13} {found}", check.name);
        if let Some(remedy) = &check.remedy {
            let remedy = wrap(&format!("fix: {remedy}"), 80 - MARGIN, MARGIN);
            let _ = writeln!(shown, "{:MARGIN$}{remedy}", "");
        }
    }
    let end = if fit(checks) {
        "This machine can run hookproof."
    } else {
        "This machine cannot run hookproof yet: fix the FAILED checks."
    };
    let _ = writeln!(shown, "\n{end}");
    shown
}

fn wrap(text: &str, width: usize, margin: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].chars().count() + 1 + word.chars().count() > width
        {
            lines.push(word.to_owned());
        } else {
            if !lines[last].is_empty() {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines.join(&format!("\n{:margin$}", ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn renders_checks() {
        let checks = vec![
            docker_answer(true, "28.2.2 20.10.24", ""),
            capabilities(Some(&["SYS_RESOURCE"]), Some("hookproof")),
            capabilities(Some(&["SYS_RESOURCE", "SYS_ADMIN"]), Some("runc")),
            cgroups(false),
            node_images(&["1.34.4".to_owned(), "1.36.3".to_owned()]),
            node_images(&[]),
            disk_space(
                "disk: cache",
                Utf8Path::new("/home/user/.cache/hookproof"),
                3,
                20,
            ),
            memory("MemTotal: 1 kB\nMemAvailable:   22106112 kB\n"),
            inotify("64\n"),
            Check::new(
                "go",
                Outcome::Bad,
                "not installed; needed to build node images and kind",
            )
            .remedy(SETUP),
        ];
        let text = render(&checks);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }

    #[rstest]
    #[case("permission denied while trying to connect", "usermod")]
    #[case("Cannot connect to the Docker daemon", "./ci/setup")]
    fn docker_failure_has_remedy(#[case] complaint: &str, #[case] remedy: &str) {
        let check = docker_answer(false, "", complaint);
        assert_eq!(check.outcome, Outcome::Bad);
        assert!(check.remedy.is_some_and(|text| text.contains(remedy)));
    }

    #[test]
    fn only_failed_checks_prevent_a_run() {
        assert!(fit(&[cgroups(true), node_images(&[]), cgroups(false)]));
        assert!(!fit(&[disk_space("disk: cache", Utf8Path::new("/"), 1, 2)]));
    }
}
