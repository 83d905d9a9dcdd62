//! Assembles a node image in docker.

use std::fs::File;
use std::io::{self, BufWriter};
use std::process::Command;

use camino::Utf8Path;
use itertools::Itertools as _;
use serde_json::json;

use super::Wanted;
use super::go::Programs;
use super::recipe::{
    CONTAINERD_CONFIG, IMPORT_IMAGES, NODE_FILES, addons, control_plane_digest, image_name,
    runtime, userland_digest,
};
use crate::cluster::cache::Cache;
use crate::cluster::command::{capture, feed, run_logged};
use crate::cluster::docker::{self, Container, docker, image_id};
use crate::cluster::error::{ClusterError, Result};
use crate::cluster::image_archive::{Image, Tar, write_images};
use crate::cluster::progress::Reporter;
use crate::file::rename;

/// Assembles an image and returns its name.
pub(super) fn assemble(
    cache: &Cache,
    wanted: Wanted,
    programs: &Programs,
    userland: &Utf8Path,
    reporter: &Reporter,
) -> Result<String> {
    let version = wanted.version;
    let log = cache.log(&format!("assemble-{version}"))?;
    let (_removed_later, scratch) = cache.scratch()?;

    // The images that kubeadm requires, under the names that it uses.
    let mut list = Command::new(&programs["kubeadm"]);
    list.args(["config", "images", "list"])
        .arg(format!("--kubernetes-version=v{version}"));
    let names = capture("listing the images of kubeadm", &mut list)?;
    let names = names.lines().map(str::trim).collect_vec();
    let pause = names.iter().find(|name| program_of(name) == "pause");
    let pause =
        pause.ok_or_else(|| ClusterError::Refused("kubeadm lists no pause image".into()))?;
    let packed = format!("v{version}-{}", control_plane_digest(version));
    let archive = cache.path(format!("images/{packed}.tar"))?;
    if !archive.exists() {
        reporter.say("node image: packing the control plane images");
        let aside = scratch.join("images.tar");
        let images = names
            .iter()
            .map(|name| Ok((*name, image(name, programs, userland)?)));
        let images: Vec<_> = images.collect::<Result<_>>()?;
        File::create(&aside)
            .and_then(|file| write_images(images, BufWriter::new(file)))
            .map_err(ClusterError::file("cannot write", &aside))?;
        rename(&aside, &archive)?;
    }

    let base = base(userland, reporter)?;
    let files = scratch.join("files.tar");
    node_files(wanted, programs, pause, &files)
        .map_err(ClusterError::file("cannot write", &files))?;

    reporter.say("node image: assembling");
    // kind stops a node with the signal that halts systemd.
    let container = Container::start([
        "--privileged",
        "--network=none",
        "--label=hookproof.build",
        "--stop-signal=SIGRTMIN+3",
        "--entrypoint=/bin/sleep",
        &base,
        "infinity",
    ])?;
    let id = container.id.as_str();
    let mut copy = docker(["cp", "-", &format!("{id}:/")]);
    feed("copying files into the node", &mut copy, &files)?;
    let mut import = docker(["exec", "-i", id, "sh", "/kind/import-images"]);
    feed("importing images into the node", &mut import, &archive)?;
    let remove = ["exec", "-i", id, "rm", "/kind/import-images"];
    docker::run("cleaning the node", remove)?;
    docker::run("stopping the node", ["kill", id])?;
    let name = image_name(wanted);
    let label = format!("--change=LABEL hookproof.node={version}");
    let entrypoint = "--change=ENTRYPOINT [\"/usr/local/bin/entrypoint\",\"/sbin/init\"]";
    let mut commit = docker(["commit", entrypoint, &label, id, &name]);
    run_logged("writing the node image", &log, None, &mut commit, |_, _| {})?;
    Ok(name)
}

/// The image of a program of the control plane.
fn image(name: &str, programs: &Programs, userland: &Utf8Path) -> Result<Image> {
    let program = program_of(name);
    let path = programs.get(program).ok_or_else(|| {
        ClusterError::Refused(format!(
            "kubeadm requires the image {name}, which cannot be built"
        ))
    })?;
    let is_proxy = program == "kube-proxy";
    let folder = if is_proxy { "usr/local/bin/" } else { "" };
    let at = format!("{folder}{program}");
    let build = || -> io::Result<Image> {
        let mut layer = Tar::new(Vec::new());
        if is_proxy {
            layer.entries(&userland.join("proxy.tar"))?;
        }
        layer.program(&at, path)?;
        let settings = json!({
            "Entrypoint": [format!("/{at}")],
            "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/"],
        });
        Image::new(layer.finish()?, &settings).compressed()
    };
    build().map_err(|error| ClusterError::failed(format!("building the image {name}"), error))
}

/// `host/path/coredns:v1` → `coredns`.
fn program_of(name: &str) -> &str {
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split(':').next().unwrap_or(last)
}

/// Imports the userland into docker as a base image.
fn base(userland: &Utf8Path, reporter: &Reporter) -> Result<String> {
    let name = format!("hookproof/node-base:{}", userland_digest());
    if image_id(&name)?.is_none() {
        reporter.say("node image: importing the userland");
        let archive = userland.join("node.tar");
        let change = "--change=ENV container=docker";
        let import = ["import", change, archive.as_str(), &name];
        docker::run("importing the node userland", import)?;
    }
    Ok(name)
}

/// Writes an archive of everything in a node except the userland.
fn node_files(
    wanted: Wanted,
    programs: &Programs,
    pause: &str,
    target: &Utf8Path,
) -> io::Result<()> {
    let mut archive = Tar::new(BufWriter::new(File::create(target)?));
    for (path, content) in NODE_FILES {
        let is_script = content.starts_with("#!");
        let mode = if is_script { 0o755 } else { 0o644 };
        archive.file(path, mode, content.as_bytes())?;
    }
    let containerd = CONTAINERD_CONFIG.replace("@PAUSE@", pause);
    let version = format!("v{}\n", wanted.version);
    for (path, text) in [
        ("etc/containerd/config.toml", containerd.as_str()),
        ("kind/version", &version),
        ("kind/import-images", IMPORT_IMAGES),
        ("kind/contents", &contents(wanted)),
    ] {
        archive.file(path, 0o644, text.as_bytes())?;
    }
    for name in ["kubelet", "kubeadm", "kubectl"] {
        archive.program(&format!("usr/bin/{name}"), &programs[name])?;
    }
    for addon in runtime(wanted.runtime) {
        // The paths of Debian's own programs, which these replace.
        let folder = if addon.name == "runc" { "sbin" } else { "bin" };
        let path = format!("usr/{folder}/{}", addon.name);
        archive.program(&path, &programs[addon.name])?;
    }
    archive.finish().map(drop)
}

/// The content of /kind/contents, which documents the image.
fn contents(wanted: Wanted) -> String {
    let addons = addons(wanted.runtime).map(|addon| {
        let (module, version) = addon.module.unwrap_or(("built in", ""));
        format!("{} {module} {version}\n", addon.name)
    });
    format!(
        "kubernetes {}\n{}",
        wanted.version,
        addons.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("registry/kube-apiserver:v1.36.3", "kube-apiserver")]
    #[case("registry:5000/coredns/coredns:v1.14.2", "coredns")]
    #[case("etcd", "etcd")]
    fn program_of_image_name(#[case] name: &str, #[case] program: &str) {
        assert_eq!(program_of(name), program);
    }
}
