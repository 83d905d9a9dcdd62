//! Making a cluster.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use jiff::Timestamp;
use serde::Deserialize;

use super::config::digest;
use super::state::{self, Stage, State};
use super::{Options, Shape, kubectl, node, tool};
use crate::cluster::cache::{Cache, write};
use crate::cluster::command::{Long, capture, output};
use crate::cluster::error::{ClusterError, Result};
use crate::cluster::node_image::{Source, docker};
use crate::cluster::progress::{Teller, short};

/// How long kind may take.
const CREATE_LIMIT: Duration = Duration::from_secs(6 * 60);
/// How long a new cluster may take to become ready after that.
const READY_LIMIT: Duration = Duration::from_secs(3 * 60);

/// Makes the cluster, in place of what is left of it.
pub(super) fn create(
    shape: &Shape,
    options: &Options,
    reason: &str,
    teller: &mut Teller,
) -> Result<()> {
    let cache = &options.cache;
    let kind = tool::kind(cache, teller)?;
    if !node::containers(shape.name)?.is_empty() {
        teller.say(format!(
            "cluster {}: removing what is there: {reason}",
            shape.name
        ));
    }
    state::remove(cache, shape.name)?;
    reserve(shape, options, teller)?;

    teller.say(format!(
        "cluster {}: creating, {} nodes",
        shape.name,
        shape.profile.workers + 1
    ));
    let log = cache.log(&format!("create-{}", shape.name))?;
    let made = run_kind(&kind, shape, cache, &log, teller)
        .and_then(|()| finish(shape, cache, teller).map_err(|error| with_log(error, &log)));
    if let Err(error) = made {
        save_node_logs(shape.name, &log);
        if options.keep_failed {
            teller.say(format!("cluster {}: left as it is, see {log}", shape.name));
        } else {
            state::remove(cache, shape.name)?;
        }
        return Err(error);
    }
    let ready = state::read(cache, shape.name);
    if let Some(mut ready) = ready {
        ready.stage = Stage::Ready;
        state::write(cache, &ready)?;
    }
    Ok(())
}

/// Makes room and writes down that this cluster is being made, under one lock, so that two
/// processes do not take the same room.
fn reserve(shape: &Shape, options: &Options, teller: &mut Teller) -> Result<()> {
    let cache = &options.cache;
    let _counting = cache.lock("clusters")?.exclusive(|| {})?;
    let mut others = state::list(cache)?;
    while others.len() >= options.max_clusters.max(1) {
        let Some(at) = others.iter().position(|other| !other.in_use) else {
            return Err(ClusterError::Missing {
                what: format!(
                    "{} clusters are in use, and no more are allowed",
                    others.len()
                ),
                remedy: "Wait for a run to end, or allow more (--max-clusters)".into(),
            });
        };
        let evicted = others.remove(at).state;
        teller.say(format!(
            "cluster {}: removing it to make room, last used {:.0}",
            evicted.name, evicted.used
        ));
        state::delete(cache, &evicted.name)?;
    }
    let now = Timestamp::now();
    state::write(
        cache,
        &State {
            name: shape.name.to_owned(),
            profile: shape.profile.clone(),
            image: shape.image.clone(),
            config: digest(&shape.config),
            stage: Stage::Creating,
            created: now,
            used: now,
        },
    )
}

fn run_kind(
    kind: &Utf8Path,
    shape: &Shape,
    cache: &Cache,
    log: &Utf8Path,
    teller: &mut Teller,
) -> Result<()> {
    let config = state::config(cache, shape.name);
    write(&config, shape.config.as_bytes())?;
    let mut command = Command::new(kind);
    command
        .args(["create", "cluster", "--retain", "--name", shape.name])
        .args([
            "--image",
            &shape.image.reference,
            "--config",
            config.as_str(),
        ])
        .args([
            "--kubeconfig",
            state::kubeconfig(cache, shape.name).as_str(),
        ])
        .env("KIND_EXPERIMENTAL_PROVIDER", "docker")
        .env_remove("KIND_EXPERIMENTAL_DOCKER_NETWORK");
    let step = format!("creating the cluster {}", shape.name);
    let task = Long {
        step: &step,
        log,
        limit: Some(CREATE_LIMIT),
    };
    task.run(&mut command, &mut |pulse| {
        teller.say(format!(
            "cluster {}: {} (for {})",
            shape.name,
            pulse.last,
            short(pulse.running)
        ));
    })
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

/// What a person may not read out of what kind printed.
fn hint(printed: &str, gates: bool) -> Option<&'static str> {
    if printed.contains("unable to apply caps") {
        return Some(
            "this machine lacks a capability that docker wants to give: `./ci/setup` adds a \
             runtime that leaves it out",
        );
    }
    gates.then_some(
        "a component does not start with a feature gate that its version does not know or does \
         not let be changed",
    )
}

