//! Agent containers on the nodes' docker network but outside the cluster. They cannot reach the witness, so
//! the runner reads their stamps from standard error.

use std::net::IpAddr;
use std::path::Path;
use std::process::Stdio;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::io::AsyncBufReadExt;
use tokio::process::Command;
use tokio::task::JoinHandle;

use super::recorder::Recorder;
use crate::evidence::{Clock, Seen, Stamp};

/// Label with the runner's process ID, by which a later run finds the containers of a killed run.
const LABEL: &str = "hookproof.outside";

/// Starts containers outside the cluster: the capability `outside`.
#[derive(Debug, Clone)]
pub struct Outside {
    /// The nodes' docker network.
    pub network: String,
    /// The agent image with its tag.
    pub image: String,
    /// The archive from which docker loads the image.
    pub archive: Utf8PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    #[error("docker failed to load the agent image: {0}")]
    Load(String),
    #[error("docker failed to run a container outside the cluster: {0}")]
    Run(#[from] testcontainers::TestcontainersError),
}

/// A running container; removed on drop.
pub struct Host {
    /// The container's address on the nodes' network.
    pub address: IpAddr,
    _container: ContainerAsync<GenericImage>,
    reader: JoinHandle<()>,
}

#[derive(Deserialize)]
struct Printed {
    at: Timestamp,
    #[serde(flatten)]
    stamp: Stamp,
}

impl Outside {
    /// Starts a container. Its stamps go to the recorder, with `name` as the pod name.
    ///
    /// # Errors
    /// When docker cannot load the image or run the container.
    pub async fn start(
        &self,
        name: &str,
        args: &[String],
        recorder: &Recorder,
    ) -> Result<Host, OutsideError> {
        self.load().await?;
        let (image, tag) = self
            .image
            .rsplit_once(':')
            .unwrap_or((&self.image, "latest"));
        let container = GenericImage::new(image, tag)
            .with_cmd(args.iter().cloned())
            .with_network(&self.network)
            .with_label(LABEL, std::process::id().to_string())
            .with_env_var("HOOKPROOF_POD", name)
            .with_env_var("HOOKPROOF_CONTAINER", "outside")
            .start()
            .await?;
        let address = container.get_bridge_ip_address().await?;
        let mut lines = container.stderr(true).lines();
        let recorder = recorder.clone();
        let reader = tokio::spawn(async move {
            // The stream ends with the container.
            while let Ok(Some(line)) = lines.next_line().await {
                record(&line, &recorder);
            }
        });
        Ok(Host {
            address,
            _container: container,
            reader,
        })
    }

    async fn load(&self) -> Result<(), OutsideError> {
        let failed = |e: std::io::Error| OutsideError::Load(e.to_string());
        let known = Command::new("docker")
            .args(["image", "inspect", &self.image])
            .output()
            .await
            .map_err(failed)?;
        if known.status.success() {
            return Ok(());
        }
        let archive = std::fs::File::open(&self.archive).map_err(failed)?;
        let loaded = Command::new("docker")
            .arg("load")
            .stdin(Stdio::from(archive))
            .output()
            .await
            .map_err(failed)?;
        if loaded.status.success() {
            Ok(())
        } else {
            let why = String::from_utf8_lossy(&loaded.stderr);
            Err(OutsideError::Load(why.trim().to_owned()))
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Records a line of the container's standard error: a stamp, or else a note.
fn record(line: &str, recorder: &Recorder) {
    // The witness numbers starts. A container outside the cluster starts once.
    let printed = serde_json::from_str::<Value>(line).and_then(|mut stamp| {
        if let Some(fields) = stamp.as_object_mut() {
            fields.insert("start".to_owned(), Value::from(1));
        }
        serde_json::from_value::<Printed>(stamp)
    });
    match printed {
        // The nodes are containers on the same machine, so both have the same clock.
        Ok(Printed { at, stamp }) => recorder.record(at, Clock::Node, Seen::Agent(stamp)),
        Err(_) => recorder.note("outside", line),
    }
}

/// Removes the containers of runs whose process has exited. Returns their number.
pub async fn clean() -> usize {
    let format = format!("{{{{.ID}}}} {{{{.Label \"{LABEL}\"}}}}");
    let listed = Command::new("docker")
        .args(["ps", "--all", "--filter", &format!("label={LABEL}")])
        .args(["--format", &format])
        .output()
        .await;
    // Without docker there are no containers to remove.
    let Ok(listed) = listed else { return 0 };
    let mut removed = 0;
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let Some((id, pid)) = line.split_once(' ') else {
            continue;
        };
        if Path::new("/proc").join(pid).exists() {
            continue;
        }
        let rm = Command::new("docker").args(["rm", "--force", id]).output();
        removed += usize::from(rm.await.is_ok_and(|output| output.status.success()));
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::recorder::RunnerClock;

    #[test]
    fn a_stamp_is_recorded_and_any_other_line_is_noted() {
        let recorder = Recorder::new(RunnerClock::default());
        record(
            r#"{"at":"2026-01-02T03:04:05.6Z","namespace":"","pod":"elsewhere","pod_uid":"","container":"outside","instance":"x","role":"receiver","process":"p","pid":1,"seq":1,"stamp":"listening","data":{"port":80}}"#,
            &recorder,
        );
        record("not a stamp", &recorder);
        let entries = recorder.entries();
        assert!(matches!(&entries[0].seen, Seen::Agent(stamp) if stamp.pod == "elsewhere"));
        assert!(matches!(&entries[1].seen, Seen::Runner(note) if note.text == "not a stamp"));
    }
}
