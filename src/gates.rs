//! Feature gates of Kubernetes by minor version.

use crate::version::version;

/// Tab-separated; the first lines say what the columns are.
const TABLE: &str = include_str!("gates.tsv");

/// The last minor version that the table covers.
const LAST: u32 = 37;

/// The gates that affect hooks.
const OF_HOOKS: [&str; 11] = [
    "ContainerRestartRules",
    "ContainerStopSignals",
    "EnvFiles",
    "KubeletCrashLoopBackOffMax",
    "NodeDeclaredFeatures",
    "PodLifecycleSleepAction",
    "PodLifecycleSleepActionAllowZero",
    "PodReadyToStartContainersCondition",
    "ReduceDefaultCrashLoopBackOffDecay",
    "RestartAllContainersOnContainerExits",
    "SidecarContainers",
];

struct Gate {
    name: &'static str,
    /// The first minor version with the gate.
    since: u32,
    /// The first minor version in which the gate cannot be changed, and its state there.
    locked: Option<(u32, bool)>,
    /// The first minor version without the gate.
    removed: Option<u32>,
}

/// `None` for comments.
fn gate(line: &'static str) -> Option<Gate> {
    let mut columns = line.split('\t');
    let (name, since) = (columns.next()?, columns.next()?.parse().ok()?);
    let locked = columns.next()?.split_once('=');
    Some(Gate {
        name,
        since,
        locked: locked.and_then(|(minor, on)| Some((minor.parse().ok()?, on == "true"))),
        removed: columns.next()?.parse().ok(),
    })
}

fn gates() -> impl Iterator<Item = Gate> {
    TABLE.lines().filter_map(gate)
}

fn find(name: &str) -> Option<Gate> {
    gates().find(|gate| gate.name == name)
}

/// Whether the gate affects hooks. Clusters report hundreds of others.
pub(crate) fn affects_hooks(name: &str) -> bool {
    OF_HOOKS.contains(&name)
}

/// Whether a Kubernetes version, such as `v1.37.2`, has the gate's feature but no longer the gate.
pub(crate) fn is_removed(name: &str, kubernetes: &str) -> bool {
    let gate = find(name).filter(|gate| gate.locked.is_some_and(|(_, on)| on));
    let removed = gate.and_then(|gate| gate.removed).zip(version(kubernetes));
    removed.is_some_and(|(removed, seen)| seen >= (1, removed))
}

/// Checks that Kubernetes 1.`minor` accepts a gate's setting. Nothing is known about versions after the table's.
pub(crate) fn check(name: &str, on: bool, minor: u32) -> Result<(), String> {
    if minor > LAST {
        return Ok(());
    }
    let Some(gate) = find(name) else {
        let similar = gates()
            .map(|gate| (strsim::jaro_winkler(name, gate.name), gate.name))
            .max_by(|one, other| one.0.total_cmp(&other.0))
            .filter(|(similarity, _)| *similarity > 0.8);
        let suggestion = similar.map(|(_, similar)| format!("; did you mean `{similar}`?"));
        let suggestion = suggestion.unwrap_or_default();
        return Err(format!(
            "unknown feature gate `{name}`: no version from 1.28 to 1.{LAST} has it{suggestion}"
        ));
    };
    // The first version that rejects the setting.
    let end = match gate.locked {
        Some((locked, state)) if state != on => Some(locked),
        _ => gate.removed,
    };
    let because = if minor < gate.since {
        "does not have it yet".to_owned()
    } else if gate.removed.is_some_and(|removed| minor >= removed) {
        match gate.locked {
            Some((_, true)) => "no longer has it, and the feature is always on".to_owned(),
            _ => "no longer has it".to_owned(),
        }
    } else if end.is_some_and(|end| minor >= end) {
        format!("has it locked to {}", !on)
    } else {
        return Ok(());
    };
    let accepting = match end {
        None => format!("since 1.{}", gate.since),
        Some(end) if end == gate.since => "in no version".to_owned(),
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
    #[case("Unknown", true, 36, Some("unknown feature gate `Unknown`"))]
    #[case(
        "PodLifecycleSleepActions",
        true,
        36,
        Some("did you mean `PodLifecycleSleepAction`?")
    )]
    #[case("Unknown", true, 38, None)]
    #[case("AllAlpha", true, 36, None)]
    #[case(
        "GitRepoVolumeDriver",
        true,
        36,
        Some("has it locked to false; it can be set to true from 1.33 to 1.35")
    )]
    #[case(
        "ExperimentalHostUserNamespaceDefaulting",
        true,
        28,
        Some("it can be set to true in no version")
    )]
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

    #[test]
    fn the_table_covers_the_gates_of_hooks() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(lines.count(), gates().count(), "every line is read");
        for name in OF_HOOKS {
            assert!(find(name).is_some(), "{name}");
        }
    }
}
