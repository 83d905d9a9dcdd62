//! kind clusters: one per shape, reused while healthy, created under a lock, limited in number.

mod config;
mod create;
mod health;
mod node;
mod state;
pub(super) mod tool;

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::cache::{Cache, Lock};
use super::command::{capture, output};
use super::docker::docker;
use super::error::{ClusterError, Result};
use super::node_image::versions::resolve;
use super::node_image::{self, NodeImage, Sources};
use super::progress::{Progress, Reporter, short};
pub use state::{Listed, State, delete, list};

/// Default number of workers: one node that scenarios may disrupt.
pub const WORKERS: u8 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    pub name: String,
    /// Kubernetes version, such as `1.36`.
    pub kubernetes: String,
    /// Feature gates, set on every component.
    pub gates: BTreeMap<String, bool>,
    pub workers: u8,
}

#[derive(Debug, Clone)]
pub struct Options {
    pub cache: Cache,
    pub sources: Sources,
    pub max_clusters: usize,
    /// Keep a cluster whose creation failed, for debugging.
    pub keep_failed: bool,
}

impl Options {
    #[must_use]
    pub fn new(cache: Cache) -> Self {
        Self {
            cache,
            sources: Sources::Auto,
            max_clusters: 4,
            keep_failed: false,
        }
    }
}

/// A ready cluster. No other process deletes it while this value exists.
#[derive(Debug)]
pub struct Cluster {
    pub name: String,
    /// A kubeconfig for this cluster alone; the user's kubeconfig is not changed.
    pub kubeconfig: Utf8PathBuf,
    /// A `kubectl` of the cluster's version.
    pub kubectl: Utf8PathBuf,
    /// Names of the node containers, control plane first.
    pub nodes: Vec<String>,
    pub version: String,
    pub image: NodeImage,
    pub profile: Profile,
    /// Why the cluster was created; `None` if an existing one is reused.
    pub created: Option<String>,
    _lease: Lock,
}

/// Returns a ready cluster of this shape, reusing or creating it.
///
/// # Errors
/// Fails if there is no node image, docker does not respond, kind fails, or too many clusters are in use.
pub fn ensure(
    profile: &Profile,
    options: &Options,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Cluster> {
    let reporter = &mut Reporter::new(on_progress);
    let cache = &options.cache;
    let wanted = resolve(&profile.kubernetes)?;
    config::check_gates(profile)?;
    docker_answers()?;
    let image = node_image::get(cache, &wanted, options.sources, reporter)?;
    let name = config::cluster_name(cache, profile, wanted.version);
    let config = config::render(profile, wanted.version, &image);
    let shape = Shape {
        name: &name,
        profile,
        image: &image,
        config,
    };

    let _making = cache.lock(&format!("{name}.make"))?.exclusive(|| {
        reporter.say(format!(
            "cluster {name}: waiting for another process to create it"
        ));
    })?;
    let lease = cache.lock(&format!("{name}.use"))?;
    let created = match health::check(cache, &shape) {
        Ok(()) => None,
        Err(reason) => {
            if !lease.try_exclusive()? {
                return Err(ClusterError::Cluster {
                    name,
                    what: format!("is in use by another run and cannot be recreated, but {reason}"),
                    remedy: "wait for that run to end, or stop it".into(),
                });
            }
            create::create(&shape, options, &reason, reporter)?;
            Some(reason)
        }
    };
    lease.share()?;
    state::touch(cache, &name);
    let nodes = node::names(&name)?;
    let doing = if created.is_some() { "ready" } else { "reused" };
    reporter.say(format!(
        "cluster {name}: {doing} after {}",
        short(reporter.elapsed())
    ));
    Ok(Cluster {
        kubeconfig: state::kubeconfig(cache, &name),
        kubectl: image.kubectl.clone(),
        nodes,
        version: wanted.version.to_string(),
        image,
        profile: profile.clone(),
        created,
        name,
        _lease: lease,
    })
}

/// The required state of a cluster.
struct Shape<'a> {
    name: &'a str,
    profile: &'a Profile,
    image: &'a NodeImage,
    config: String,
}

fn docker_answers() -> Result<()> {
    let answer = output(&mut docker(["version", "--format={{.Server.Version}}"]))?;
    if answer.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&answer.stderr);
    let (what, remedy) = if stderr.contains("permission denied") {
        (
            "permission denied on the docker socket",
            "add this user to the group docker (sudo usermod -aG docker $USER) and log in again",
        )
    } else {
        (
            "the docker daemon does not respond",
            "start it with `./ci/setup` (or: sudo systemctl start docker)",
        )
    };
    Err(ClusterError::Missing {
        what: what.into(),
        remedy: remedy.into(),
    })
}

fn kubectl(program: &Utf8Path, kubeconfig: &Utf8Path, args: &[&str]) -> Result<String> {
    let mut command = std::process::Command::new(program);
    command.arg("--kubeconfig").arg(kubeconfig).args(args);
    let step = format!("kubectl {}", args.first().unwrap_or(&""));
    capture(&step, &mut command)
}
