//! Node images that the kind project publishes.

use std::time::Duration;

use super::assemble::{docker, image_id, take_kubectl};
use super::versions::Version;
use super::{NodeImage, Source};
use crate::cluster::cache::Cache;
use crate::cluster::command::{Long, capture, output};
use crate::cluster::error::{ClusterError, Result};
use crate::cluster::progress::{Teller, short};

/// How long a registry may take to answer at all.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// How long a download may take.
const PULL_LIMIT: Duration = Duration::from_secs(15 * 60);

/// The published image of a version: from docker's store, else from the registry.
pub(super) fn image(cache: &Cache, version: Version, teller: &mut Teller) -> Result<NodeImage> {
    let tag = format!("kindest/node:v{version}");
    if image_id(&tag)?.is_none() {
        pull(cache, version, &tag, teller)?;
    }
    let format = "{{range .RepoDigests}}{{println .}}{{end}}";
    let digests = capture(
        "asking for the image's digest",
        docker().args(["image", "inspect", "--format", format, &tag]),
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
        // Loaded from a file: the image's own id tells it apart as well.
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
        note: None,
        kubectl,
    })
}

fn pull(cache: &Cache, version: Version, tag: &str, teller: &mut Teller) -> Result<()> {
    if !answers(tag)? {
        return Err(ClusterError::Missing {
            what: format!("no registry gives {tag} from here"),
            remedy: "Use --source packages to build it".into(),
        });
    }
    teller.say(format!("node image: pulling {tag}"));
    let log = cache.log(&format!("pull-{version}"))?;
    let long = Long {
        step: "pulling the published node image",
        log: &log,
        limit: Some(PULL_LIMIT),
    };
    long.run(docker().args(["pull", tag]), &mut |pulse| {
        teller.say(format!(
            "node image: {} (for {})",
            pulse.last,
            short(pulse.running)
        ));
    })
}

/// Whether a registry knows the image. `docker manifest` asks only for a few kilobytes.
fn answers(tag: &str) -> Result<bool> {
    let limit = ANSWER_LIMIT.as_secs().to_string();
    let mut ask = std::process::Command::new("timeout");
    ask.args([limit.as_str(), "docker", "manifest", "inspect", tag]);
    ask.env("DOCKER_CLI_EXPERIMENTAL", "enabled");
    Ok(output(&mut ask)?.status.success())
}
