//! The kind executable.

use std::process::Command;

use camino::Utf8PathBuf;

use crate::cluster::cache::Cache;
use crate::cluster::command::{Long, capture, find};
use crate::cluster::error::Result;
use crate::cluster::node_image::go::go;
use crate::cluster::progress::{Reporter, short};
use crate::file::rename;

const MODULE: &str = "sigs.k8s.io/kind";
const VERSION: &str = "0.33.0";
/// The oldest version to use from PATH.
const OLDEST: (u32, u32) = (0, 29);

/// Finds kind on PATH or in the cache, or installs it in the cache.
pub(super) fn kind(cache: &Cache, reporter: &mut Reporter) -> Result<Utf8PathBuf> {
    if let Some(found) = on_path() {
        return Ok(found);
    }
    let target = installed(cache);
    if target.exists() {
        return Ok(target);
    }
    let _installing = cache.lock("kind")?.exclusive(|| {
        reporter.say("kind: waiting for another process to install it");
    })?;
    if target.exists() {
        return Ok(target);
    }
    reporter.say(format!("kind: installing {VERSION}"));
    let began = std::time::Instant::now();
    let log = cache.log("install-kind")?;
    let (_removed_later, scratch) = cache.scratch()?;
    let mut install = go()?;
    install
        .args(["install", "-v", "-trimpath", "-ldflags", "-s -w"])
        .arg(format!("{MODULE}@v{VERSION}"))
        .env("GOBIN", &scratch)
        .current_dir("/");
    Long::new("installing kind", &log).run(&mut install, &mut |pulse| {
        let packages = pulse.lines.len();
        let elapsed = short(pulse.elapsed);
        reporter.say(format!("kind: {packages} packages, {elapsed}"));
    })?;
    rename(&scratch.join("kind"), &target)?;
    reporter.say(format!("kind: installed in {}", short(began.elapsed())));
    Ok(target)
}

/// Path of kind in the cache.
pub(in crate::cluster) fn installed(cache: &Cache) -> Utf8PathBuf {
    cache.root().join(format!("tools/kind-{VERSION}/kind"))
}

/// A kind on PATH that is new enough.
pub(in crate::cluster) fn on_path() -> Option<Utf8PathBuf> {
    let found = find("kind")?;
    let version = capture(
        "checking the version of kind",
        Command::new(&found).args(["version", "-q"]),
    )
    .ok()?;
    is_new_enough(&version).then_some(found)
}

fn is_new_enough(version: &str) -> bool {
    crate::version::version(version.trim()).is_some_and(|version| version >= OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0.33.0", true)]
    #[case("v0.29.0-alpha+1", true)]
    #[case("1.0.0", true)]
    #[case("0.20.0", false)]
    #[case("", false)]
    fn old_versions_are_rejected(#[case] version: &str, #[case] new: bool) {
        assert_eq!(is_new_enough(version), new);
    }
}
