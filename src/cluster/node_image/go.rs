//! Builds programs from Go modules.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::process::Command;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use itertools::Itertools as _;
use serde_json::Value;

use super::Wanted;
use super::recipe::{DEFAULTS, Program, addon_digest, addons};
use super::versions::Version;
use crate::cluster::cache::Cache;
use crate::cluster::command::{answer, find, output, reason, run_logged};
use crate::cluster::error::{ClusterError, Result};
use crate::cluster::progress::{Reporter, percent, short};
use crate::file::{rename, write_atomic};

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

pub(super) type Programs = HashMap<&'static str, Utf8PathBuf>;

/// Cache folder of the programs of a Kubernetes version.
pub(super) fn folder(version: Version) -> String {
    format!("binaries/kubernetes-{version}")
}

/// Builds the programs that are not cached.
pub(super) fn programs(cache: &Cache, wanted: Wanted, reporter: &Reporter) -> Result<Programs> {
    let version = wanted.version;
    let addons = addons(wanted.runtime).collect_vec();
    let mut builder = Builder {
        cache,
        log: &cache.log(&format!("build-{version}"))?,
        reporter,
        components: PROGRAMS.len() + addons.len(),
        built: Programs::new(),
        compiled: HashSet::new(),
    };
    builder.kubernetes(version)?;
    for addon in addons {
        builder.addon(addon)?;
    }
    Ok(builder.built)
}

const TOOLS: &str =
    "//go:build tools\n\npackage tools\n\nimport _ \"k8s.io/kubernetes/cmd/kubelet\"\n";

struct Builder<'a> {
    cache: &'a Cache,
    log: &'a Utf8Path,
    reporter: &'a Reporter<'a>,
    components: usize,
    built: Programs,
    /// Packages that need not be compiled again.
    compiled: HashSet<String>,
}

impl Builder<'_> {
    fn kubernetes(&mut self, version: Version) -> Result<()> {
        let cache = self.cache;
        let folder = cache.folder(folder(version))?;
        let workspace = &cache
            .root()
            .join(format!("workspaces/kubernetes-{version}"));
        let is_built = |name: &&str| folder.join(name).exists();
        if !PROGRAMS.iter().all(is_built) {
            let doing = format!("Kubernetes {version}: downloading the module");
            self.reporter.say(doing);
            let source = download(&format!("k8s.io/kubernetes@v{version}"))?;
            let path = source.join("go.mod");
            let theirs = fs::read_to_string(&path);
            let theirs = theirs.map_err(ClusterError::file("cannot read", &path))?;
            let module = go_mod(&theirs, version);
            write_atomic(&workspace.join("go.mod"), module.as_bytes())?;
            // Keeps the requirement from being removed as unused.
            write_atomic(&workspace.join("tools.go"), TOOLS.as_bytes())?;
            if let Ok(sums) = fs::read(source.join("go.sum")) {
                write_atomic(&workspace.join("go.sum"), &sums)?;
            }
        }
        for name in PROGRAMS {
            let program = Program {
                name,
                package: &format!("k8s.io/kubernetes/cmd/{name}"),
                ldflags: &ldflags(version),
                tags: version.tags(),
                ..DEFAULTS
            };
            self.build(&program, workspace, &folder.join(name))?;
        }
        Ok(())
    }

    fn addon(&mut self, addon: &Program<'static>) -> Result<()> {
        let name = addon.name;
        let kept = format!("{name}-{}", addon_digest(addon));
        let workspace = &self.cache.root().join(format!("workspaces/{kept}"));
        let target = self.cache.path(format!("binaries/{kept}/{name}"))?;
        if !target.exists() {
            let (mut go, mut require) = ("go 1.23".to_owned(), String::new());
            if let Some((path, version)) = addon.module {
                let source = download(&format!("{path}@{version}"))?;
                let theirs = fs::read_to_string(source.join("go.mod")).unwrap_or_default();
                if let Some(line) = theirs.lines().find(|line| line.starts_with("go ")) {
                    line.clone_into(&mut go);
                }
                require = format!("\nrequire {path} {version}\n");
            }
            let module = format!("module hookproof.local/{name}\n\n{go}\n{require}");
            write_atomic(&workspace.join("go.mod"), module.as_bytes())?;
            if let Some(source) = addon.source {
                write_atomic(&workspace.join("main.go"), source.as_bytes())?;
            }
            if addon.cgo {
                headers(name)?;
            }
        }
        self.build(addon, workspace, &target)
    }

    /// Builds a program, unless it exists, and moves it to its place when it is complete.
    fn build(
        &mut self,
        program: &Program<'_>,
        workspace: &Utf8Path,
        target: &Utf8Path,
    ) -> Result<()> {
        let name = program.name;
        self.built.insert(name, target.to_owned());
        if target.exists() {
            return Ok(());
        }
        let began = Instant::now();
        let (number, of) = (self.built.len(), self.components);
        let component = format!("{name}: component {number} of {of}");
        let (log, reporter, step) = (self.log, self.reporter, format!("building {name}"));
        let say = |doing: &str| reporter.say(format!("{component}, {doing}"));
        say("resolving packages");
        let go = |args: &[&str]| -> Result<Command> {
            let mut command = go()?;
            command.args(args).current_dir(workspace);
            if !program.tags.is_empty() {
                command.args(["-tags", program.tags]);
            }
            if program.cgo {
                command.env("CGO_ENABLED", "1");
            }
            Ok(command)
        };
        let mut list = go(&["list", "-deps", "-f", "{{.ImportPath}}"])?;
        list.arg(program.package);
        let listed = run_logged(&step, log, None, &mut list, |lines, elapsed| {
            say(&format!("{}, {elapsed}", downloading(lines)));
        });
        let listed = listed.map_err(|error| {
            let log = fs::read_to_string(log).unwrap_or_default();
            match unavailable(&log) {
                Some((module, why)) => ClusterError::missing(
                    format!("cannot download the Go module {module}, which {name} requires: {why}"),
                    "check the network, or use another patch version: `hookproof node-image versions` lists pinned ones",
                ),
                None => error,
            }
        })?;
        let packages: HashSet<String> = listed
            .into_iter()
            .filter(|line| !line.contains(' ') && !self.compiled.contains(line))
            .collect();
        let aside = target.with_extension("part");
        let ldflags = format!("-s -w {}", program.ldflags);
        let mut build = go(&["build", "-v", "-trimpath", "-ldflags", &ldflags])?;
        build.args(["-o", aside.as_str(), program.package]);
        run_logged(&step, log, None, &mut build, |lines, elapsed| {
            say(&format!("{} %, {elapsed}", compiled(lines, &packages)));
        })?;
        self.compiled.extend(packages);
        rename(&aside, target)?;
        say(&format!("built in {}", short(began.elapsed())));
        Ok(())
    }
}

