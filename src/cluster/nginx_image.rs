//! A web server for pods: nginx, curl and killall from Debian's packages, put together here, so
//! that the examples that documents give can be run where no registry answers.
//!
//! killall lies in /usr/local/bin, apart from the rest: a pod whose PATH leaves that folder out is
//! one whose image has no killall. The image names no stop signal of its own.

use std::fs;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::cache::Cache;
use super::debian::{Recipe, SUITE, build};
use super::error::{ClusterError, Result};
use super::pod_image::{self, PodImage};
use super::progress::Teller;
use crate::digest::hex;

/// Name of the image, without its tag.
pub const NAME: &str = "hookproof/nginx";

const PACKAGES: &str = "nginx,curl,psmisc";
const BUILD: &str = include_str!("nginx_image/build-nginx");

/// Builds the image, if it is not there yet.
///
/// # Errors
/// debootstrap is missing or failed, or the cache directory cannot be written.
pub fn assemble(cache: &Cache, teller: &mut Teller<'_>) -> Result<PodImage> {
    let _building = cache.lock("nginx-image")?.exclusive(|| {
        teller.say("the nginx image: another process is building it; waiting for it to finish");
    })?;
    let recipe = hex(&Sha256::digest([SUITE, PACKAGES, BUILD].join("\n")));
    let recipe = Recipe {
        what: "the nginx image",
        kept: format!("userland/nginx-{SUITE}-{}", &recipe[..12]),
        script: ("build-nginx", BUILD),
        helpers: &[],
        packages: PACKAGES,
        archives: &["nginx.tar"],
    };
    let layer = build(cache, &recipe, teller)?.join("nginx.tar");
    let layer = fs::read(&layer).map_err(ClusterError::file("cannot read", &layer))?;
    let settings = json!({
        "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin"],
        "Cmd": ["nginx", "-g", "daemon off;"],
        "WorkingDir": "/",
    });
    let failed = |error| ClusterError::file("cannot put an image together in", cache.root())(error);
    let image = pod_image::build(NAME, &layer, &settings).map_err(failed)?;
    let place = cache.root().join(format!("nginx-{}.tar", image.digest));
    pod_image::keep(cache.root(), &place, &image.bytes).map_err(failed)?;
    Ok(PodImage {
        name: NAME,
        tag: image.tag,
        archive: place,
    })
}
