//! What a node image is made of, and the digests that tell one recipe from another.

use sha2::{Digest, Sha256};

use super::versions::Release;
use crate::cluster::debian::SUITE;
use crate::digest::hex;

/// What is installed into the node beside Debian's minimum.
pub(super) const PACKAGES: &str = "systemd,systemd-sysv,dbus,conntrack,iptables,nftables,iproute2,\
ethtool,util-linux,mount,kmod,libseccomp2,ca-certificates,jq,procps,hostname,containerd,runc,\
containernetworking-plugins";

pub(super) const PREPARE_ROOTFS: &str = include_str!("files/prepare-rootfs");
pub(super) const BUILD_USERLAND: &str = include_str!("files/build-userland");
pub(super) const IMPORT_IMAGES: &str = include_str!("files/import-images");
pub(super) const CONTAINERD_CONFIG: &str = include_str!("files/containerd.toml");

/// Files of every node: path, mode, content.
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

/// A program that is built from a small module of our own around somebody's package.
#[derive(Debug)]
pub(super) struct Addon {
    /// The program's name.
    pub name: &'static str,
    /// The module it comes from, and its version; none where it needs only the standard library.
    pub module: Option<(&'static str, &'static str)>,
    /// Its main package.
    pub main: &'static str,
}

/// The programs that a cluster needs beside Kubernetes. One version serves every release.
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

/// Changed when the way things are built changes but no text above does.
const EDITION: &str = "1";

fn digest(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())[..12].to_owned()
}

/// Tells one recipe for the userland from another.
pub(super) fn userland_digest() -> String {
    digest(&[EDITION, SUITE, PACKAGES, PREPARE_ROOTFS, BUILD_USERLAND])
}

/// Tells one recipe for an addon from another.
pub(super) fn addon_digest(addon: &Addon) -> String {
    let (module, version) = addon.module.unwrap_or_default();
    digest(&[EDITION, module, version, addon.main])
}

/// Tells one set of control plane images from another.
pub(super) fn control_plane_digest(release: &Release) -> String {
    let (version, controllers) = (release.version.to_string(), release.controllers.to_string());
    let userland = userland_digest();
    let addons: Vec<_> = ADDONS.iter().map(addon_digest).collect();
    let mut parts = vec![EDITION, &version, &controllers, release.tags, &userland];
    parts.extend(addons.iter().map(String::as_str));
    for (module, stand_in) in release.substitutes {
        parts.extend([*module, *stand_in]);
    }
    digest(&parts)
}

/// Tells one recipe for the image of a release from another.
pub(super) fn image_digest(release: &Release) -> String {
    let control_plane = control_plane_digest(release);
    let mut parts = vec![EDITION, &control_plane, IMPORT_IMAGES, CONTAINERD_CONFIG];
    parts.extend(
        NODE_FILES
            .iter()
            .flat_map(|(path, _, content)| [*path, *content]),
    );
    digest(&parts)
}

/// Name of the image of a release: its version, and its recipe.
pub(super) fn image_name(release: &Release) -> String {
    let mixed = if release.note().is_some() {
        format!("-controllers-{}", release.controllers)
    } else {
        String::new()
    };
    format!(
        "hookproof/node:v{}{mixed}-{}",
        release.version,
        image_digest(release)
    )
}

#[cfg(test)]
mod tests {
    use super::super::versions::{RELEASES, newest};
    use super::*;

    #[test]
    fn every_release_has_an_image_of_its_own() {
        let mut names: Vec<_> = RELEASES.iter().map(image_name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), RELEASES.len());
    }

    #[test]
    fn an_image_is_named_after_its_versions() {
        assert!(image_name(newest()).starts_with("hookproof/node:v1.36.3-"));
        assert!(image_name(&RELEASES[0]).starts_with("hookproof/node:v1.29.6-controllers-1.30.4-"));
    }

    #[test]
    fn parts_are_not_mixed_up_with_their_neighbours() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
    }

    #[test]
    fn scripts_say_what_runs_them() {
        for (path, mode, content) in NODE_FILES {
            assert_eq!(mode == 0o755, content.starts_with("#!/bin/"), "{path}");
        }
    }
}