/// The compiled share of packages in percent, from the lines that `go build -v` printed.
fn compiled(lines: &[String], packages: &HashSet<String>) -> usize {
    let done = lines.iter().filter(|line| packages.contains(*line));
    percent(done.count(), packages.len())
}

/// A module that `go list` could not download, and why, from its log.
fn unavailable(log: &str) -> Option<(&str, &str)> {
    log.lines().find_map(|line| {
        let (before, after) = line.split_once(": reading ")?;
        let module = before.rsplit(' ').next()?;
        let (_url, why) = after.split_once(": ")?;
        module.contains("@v").then_some((module, why))
    })
}

/// What `go list` does, from the lines that it printed.
fn downloading(lines: &[String]) -> String {
    let is_download = |line: &&String| line.starts_with("go: downloading ");
    let modules = lines.iter().filter(is_download).count();
    format!("{modules} modules downloaded")
}

/// Checks for the C library that runc is linked with.
fn headers(name: &str) -> Result<()> {
    let mut command = Command::new("pkg-config");
    let library = answer(command.args(["--exists", "libseccomp"]));
    if find("cc").is_some() && library.is_ok_and(|library| library.is_some()) {
        return Ok(());
    }
    Err(ClusterError::missing(
        format!("a C compiler, pkg-config and libseccomp are required to build {name}"),
        "install them with `./ci/setup` (or on Debian and Ubuntu: apt-get install gcc libc6-dev pkg-config libseccomp-dev)",
    ))
}

