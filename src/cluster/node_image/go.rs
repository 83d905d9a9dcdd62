//! Builds programs from Go modules.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use super::recipe::{ADDONS, Addon, addon_digest};
use super::versions::{RELEASES, Release, Version};
use crate::cluster::cache::{Cache, make_folder, write};
use crate::cluster::command::{Long, capture, find};
use crate::cluster::error::{ClusterError, Result};
use crate::cluster::progress::{Reporter, short};

/// Kubernetes programs, in build order.
const PROGRAMS: [&str; 7] = [
    "kubelet",
    "kubeadm",
    "kubectl",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
];

/// Paths of the programs of a node.
pub(super) struct Programs {
    kubernetes: Utf8PathBuf,
    controllers: Utf8PathBuf,
    addons: Vec<(&'static str, Utf8PathBuf)>,
}

impl Programs {
    pub(super) fn path(&self, name: &str) -> Utf8PathBuf {
        if let Some((_, path)) = self.addons.iter().find(|(addon, _)| *addon == name) {
            return path.clone();
        }
        let folder = if is_controller(name) {
            &self.controllers
        } else {
            &self.kubernetes
        };
        folder.join(name)
    }
}

/// Cache folder of the programs of a Kubernetes version.
pub(super) fn folder(version: Version) -> String {
    format!("binaries/kubernetes-{version}")
}

/// Builds the programs that are not cached.
pub(super) fn programs(
    cache: &Cache,
    release: &Release,
    reporter: &mut Reporter,
) -> Result<Programs> {
    let log = cache.log(&format!("build-{}", release.version))?;
    let log = log.as_path();
    let (of_controllers, of_release): (Vec<_>, Vec<_>) =
        PROGRAMS.into_iter().partition(|name| is_controller(name));
    let kubernetes = kubernetes(cache, release, &of_release, log, reporter)?;
    let source = RELEASES
        .iter()
        .find(|other| other.version == release.controllers);
    let controllers = self::kubernetes(
        cache,
        source.unwrap_or(release),
        &of_controllers,
        log,
        reporter,
    )?;
    let addons = ADDONS
        .iter()
        .map(|addon| Ok((addon.name, build_addon(cache, addon, log, reporter)?)))
        .collect::<Result<_>>()?;
    Ok(Programs {
        kubernetes,
        controllers,
        addons,
    })
}

fn is_controller(name: &str) -> bool {
    matches!(name, "kube-controller-manager" | "kube-scheduler")
}

fn kubernetes(
    cache: &Cache,
    release: &Release,
    names: &[&str],
    log: &Utf8Path,
    reporter: &mut Reporter,
) -> Result<Utf8PathBuf> {
    let version = release.version;
    let target = cache.folder(folder(version))?;
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !target.join(name).exists())
        .collect();
    if missing.is_empty() {
        return Ok(target);
    }
    let workspace = cache.folder(format!("workspaces/kubernetes-{version}"))?;
    reporter.say(format!("Kubernetes {version}: downloading the module"));
    let source = download(&format!("k8s.io/kubernetes@v{version}"))?;
    let path = source.join("go.mod");
    let theirs =
        fs::read_to_string(&path).map_err(ClusterError::file("cannot read", path.as_path()))?;
    write(
        &workspace.join("go.mod"),
        go_mod(&theirs, release, version).as_bytes(),
    )?;
    // Keeps the requirement from being removed as unused.
    write(&workspace.join("tools.go"), TOOLS.as_bytes())?;
    let sums = source.join("go.sum");
    if let Ok(sums) = fs::read(&sums) {
        write(&workspace.join("go.sum"), &sums)?;
    }
    for name in missing {
        let package = format!("k8s.io/kubernetes/cmd/{name}");
        let flags = ldflags(version);
        build(
            name,
            &package,
            &flags,
            release.tags,
            &workspace,
            &target.join(name),
            log,
            reporter,
        )?;
    }
    Ok(target)
}

const TOOLS: &str =
    "//go:build tools\n\npackage tools\n\nimport _ \"k8s.io/kubernetes/cmd/kubelet\"\n";

