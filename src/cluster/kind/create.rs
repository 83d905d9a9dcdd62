//! Cluster creation.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;

use super::config::digest;
use super::state::{self, Stage, State};
use super::{Options, Shape, kubectl, node, tool};
use crate::cluster::cache::Cache;
use crate::cluster::command::{Long, capture, output};
use crate::cluster::docker::docker;
use crate::cluster::error::{ClusterError, Result};
use crate::cluster::node_image::Source;
use crate::cluster::progress::{Reporter, short};
use crate::file::write_atomic;

/// Timeout of `kind create cluster`.
const CREATE_LIMIT: Duration = Duration::from_secs(6 * 60);
/// Timeout of a new cluster's components after that.
const READY_LIMIT: Duration = Duration::from_secs(3 * 60);

/// Creates the cluster and removes what is left of an earlier one.
pub(super) fn create(
    shape: &Shape,
    options: &Options,
    reason: &str,
    reporter: &mut Reporter,
) -> Result<()> {
    let (cache, name) = (&options.cache, shape.name);
    let kind = tool::kind(cache, reporter)?;
    if !node::containers(name)?.is_empty() {
        let doing = "removing the existing containers";
        reporter.say(format!("cluster {name}: {doing} because {reason}"));
    }
    state::remove(cache, name)?;
    reserve(shape, options, reporter)?;

    let nodes = shape.profile.workers + 1;
    reporter.say(format!("cluster {name}: creating {nodes} nodes"));
    let log = cache.log(&format!("create-{name}"))?;
    let made = run_kind(&kind, shape, cache, &log, reporter)
        .and_then(|()| finish(shape, cache, reporter).map_err(|error| with_log(error, &log)));
    if let Err(error) = made {
        save_node_logs(name, &log);
        if options.keep_failed {
            reporter.say(format!("cluster {name}: kept for debugging, see {log}"));
        } else {
            state::remove(cache, name)?;
        }
        return Err(error);
    }
    if let Some(mut ready) = state::read(cache, name) {
        ready.stage = Stage::Ready;
        state::write(cache, &ready)?;
    }
    Ok(())
}

/// Evicts clusters above the limit and records the new one, both under one lock, so that concurrent
/// processes respect the limit.
fn reserve(shape: &Shape, options: &Options, reporter: &mut Reporter) -> Result<()> {
    let cache = &options.cache;
    let _counting = cache.lock("clusters")?.exclusive(|| {})?;
    let mut others = state::list(cache)?;
    while others.len() >= options.max_clusters.max(1) {
        let Some(at) = others.iter().position(|other| !other.in_use) else {
            return Err(ClusterError::missing(
                format!("{} clusters are in use, which is the limit", others.len()),
                "wait for a run to end, or raise --max-clusters",
            ));
        };
        let State { name, used, .. } = others.remove(at).state;
        reporter.say(format!("cluster {name}: evicting it, last used {used:.0}"));
        state::delete(cache, &name)?;
    }
    let now = Timestamp::now();
    let state = State {
        name: shape.name.to_owned(),
        profile: shape.profile.clone(),
        image: shape.image.clone(),
        config: digest(&shape.config),
        stage: Stage::Creating,
        created: now,
        used: now,
    };
    state::write(cache, &state)
}

fn run_kind(
    kind: &Utf8Path,
    shape: &Shape,
    cache: &Cache,
    log: &Utf8Path,
    reporter: &mut Reporter,
) -> Result<()> {
    let config = state::config(cache, shape.name);
    write_atomic(&config, shape.config.as_bytes())?;
    let kubeconfig = state::kubeconfig(cache, shape.name);
    let mut command = Command::new(kind);
    command
        .args(["create", "cluster", "--retain", "--name", shape.name])
        .args(["--image", &shape.image.reference])
        .args(["--config", config.as_str()])
        .args(["--kubeconfig", kubeconfig.as_str()])
        .env("KIND_EXPERIMENTAL_PROVIDER", "docker")
        .env_remove("KIND_EXPERIMENTAL_DOCKER_NETWORK");
    let step = format!("creating cluster {}", shape.name);
    let task = Long {
        limit: Some(CREATE_LIMIT),
        ..Long::new(&step, log)
    };
    task.run(&mut command, &mut |pulse| {
        reporter.say(format!("cluster {}: {}", shape.name, pulse.last()));
    })
    .map(drop)
    .map_err(|error| match error {
        ClusterError::Step { step, reason, log } => {
            let reason = match hint(&reason, !shape.profile.gates.is_empty()) {
                Some(hint) => format!("{reason}\n  ({hint})"),
                None => reason,
            };
            ClusterError::Step { step, reason, log }
        }
        other => other,
    })
}

/// A hint about a cause that kind's output does not make obvious.
fn hint(printed: &str, gates: bool) -> Option<&'static str> {
    if printed.contains("unable to apply caps") {
        return Some(
            "this machine lacks a capability that docker grants by default; `./ci/setup` configures a \
             runtime that drops it",
        );
    }
    gates.then_some(
        "a component fails to start if its version does not know a feature gate or has locked it",
    )
}

