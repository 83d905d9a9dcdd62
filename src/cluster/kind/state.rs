//! Records of the clusters that hookproof created. Only recorded clusters are ever touched.

use std::fs;
use std::io;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::node;
use super::profile::Profile;
use crate::cluster::cache::Cache;
use crate::cluster::error::{ClusterError, Result};
use crate::cluster::node_image::NodeImage;
use crate::file::write_atomic;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// Being created, or interrupted during creation if no process holds its lock.
    Creating,
    Ready,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub name: String,
    pub profile: Profile,
    pub image: NodeImage,
    /// Digest of kind's configuration.
    pub config: String,
    pub stage: Stage,
    pub created: Timestamp,
    /// Last request for it.
    pub used: Timestamp,
}

/// A cluster as `hookproof cluster list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Listed {
    #[serde(flatten)]
    pub state: State,
    /// Names of the running node containers.
    pub running: Vec<String>,
    pub in_use: bool,
    pub kubeconfig: Utf8PathBuf,
}

fn folder(cache: &Cache, name: &str) -> Utf8PathBuf {
    cache.root().join("clusters").join(name)
}

pub(super) fn kubeconfig(cache: &Cache, name: &str) -> Utf8PathBuf {
    folder(cache, name).join("kubeconfig")
}

/// `None` for a missing record and for one in another format.
pub(super) fn read(cache: &Cache, name: &str) -> Option<State> {
    let record = fs::read(folder(cache, name).join("state.json")).ok()?;
    serde_json::from_slice(&record).ok()
}

pub(super) fn write(cache: &Cache, state: &State) -> Result<()> {
    let path = folder(cache, &state.name).join("state.json");
    let record = serde_json::to_vec_pretty(state);
    let record = record.map_err(|e| ClusterError::file("cannot write", &path)(e.into()))?;
    Ok(write_atomic(&path, &record)?)
}

/// Updates the time of last use. It only decides which cluster is evicted, so failures are ignored.
pub(super) fn touch(cache: &Cache, name: &str) {
    if let Some(mut state) = read(cache, name) {
        state.used = Timestamp::now();
        let _ = write(cache, &state);
    }
}

/// All recorded clusters, least recently used first.
pub(crate) fn list(cache: &Cache) -> Result<Vec<Listed>> {
    let mut found = Vec::new();
    let folder = cache.folder("clusters")?;
    let entries = folder
        .read_dir_utf8()
        .map_err(ClusterError::file("cannot read", &folder))?;
    for entry in entries.flatten() {
        let Some(state) = read(cache, entry.file_name()) else {
            continue;
        };
        found.push(Listed {
            running: node::names(&state.name)?,
            in_use: !cache
                .lock(&format!("{}.use", state.name))?
                .try_exclusive()?,
            kubeconfig: kubeconfig(cache, &state.name),
            state,
        });
    }
    found.sort_by_key(|listed| listed.state.used);
    Ok(found)
}

/// Deletes a recorded cluster.
pub(crate) fn delete(cache: &Cache, name: &str) -> Result<()> {
    if read(cache, name).is_none() {
        return Err(ClusterError::Refused(format!(
            "no cluster named {name}; `hookproof cluster list` shows all clusters"
        )));
    }
    let lease = cache.lock(&format!("{name}.use"))?;
    if !lease.try_exclusive()? {
        return Err(ClusterError::missing(
            format!("cluster {name} is in use by a run"),
            "wait for the run to end, or stop it",
        ));
    }
    remove(cache, name)
}

/// Removes a cluster's containers and volumes. The record goes last, so that an interrupted removal
/// can be repeated.
pub(super) fn remove(cache: &Cache, name: &str) -> Result<()> {
    node::remove(&node::containers(name)?)?;
    let folder = folder(cache, name);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ClusterError::file("cannot remove", folder)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cluster::node_image::{Runtime, Source};

    fn state() -> State {
        State {
            name: "hookproof-1-36-abc".into(),
            profile: Profile {
                name: "default".into(),
                kubernetes: "1.36".into(),
                gates: [("A".to_owned(), false)].into(),
                runtime: Runtime::default(),
                workers: 1,
            },
            image: NodeImage {
                version: "1.36.3".into(),
                source: Source::Packages,
                reference: "hookproof/node:v1.36.3-x".into(),
                digest: "sha256:1".into(),
                kubectl: "/cache/kubectl".into(),
            },
            config: "12".into(),
            stage: Stage::Creating,
            created: "2026-01-02T03:04:05Z".parse().unwrap(),
            used: "2026-01-02T03:04:06Z".parse().unwrap(),
        }
    }

    #[test]
    fn state_round_trips_and_invalid_one_is_ignored() {
        let (_folder, cache) = Cache::temporary();
        assert_eq!(read(&cache, &state().name), None);
        write(&cache, &state()).unwrap();
        assert_eq!(read(&cache, &state().name), Some(state()));
        touch(&cache, &state().name);
        assert!(read(&cache, &state().name).unwrap().used > state().used);
        fs::write(folder(&cache, &state().name).join("state.json"), "{").unwrap();
        assert_eq!(read(&cache, &state().name), None);
    }

    #[test]
    fn delete_refuses_unknown_and_used_clusters() {
        let (_folder, cache) = Cache::temporary();
        let error = delete(&cache, "foreign").unwrap_err();
        assert!(error.is_usage(), "{error}");
        write(&cache, &state()).unwrap();
        let lease = cache.lock(&format!("{}.use", state().name)).unwrap();
        lease.share().unwrap();
        let error = delete(&cache, &state().name).unwrap_err().to_string();
        assert!(error.contains("in use by a run"), "{error}");
    }

    #[test]
    fn state_is_plain_json() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&state()).unwrap());
    }
}
