//! Node images published by the kind project.

use std::time::Duration;

use super::assemble::take_kubectl;
use super::versions::Version;
use super::{NodeImage, Source};
use crate::cluster::cache::Cache;
use crate::cluster::command::{Long, capture, output};
use crate::cluster::docker::{docker, image_id};
use crate::cluster::error::{ClusterError, Result};
use crate::cluster::progress::Reporter;

/// Timeout of the registry's first response.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Timeout of the download.
const PULL_LIMIT: Duration = Duration::from_secs(15 * 60);

/// The published image of a version, from docker's image store or the registry.
pub(super) fn image(cache: &Cache, version: Version, reporter: &mut Reporter) -> Result<NodeImage> {
    let tag = format!("kindest/node:v{version}");
    if image_id(&tag)?.is_none() {
        pull(cache, version, &tag, reporter)?;
    }
    let format = "{{range .RepoDigests}}{{println .}}{{end}}";
    let digests = capture(
        "reading the image digest",
        &mut docker(["image", "inspect", "--format", format, &tag]),
    )?;
    let reference = digests
        .lines()
        .find(|line| line.contains("@sha256:"))
        .unwrap_or(&tag)
        .to_owned();
    let digest = reference
        .split_once('@')
        .map(|(_, digest)| digest.to_owned());
    let digest = match digest {
        Some(digest) => digest,
        // An image loaded from a file has only its id.
        None => image_id(&tag)?.unwrap_or_default(),
    };
    let kubectl = cache.path(format!("kubectl/v{version}/kubectl"))?;
    if !kubectl.exists() {
        take_kubectl(&tag, &kubectl)?;
    }
    Ok(NodeImage {
        version: version.to_string(),
        source: Source::Published,
        reference,
        digest,
        kubectl,
    })
}

fn pull(cache: &Cache, version: Version, tag: &str, reporter: &mut Reporter) -> Result<()> {
    if !is_available(tag)? {
        return Err(ClusterError::missing(
            format!("cannot reach {tag} in a registry"),
            "pass --source packages to build it",
        ));
    }
    reporter.say(format!("node image: pulling {tag}"));
    let log = cache.log(&format!("pull-{version}"))?;
    let task = Long {
        limit: Some(PULL_LIMIT),
        ..Long::new("pulling the published node image", &log)
    };
    task.run(&mut docker(["pull", tag]), &mut |pulse| {
        reporter.say(format!("node image: {}", pulse.last()));
    })
    .map(drop)
}

/// Whether a registry has the image. `docker manifest` transfers only a few kilobytes.
fn is_available(tag: &str) -> Result<bool> {
    let limit = ANSWER_LIMIT.as_secs().to_string();
    let mut ask = std::process::Command::new("timeout");
    ask.args([limit.as_str(), "docker", "manifest", "inspect", tag]);
    ask.env("DOCKER_CLI_EXPERIMENTAL", "enabled");
    Ok(output(&mut ask)?.status.success())
}
