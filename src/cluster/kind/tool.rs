//! The kind executable.

use std::process::Command;
use std::time::Instant;

use camino::Utf8PathBuf;

use crate::cluster::cache::Cache;
use crate::cluster::command::{answer, find, run_logged};
use crate::cluster::error::Result;
use crate::cluster::node_image::go::go;
use crate::cluster::progress::{Reporter, short};
use crate::file::rename;

const MODULE: &str = "sigs.k8s.io/kind";
const VERSION: &str = "0.33.0";
/// The oldest version to use from PATH.
const OLDEST: (u32, u32) = (0, 29);

/// Finds kind on PATH or in the cache, or installs it in the cache.
pub(super) fn kind(cache: &Cache, reporter: &Reporter) -> Result<Utf8PathBuf> {
    if let Some(found) = installed(cache) {
        return Ok(found);
    }
    let _installing = cache.lock("kind")?.exclusive(|| {
        reporter.say("kind: waiting for another process to install it");
    })?;
    let target = target(cache);
    if target.exists() {
        return Ok(target);
    }
    reporter.say(format!("kind: installing {VERSION}"));
    let began = Instant::now();
    let log = cache.log("install-kind")?;
    let (_removed_later, scratch) = cache.scratch()?;
    let mut install = go()?;
    install
        .args(["install", "-v", "-trimpath", "-ldflags", "-s -w"])
        .arg(format!("{MODULE}@v{VERSION}"))
        .env("GOBIN", &scratch)
        .current_dir("/");
    run_logged(
        "installing kind",
        &log,
        None,
        &mut install,
        |lines, elapsed| {
            reporter.say(format!("kind: {} packages, {elapsed}", lines.len()));
        },
    )?;
    rename(&scratch.join("kind"), &target)?;
    reporter.say(format!("kind: installed in {}", short(began.elapsed())));
    Ok(target)
}

fn target(cache: &Cache) -> Utf8PathBuf {
    cache.root().join(format!("tools/kind-{VERSION}/kind"))
}

/// A kind on PATH that is new enough, else the one in the cache.
pub(in crate::cluster) fn installed(cache: &Cache) -> Option<Utf8PathBuf> {
    let is_usable = |found: &Utf8PathBuf| {
        let version = answer(Command::new(found).args(["version", "-q"]));
        version.is_ok_and(|version| is_new_enough(&version.unwrap_or_default()))
    };
    let kept = Some(target(cache)).filter(|path| path.exists());
    find("kind").filter(is_usable).or(kept)
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
