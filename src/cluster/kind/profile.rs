//! What distinguishes one cluster from another: version, feature gates, container runtime, size.

use std::collections::BTreeMap;

use itertools::Itertools as _;
use serde::{Deserialize, Serialize};

use crate::cluster::error::{ClusterError, Result};
use crate::cluster::node_image::Runtime::{self, Containerd1, Containerd2};
use crate::cluster::node_image::Wanted;
use crate::cluster::node_image::versions::{PINNED, resolve};
use crate::gates::check;

/// Number of workers of a profile: one node that scenarios may disrupt.
pub(crate) const WORKERS: u8 = 1;

type Variant = (&'static str, &'static [(&'static str, bool)], Runtime);

/// The version, gates and runtime of profiles in addition to the defaults of each minor version: settings on
/// which verdicts depend.
const VARIANTS: [Variant; 6] = [
    ("1.29", &[("PodLifecycleSleepAction", true)], Containerd2),
    ("1.30", &[("PodLifecycleSleepAction", false)], Containerd2),
    ("1.33", &[("PodLifecycleSleepAction", false)], Containerd2),
    ("newest", &[("ContainerStopSignals", true)], Containerd2),
    ("newest", &[], Containerd1),
    ("newest", &[("ContainerStopSignals", true)], Containerd1),
];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Profile {
    /// `default`, or the settings that are not defaults, such as `PodLifecycleSleepAction-off-containerd-1`.
    pub name: String,
    /// Kubernetes version, such as `1.36.3`.
    pub kubernetes: String,
    /// Feature gates, set on every component.
    pub gates: BTreeMap<String, bool>,
    #[serde(default)]
    pub runtime: Runtime,
    pub workers: u8,
}

impl Profile {
    pub(crate) fn new(
        wanted: Wanted,
        gates: impl IntoIterator<Item = (String, bool)>,
        workers: u8,
    ) -> Result<Self> {
        let gates: BTreeMap<_, _> = gates.into_iter().collect();
        for (gate, on) in &gates {
            if gate.is_empty() || !gate.chars().all(|char| char.is_ascii_alphanumeric()) {
                return Err(ClusterError::Refused(format!(
                    "invalid feature gate `{gate}`: expected `NAME=BOOL`, for example \
                     `PodLifecycleSleepAction=false`"
                )));
            }
            check(gate, *on, wanted.version.minor).map_err(ClusterError::Refused)?;
        }
        let setting = |(gate, on): (&String, &bool)| match on {
            true => format!("{gate}-on"),
            false => format!("{gate}-off"),
        };
        let runtime = (wanted.runtime != Runtime::default()).then(|| wanted.runtime.to_string());
        let mut name = gates.iter().map(setting).chain(runtime).join("-");
        if name.is_empty() {
            "default".clone_into(&mut name);
        }
        Ok(Self {
            name,
            kubernetes: wanted.version.to_string(),
            gates,
            runtime: wanted.runtime,
            workers,
        })
    }

    /// The minor version and the name, such as `1.37` or `1.29-PodLifecycleSleepAction-on`.
    pub(crate) fn id(&self) -> String {
        let minor = self.kubernetes.split('.').take(2).join(".");
        match self.name.as_str() {
            "default" => minor,
            name => format!("{minor}-{name}"),
        }
    }

    /// The arguments of `hookproof run` that select this profile.
    pub(crate) fn args(&self) -> Vec<String> {
        let mut args = vec![format!("--kubernetes={}", self.kubernetes)];
        let gates = self.gates.iter();
        args.extend(gates.map(|(gate, on)| format!("--gate={gate}={on}")));
        if self.runtime != Runtime::default() {
            args.push(format!("--runtime={}", self.runtime));
        }
        args
    }
}

/// The profiles that are tested every night: the defaults of each minor version, oldest first, and variants.
pub(crate) fn nightly() -> Result<Vec<Profile>> {
    let defaults = PINNED.map(|version| Ok((version, &[][..], Runtime::default())));
    let variants =
        VARIANTS.map(|(version, gates, runtime)| Ok((resolve(version)?, gates, runtime)));
    let profile = |(version, gates, runtime): (_, &[(&str, bool)], _)| {
        let gates = gates.iter().map(|(gate, on)| ((*gate).to_owned(), *on));
        Profile::new(Wanted { version, runtime }, gates, WORKERS)
    };
    let all = defaults.into_iter().chain(variants);
    all.map(|settings| settings.and_then(profile)).collect()
}

/// The profiles that a name selects: `nightly` or the id of one of them.
pub(crate) fn named(name: &str) -> Result<Vec<Profile>> {
    let mut profiles = nightly()?;
    if name != "nightly" {
        profiles.retain(|profile| profile.id() == name);
    }
    if profiles.is_empty() {
        return Err(ClusterError::Refused(format!(
            "unknown profile `{name}`; `hookproof profiles` lists all profiles"
        )));
    }
    Ok(profiles)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cluster::node_image::versions::NEWEST;

    #[test]
    fn the_gates_of_the_newest_version_are_known() {
        assert!(check("Unknown", true, NEWEST.minor).is_err());
    }

    #[test]
    fn each_profile_has_its_own_id_and_arguments() {
        let profiles = nightly().unwrap();
        for profile in &profiles {
            assert_eq!(named(&profile.id()).unwrap(), std::slice::from_ref(profile));
        }
        let shown: Vec<_> = profiles[PINNED.len() - 1..]
            .iter()
            .map(|profile| format!("{}: {}", profile.id(), profile.args()[1..].join(" ")))
            .collect();
        insta::assert_snapshot!(shown.join("\n"));
        let error = named("1.99").unwrap_err();
        assert!(error.is_usage(), "{error}");
    }
}
