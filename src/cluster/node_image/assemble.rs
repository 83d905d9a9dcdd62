//! Assembles a node image in docker.

use std::fs::File;
use std::io::BufWriter;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use super::archive::{Content, Image, append_bytes, header, write_images};
use super::go::Programs;
use super::recipe::{
    ADDONS, CONTAINERD_CONFIG, IMPORT_IMAGES, NODE_FILES, control_plane_digest, image_name,
    userland_digest,
};
use super::userland::Userland;
use super::versions::Release;
use crate::cluster::cache::Cache;
use crate::cluster::command::{Long, capture, feed};
use crate::cluster::docker::{Container, docker, image_id};
use crate::cluster::error::{ClusterError, Result};
use crate::cluster::progress::Reporter;

/// Assembles the image of a release and returns its name.
pub(super) fn assemble(
    cache: &Cache,
    release: &Release,
    programs: &Programs,
    userland: &Userland,
    reporter: &mut Reporter,
) -> Result<String> {
    let log = cache.log(&format!("assemble-{}", release.version))?;
    let scratch = cache.scratch()?;
    let scratch = Utf8Path::from_path(scratch.path())
        .unwrap_or(Utf8Path::new("/tmp"))
        .to_owned();

    let images = control_plane(release, programs, userland)?;
    let pause = pause_name(&images)?;
    let packed = format!("v{}-{}", release.version, control_plane_digest(release));
    let archive = cache.path(format!("images/{packed}.tar"))?;
    if !archive.exists() {
        reporter.say("node image: packing the control plane images");
        let aside = scratch.join("images.tar");
        write_images(&images, &scratch, &aside)?;
        std::fs::rename(&aside, &archive).map_err(ClusterError::file("cannot write", &archive))?;
    }

    let base = base(userland, reporter)?;
    let files = scratch.join("files.tar");
    node_files(release, programs, &pause, &files)
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
    let name = image_name(release);
    let label = format!("--change=LABEL hookproof.node={}", release.version);
    let entrypoint = "--change=ENTRYPOINT [\"/usr/local/bin/entrypoint\",\"/sbin/init\"]";
    let mut commit = docker(["commit", entrypoint, &label, &container.id, &name]);
    Long {
        step: "writing the node image",
        log: &log,
        limit: None,
    }
    .run(&mut commit, &mut |_| {})?;
    Ok(name)
}

/// The images that kubeadm requires, under the names that it uses.
fn control_plane(
    release: &Release,
    programs: &Programs,
    userland: &Userland,
) -> Result<Vec<Image>> {
    let version = format!("v{}", release.version);
    let mut list = Command::new(programs.path("kubeadm"));
    list.args(["config", "images", "list", "--kubernetes-version", &version]);
    let names = capture("listing the images of kubeadm", &mut list)?;
    names
        .lines()
        .map(|name| image(name.trim(), programs, userland))
        .collect()
}

fn image(name: &str, programs: &Programs, userland: &Userland) -> Result<Image> {
    let program = program_of(name);
    let at = match program {
        "kube-apiserver" => "kube-apiserver",
        "kube-controller-manager" => "kube-controller-manager",
        "kube-scheduler" => "kube-scheduler",
        "kube-proxy" => "usr/local/bin/kube-proxy",
        "etcd" => "etcd",
        "coredns" => "coredns",
        "pause" => "pause",
        _ => {
            return Err(ClusterError::Refused(format!(
                "kubeadm requires the image {name}, which cannot be built"
            )));
        }
    };
    let mut contents = vec![Content::Program(programs.path(program), at)];
    if program == "kube-proxy" {
        contents.insert(0, Content::Archive(userland.proxy.clone()));
    }
    Ok(Image {
        name: name.to_owned(),
        contents,
        entrypoint: vec![format!("/{at}")],
    })
}

/// `host/path/coredns:v1` → `coredns`.
fn program_of(name: &str) -> &str {
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split(':').next().unwrap_or(last)
}

fn pause_name(images: &[Image]) -> Result<String> {
    images
        .iter()
        .map(|image| &image.name)
        .find(|name| program_of(name) == "pause")
        .cloned()
        .ok_or_else(|| ClusterError::Refused("kubeadm lists no pause image".to_owned()))
}

/// Imports the userland into docker as a base image.
fn base(userland: &Userland, reporter: &mut Reporter) -> Result<String> {
    let name = format!("hookproof/node-base:{}", userland_digest());
    if image_id(&name)?.is_none() {
        reporter.say("node image: importing the userland");
        let change = "--change=ENV container=docker";
        let mut import = docker(["import", change, userland.node.as_str(), &name]);
        capture("importing the node userland", &mut import)?;
    }
    Ok(name)
}

/// Writes an archive of everything in a node except the userland.
fn node_files(
    release: &Release,
    programs: &Programs,
    pause: &str,
    target: &Utf8Path,
) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(BufWriter::new(File::create(target)?));
    for (path, mode, content) in NODE_FILES {
        let mut header = header(content.len() as u64, mode);
        archive.append_data(&mut header, path, content.as_bytes())?;
    }
    let config = CONTAINERD_CONFIG.replace("@PAUSE@", pause);
    append_bytes(
        &mut archive,
        "etc/containerd/config.toml",
        config.as_bytes(),
    )?;
    append_bytes(
        &mut archive,
        "kind/version",
        format!("v{}\n", release.version).as_bytes(),
    )?;
    append_bytes(&mut archive, "kind/import-images", IMPORT_IMAGES.as_bytes())?;
    append_bytes(&mut archive, "kind/contents", contents(release).as_bytes())?;
    for name in ["kubelet", "kubeadm", "kubectl"] {
        let mut file = File::open(programs.path(name))?;
        let mut header = header(file.metadata()?.len(), 0o755);
        archive.append_data(&mut header, format!("usr/bin/{name}"), &mut file)?;
    }
    std::io::Write::flush(&mut archive.into_inner()?)
}

/// The content of /kind/contents, which documents the image.
fn contents(release: &Release) -> String {
    use std::fmt::Write as _;
    // Writing to a string cannot fail.
    let mut text = format!("kubernetes {}\n", release.version);
    if let Some(note) = release.note() {
        let _ = writeln!(text, "{note}");
    }
    for addon in &ADDONS {
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
    std::fs::rename(&aside, target).map_err(ClusterError::file("cannot write", target))
}

#[cfg(test)]
mod tests {
    use super::super::versions::RELEASES;
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("registry/kube-apiserver:v1.36.3", "kube-apiserver")]
    #[case("registry:5000/coredns/coredns:v1.14.2", "coredns")]
    #[case("etcd", "etcd")]
    fn program_of_image_name(#[case] name: &str, #[case] program: &str) {
        assert_eq!(program_of(name), program);
    }

    #[test]
    fn contents_of_mixed_release() {
        insta::assert_snapshot!(contents(&RELEASES[0]), @r"
        kubernetes 1.29.6
        controller-manager and scheduler of 1.30.4
        etcd go.etcd.io/etcd/server/v3 v3.6.8
        coredns github.com/coredns/coredns v1.14.2
        pause built in 
        ");
    }
}
