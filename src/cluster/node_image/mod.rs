//! Node images for `kind create cluster --image`: pulled from a registry, or built from packages
//! alone (Go modules for Kubernetes, etcd and `CoreDNS`; Debian packages for the userland).

mod assemble;
pub(crate) mod go;
mod published;
mod recipe;
pub(crate) mod versions;

use std::fmt;

use camino::Utf8PathBuf;
use clap::ValueEnum as _;
use itertools::Itertools as _;
use serde::{Deserialize, Serialize};

use super::agent_image;
use super::cache::Cache;
use super::command::capture;
use super::debian;
use super::docker::{self, docker, image_id};
use super::error::{ClusterError, Result};
use super::progress::Reporter;
use versions::{Version, resolve};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// Published by the kind project.
    Published,
    /// Built here from packages.
    Packages,
}

/// The container runtime of node images.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, clap::ValueEnum,
)]
pub(crate) enum Runtime {
    /// containerd 2 and runc, built from their Go modules; in published images the one they contain
    #[default]
    #[serde(rename = "containerd-2")]
    #[value(name = "containerd-2")]
    Containerd2,
    /// Debian's containerd 1.6 and runc
    #[serde(rename = "containerd-1")]
    #[value(name = "containerd-1")]
    Containerd1,
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Containerd2 => "containerd-2",
            Self::Containerd1 => "containerd-1",
        })
    }
}

/// What distinguishes one node image from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub version: Version,
    pub runtime: Runtime,
}

/// Allowed sources of node images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Sources {
    /// An image already built, else a published image, else build from packages
    #[default]
    Auto,
    /// Published images only
    Published,
    /// Images built from packages only
    Packages,
}

/// A node image in docker's image store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeImage {
    /// Kubernetes version, such as `1.36.3`.
    pub version: String,
    pub source: Source,
    pub reference: String,
    /// Digest of a published image, id of a built one.
    pub digest: String,
    /// `kubectl` of the same version.
    pub kubectl: Utf8PathBuf,
}

impl fmt::Display for NodeImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Published => "published",
            Source::Packages => "packages",
        };
        write!(f, "{source} {}", self.digest)
    }
}

/// Finds, pulls or builds a node image.
pub(crate) fn get(
    cache: &Cache,
    wanted: Wanted,
    sources: Sources,
    reporter: &Reporter,
) -> Result<NodeImage> {
    let Wanted { version, runtime } = wanted;
    let is_published = runtime == Runtime::default();
    match sources {
        Sources::Published if is_published => published::image(cache, version, reporter),
        Sources::Published => Err(ClusterError::Refused(format!(
            "published node images do not contain the runtime {runtime}: omit --source or --runtime"
        ))),
        Sources::Auto if is_published && built(cache, wanted)?.is_none() => {
            let image = published::image(cache, version, reporter);
            let Err(ClusterError::Missing { what, .. }) = image else {
                return image;
            };
            reporter.say(format!("node image: {what}; building from packages"));
            build(cache, wanted, reporter)
        }
        Sources::Auto | Sources::Packages => build(cache, wanted, reporter),
    }
}

/// An image, if it is already built.
pub(crate) fn built(cache: &Cache, wanted: Wanted) -> Result<Option<NodeImage>> {
    let reference = recipe::image_name(wanted);
    let version = wanted.version;
    let kubectl = cache.root().join(go::folder(version)).join("kubectl");
    let Some(digest) = image_id(&reference)?.filter(|_| kubectl.exists()) else {
        return Ok(None);
    };
    Ok(Some(NodeImage {
        version: version.to_string(),
        source: Source::Packages,
        reference,
        digest,
        kubectl,
    }))
}

/// All images that are already built.
pub(crate) fn list(cache: &Cache) -> Result<Vec<NodeImage>> {
    let tags = images("--format={{.Tag}}", recipe::REPOSITORY)?;
    let versions = tags.iter().filter_map(|tag| tag.split('-').next());
    let versions = versions.filter_map(|text| resolve(text).ok());
    versions
        .sorted_unstable()
        .dedup()
        .cartesian_product(Runtime::value_variants())
        .filter_map(|(version, &runtime)| built(cache, Wanted { version, runtime }).transpose())
        .collect()
}

/// What `docker images` prints about the images with a name, one a line.
fn images(format: &str, name: &str) -> Result<Vec<String>> {
    let listed = docker::run("listing built images", ["images", format, name])?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// Builds an image, unless it is already built. Only one process builds at a time, since parallel builds would
/// only slow each other down.
pub(crate) fn build(cache: &Cache, wanted: Wanted, reporter: &Reporter) -> Result<NodeImage> {
    if let Some(image) = built(cache, wanted)? {
        return Ok(image);
    }
    let _building = cache.lock("node-image")?.exclusive(|| {
        reporter.say("node image: waiting for another process to finish its build");
    })?;
    if let Some(image) = built(cache, wanted)? {
        return Ok(image);
    }
    reporter.say(format!(
        "node image: building Kubernetes {} with {} from packages",
        wanted.version, wanted.runtime
    ));
    let userland = debian::build(cache, &recipe::userland(), reporter)?;
    let programs = go::programs(cache, wanted, reporter)?;
    let reference = assemble::assemble(cache, wanted, &programs, &userland, reporter)?;
    reporter.say(format!("node image: {reference} is ready"));
    built(cache, wanted)?.ok_or_else(|| {
        ClusterError::missing(
            format!("the node image {reference} disappeared right after its build"),
            "check whether another process removes docker images",
        )
    })
}

/// Removes all built images and the containers of interrupted builds. Returns the names of the images.
pub(crate) fn remove_images() -> Result<Vec<String>> {
    let builds = docker::containers("hookproof.build", &["--all", "--quiet"])?;
    docker::remove(&builds)?;
    let mut found = Vec::new();
    for name in [recipe::REPOSITORY, "hookproof/node-base", agent_image::NAME] {
        found.extend(images("--format={{.Repository}}:{{.Tag}}", name)?);
    }
    if !found.is_empty() {
        capture("removing images", docker(["rmi"]).args(&found))?;
    }
    Ok(found)
}
