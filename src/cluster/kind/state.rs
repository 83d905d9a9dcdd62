//! What is written down about each cluster, so that only our own are ever touched.

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Profile, node};
use crate::cluster::cache::{Cache, read_record, write_record};
use crate::cluster::command::capture;
use crate::cluster::error::{ClusterError, Result};
use crate::cluster::node_image::{NodeImage, docker};

/// How far a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It is being made; if nobody holds its lock, making it was interrupted.
    Creating,
    /// It was ready.
    Ready,
}

/// A cluster's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub profile: Profile,
    /// What its nodes are made of.
    pub image: NodeImage,
    /// Digest of kind's configuration.
    pub config: String,
    /// How far it is.
    pub stage: Stage,
    /// When it was begun.
    pub created: Timestamp,
    /// When somebody last asked for it.
    pub used: Timestamp,
}

/// A cluster as `hookproof cluster list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its record.
    #[serde(flatten)]
    pub state: State,
    /// Its nodes' containers that are running.
    pub running: Vec<String>,
    /// Whether a run is using it now.
    pub in_use: bool,
    /// Its kubeconfig.
    pub kubeconfig: Utf8PathBuf,
}

fn folder(cache: &Cache, name: &str) -> Utf8PathBuf {
    cache.root().join("clusters").join(name)
}

/// Where a cluster's kubeconfig is.
pub(super) fn kubeconfig(cache: &Cache, name: &str) -> Utf8PathBuf {
    folder(cache, name).join("kubeconfig")
}

/// Where kind's configuration for it is.
pub(super) fn config(cache: &Cache, name: &str) -> Utf8PathBuf {
    folder(cache, name).join("kind.yaml")
}

pub(super) fn read(cache: &Cache, name: &str) -> Option<State> {
    read_record(&folder(cache, name).join("state.json"))
}

pub(super) fn write(cache: &Cache, state: &State) -> Result<()> {
    write_record(
        &cache.path(format!("clusters/{}/state.json", state.name))?,
        state,
    )
}

/// Notes that somebody uses it. Only for choosing which to evict, so a failure does not matter.
pub(super) fn touch(cache: &Cache, name: &str) {
    if let Some(mut state) = read(cache, name) {
        state.used = Timestamp::now();
        let _ = write(cache, &state);
    }
}

/// Every cluster of ours, the least recently used first.
///
/// # Errors
/// Docker cannot be asked.
pub fn list(cache: &Cache) -> Result<Vec<Listed>> {
    let mut found = Vec::new();
    let folder = cache.folder("clusters")?;
    let entries = folder
        .read_dir_utf8()
        .map_err(ClusterError::file("cannot read the folder", &folder))?;
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

/// Removes a cluster of ours.
///
/// # Errors
/// It is not ours, a run is using it, or docker refuses.
pub fn delete(cache: &Cache, name: &str) -> Result<()> {
    if read(cache, name).is_none() {
        return Err(ClusterError::Refused(format!(
            "there is no cluster {name} of ours: `hookproof cluster list` shows them"
        )));
    }
    let lease = cache.lock(&format!("{name}.use"))?;
    if !lease.try_exclusive()? {
        return Err(ClusterError::Cluster {
            name: name.to_owned(),
            what: "is used by a run".into(),
            remedy: "Wait for it to end, or end it, and try again".into(),
        });
    }
    remove(cache, name)
}

/// Removes what there is of a cluster: its containers with their volumes, and its record last,
/// so that an interrupted removal can be repeated.
pub(super) fn remove(cache: &Cache, name: &str) -> Result<()> {
    let containers = node::containers(name)?;
    if !containers.is_empty() {
        let mut rm = docker();
        rm.args(["rm", "--force", "--volumes"]).args(&containers);
        capture(&format!("removing the cluster {name}"), &mut rm)?;
    }
    match std::fs::remove_dir_all(folder(cache, name)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(ClusterError::file(
            "cannot remove",
            folder(cache, name),
        )(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cluster::node_image::Source;

    fn state() -> State {
        State {
            name: "hookproof-1-36-abc".into(),
            profile: Profile {
                name: "default".into(),
                kubernetes: "1.36".into(),
                gates: [("A".to_owned(), false)].into(),
                workers: 1,
            },
            image: NodeImage {
                version: "1.36.3".into(),
                source: Source::Packages,
                reference: "hookproof/node:v1.36.3-x".into(),
                digest: "sha256:1".into(),
                note: None,
                kubectl: "/cache/kubectl".into(),
            },
            config: "12".into(),
            stage: Stage::Creating,
            created: "2026-01-02T03:04:05Z".parse().unwrap(),
            used: "2026-01-02T03:04:06Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_record_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let cache =
            Cache::at(Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap()).unwrap();
        assert_eq!(read(&cache, &state().name), None);
        write(&cache, &state()).unwrap();
        assert_eq!(read(&cache, &state().name), Some(state()));
        touch(&cache, &state().name);
        assert!(read(&cache, &state().name).unwrap().used > state().used);
    }

    #[test]
    fn only_our_own_clusters_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let cache =
            Cache::at(Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap()).unwrap();
        let error = delete(&cache, "somebody-elses").unwrap_err();
        assert!(error.is_usage(), "{error}");
        write(&cache, &state()).unwrap();
        let lease = cache.lock(&format!("{}.use", state().name)).unwrap();
        lease.share().unwrap();
        let error = delete(&cache, &state().name).unwrap_err().to_string();
        assert!(error.contains("used by a run"), "{error}");
    }

    #[test]
    fn a_record_is_plain_json() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&state()).unwrap());
    }
}
