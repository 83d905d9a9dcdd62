//! The Debian userland of a node.

use camino::Utf8PathBuf;

use super::recipe::{BUILD_USERLAND, PACKAGES, PREPARE_ROOTFS, userland_digest};
use crate::cluster::cache::Cache;
use crate::cluster::debian::{Recipe, SUITE, build};
use crate::cluster::error::Result;
use crate::cluster::progress::Teller;

/// Archives of the userlands.
pub(super) struct Userland {
    /// A node's.
    pub node: Utf8PathBuf,
    /// kube-proxy's: iptables and what belongs to it.
    pub proxy: Utf8PathBuf,
}

/// Builds it, if it is not there yet.
pub(super) fn userland(cache: &Cache, teller: &mut Teller<'_>) -> Result<Userland> {
    let recipe = Recipe {
        what: "the node's userland",
        kept: format!("userland/{SUITE}-{}", userland_digest()),
        script: ("build-userland", BUILD_USERLAND),
        helpers: &[("prepare-rootfs", PREPARE_ROOTFS)],
        packages: PACKAGES,
        archives: &["proxy.tar", "node.tar"],
    };
    let folder = build(cache, &recipe, teller)?;
    Ok(Userland {
        node: folder.join("node.tar"),
        proxy: folder.join("proxy.tar"),
    })
}
