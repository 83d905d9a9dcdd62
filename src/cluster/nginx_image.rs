//! The nginx image: nginx, curl, fortune and killall from Debian packages. It is built here, so
//! that the documents' examples run without a registry.
//!
//! killall is in /usr/local/bin, so a pod can simulate an image without killall by leaving that
//! folder out of PATH. The image sets no stop signal.

use std::fs;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::cache::Cache;
use super::debian::{Recipe, SUITE, build};
use super::error::{ClusterError, Result};
use super::pod_image::PodImage;
use super::progress::Reporter;

/// Image name without tag.
pub(crate) const NAME: &str = "hookproof/nginx";

const PACKAGES: &str = "nginx,curl,psmisc,fortune-mod";
const BUILD: &str = include_str!("nginx_image/build-nginx");

/// Builds the image, unless it is cached.
pub(crate) fn assemble(cache: &Cache, reporter: &Reporter<'_>) -> Result<PodImage> {
    let _building = cache.lock("nginx-image")?.exclusive(|| {
        reporter.say("nginx image: waiting for another process to build it");
    })?;
    let digest = Sha256::digest([SUITE, PACKAGES, BUILD].join("\n"));
    let recipe = Recipe {
        what: "nginx image",
        kept: format!("userland/nginx-{SUITE}-{digest:.12x}"),
        scripts: &[("build-nginx", BUILD)],
        packages: PACKAGES,
        archives: &["nginx.tar"],
    };
    let layer = build(cache, &recipe, reporter)?.join("nginx.tar");
    let layer = fs::read(&layer).map_err(ClusterError::file("cannot read", &layer))?;
    let settings = json!({
        "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin"],
        "Cmd": ["nginx", "-g", "daemon off;"],
        "WorkingDir": "/",
    });
    PodImage::save(NAME, layer, &settings, cache.root())
}
