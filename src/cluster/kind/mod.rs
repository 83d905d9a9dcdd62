//! kind clusters: one per shape, reused while healthy, created under a lock, limited in number.

mod config;
mod create;
mod health;
mod node;
mod profile;
mod state;
pub(super) mod tool;

use std::process::Command;

use camino::Utf8PathBuf;

use super::cache::{Cache, Lock};
use super::command::capture;
use super::docker;
use super::error::{ClusterError, Result};
use super::node_image::versions::resolve;
use super::node_image::{self, NodeImage, Sources, Wanted};
use super::progress::{Reporter, short};
pub(crate) use node::names as nodes;
pub(crate) use profile::{Profile, WORKERS, named, nightly};
pub(crate) use state::{delete, list};

/// Number of clusters that are kept by default.
pub(crate) const MAX_CLUSTERS: usize = 4;

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub cache: Cache,
    pub sources: Sources,
    pub max_clusters: usize,
    /// Keep a cluster whose creation failed, for debugging.
    pub keep_failed: bool,
}

/// A ready cluster. No other process deletes it while this value exists.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub name: String,
    /// A kubeconfig for this cluster alone; the user's kubeconfig is not changed.
    pub kubeconfig: Utf8PathBuf,
    /// Names of the node containers, control plane first.
    pub nodes: Vec<String>,
    pub image: NodeImage,
    /// Why the cluster was created; `None` if an existing one is reused.
    pub created: Option<String>,
    _lease: Lock,
}

/// The required state of a cluster.
struct Shape<'a> {
    cache: &'a Cache,
    name: String,
    profile: &'a Profile,
    image: NodeImage,
    config: String,
}

impl Shape<'_> {
    fn kubectl(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.image.kubectl);
        command
            .arg("--kubeconfig")
            .arg(state::kubeconfig(self.cache, &self.name))
            .args(args);
        capture(&format!("kubectl {}", args[0]), &mut command)
    }
}

/// Returns a ready cluster of this shape, reusing or creating it.
pub(crate) fn ensure(profile: &Profile, options: &Options, reporter: &Reporter) -> Result<Cluster> {
    let cache = &options.cache;
    let version = resolve(&profile.kubernetes)?;
    docker::versions()?;
    let runtime = profile.runtime;
    let wanted = Wanted { version, runtime };
    let image = node_image::get(cache, wanted, options.sources, reporter)?;
    let shape = Shape {
        cache,
        name: config::cluster_name(cache, profile, version),
        profile,
        config: config::render(profile, version, &image),
        image,
    };
    let name = &shape.name;
    let say = |doing: &str| reporter.say(format!("cluster {name}: {doing}"));

    let _making = cache
        .lock(&format!("{name}.make"))?
        .exclusive(|| say("waiting for another process to create it"))?;
    let lease = cache.lock(&format!("{name}.use"))?;
    let created = health::check(&shape).err();
    if let Some(reason) = &created {
        if !lease.try_exclusive()? {
            let what = "is in use by another run and cannot be recreated";
            return Err(ClusterError::missing(
                format!("cluster {name} {what}, but {reason}"),
                "wait for that run to end, or stop it",
            ));
        }
        create::create(&shape, options, reason, reporter)?;
    }
    lease.share()?;
    state::touch(cache, name);
    let nodes = node::names(name)?;
    let doing = if created.is_some() { "ready" } else { "reused" };
    say(&format!("{doing} after {}", short(reporter.elapsed())));
    Ok(Cluster {
        kubeconfig: state::kubeconfig(cache, name),
        nodes,
        created,
        _lease: lease,
        name: shape.name,
        image: shape.image,
    })
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
