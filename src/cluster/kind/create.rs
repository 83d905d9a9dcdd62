//! Cluster creation.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use jiff::Timestamp;

use super::config::digest;
use super::state::{self, Stage, State};
use super::{Options, Shape, node, tool};
use crate::cluster::command::{capture, last, output, run_logged};
use crate::cluster::docker::{self, docker};
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
    reporter: &Reporter,
) -> Result<()> {
    let Shape { cache, name, .. } = shape;
    let say = |text: &str| reporter.say(format!("cluster {name}: {text}"));
    let kind = tool::kind(cache, reporter)?;
    if !node::containers(name)?.is_empty() {
        let doing = "removing the existing containers";
        say(&format!("{doing} because {reason}"));
    }
    state::remove(cache, name)?;
    let mut state = reserve(shape, options.max_clusters, reporter)?;

    let nodes = shape.profile.workers + 1;
    say(&format!("creating {nodes} nodes"));
    let log = cache.log(&format!("create-{name}"))?;
    let made = run_kind(&kind, shape, &log, &say).and_then(|()| finish(shape, &say));
    if let Err(error) = made {
        save_node_logs(name, &log);
        if options.keep_failed {
            say(&format!("kept for debugging, see {log}"));
        } else {
            state::remove(cache, name)?;
        }
        return Err(error.with_log(&log));
    }
    state.stage = Stage::Ready;
    state::write(cache, &state)
}

/// Evicts clusters above the limit and records the new one, both under one lock, so that concurrent
/// processes respect the limit.
fn reserve(shape: &Shape, max_clusters: usize, reporter: &Reporter) -> Result<State> {
    let cache = shape.cache;
    let _counting = cache.lock("clusters")?.exclusive(|| {})?;
    let mut others = state::list(cache)?;
    while others.len() >= max_clusters.max(1) {
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
        name: shape.name.clone(),
        profile: shape.profile.clone(),
        image: shape.image.clone(),
        config: digest(&shape.config),
        stage: Stage::Creating,
        created: now,
        used: now,
    };
    state::write(cache, &state)?;
    Ok(state)
}

fn run_kind(kind: &Utf8Path, shape: &Shape, log: &Utf8Path, say: &dyn Fn(&str)) -> Result<()> {
    let name = shape.name.as_str();
    let kubeconfig = state::kubeconfig(shape.cache, name);
    let config = kubeconfig.with_file_name("kind.yaml");
    write_atomic(&config, shape.config.as_bytes())?;
    let mut command = Command::new(kind);
    command
        .args(["create", "cluster", "--retain", "--name", name])
        .args(["--image", &shape.image.reference])
        .args(["--config", config.as_str()])
        .args(["--kubeconfig", kubeconfig.as_str()])
        .env("KIND_EXPERIMENTAL_PROVIDER", "docker")
        .env_remove("KIND_EXPERIMENTAL_DOCKER_NETWORK");
    let step = format!("creating cluster {name}");
    let on_pulse = |lines: &[String], elapsed: &str| say(&last(lines, elapsed));
    let created = run_logged(&step, log, Some(CREATE_LIMIT), &mut command, on_pulse);
    created.map(drop).map_err(|error| match error {
        ClusterError::Failed { step, reason, log } => {
            let hint = hint(&reason, !shape.profile.gates.is_empty());
            let hint = hint.map(|hint| format!("\n  ({hint})"));
            let reason = reason + &hint.unwrap_or_default();
            ClusterError::Failed { step, reason, log }
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
fn finish(shape: &Shape, say: &dyn Fn(&str)) -> Result<()> {
    if shape.profile.workers > 0 && shape.image.source == Source::Packages {
        say("setting up routes between nodes");
        let subnets = wait_until("the nodes' pod subnets", || {
            Ok(subnets(&shape.kubectl(&["get", "nodes", "-o", SUBNETS])?))
        })?;
        join_networks(&subnets)?;
    }
    say("waiting for nodes, DNS and Services");
    let limit = format!("--timeout={}s", READY_LIMIT.as_secs());
    shape.kubectl(&["wait", "--for=condition=Ready", "nodes", "--all", &limit])?;
    for part in ["daemonset/kube-proxy", "deployment/coredns"] {
        shape.kubectl(&["rollout", "status", "-n", "kube-system", part, &limit])?;
    }
    // Pods in the default namespace need it.
    wait_until("the default service account", || {
        let get = ["get", "serviceaccount", "default", "-o", "name"];
        Ok(shape.kubectl(&get).ok())
    })
    .map(drop)
}

/// A line for each node: its name, its part of the pod network, and its addresses.
const SUBNETS: &str = r#"jsonpath={range .items[*]}{.metadata.name} {.spec.podCIDR} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}"#;

/// A node's part of the pod network.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Subnet {
    node: String,
    pods: String,
    address: String,
}

/// Reads the subnets of nodes; `None` until every node has one.
fn subnets(lines: &str) -> Option<Vec<Subnet>> {
    let subnet = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        let mut word = || words.next().filter(|word| !word.is_empty());
        Some(Subnet {
            node: word()?,
            pods: word()?,
            address: word()?,
        })
    };
    lines.lines().map(subnet).collect()
}

/// Configures each node's subnet and its routes to the other nodes.
fn join_networks(subnets: &[Subnet]) -> Result<()> {
    for Subnet { node, pods, .. } in subnets {
        let step = format!("configuring the pod network of {node}");
        docker::run(&step, ["exec", node, "cni-config", pods])?;
        for other in subnets.iter().filter(|other| other.node != *node) {
            let step = format!("adding a route from {node} to {}", other.node);
            let mut route = docker(["exec", node, "ip", "route", "replace", &other.pods]);
            capture(&step, route.args(["via", &other.address]))?;
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
        let expected = Subnet {
            node: "a".into(),
            pods: "10.244.0.0/24".into(),
            address: "172.18.0.9".into(),
        };
        let one = "a 10.244.0.0/24 172.18.0.9";
        assert_eq!(subnets(one), Some(vec![expected]));
        assert_eq!(subnets(&format!("{one}\nb  172.18.0.8")), None);
        assert_eq!(subnets(&format!("{one}\nb 10.244.1.0/24 ")), None);
    }
}
