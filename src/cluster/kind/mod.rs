//! Clusters made by kind: one per shape, reused while it is healthy and matches, created
//! under a lock, bounded in number.

mod config;
mod create;
mod health;
mod node;
mod state;
pub(super) mod tool;

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::cache::{Cache, Lock};
use super::command::{capture, output};
use super::error::{ClusterError, Result};
use super::node_image::versions::resolve;
use super::node_image::{self, NodeImage, Sources, docker};
use super::progress::{Progress, Teller, short};
pub use state::{Listed, State, delete, list};

/// Nodes beside the control plane's, where nothing else is said: one that may be disturbed.
pub const WORKERS: u8 = 1;

/// A cluster's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// What people call it.
    pub name: String,
    /// Kubernetes version, such as `1.36`.
    pub kubernetes: String,
    /// Feature gates that are set on purpose, on every component.
    pub gates: BTreeMap<String, bool>,
    /// Nodes beside the control plane's.
    pub workers: u8,
}

/// How clusters are provided.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where things are kept.
    pub cache: Cache,
    /// Where node images may come from.
    pub sources: Sources,
    /// How many clusters there may be at a time.
    pub max_clusters: usize,
    /// Leaves a cluster that could not be made as it is, for a look into it.
    pub keep_failed: bool,
}

impl Options {
    /// The defaults, with this cache.
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

/// A cluster that is ready. While this value lives, no other process removes it.
#[derive(Debug)]
pub struct Cluster {
    /// Its name, as kind knows it.
    pub name: String,
    /// How to reach it: no other file is touched.
    pub kubeconfig: Utf8PathBuf,
    /// `kubectl` of its version.
    pub kubectl: Utf8PathBuf,
    /// Its nodes' containers, the control plane's first.
    pub nodes: Vec<String>,
    /// Its Kubernetes version.
    pub version: String,
    /// What its nodes are made of.
    pub image: NodeImage,
    /// Its shape.
    pub profile: Profile,
    /// Whether it was made just now, and why.
    pub created: Option<String>,
    _lease: Lock,
}

/// Gives a ready cluster of this shape: the one that is there, or a new one.
///
/// # Errors
/// There is no node image, docker does not answer, kind fails, or too many clusters are in use.
pub fn ensure(
    profile: &Profile,
    options: &Options,
    tell: &mut dyn FnMut(Progress),
) -> Result<Cluster> {
    let teller = &mut Teller::new(tell);
    let cache = &options.cache;
    let wanted = resolve(&profile.kubernetes)?;
    config::check_gates(profile)?;
    docker_answers()?;
    let image = node_image::get(cache, &wanted, options.sources, teller)?;
    let name = config::cluster_name(cache, profile, wanted.version);
    let config = config::render(profile, wanted.version, &image);
    let shape = Shape {
        name: &name,
        profile,
        image: &image,
        config,
    };

    let _making = cache.lock(&format!("{name}.make"))?.exclusive(|| {
        teller.say(format!(
            "cluster {name}: another process is making it; waiting"
        ));
    })?;
    let lease = cache.lock(&format!("{name}.use"))?;
    let created = match health::check(cache, &shape) {
        Ok(()) => None,
        Err(reason) => {
            if !lease.try_exclusive()? {
                return Err(ClusterError::Cluster {
                    name,
                    what: format!(
                        "is used by another run and cannot be made anew, though {reason}"
                    ),
                    remedy: "Wait for that run to end, or end it".into(),
                });
            }
            create::create(&shape, options, &reason, teller)?;
            Some(reason)
        }
    };
    lease.share()?;
    state::touch(cache, &name);
    let nodes = node::names(&name)?;
    let doing = if created.is_some() { "ready" } else { "reused" };
    teller.say(format!(
        "cluster {name}: {doing} after {}",
        short(teller.elapsed())
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

/// What a cluster has to be.
struct Shape<'a> {
    name: &'a str,
    profile: &'a Profile,
    image: &'a NodeImage,
    config: String,
}

/// Whether docker can be used.
fn docker_answers() -> Result<()> {
    let mut ask = docker();
    ask.args(["version", "--format", "{{.Server.Version}}"]);
    let answer = output(&mut ask)?;
    if answer.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&answer.stderr);
    let (what, remedy) = if said.contains("permission denied") {
        (
            "docker may not be used by this user",
            "Add it to the group docker: sudo usermod -aG docker $USER, then log in again",
        )
    } else {
        (
            "docker does not answer",
            "Start it with `./ci/setup` (or: sudo systemctl start docker)",
        )
    };
    Err(ClusterError::Missing {
        what: what.into(),
        remedy: remedy.into(),
    })
}

impl Cluster {
    /// Runs a command on a node and gives back its output, whatever its end.
    ///
    /// # Errors
    /// Docker could not be started.
    pub fn node_exec(&self, node: &str, args: &[&str]) -> Result<std::process::Output> {
        output(docker().args(["exec", node]).args(args))
    }

    /// Puts an image into the nodes, unless they have it already. A tag has to stand for one
    /// content for ever: a node that has the tag is left alone.
    ///
    /// # Errors
    /// The archive cannot be read or a node refuses it.
    pub fn load_image_archive(&self, archive: &camino::Utf8Path, tag: &str) -> Result<()> {
        std::thread::scope(|scope| {
            let loads: Vec<_> = self
                .nodes
                .iter()
                .map(|node| scope.spawn(move || node::load(node, archive, tag)))
                .collect();
            loads.into_iter().try_for_each(|load| {
                load.join().unwrap_or_else(|_| {
                    Err(ClusterError::Command {
                        step: format!("loading the image {tag}"),
                        reason: "it broke off".into(),
                    })
                })
            })
        })
    }

    /// Runs `kubectl` with this cluster.
    ///
    /// # Errors
    /// It could not be started or failed.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        kubectl(&self.kubectl, &self.kubeconfig, args)
    }
}

fn kubectl(
    program: &camino::Utf8Path,
    kubeconfig: &camino::Utf8Path,
    args: &[&str],
) -> Result<String> {
    let mut command = std::process::Command::new(program);
    command.arg("--kubeconfig").arg(kubeconfig).args(args);
    let step = format!("kubectl {}", args.first().unwrap_or(&""));
    capture(&step, &mut command)
}
