//! The Debian userlands of nodes and kube-proxy.

use camino::Utf8PathBuf;

use super::recipe::{BUILD_USERLAND, PACKAGES, PREPARE_ROOTFS, userland_digest};
use crate::cluster::cache::Cache;
use crate::cluster::debian::{Recipe, SUITE, build};
use crate::cluster::error::Result;
use crate::cluster::progress::Reporter;

/// Paths of the userland archives.
pub(super) struct Userland {
    pub node: Utf8PathBuf,
    /// iptables and its dependencies, for kube-proxy.
    pub proxy: Utf8PathBuf,
}

/// Builds the userlands, unless they are cached.
pub(super) fn userland(cache: &Cache, reporter: &mut Reporter<'_>) -> Result<Userland> {
    let recipe = Recipe {
        what: "node userland",
        kept: format!("userland/{SUITE}-{}", userland_digest()),
        script: ("build-userland", BUILD_USERLAND),
        helpers: &[("prepare-rootfs", PREPARE_ROOTFS)],
        packages: PACKAGES,
        archives: &["proxy.tar", "node.tar"],
    };
    let folder = build(cache, &recipe, reporter)?;
    Ok(Userland {
        node: folder.join("node.tar"),
        proxy: folder.join("proxy.tar"),
    })
}