fn build_addon(
    cache: &Cache,
    addon: &Addon,
    log: &Utf8Path,
    reporter: &mut Reporter,
) -> Result<Utf8PathBuf> {
    let kept = format!("{}-{}", addon.name, addon_digest(addon));
    let target = cache.path(format!("binaries/{kept}/{}", addon.name))?;
    if target.exists() {
        return Ok(target);
    }
    let workspace = cache.folder(format!("workspaces/{kept}"))?;
    let mut module = format!("module hookproof.local/{}\n\ngo 1.23\n", addon.name);
    if let Some((path, version)) = addon.module {
        let source = download(&format!("{path}@{version}"))?;
        let go = fs::read_to_string(source.join("go.mod")).unwrap_or_default();
        let go = go
            .lines()
            .find(|line| line.starts_with("go "))
            .unwrap_or("go 1.23")
            .to_owned();
        module = format!(
            "module hookproof.local/{}\n\n{go}\n\nrequire {path} {version}\n",
            addon.name
        );
    }
    write(&workspace.join("go.mod"), module.as_bytes())?;
    write(&workspace.join("main.go"), addon.main.as_bytes())?;
    build(
        addon.name, ".", "-s -w", "", &workspace, &target, log, reporter,
    )?;
    Ok(target)
}

/// Runs `go build` and moves the finished program to `target` atomically.
#[allow(clippy::too_many_arguments)]
fn build(
    name: &str,
    package: &str,
    ldflags: &str,
    tags: &str,
    workspace: &Utf8Path,
    target: &Utf8Path,
    log: &Utf8Path,
    reporter: &mut Reporter,
) -> Result<()> {
    reporter.say(format!("{name}: compiling"));
    if let Some(folder) = target.parent() {
        make_folder(folder)?;
    }
    let began = std::time::Instant::now();
    let aside = target.with_extension("part");
    let mut command = go()?;
    command.args(["build", "-v", "-trimpath", "-ldflags", ldflags]);
    if !tags.is_empty() {
        command.args(["-tags", tags]);
    }
    command
        .args(["-o", aside.as_str(), package])
        .current_dir(workspace);
    let step = format!("building {name}");
    Long {
        step: &step,
        log,
        limit: None,
    }
    .run(&mut command, &mut |pulse| {
        let what = if pulse.last.starts_with("go: downloading") {
            format!(
                "downloading {}",
                pulse.last.split(' ').nth(2).unwrap_or("modules")
            )
        } else {
            format!("{} packages compiled or downloaded", pulse.lines)
        };
        reporter.say(format!("{name}: {what} ({} elapsed)", short(pulse.running)));
    })?;
    fs::rename(&aside, target).map_err(ClusterError::file("cannot write", target))?;
    reporter.say(format!("{name}: built in {}", short(began.elapsed())));
    Ok(())
}

/// The `go` command with the settings that all builds share.
pub(crate) fn go() -> Result<Command> {
    let go = find("go").ok_or_else(|| ClusterError::Missing {
        what: "go is not on PATH, which is required to build node images from packages".into(),
        remedy: "install it with `./ci/setup`".into(),
    })?;
    let mut command = Command::new(go);
    command
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=mod")
        .env("GOWORK", "off");
    Ok(command)
}

/// Downloads a module and returns its folder.
fn download(module: &str) -> Result<Utf8PathBuf> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "Dir", default)]
        dir: Option<Utf8PathBuf>,
        #[serde(rename = "Error", default)]
        error: Option<String>,
    }
    // Outside of any module, so that an incomplete workspace has no effect.
    let mut command = go()?;
    command
        .args(["mod", "download", "-json", module])
        .current_dir("/");
    let step = format!("downloading the Go module {module}");
    let answer = match capture(&step, &mut command) {
        Ok(text) => serde_json::from_str::<Answer>(&text)
            .map_err(|error| failed(&step, &format!("cannot parse the output: {error}")))?,
        Err(error) => return Err(error),
    };
    answer.dir.ok_or_else(|| {
        failed(
            &step,
            answer
                .error
                .as_deref()
                .unwrap_or("the output names no folder"),
        )
    })
}