/// Joins the nodes' networks and waits until pods, names and Services work.
fn finish(shape: &Shape, cache: &Cache, teller: &mut Teller) -> Result<()> {
    let kubeconfig = state::kubeconfig(cache, shape.name);
    let kubectl = |args: &[&str]| kubectl(&shape.image.kubectl, &kubeconfig, args);
    if shape.profile.workers > 0 && shape.image.source == Source::Packages {
        teller.say(format!(
            "cluster {}: joining the nodes' networks",
            shape.name
        ));
        join_networks(&wait_for_subnets(&kubectl)?)?;
    }
    teller.say(format!(
        "cluster {}: waiting for nodes, names and Services",
        shape.name
    ));
    let limit = format!("--timeout={}s", READY_LIMIT.as_secs());
    kubectl(&["wait", "--for=condition=Ready", "nodes", "--all", &limit])?;
    for part in ["daemonset/kube-proxy", "deployment/coredns"] {
        kubectl(&["rollout", "status", "-n", "kube-system", part, &limit])?;
    }
    // Without it no pod can be made in the default namespace.
    wait_until("the default service account", || {
        Ok(kubectl(&["get", "serviceaccount", "default", "-o", "name"]).ok())
    })?;
    Ok(())
}

/// A node's part of the pods' network.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Subnet {
    node: String,
    address: String,
    pods: String,
}

#[derive(Deserialize)]
struct List {
    items: Vec<serde_json::Value>,
}

/// Reads the subnets from a `NodeList`; nothing until every node has one.
fn subnets(list: &str) -> Option<Vec<Subnet>> {
    let list: List = serde_json::from_str(list).ok()?;
    list.items
        .iter()
        .map(|item| {
            let addresses = item["status"]["addresses"].as_array()?;
            let address = addresses
                .iter()
                .find(|address| address["type"] == "InternalIP")?;
            Some(Subnet {
                node: item["metadata"]["name"].as_str()?.to_owned(),
                address: address["address"].as_str()?.to_owned(),
                pods: item["spec"]["podCIDR"].as_str()?.to_owned(),
            })
        })
        .collect()
}

fn wait_for_subnets(kubectl: &dyn Fn(&[&str]) -> Result<String>) -> Result<Vec<Subnet>> {
    wait_until("the nodes' parts of the network", || {
        Ok(subnets(&kubectl(&["get", "nodes", "-o", "json"])?))
    })
}

/// Gives each node its subnet, and the ways to the others'.
fn join_networks(subnets: &[Subnet]) -> Result<()> {
    for own in subnets {
        capture(
            &format!("giving {} its network", own.node),
            docker().args(["exec", &own.node, "cni-config", &own.pods]),
        )?;
        for other in subnets.iter().filter(|other| other.node != own.node) {
            let mut route = docker();
            route.args(["exec", &own.node, "ip", "route", "replace", &other.pods]);
            route.args(["via", &other.address]);
            capture(
                &format!("leading {} to {}", own.node, other.node),
                &mut route,
            )?;
        }
    }
    Ok(())
}

/// Asks again and again until there is an answer.
fn wait_until<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if began.elapsed() > READY_LIMIT {
            return Err(ClusterError::Command {
                step: format!("waiting for {what}"),
                reason: format!("not there after {}", short(began.elapsed())),
            });
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

/// Adds to the log what the nodes can say about a failure. There may be no node to ask.
fn save_node_logs(name: &str, log: &Utf8Path) {
    let Ok(mut file) = OpenOptions::new().append(true).open(log) else {
        return;
    };
    for node in node::names(name).unwrap_or_default() {
        let script = "journalctl --no-pager -n 60 -u containerd -u kubelet; \
                      tail -n 20 /var/log/pods/*/*/*.log";
        for mut command in
            [docker(), docker()]
                .into_iter()
                .zip([true, false])
                .map(|(mut d, logs)| {
                    if logs {
                        d.args(["logs", "--tail", "60", &node]);
                    } else {
                        d.args(["exec", &node, "sh", "-c", script]);
                    }
                    d
                })
        {
            if let Ok(said) = output(&mut command) {
                // The log is a help, not a result.
                let _ = writeln!(file, "--- {node}");
                let _ = file.write_all(&said.stdout);
                let _ = file.write_all(&said.stderr);
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
    #[case("the API server does not answer", true, Some("feature gate"))]
    #[case("the API server does not answer", false, None)]
    fn a_failure_says_what_to_do_where_that_is_known(
        #[case] printed: &str,
        #[case] gates: bool,
        #[case] expected: Option<&str>,
    ) {
        let found = hint(printed, gates);
        assert_eq!(found.is_some(), expected.is_some());
        assert!(
            found
                .unwrap_or_default()
                .contains(expected.unwrap_or_default())
        );
    }

    #[test]
    fn subnets_are_known_when_every_node_has_one() {
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
