//! The content of a node image, and the digests that identify each recipe.

use sha2::{Digest, Sha256};

use super::versions::Version;
use super::{Runtime, Wanted};
use crate::cluster::debian::{Recipe, SUITE};

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
        scripts: &[
            ("build-userland", BUILD_USERLAND),
            ("prepare-rootfs", PREPARE_ROOTFS),
        ],
        packages: PACKAGES,
        archives: &["proxy.tar", "node.tar"],
    }
}

const ENTRYPOINT: &str = include_str!("files/entrypoint");
const CNI_CONFIG: &str = include_str!("files/cni-config");
const KUBELET_CGROUPS: &str = include_str!("files/kubelet-cgroups");
const CONTAINERD_SERVICE: &str = include_str!("files/containerd.service");
const KUBELET_SERVICE: &str = include_str!("files/kubelet.service");
const KUBELET_SLICE: &str = include_str!("files/kubelet.slice");

/// Files of every node: path and content. Scripts are executable.
pub(super) const NODE_FILES: [(&str, &str); 6] = [
    ("usr/local/bin/entrypoint", ENTRYPOINT),
    ("usr/local/bin/cni-config", CNI_CONFIG),
    ("usr/local/bin/kubelet-cgroups", KUBELET_CGROUPS),
    ("etc/systemd/system/containerd.service", CONTAINERD_SERVICE),
    ("etc/systemd/system/kubelet.service", KUBELET_SERVICE),
    ("etc/systemd/system/kubelet.slice", KUBELET_SLICE),
];

/// A Go program to build.
#[derive(Debug)]
pub(super) struct Program<'a> {
    pub name: &'static str,
    /// The module and its version; `None` for the standard library only, and for Kubernetes, whose workspace requires it.
    pub module: Option<(&'static str, &'static str)>,
    /// Source of a small package around the module, which is built instead of `package`.
    pub source: Option<&'static str>,
    pub package: &'a str,
    pub tags: &'static str,
    pub ldflags: &'a str,
    /// Whether it contains C code. It is linked statically: the node may have an older libc.
    pub cgo: bool,
}

/// Defaults of a [`Program`].
pub(super) const DEFAULTS: Program<'static> = Program {
    name: "",
    module: None,
    source: None,
    package: ".",
    tags: "",
    ldflags: "",
    cgo: false,
};

type Addon = Program<'static>;

/// Programs that a cluster needs in addition to Kubernetes, in one version for all releases.
const CONTROL_PLANE: [Addon; 3] = [
    Program {
        name: "etcd",
        module: Some(("go.etcd.io/etcd/server/v3", "v3.6.8")),
        source: Some(include_str!("files/go/etcd.go")),
        ..DEFAULTS
    },
    Program {
        name: "coredns",
        module: Some(("github.com/coredns/coredns", "v1.14.2")),
        source: Some(include_str!("files/go/coredns.go")),
        ..DEFAULTS
    },
    Program {
        name: "pause",
        source: Some(include_str!("files/go/pause.go")),
        ..DEFAULTS
    },
];

const fn containerd(name: &'static str, package: &'static str) -> Addon {
    Program {
        name,
        module: Some(("github.com/containerd/containerd/v2", "v2.4.2")),
        package,
        tags: "no_btrfs no_devmapper no_zfs",
        ldflags: "-X github.com/containerd/containerd/v2/version.Version=v2.4.2",
        ..DEFAULTS
    }
}

/// Programs of [`Runtime::Containerd2`].
const CONTAINERD_2: [Addon; 4] = [
    containerd(
        "containerd",
        "github.com/containerd/containerd/v2/cmd/containerd",
    ),
    containerd(
        "containerd-shim-runc-v2",
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
    ),
    containerd("ctr", "github.com/containerd/containerd/v2/cmd/ctr"),
    Program {
        name: "runc",
        module: Some(("github.com/opencontainers/runc", "v1.5.2")),
        package: "github.com/opencontainers/runc",
        tags: "seccomp netgo osusergo",
        ldflags: "-linkmode external -extldflags -static",
        cgo: true,
        ..DEFAULTS
    },
];

/// The programs of a container runtime that are built.
pub(super) fn runtime(runtime: Runtime) -> &'static [Addon] {
    match runtime {
        Runtime::Containerd2 => &CONTAINERD_2,
        Runtime::Containerd1 => &[],
    }
}

/// All programs that are built in addition to Kubernetes.
pub(super) fn addons(of: Runtime) -> impl Iterator<Item = &'static Addon> {
    CONTROL_PLANE.iter().chain(runtime(of))
}

/// The repository of built node images in docker.
pub(super) const REPOSITORY: &str = "hookproof/node";

/// Increment when the build changes without a change to the texts above.
const EDITION: &str = "1";

fn digest<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut hasher = Sha256::new();
    let mut add = |part: &[u8]| {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    };
    add(EDITION.as_bytes());
    parts.into_iter().for_each(|part| add(part.as_ref()));
    format!("{:.12x}", hasher.finalize())
}

pub(super) fn userland_digest() -> String {
    digest([SUITE, PACKAGES, PREPARE_ROOTFS, BUILD_USERLAND])
}

pub(super) fn addon_digest(addon: &Addon) -> String {
    let (module, version) = addon.module.unwrap_or_default();
    match addon.source {
        Some(source) => digest([module, version, source]),
        None => digest([module, version, addon.package, addon.tags, addon.ldflags]),
    }
}

pub(super) fn control_plane_digest(version: Version) -> String {
    let tags = version.tags().to_owned();
    let mut parts = vec![version.to_string(), tags, userland_digest()];
    parts.extend(CONTROL_PLANE.iter().map(addon_digest));
    digest(parts)
}

/// The name of an image, with its recipe digest.
pub(super) fn image_name(wanted: Wanted) -> String {
    let texts = [IMPORT_IMAGES, CONTAINERD_CONFIG].map(str::to_owned);
    let mut parts = vec![control_plane_digest(wanted.version)];
    parts.extend(texts);
    parts.extend(runtime(wanted.runtime).iter().map(addon_digest));
    for (path, content) in NODE_FILES {
        parts.extend([path, content].map(str::to_owned));
    }
    format!("{REPOSITORY}:v{}-{}", wanted.version, digest(parts))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::super::versions::PINNED;
    use super::*;

    #[test]
    fn image_names_are_unique_and_contain_the_version() {
        let runtimes = Runtime::value_variants().iter();
        let wanted = runtimes.flat_map(|runtime| {
            PINNED.map(|version| Wanted {
                version,
                runtime: *runtime,
            })
        });
        let mut names: Vec<_> = wanted.map(image_name).collect();
        assert!(names[0].starts_with(&format!("hookproof/node:v{}-", PINNED[0])));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 2 * PINNED.len());
    }

    #[test]
    fn digest_separates_parts() {
        assert_ne!(digest(["ab", "c"]), digest(["a", "bc"]));
    }

    #[test]
    fn scripts_have_a_shebang() {
        for (path, content) in NODE_FILES {
            let is_script = path.starts_with("usr/local/bin/");
            assert_eq!(is_script, content.starts_with("#!/bin/"), "{path}");
        }
    }
}