fn failed(step: &str, reason: &str) -> ClusterError {
    ClusterError::Command {
        step: step.to_owned(),
        reason: reason.to_owned(),
    }
}

/// A go.mod that requires Kubernetes. Its local replacements do not work in another module, so the
/// staging modules are replaced by their published versions.
fn go_mod(theirs: &str, release: &Release, version: Version) -> String {
    let mut ours = String::from("module hookproof.local/kubernetes\n\n");
    let mut in_godebug = false;
    for line in theirs.lines() {
        in_godebug |= line.starts_with("godebug (");
        if in_godebug || line.starts_with("go ") || line.starts_with("godebug ") {
            // Writing to a string cannot fail.
            let _ = writeln!(ours, "{line}");
        }
        in_godebug &= line != ")";
    }
    let _ = write!(
        ours,
        "\nrequire k8s.io/kubernetes v{version}\n\nreplace (\n"
    );
    let mut staged: Vec<_> = theirs
        .lines()
        .filter_map(|line| line.split_once("=> ./staging/src/"))
        .map(|(_, module)| module.split_whitespace().next().unwrap_or(module))
        .collect();
    staged.sort_unstable();
    staged.dedup();
    for module in staged {
        let own = format!("v0.{}.{}", version.minor, version.patch);
        let substitute = release.substitutes.iter().find(|(name, _)| *name == module);
        let at = substitute.map_or(own.as_str(), |(_, version)| version);
        let _ = writeln!(ours, "\t{module} => {module} {at}");
    }
    ours.push_str(")\n");
    ours
}

/// Linker flags that set the version, which kubeadm requires.
fn ldflags(version: Version) -> String {
    let mut flags = String::from("-s -w");
    for package in [
        "k8s.io/component-base/version",
        "k8s.io/client-go/pkg/version",
    ] {
        // Writing to a string cannot fail.
        let _ = write!(
            flags,
            " -X {package}.gitVersion=v{version} -X {package}.gitMajor=1 \
             -X {package}.gitMinor={} -X {package}.gitTreeState=clean \
             -X {package}.gitCommit={} -X {package}.buildDate=1970-01-01T00:00:00Z",
            version.minor,
            "0".repeat(40)
        );
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::super::versions::newest;
    use super::*;

    const THEIRS: &str = "module k8s.io/kubernetes\n\ngo 1.26.0\n\ngodebug default=go1.26\n\n\
        godebug (\n\tx=1\n)\n\nrequire (\n\tk8s.io/api v0.0.0\n)\n\nreplace (\n\
        \tk8s.io/api => ./staging/src/k8s.io/api\n\
        \tk8s.io/legacy-cloud-providers => ./staging/src/k8s.io/legacy-cloud-providers\n)\n";

    #[test]
    fn staging_modules_are_replaced_by_published_ones() {
        insta::assert_snapshot!(go_mod(THEIRS, newest(), newest().version), @r"
        module hookproof.local/kubernetes

        go 1.26.0
        godebug default=go1.26
        godebug (
        	x=1
        )

        require k8s.io/kubernetes v1.36.3

        replace (
        	k8s.io/api => k8s.io/api v0.36.3
        	k8s.io/legacy-cloud-providers => k8s.io/legacy-cloud-providers v0.36.3
        )
        ");
    }

    #[test]
    fn substitutes_replace_unpublished_modules() {
        let ours = go_mod(THEIRS, &RELEASES[0], RELEASES[0].version);
        assert!(ours.contains("legacy-cloud-providers v0.30.14"), "{ours}");
        assert!(ours.contains("k8s.io/api => k8s.io/api v0.29.6"), "{ours}");
    }

    #[test]
    fn ldflags_set_the_version() {
        let flags = ldflags(newest().version);
        assert!(
            flags.contains("-X k8s.io/component-base/version.gitVersion=v1.36.3 "),
            "{flags}"
        );
        assert!(
            flags.contains("-X k8s.io/client-go/pkg/version.gitMinor=36 "),
            "{flags}"
        );
    }
}
