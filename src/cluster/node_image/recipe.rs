//! The content of a node image, and the digests that identify each recipe.

use sha2::{Digest, Sha256};

use super::versions::Version;
use super::{Runtime, Wanted};
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

/// A program built from a published module.
#[derive(Debug)]
pub(super) struct Addon {
    pub name: &'static str,
    /// The module and its version; `None` if only the standard library is needed.
    pub module: Option<(&'static str, &'static str)>,
    pub main: Main,
}

/// The main package of an addon.
#[derive(Debug)]
pub(super) enum Main {
    /// Source of a small package around the module.
    Ours(&'static str),
    /// A package of the module.
    Theirs {
        package: &'static str,
        tags: &'static str,
        ldflags: &'static str,
        /// Whether it contains C code. It is linked statically: the node may have an older libc.
        cgo: bool,
    },
}

/// Programs that a cluster needs in addition to Kubernetes, in one version for all releases.
pub(super) const ADDONS: [Addon; 3] = [
    Addon {
        name: "etcd",
        module: Some(("go.etcd.io/etcd/server/v3", "v3.6.8")),
        main: Main::Ours(include_str!("files/go/etcd.go")),
    },
    Addon {
        name: "coredns",
        module: Some(("github.com/coredns/coredns", "v1.14.2")),
        main: Main::Ours(include_str!("files/go/coredns.go")),
    },
    Addon {
        name: "pause",
        module: None,
        main: Main::Ours(include_str!("files/go/pause.go")),
    },
];

const fn containerd(name: &'static str, package: &'static str) -> Addon {
    Addon {
        name,
        module: Some(("github.com/containerd/containerd/v2", "v2.4.2")),
        main: Main::Theirs {
            package,
            tags: "no_btrfs no_devmapper no_zfs",
            ldflags: "-X github.com/containerd/containerd/v2/version.Version=v2.4.2",
            cgo: false,
        },
    }
}

/// Programs of [`Runtime::Containerd2`], with their paths in the node, where they replace Debian's.
const CONTAINERD_2: [(&str, Addon); 4] = [
    (
        "usr/bin/containerd",
        containerd(
            "containerd",
            "github.com/containerd/containerd/v2/cmd/containerd",
        ),
    ),
    (
        "usr/bin/containerd-shim-runc-v2",
        containerd(
            "containerd-shim-runc-v2",
            "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        ),
    ),
    (
        "usr/bin/ctr",
        containerd("ctr", "github.com/containerd/containerd/v2/cmd/ctr"),
    ),
    (
        "usr/sbin/runc",
        Addon {
            name: "runc",
            module: Some(("github.com/opencontainers/runc", "v1.5.2")),
            main: Main::Theirs {
                package: "github.com/opencontainers/runc",
                tags: "seccomp netgo osusergo",
                ldflags: "-linkmode external -extldflags -static",
                cgo: true,
            },
        },
    ),
];

/// The programs of a container runtime that are built, with their paths in the node.
pub(super) fn runtime(runtime: Runtime) -> &'static [(&'static str, Addon)] {
    match runtime {
        Runtime::Containerd2 => &CONTAINERD_2,
        Runtime::Containerd1 => &[],
    }
}

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
    let mut parts = vec![EDITION, module, version];
    match addon.main {
        Main::Ours(source) => parts.push(source),
        Main::Theirs {
            package,
            tags,
            ldflags,
            ..
        } => parts.extend([package, tags, ldflags]),
    }
    digest(&parts)
}

pub(super) fn control_plane_digest(version: Version) -> String {
    let (number, userland) = (version.to_string(), userland_digest());
    let addons: Vec<_> = ADDONS.iter().map(addon_digest).collect();
    let mut parts = vec![EDITION, &number, version.tags(), &userland];
    parts.extend(addons.iter().map(String::as_str));
    digest(&parts)
}

fn image_digest(wanted: Wanted) -> String {
    let control_plane = control_plane_digest(wanted.version);
    let runtime = runtime(wanted.runtime).iter();
    let runtime: Vec<_> = runtime.map(|(_, addon)| addon_digest(addon)).collect();
    let mut parts = vec![EDITION, &control_plane, IMPORT_IMAGES, CONTAINERD_CONFIG];
    parts.extend(runtime.iter().map(String::as_str));
    parts.extend(
        NODE_FILES
            .iter()
            .flat_map(|(path, _, content)| [*path, *content]),
    );
    digest(&parts)
}

/// The name of an image, with its recipe digest.
pub(super) fn image_name(wanted: Wanted) -> String {
    let digest = image_digest(wanted);
    format!("{REPOSITORY}:v{}-{digest}", wanted.version)
}

#[cfg(test)]
mod tests {
    use super::super::versions::PINNED;
    use super::*;

    #[test]
    fn image_names_are_unique_and_contain_the_version() {
        let runtimes = [Runtime::Containerd2, Runtime::Containerd1];
        let wanted = runtimes
            .into_iter()
            .flat_map(|runtime| PINNED.map(|version| Wanted { version, runtime }));
        let mut names: Vec<_> = wanted.map(image_name).collect();
        assert!(names[0].starts_with(&format!("hookproof/node:v{}-", PINNED[0])));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 2 * PINNED.len());
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
