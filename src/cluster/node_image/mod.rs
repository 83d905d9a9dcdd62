//! Node images for `kind create cluster --image`: pulled from a registry, or built from packages
//! alone (Go modules for Kubernetes, etcd and `CoreDNS`; Debian packages for the userland).

mod archive;
mod assemble;
pub(crate) mod go;
mod published;
mod recipe;
mod userland;
pub mod versions;

use std::fmt;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::agent_image;
use super::cache::Cache;
use super::command::capture;
use super::docker::{docker, image_id};
use super::error::{ClusterError, Result};
use super::progress::Reporter;
use versions::{RELEASES, Release, Wanted};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Published by the kind project.
    Published,
    /// Built here from packages.
    Packages,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Published => "published",
            Self::Packages => "packages",
        })
    }
}

/// Allowed sources of node images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Sources {
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
pub struct NodeImage {
    /// Kubernetes version, such as `1.36.3`.
    pub version: String,
    pub source: Source,
    pub reference: String,
    /// Digest of a published image, id of a built one.
    pub digest: String,
    /// A deviation from the version, such as parts of another version.
    pub note: Option<String>,
    /// `kubectl` of the same version.
    pub kubectl: Utf8PathBuf,
}

impl fmt::Display for NodeImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source, self.digest)?;
        match &self.note {
            Some(note) => write!(f, " ({note})"),
            None => Ok(()),
        }
    }
}

/// Finds, pulls or builds the node image of a version.
///
/// # Errors
/// Fails if it can be neither pulled nor built.
pub fn get(
    cache: &Cache,
    wanted: &Wanted,
    sources: Sources,
    reporter: &mut Reporter,
) -> Result<NodeImage> {
    match sources {
        Sources::Published => published::image(cache, wanted.version, reporter),
        Sources::Packages => build(cache, wanted.release()?, reporter),
        Sources::Auto => {
            if let Ok(release) = &wanted.release
                && let Some(built) = built(cache, release)?
            {
                return Ok(built);
            }
            match published::image(cache, wanted.version, reporter) {
                Ok(image) => Ok(image),
                Err(ClusterError::Missing { what, .. }) => {
                    let release = wanted
                        .release()
                        .map_err(|error| ClusterError::Refused(format!("{what}, and {error}")))?;
                    reporter.say(format!("node image: {what}; building from packages"));
                    build(cache, release, reporter)
                }
                Err(error) => Err(error),
            }
        }
    }
}

/// The image of a release, if it is already built.
///
/// # Errors
/// Fails if docker does not start.
pub fn built(cache: &Cache, release: &Release) -> Result<Option<NodeImage>> {
    let reference = recipe::image_name(release);
    let kubectl = cache
        .root()
        .join(go::folder(release.version))
        .join("kubectl");
    let Some(digest) = image_id(&reference)?.filter(|_| kubectl.exists()) else {
        return Ok(None);
    };
    Ok(Some(NodeImage {
        version: release.version.to_string(),
        source: Source::Packages,
        reference,
        digest,
        note: release.note(),
        kubectl,
    }))
}

/// All images that are already built.
///
/// # Errors
/// Fails if docker does not start.
pub fn list(cache: &Cache) -> Result<Vec<NodeImage>> {
    let found: Result<Vec<_>> = RELEASES
        .iter()
        .map(|release| built(cache, release))
        .collect();
    Ok(found?.into_iter().flatten().collect())
}

/// Builds the image of a release, unless it is already built. Only one process builds at a time,
/// since parallel builds would only slow each other down.
///
/// # Errors
/// Fails if a tool is missing or a step fails.
pub fn build(cache: &Cache, release: &Release, reporter: &mut Reporter) -> Result<NodeImage> {
    if let Some(image) = built(cache, release)? {
        return Ok(image);
    }
    let _building = cache.lock("node-image")?.exclusive(|| {
        reporter.say("node image: waiting for another process to finish its build");
    })?;
    if let Some(image) = built(cache, release)? {
        return Ok(image);
    }
    let note = release
        .note()
        .map_or_else(String::new, |note| format!(" ({note})"));
    reporter.say(format!(
        "node image: building Kubernetes {}{note} from packages",
        release.version
    ));
    let userland = userland::userland(cache, reporter)?;
    let programs = go::programs(cache, release, reporter)?;
    let reference = assemble::assemble(cache, release, &programs, &userland, reporter)?;
    reporter.say(format!("node image: {reference} is ready"));
    built(cache, release)?.ok_or_else(|| ClusterError::Missing {
        what: format!("the node image {reference} disappeared right after its build"),
        remedy: "check whether another process removes docker images".into(),
    })
}

/// Removes all built images and the containers of interrupted builds. Returns the names of the images.
///
/// # Errors
/// Fails if docker does, for instance because a cluster uses an image.
pub fn remove_images() -> Result<Vec<String>> {
    let list = |command: &mut std::process::Command| -> Result<Vec<String>> {
        let text = capture("listing built images", command)?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    let filter = "--filter=label=hookproof.build";
    let left = list(&mut docker(["ps", "--all", "--quiet", filter]))?;
    if !left.is_empty() {
        let mut rm = docker(["rm", "--force", "--volumes"]);
        capture("removing containers of interrupted builds", rm.args(&left))?;
    }
    let mut images = Vec::new();
    for name in ["hookproof/node", "hookproof/node-base", agent_image::NAME] {
        let format = "--format={{.Repository}}:{{.Tag}}";
        images.extend(list(&mut docker(["images", format, name]))?);
    }
    if !images.is_empty() {
        capture("removing images", docker(["rmi"]).args(&images))?;
    }
    Ok(images)
}
