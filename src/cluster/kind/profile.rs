//! What distinguishes one cluster from another: version, feature gates, size.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::error::{ClusterError, Result};
use crate::cluster::node_image::versions::Version;
use crate::gates::check;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Profile {
    /// `default`, or the gates that are set, such as `PodLifecycleSleepAction-off`.
    pub name: String,
    /// Kubernetes version, such as `1.36.3`.
    pub kubernetes: String,
    /// Feature gates, set on every component.
    pub gates: BTreeMap<String, bool>,
    pub workers: u8,
}

impl Profile {
    pub(crate) fn new(
        version: Version,
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
            check(gate, *on, version.minor).map_err(ClusterError::Refused)?;
        }
        let on_off = |(gate, on): (&String, &bool)| {
            let state = if *on { "on" } else { "off" };
            format!("{gate}-{state}")
        };
        let names: Vec<_> = gates.iter().map(on_off).collect();
        let name = if names.is_empty() {
            "default".to_owned()
        } else {
            names.join("-")
        };
        Ok(Self {
            name,
            kubernetes: version.to_string(),
            gates,
            workers,
        })
    }
}
