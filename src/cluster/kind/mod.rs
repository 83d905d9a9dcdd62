//! kind clusters: one per shape, reused while healthy, created under a lock, limited in number.

mod config;
mod create;
mod health;
mod node;
mod profile;
mod state;
pub(super) mod tool;

use camino::{Utf8Path, Utf8PathBuf};

use super::cache::{Cache, Lock};
use super::command::capture;
use super::docker;
use super::error::{ClusterError, Result};
use super::node_image::versions::resolve;
use super::node_image::{self, NodeImage, Sources, Wanted};
use super::progress::{Progress, Reporter, short};
pub(crate) use node::names as nodes;
pub(crate) use profile::{Profile, WORKERS, named, nightly};
pub(crate) use state::{delete, list};

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub cache: Cache,
    pub sources: Sources,
    pub max_clusters: usize,
    /// Keep a cluster whose creation failed, for debugging.
    pub keep_failed: bool,
}

impl Options {
    pub(crate) fn new(cache: Cache) -> Self {
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
pub(crate) struct Cluster {
    pub name: String,
    /// A kubeconfig for this cluster alone; the user's kubeconfig is not changed.
    pub kubeconfig: Utf8PathBuf,
    /// A `kubectl` of the cluster's version.
    pub kubectl: Utf8PathBuf,
    /// Names of the node containers, control plane first.
    pub nodes: Vec<String>,
    pub version: String,
    pub image: NodeImage,
    /// Why the cluster was created; `None` if an existing one is reused.
    pub created: Option<String>,
    _lease: Lock,
}

/// Returns a ready cluster of this shape, reusing or creating it.
pub(crate) fn ensure(
    profile: &Profile,
    options: &Options,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Cluster> {
    let reporter = &mut Reporter::new(on_progress);
    let cache = &options.cache;
    let version = resolve(&profile.kubernetes)?;
    docker::versions()?;
    let wanted = Wanted {
        version,
        runtime: profile.runtime,
    };
    let image = node_image::get(cache, wanted, options.sources, reporter)?;
    let name = config::cluster_name(cache, profile, version);
    let config = config::render(profile, version, &image);
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
        version: version.to_string(),
        image,
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

fn kubectl(program: &Utf8Path, kubeconfig: &Utf8Path, args: &[&str]) -> Result<String> {
    let mut command = std::process::Command::new(program);
    command.arg("--kubeconfig").arg(kubeconfig).args(args);
    let step = format!("kubectl {}", args.first().unwrap_or(&""));
    capture(&step, &mut command)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cluster::node_image::Runtime;
    use rstest::rstest;

    #[rstest]
    #[case(&[], Runtime::Containerd2, "default")]
    #[case(&[("EnvFiles", true), ("ContainerStopSignals", false)], Runtime::Containerd2, "ContainerStopSignals-off-EnvFiles-on")]
    #[case(&[("EnvFiles", true)], Runtime::Containerd1, "EnvFiles-on-containerd-1")]
    fn settings_name_the_profile(
        #[case] gates: &[(&str, bool)],
        #[case] runtime: Runtime,
        #[case] name: &str,
    ) {
        let gates = gates.iter().map(|(gate, on)| ((*gate).to_owned(), *on));
        let profile = Profile::new(wanted(runtime), gates, 1).unwrap();
        assert_eq!(profile.name, name);
    }

    fn wanted(runtime: Runtime) -> Wanted {
        let version = resolve("1.36").unwrap();
        Wanted { version, runtime }
    }

    #[rstest]
    #[case("A: true\n  B")]
    #[case("")]
    fn gate_names_are_alphanumeric(#[case] gate: &str) {
        let gates = [(gate.to_owned(), true)];
        let error = Profile::new(wanted(Runtime::default()), gates, 0).unwrap_err();
        assert!(error.is_usage());
    }
}