/// Sets up routes between the nodes and waits until nodes, DNS and Services are ready.
fn finish(shape: &Shape, cache: &Cache, reporter: &mut Reporter) -> Result<()> {
    let name = shape.name;
    let kubeconfig = state::kubeconfig(cache, name);
    let kubectl = |args: &[&str]| kubectl(&shape.image.kubectl, &kubeconfig, args);
    if shape.profile.workers > 0 && shape.image.source == Source::Packages {
        reporter.say(format!("cluster {name}: setting up routes between nodes"));
        join_networks(&wait_for_subnets(&kubectl)?)?;
    }
    reporter.say(format!(
        "cluster {name}: waiting for nodes, DNS and Services"
    ));
    let limit = format!("--timeout={}s", READY_LIMIT.as_secs());
    kubectl(&["wait", "--for=condition=Ready", "nodes", "--all", &limit])?;
    for part in ["daemonset/kube-proxy", "deployment/coredns"] {
        kubectl(&["rollout", "status", "-n", "kube-system", part, &limit])?;
    }
    // Pods in the default namespace need it.
    wait_until("the default service account", || {
        Ok(kubectl(&["get", "serviceaccount", "default", "-o", "name"]).ok())
    })?;
    Ok(())
}

/// A node's part of the pod network.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Subnet {
    node: String,
    address: String,
    pods: String,
}

/// Reads the subnets from a list of nodes in JSON; `None` until every node has one.
fn subnets(list: &str) -> Option<Vec<Subnet>> {
    let nodes = node::parse(list).ok()?;
    let subnet = |node: Node| {
        let addresses = node.status?.addresses?;
        let address = addresses.into_iter().find(|at| at.type_ == "InternalIP")?;
        Some(Subnet {
            node: node.metadata.name?,
            address: address.address,
            pods: node.spec?.pod_cidr?,
        })
    };
    nodes.into_iter().map(subnet).collect()
}

fn wait_for_subnets(kubectl: &dyn Fn(&[&str]) -> Result<String>) -> Result<Vec<Subnet>> {
    wait_until("the nodes' pod subnets", || {
        Ok(subnets(&kubectl(&["get", "nodes", "-o", "json"])?))
    })
}

/// Configures each node's subnet and its routes to the other nodes.
fn join_networks(subnets: &[Subnet]) -> Result<()> {
    for own in subnets {
        capture(
            &format!("configuring the pod network of {}", own.node),
            &mut docker(["exec", &own.node, "cni-config", &own.pods]),
        )?;
        for other in subnets.iter().filter(|other| other.node != own.node) {
            let mut route = docker(["exec", &own.node, "ip", "route", "replace", &other.pods]);
            route.args(["via", &other.address]);
            capture(
                &format!("adding a route from {} to {}", own.node, other.node),
                &mut route,
            )?;
        }
    }
    Ok(())
}

/// Polls until `ask` returns a value.
fn wait_until<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if began.elapsed() > READY_LIMIT {
            let reason = format!("timed out after {}", short(began.elapsed()));
            return Err(ClusterError::failed(format!("waiting for {what}"), reason));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn with_log(error: ClusterError, log: &Utf8Path) -> ClusterError {
    match error {
        ClusterError::Command { step, reason } => ClusterError::Step {
            step,
            reason,
            log: log.to_owned(),
        },
        other => other,
    }
}

/// Appends the logs of the nodes, if any exist, to the log of a failed creation.
fn save_node_logs(name: &str, log: &Utf8Path) {
    let Ok(mut file) = OpenOptions::new().append(true).open(log) else {
        return;
    };
    for node in node::names(name).unwrap_or_default() {
        let script = "journalctl --no-pager -n 60 -u containerd -u kubelet; \
                      tail -n 20 /var/log/pods/*/*/*.log";
        let container_log = docker(["logs", "--tail", "60", &node]);
        let service_logs = docker(["exec", &node, "sh", "-c", script]);
        for mut command in [container_log, service_logs] {
            if let Ok(printed) = output(&mut command) {
                // Best effort.
                let _ = writeln!(file, "--- {node}");
                let _ = file.write_all(&printed.stdout);
                let _ = file.write_all(&printed.stderr);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        "runc: unable to apply caps: operation not permitted",
        true,
        Some("./ci/setup")
    )]
    #[case("the API server is unreachable", true, Some("feature gate"))]
    #[case("the API server is unreachable", false, None)]
    fn hint_for_known_causes(
        #[case] printed: &str,
        #[case] gates: bool,
        #[case] expected: Option<&str>,
    ) {
        match (hint(printed, gates), expected) {
            (Some(hint), Some(expected)) => assert!(hint.contains(expected), "{hint}"),
            (hint, expected) => assert_eq!(hint, expected),
        }
    }

    #[test]
    fn subnets_need_one_per_node() {
        let node = |name: &str, pods: &str| {
            format!(
                r#"{{"metadata":{{"name":"{name}"}},"spec":{{{pods}}},"status":{{"addresses":[
                    {{"type":"Hostname","address":"{name}"}},
                    {{"type":"InternalIP","address":"172.18.0.9"}}]}}}}"#
            )
        };
        let one = node("a", r#""podCIDR":"10.244.0.0/24""#);
        let bare = node("b", "");
        assert_eq!(subnets(&format!(r#"{{"items":[{one},{bare}]}}"#)), None);
        let expected = Subnet {
            node: "a".into(),
            address: "172.18.0.9".into(),
            pods: "10.244.0.0/24".into(),
        };
        assert_eq!(
            subnets(&format!(r#"{{"items":[{one}]}}"#)),
            Some(vec![expected])
        );
    }
}
