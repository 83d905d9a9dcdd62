//! Node images published by the kind project.

use std::process::Command;
use std::time::Duration;

use super::versions::Version;
use super::{NodeImage, Source};
use crate::cluster::cache::Cache;
use crate::cluster::command::{answer, last, run_logged};
use crate::cluster::docker::{self, Container, docker, image_id};
use crate::cluster::error::{ClusterError, Result};
use crate::cluster::progress::Reporter;
use crate::file::rename;

/// Timeout of the registry's first response, in seconds.
const ANSWER_LIMIT: &str = "20";
/// Timeout of the download.
const PULL_LIMIT: Duration = Duration::from_secs(15 * 60);

/// The published image of a version, from docker's image store or the registry.
pub(super) fn image(cache: &Cache, version: Version, reporter: &Reporter) -> Result<NodeImage> {
    let tag = format!("kindest/node:v{version}");
    if image_id(&tag)?.is_none() {
        pull(cache, version, &tag, reporter)?;
    }
    let format = "--format={{range .RepoDigests}}{{println .}}{{end}}";
    let inspect = ["image", "inspect", format, &tag];
    let digests = docker::run("reading the image digest", inspect)?;
    let mut digests = digests.lines().filter(|line| line.contains("@sha256:"));
    let reference = digests.next().unwrap_or(&tag);
    let digest = match reference.split_once('@') {
        Some((_, digest)) => digest.to_owned(),
        // An image loaded from a file has only its id.
        None => image_id(&tag)?.unwrap_or_default(),
    };
    let kubectl = cache.path(format!("kubectl/v{version}/kubectl"))?;
    if !kubectl.exists() {
        let container = Container::create(&tag)?;
        let aside = kubectl.with_extension("part");
        let from = format!("{}:/usr/bin/kubectl", container.id);
        let copy = ["cp", &from, aside.as_str()];
        docker::run("copying kubectl from the node image", copy)?;
        rename(&aside, &kubectl)?;
    }
    Ok(NodeImage {
        version: version.to_string(),
        source: Source::Published,
        reference: reference.to_owned(),
        digest,
        kubectl,
    })
}

fn pull(cache: &Cache, version: Version, tag: &str, reporter: &Reporter) -> Result<()> {
    // `docker manifest` transfers only a few kilobytes.
    let mut ask = Command::new("timeout");
    ask.args([ANSWER_LIMIT, "docker", "manifest", "inspect", tag])
        .env("DOCKER_CLI_EXPERIMENTAL", "enabled");
    if answer(&mut ask)?.is_none() {
        return Err(ClusterError::missing(
            format!("cannot reach {tag} in a registry"),
            "pass --source packages to build it",
        ));
    }
    reporter.say(format!("node image: pulling {tag}"));
    let log = cache.log(&format!("pull-{version}"))?;
    let step = "pulling the published node image";
    let mut pull = docker(["pull", tag]);
    run_logged(step, &log, Some(PULL_LIMIT), &mut pull, |lines, elapsed| {
        reporter.say(format!("node image: {}", last(lines, elapsed)));
    })
    .map(drop)
}
