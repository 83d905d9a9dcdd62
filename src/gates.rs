//! Feature gates that affect hooks, by minor version, from `pkg/features/kube_features.go` of Kubernetes 1.28
//! to 1.37.

use crate::version::version;

struct Gate {
    name: &'static str,
    /// The first minor version with the gate.
    since: u32,
    /// The first minor version in which the gate is always on.
    locked: Option<u32>,
    /// The first minor version without the gate, in which the feature is always on.
    removed: Option<u32>,
}

const fn gate(name: &'static str, since: u32, locked: Option<u32>, removed: Option<u32>) -> Gate {
    Gate {
        name,
        since,
        locked,
        removed,
    }
}

/// 1.28 stands for 1.28 and earlier versions.
const GATES: [Gate; 11] = [
    gate("ContainerRestartRules", 34, None, None),
    gate("ContainerStopSignals", 33, None, None),
    gate("EnvFiles", 34, None, None),
    gate("KubeletCrashLoopBackOffMax", 32, None, None),
    gate("NodeDeclaredFeatures", 35, Some(37), None),
    gate("PodLifecycleSleepAction", 29, Some(34), Some(37)),
    gate("PodLifecycleSleepActionAllowZero", 32, Some(34), Some(37)),
    gate("PodReadyToStartContainersCondition", 28, Some(37), None),
    gate("ReduceDefaultCrashLoopBackOffDecay", 33, None, None),
    gate("RestartAllContainersOnContainerExits", 35, None, None),
    gate("SidecarContainers", 28, Some(33), Some(37)),
];

fn find(name: &str) -> Option<&'static Gate> {
    GATES.iter().find(|gate| gate.name == name)
}

/// Whether the gate affects hooks. Clusters report hundreds of others.
pub(crate) fn affects_hooks(name: &str) -> bool {
    find(name).is_some()
}

/// Whether a Kubernetes version, such as `v1.37.2`, has the gate's feature but no longer the gate.
pub(crate) fn is_removed(name: &str, kubernetes: &str) -> bool {
    let removed = find(name).and_then(|gate| gate.removed);
    let seen = version(kubernetes);
    removed.is_some_and(|removed| seen.is_some_and(|seen| seen >= (1, removed)))
}

/// Checks that Kubernetes 1.`minor` accepts a gate's setting. Other gates than those above pass.
pub(crate) fn check(name: &str, on: bool, minor: u32) -> Result<(), String> {
    let Some(gate) = find(name) else {
        return Ok(());
    };
    // The first version that rejects the setting.
    let end = if on { gate.removed } else { gate.locked };
    let because = if minor < gate.since {
        "does not have it yet"
    } else if gate.removed.is_some_and(|removed| minor >= removed) {
        "no longer has it, and the feature is always on"
    } else if end.is_some_and(|end| minor >= end) {
        "has it locked to true"
    } else {
        return Ok(());
    };
    let accepting = match end {
        None => format!("since 1.{}", gate.since),
        Some(end) => format!("from 1.{} to 1.{}", gate.since, end - 1),
    };
    Err(format!(
        "invalid feature gate `{name}={on}`: Kubernetes 1.{minor} {because}; it can be set to {on} {accepting}"
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("PodLifecycleSleepAction", "v1.36.3", false)]
    #[case("PodLifecycleSleepAction", "v1.37.2", true)]
    #[case("ContainerStopSignals", "v1.37.2", false)]
    #[case("Unknown", "v1.37.2", false)]
    #[case("PodLifecycleSleepAction", "unknown", false)]
    fn removed_gates(#[case] name: &str, #[case] kubernetes: &str, #[case] removed: bool) {
        assert_eq!(is_removed(name, kubernetes), removed);
    }

    #[rstest]
    #[case(
        "PodLifecycleSleepAction",
        true,
        28,
        Some("does not have it yet; it can be set to true from 1.29 to 1.36")
    )]
    #[case("PodLifecycleSleepAction", true, 29, None)]
    #[case("PodLifecycleSleepAction", false, 33, None)]
    #[case(
        "PodLifecycleSleepAction",
        false,
        36,
        Some("has it locked to true; it can be set to false from 1.29 to 1.33")
    )]
    #[case("PodLifecycleSleepAction", true, 36, None)]
    #[case("PodLifecycleSleepAction", true, 37, Some("no longer has it"))]
    #[case(
        "ContainerStopSignals",
        true,
        32,
        Some("it can be set to true since 1.33")
    )]
    #[case("Unknown", true, 36, None)]
    fn settings(
        #[case] name: &str,
        #[case] on: bool,
        #[case] minor: u32,
        #[case] message: Option<&str>,
    ) {
        match (check(name, on, minor), message) {
            (Err(found), Some(message)) => assert!(found.contains(message), "{found}"),
            (found, message) => assert_eq!(found.err().as_deref(), message),
        }
    }
}
