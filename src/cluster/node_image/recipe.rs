//! The content of a node image, and the digests that identify each recipe.

use sha2::{Digest, Sha256};

use super::versions::Version;
use crate::cluster::debian::{Recipe, SUITE};
use crate::digest::hex;

/// Debian packages of a node, in addition to the minimal set.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,conntrack,iptables,nftables,iproute2,\
ethtool,util-linux,mount,kmod,libseccomp2,ca-certificates,jq,procps,hostname,containerd,runc,\
containernetworking-plugins";

const PREPARE_ROOTFS: &str = include_str!("files/prepare-rootfs");
const BUILD_USERLAND: &str = include_str!("files/build-userland");
pub(super) const IMPORT_IMAGES: &str = include_str!("files/import-images");
pub(super) const CONTAINERD_CONFIG: &str = include_str!("files/containerd.toml");

/// The userlands of a node (`node.tar`) and of kube-proxy (`proxy.tar`: iptables and its dependencies).
pub(super) fn userland() -> Recipe<'static> {
    Recipe {
        what: "node userland",
        kept: format!("userland/{SUITE}-{}", userland_digest()),
        script: ("build-userland", BUILD_USERLAND),
        helpers: &[("prepare-rootfs", PREPARE_ROOTFS)],
        packages: PACKAGES,
        archives: &["proxy.tar", "node.tar"],
    }
}

/// Files of every node: path, mode and content.
pub(super) const NODE_FILES: [(&str, u32, &str); 6] = [
    (
        "usr/local/bin/entrypoint",
        0o755,
        include_str!("files/entrypoint"),
    ),
    (
        "usr/local/bin/cni-config",
        0o755,
        include_str!("files/cni-config"),
    ),
    (
        "usr/local/bin/kubelet-cgroups",
        0o755,
        include_str!("files/kubelet-cgroups"),
    ),
    (
        "etc/systemd/system/containerd.service",
        0o644,
        include_str!("files/containerd.service"),
    ),
    (
        "etc/systemd/system/kubelet.service",
        0o644,
        include_str!("files/kubelet.service"),
    ),
    (
        "etc/systemd/system/kubelet.slice",
        0o644,
        include_str!("files/kubelet.slice"),
    ),
];

/// A program built from a small main package around a published module.
#[derive(Debug)]
pub(super) struct Addon {
    pub name: &'static str,
    /// The module and its version; `None` if only the standard library is needed.
    pub module: Option<(&'static str, &'static str)>,
    /// Source of the main package.
    pub main: &'static str,
}

/// Programs that a cluster needs in addition to Kubernetes, in one version for all releases.
pub(super) const ADDONS: [Addon; 3] = [
    Addon {
        name: "etcd",
        module: Some(("go.etcd.io/etcd/server/v3", "v3.6.8")),
        main: include_str!("files/go/etcd.go"),
    },
    Addon {
        name: "coredns",
        module: Some(("github.com/coredns/coredns", "v1.14.2")),
        main: include_str!("files/go/coredns.go"),
    },
    Addon {
        name: "pause",
        module: None,
        main: include_str!("files/go/pause.go"),
    },
];

/// The repository of built node images in docker.
pub(super) const REPOSITORY: &str = "hookproof/node";

/// Increment when the build changes without a change to the texts above.
const EDITION: &str = "1";

fn digest(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())[..12].to_owned()
}

pub(super) fn userland_digest() -> String {
    digest(&[EDITION, SUITE, PACKAGES, PREPARE_ROOTFS, BUILD_USERLAND])
}

pub(super) fn addon_digest(addon: &Addon) -> String {
    let (module, version) = addon.module.unwrap_or_default();
    digest(&[EDITION, module, version, addon.main])
}

pub(super) fn control_plane_digest(version: Version) -> String {
    let (number, userland) = (version.to_string(), userland_digest());
    let addons: Vec<_> = ADDONS.iter().map(addon_digest).collect();
    let mut parts = vec![EDITION, &number, version.tags(), &userland];
    parts.extend(addons.iter().map(String::as_str));
    digest(&parts)
}

pub(super) fn image_digest(version: Version) -> String {
    let control_plane = control_plane_digest(version);
    let mut parts = vec![EDITION, &control_plane, IMPORT_IMAGES, CONTAINERD_CONFIG];
    parts.extend(
        NODE_FILES
            .iter()
            .flat_map(|(path, _, content)| [*path, *content]),
    );
    digest(&parts)
}

/// The image name of a version, with its recipe digest.
pub(super) fn image_name(version: Version) -> String {
    format!("{REPOSITORY}:v{version}-{}", image_digest(version))
}

#[cfg(test)]
mod tests {
    use super::super::versions::PINNED;
    use super::*;

    #[test]
    fn image_names_are_unique_and_contain_the_version() {
        let mut names: Vec<_> = PINNED.into_iter().map(image_name).collect();
        assert!(names[0].starts_with(&format!("hookproof/node:v{}-", PINNED[0])));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), PINNED.len());
    }

    #[test]
    fn digest_separates_parts() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
    }

    #[test]
    fn scripts_have_a_shebang() {
        for (path, mode, content) in NODE_FILES {
            assert_eq!(mode == 0o755, content.starts_with("#!/bin/"), "{path}");
        }
    }
}