/// The `go` command with the settings that all builds share.
pub(crate) fn go() -> Result<Command> {
    let go = find("go").ok_or_else(|| {
        ClusterError::missing(
            "go is not on PATH, which is required to build node images from packages",
            "install it with `./ci/setup`",
        )
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
    // Outside of any module, so that an incomplete workspace has no effect.
    let mut command = go()?;
    command
        .args(["mod", "download", "-json", module])
        .current_dir("/");
    let output = output(&mut command)?;
    downloaded(&output.stdout).map_err(|error| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let reason = error.unwrap_or_else(|| reason(&complaint, &output.status.to_string()));
        ClusterError::failed(format!("downloading the Go module {module}"), reason)
    })
}

/// The folder in the answer of `go mod download -json`, or the error in it, if any.
fn downloaded(answer: &[u8]) -> std::result::Result<Utf8PathBuf, Option<String>> {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let folder = answer["Dir"].as_str().map(Into::into);
    folder.ok_or_else(|| answer["Error"].as_str().map(str::to_owned))
}

/// A go.mod that requires Kubernetes. Its local replacements do not work in another module, so the
/// staging modules are replaced by their published versions.
fn go_mod(theirs: &str, version: Version) -> String {
    let mut in_godebug = false;
    let is_kept = |line: &&str| {
        in_godebug |= line.starts_with("godebug (");
        let kept = in_godebug || line.starts_with("go ") || line.starts_with("godebug ");
        in_godebug &= *line != ")";
        kept
    };
    let settings = theirs.lines().filter(is_kept).join("\n");
    let Version { minor, patch } = version;
    let staged = theirs
        .lines()
        .filter_map(|line| line.split_once("=> ./staging/src/"));
    let replacements = staged
        .filter_map(|(_, module)| module.split_whitespace().next())
        .sorted_unstable()
        .dedup()
        .map(|module| format!("\t{module} => {module} v0.{minor}.{patch}\n"))
        .join("");
    format!(
        "module hookproof.local/kubernetes\n\n{settings}\n\n\
         require k8s.io/kubernetes v{version}\n\nreplace (\n{replacements})\n"
    )
}

/// Linker flags that set the version, which kubeadm requires.
fn ldflags(version: Version) -> String {
    let values = [
        format!("gitVersion=v{version}"),
        "gitMajor=1".to_owned(),
        format!("gitMinor={}", version.minor),
        "gitTreeState=clean".to_owned(),
        format!("gitCommit={}", "0".repeat(40)),
        "buildDate=1970-01-01T00:00:00Z".to_owned(),
    ];
    let packages = [
        "k8s.io/component-base/version",
        "k8s.io/client-go/pkg/version",
    ];
    let flags = packages.into_iter().cartesian_product(&values);
    flags
        .map(|(package, value)| format!("-X {package}.{value}"))
        .join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const VERSION: Version = Version {
        minor: 36,
        patch: 3,
    };

    const THEIRS: &str = "module k8s.io/kubernetes\n\ngo 1.26.0\n\ngodebug default=go1.26\n\n\
        godebug (\n\tx=1\n)\n\nrequire (\n\tk8s.io/api v0.0.0\n)\n\nreplace (\n\
        \tk8s.io/api => ./staging/src/k8s.io/api\n\
        \tk8s.io/legacy-cloud-providers => ./staging/src/k8s.io/legacy-cloud-providers\n)\n";

    #[test]
    fn staging_modules_are_replaced_by_published_ones() {
        insta::assert_snapshot!(go_mod(THEIRS, VERSION), @r"
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
    fn ldflags_set_the_version() {
        let flags = ldflags(VERSION);
        assert!(
            flags.contains("-X k8s.io/component-base/version.gitVersion=v1.36.3 "),
            "{flags}"
        );
        assert!(
            flags.contains(" -X k8s.io/client-go/pkg/version.gitMinor=36 "),
            "{flags}"
        );
    }

    #[test]
    fn unavailable_modules_are_named() {
        let log = "$ go list\ngo: downloading k8s.io/api v0.31.14\n/mod/a.go:37:2: k8s.io/kube-scheduler@v0.31.14: \
            reading https://proxy/x.zip: 403 Forbidden\n\tserver response: not available\nfmt\n";
        let wanted = ("k8s.io/kube-scheduler@v0.31.14", "403 Forbidden");
        assert_eq!(unavailable(log), Some(wanted));
        assert_eq!(unavailable("fmt: reading x\n"), None);
    }

    #[test]
    fn a_failed_download_has_its_reason() {
        let folder =
            downloaded(br#"{"Path": "k8s.io/api", "Dir": "/mod/api", "GoModSum": "h1:x"}"#);
        assert_eq!(folder, Ok("/mod/api".into()));
        let unknown = br#"{"Path": "k8s.io/api", "Error": "k8s.io/api@v9: unknown revision v9"}"#;
        let error = downloaded(unknown).unwrap_err();
        assert_eq!(error.as_deref(), Some("k8s.io/api@v9: unknown revision v9"));
        assert_eq!(downloaded(b"go: no such tool"), Err(None));
    }

    #[test]
    fn progress_counts_modules_and_packages() {
        let lines = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
        let listing = lines("go: downloading k8s.io/api v0.36.3|go: finding x|fmt");
        assert_eq!(downloading(&listing), "1 modules downloaded");
        let packages = lines("fmt|k8s.io/api|k8s.io/kubernetes/cmd/kubelet");
        let packages: HashSet<_> = packages.into_iter().collect();
        assert_eq!(
            compiled(&lines("go: downloading x v1|fmt|unrelated"), &packages),
            33
        );
        assert_eq!(compiled(&[], &packages), 0);
    }
}
