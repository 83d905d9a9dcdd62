//! Assembles a node image in docker.

use std::fs::File;
use std::io::{self, BufWriter};
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use super::Wanted;
use super::go::Programs;
use super::recipe::{
    ADDONS, CONTAINERD_CONFIG, IMPORT_IMAGES, NODE_FILES, control_plane_digest, image_name,
    runtime, userland_digest,
};
use super::versions::Version;
use crate::cluster::cache::Cache;
use crate::cluster::command::{Long, capture, feed};
use crate::cluster::docker::{Container, docker, image_id};
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
    reporter: &mut Reporter,
) -> Result<String> {
    let version = wanted.version;
    let log = cache.log(&format!("assemble-{version}"))?;
    let (_removed_later, scratch) = cache.scratch()?;

    let names = control_plane(version, programs)?;
    let pause = names.iter().find(|name| program_of(name) == "pause");
    let pause =
        pause.ok_or_else(|| ClusterError::Refused("kubeadm lists no pause image".into()))?;
    let packed = format!("v{}-{}", version, control_plane_digest(version));
    let archive = cache.path(format!("images/{packed}.tar"))?;
    if !archive.exists() {
        reporter.say("node image: packing the control plane images");
        let aside = scratch.join("images.tar");
        pack(&names, programs, userland, &aside)?;
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
    let root = format!("{}:/", container.id);
    let mut copy = docker(["cp", "-", &root]);
    feed("copying files into the node", &mut copy, &files)?;
    let mut import = container.exec(&["sh", "/kind/import-images"]);
    feed("importing images into the node", &mut import, &archive)?;
    capture(
        "cleaning the node",
        &mut container.exec(&["rm", "/kind/import-images"]),
    )?;
    capture("stopping the node", &mut docker(["kill", &container.id]))?;
    let name = image_name(wanted);
    let label = format!("--change=LABEL hookproof.node={version}");
    let entrypoint = "--change=ENTRYPOINT [\"/usr/local/bin/entrypoint\",\"/sbin/init\"]";
    let mut commit = docker(["commit", entrypoint, &label, &container.id, &name]);
    let step = "writing the node image";
    Long::new(step, &log).run(&mut commit, &mut |_| {})?;
    Ok(name)
}

/// The images that kubeadm requires, under the names that it uses.
fn control_plane(version: Version, programs: &Programs) -> Result<Vec<String>> {
    let version = format!("v{version}");
    let mut list = Command::new(programs.path("kubeadm"));
    list.args(["config", "images", "list", "--kubernetes-version", &version]);
    let names = capture("listing the images of kubeadm", &mut list)?;
    Ok(names.lines().map(|name| name.trim().to_owned()).collect())
}

/// Writes an archive of the control plane's images.
fn pack(
    names: &[String],
    programs: &Programs,
    userland: &Utf8Path,
    target: &Utf8Path,
) -> Result<()> {
    let images: Vec<_> = names
        .iter()
        .map(|name| Ok((name.as_str(), image(name, programs, userland)?)))
        .collect::<Result<_>>()?;
    File::create(target)
        .and_then(|file| write_images(images, BufWriter::new(file)))
        .map(drop)
        .map_err(ClusterError::file("cannot write", target))
}

fn image(name: &str, programs: &Programs, userland: &Utf8Path) -> Result<Image> {
    let program = program_of(name);
    let at = match program {
        "kube-proxy" => "usr/local/bin/kube-proxy",
        "kube-apiserver"
        | "kube-controller-manager"
        | "kube-scheduler"
        | "etcd"
        | "coredns"
        | "pause" => program,
        _ => {
            return Err(ClusterError::Refused(format!(
                "kubeadm requires the image {name}, which cannot be built"
            )));
        }
    };
    let build = || -> io::Result<Image> {
        let mut layer = Tar::new(Vec::new());
        if program == "kube-proxy" {
            layer.entries(&userland.join("proxy.tar"))?;
        }
        layer.program(at, &programs.path(program))?;
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
fn base(userland: &Utf8Path, reporter: &mut Reporter) -> Result<String> {
    let name = format!("hookproof/node-base:{}", userland_digest());
    if image_id(&name)?.is_none() {
        reporter.say("node image: importing the userland");
        let archive = userland.join("node.tar");
        let change = "--change=ENV container=docker";
        let mut import = docker(["import", change, archive.as_str(), &name]);
        capture("importing the node userland", &mut import)?;
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
    for (path, mode, content) in NODE_FILES {
        archive.file(path, mode, content.as_bytes())?;
    }
    let texts = [
        (
            "etc/containerd/config.toml",
            CONTAINERD_CONFIG.replace("@PAUSE@", pause),
        ),
        ("kind/version", format!("v{}\n", wanted.version)),
        ("kind/import-images", IMPORT_IMAGES.to_owned()),
        ("kind/contents", contents(wanted)),
    ];
    for (path, text) in texts {
        archive.file(path, 0o644, text.as_bytes())?;
    }
    for name in ["kubelet", "kubeadm", "kubectl"] {
        archive.program(&format!("usr/bin/{name}"), &programs.path(name))?;
    }
    for (path, addon) in runtime(wanted.runtime) {
        archive.program(path, &programs.path(addon.name))?;
    }
    archive.finish().map(drop)
}

/// The content of /kind/contents, which documents the image.
fn contents(wanted: Wanted) -> String {
    use std::fmt::Write as _;
    // Writing to a string cannot fail.
    let mut text = format!("kubernetes {}\n", wanted.version);
    let runtime = runtime(wanted.runtime).iter().map(|(_, addon)| addon);
    for addon in ADDONS.iter().chain(runtime) {
        let (module, version) = addon.module.unwrap_or(("built in", ""));
        let _ = writeln!(text, "{} {module} {version}", addon.name);
    }
    text
}

/// Copies kubectl out of a node image.
pub(super) fn take_kubectl(image: &str, target: &Utf8PathBuf) -> Result<()> {
    let container = Container::create(image)?;
    let aside = target.with_extension("part");
    let from = format!("{}:/usr/bin/kubectl", container.id);
    capture(
        "copying kubectl from the node image",
        &mut docker(["cp", &from, aside.as_str()]),
    )?;
    Ok(rename(&aside, target)?)
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
