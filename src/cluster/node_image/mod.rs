//! Node images for `kind create cluster --image`: published ones where a registry answers,
//! else built from packages alone (Kubernetes and the rest as Go modules, the userland from
//! Debian).

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
use super::error::{ClusterError, Result};
use super::progress::Teller;
pub(crate) use assemble::{docker, image_id};
use versions::{RELEASES, Release, Wanted};

/// Where a node image comes from.
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

/// Where node images may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Sources {
    /// What is there already; else the published image, where a registry answers; else packages.
    #[default]
    Auto,
    /// Only published images.
    Published,
    /// Only images built from packages.
    Packages,
}

/// A node image that docker has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeImage {
    /// Its Kubernetes version, such as `1.36.3`.
    pub version: String,
    /// Where it came from.
    pub source: Source,
    /// What docker and kind call it.
    pub reference: String,
    /// Digest of a published image, id of a built one.
    pub digest: String,
    /// What else has to be said of it, such as parts from another version.
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

/// Gets the node image of a version: finds, pulls or builds it.
///
/// # Errors
/// It can neither be pulled nor built; the error says why not.
pub fn get(
    cache: &Cache,
    wanted: &Wanted,
    sources: Sources,
    teller: &mut Teller,
) -> Result<NodeImage> {
    match sources {
        Sources::Published => published::image(cache, wanted.version, teller),
        Sources::Packages => build(cache, wanted.release()?, teller),
        Sources::Auto => {
            if let Ok(release) = &wanted.release
                && let Some(built) = built(cache, release)?
            {
                return Ok(built);
            }
            match published::image(cache, wanted.version, teller) {
                Ok(image) => Ok(image),
                Err(ClusterError::Missing { what, .. }) => {
                    let release = wanted
                        .release()
                        .map_err(|error| ClusterError::Refused(format!("{what}, and {error}")))?;
                    teller.say(format!("node image: {what}, so it is built from packages"));
                    build(cache, release, teller)
                }
                Err(error) => Err(error),
            }
        }
    }
}

/// The image of a release, if it was built before.
///
/// # Errors
/// Docker cannot be asked.
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

/// Every image that was built before.
///
/// # Errors
/// Docker cannot be asked.
pub fn list(cache: &Cache) -> Result<Vec<NodeImage>> {
    let found: Result<Vec<_>> = RELEASES
        .iter()
        .map(|release| built(cache, release))
        .collect();
    Ok(found?.into_iter().flatten().collect())
}

/// Builds the image of a release, if it was not built before. Other processes that want to
/// build one wait: two at a time would only slow each other down.
///
/// # Errors
/// A tool is missing or a step fails; the error names the step, the reason and the log.
pub fn build(cache: &Cache, release: &Release, teller: &mut Teller) -> Result<NodeImage> {
    if let Some(image) = built(cache, release)? {
        return Ok(image);
    }
    let _building = cache.lock("node-image")?.exclusive(|| {
        teller.say("node image: another process is building one; waiting for it to finish");
    })?;
    if let Some(image) = built(cache, release)? {
        return Ok(image);
    }
    let note = release
        .note()
        .map_or_else(String::new, |note| format!(" ({note})"));
    teller.say(format!(
        "node image: Kubernetes {}{note} from packages",
        release.version
    ));
    let userland = userland::userland(cache, teller)?;
    let programs = go::programs(cache, release, teller)?;
    let reference = assemble::assemble(cache, release, &programs, &userland, teller)?;
    teller.say(format!("node image: {reference} is ready"));
    built(cache, release)?.ok_or_else(|| ClusterError::Missing {
        what: format!("the node image {reference} is not there although it was just built"),
        remedy: "Is something else removing docker's images?".into(),
    })
}

/// Removes every image that was made here, and what an interrupted build left in docker.
/// Gives back their names.
///
/// # Errors
/// Docker refuses, for instance because a cluster still uses one.
pub fn remove_images() -> Result<Vec<String>> {
    let list = |command: &mut std::process::Command| -> Result<Vec<String>> {
        let text = super::command::capture("listing what was built", command)?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    let left = list(docker().args([
        "ps",
        "--all",
        "--quiet",
        "--filter",
        "label=hookproof.build",
    ]))?;
    if !left.is_empty() {
        let mut rm = docker();
        rm.args(["rm", "--force", "--volumes"]).args(&left);
        super::command::capture("removing what a build left", &mut rm)?;
    }
    let mut images = Vec::new();
    for name in ["hookproof/node", "hookproof/node-base", agent_image::NAME] {
        images.extend(list(docker().args([
            "images",
            "--format",
            "{{.Repository}}:{{.Tag}}",
            name,
        ]))?);
    }
    if !images.is_empty() {
        let mut rmi = docker();
        rmi.arg("rmi").args(&images);
        super::command::capture("removing images", &mut rmi)?;
    }
    Ok(images)
}
