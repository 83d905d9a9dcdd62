//! Agent containers on the nodes' docker network but outside the cluster. They cannot reach the witness, so
//! the runner reads their stamps from standard error.

use std::net::IpAddr;
use std::process::Stdio;

use camino::Utf8PathBuf;
use hookproof_protocol::{Stamp, env};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_util::task::AbortOnDropHandle;

use super::failure::Failure;
use super::recorder::Recorder;
use super::scratch::has_exited;
use crate::cluster::command::{blocking, capture};
use crate::cluster::docker::{self, Container, docker, load_image};

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

/// A running container; removed on drop.
pub struct Host {
    /// The container's address on the nodes' network.
    pub address: IpAddr,
    container: Option<Container>,
    _reader: AbortOnDropHandle<()>,
}

impl Outside {
    /// Starts a container. Its stamps go to the recorder, with `name` as the pod name.
    pub async fn start(
        &self,
        name: &str,
        args: &[String],
        recorder: &Recorder,
    ) -> Result<Host, Failure> {
        let mut words = vec![
            format!("--network={}", self.network),
            format!("--label={LABEL}={}", std::process::id()),
            format!("--env={}={name}", env::POD),
            format!("--env={}=outside", env::CONTAINER),
            self.image.clone(),
        ];
        words.extend_from_slice(args);
        let outside = self.clone();
        let started = blocking(move || {
            load_image(&outside.image, &outside.archive)?;
            let container = Container::start(words.iter().map(String::as_str))?;
            let format = "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
            let mut inspect = docker(["inspect", format, &container.id]);
            let shown = capture("inspecting a container", &mut inspect)?;
            Ok((container, shown))
        });
        let (container, shown) = started
            .await
            .map_err(|e| format!("failed to run a container outside the cluster: {e}"))?;
        let address = shown
            .parse()
            .map_err(|_| format!("docker shows no address of the container {name}: `{shown}`"))?;
        let logs = Command::from(docker(["logs", "--follow", &container.id]))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("cannot read the output of the container {name}: {e}"))?;
        Ok(Host {
            address,
            container: Some(container),
            _reader: AbortOnDropHandle::new(tokio::spawn(follow(logs, recorder.clone()))),
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The removal takes a while, in which other scenarios go on.
        let container = self.container.take();
        std::thread::spawn(move || drop(container));
    }
}

/// Records what a command prints on standard error until it ends. The command lives as long as this future.
async fn follow(mut logs: Child, recorder: Recorder) {
    let Some(printed) = logs.stderr.take() else {
        return;
    };
    let mut lines = BufReader::new(printed).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        record(&line, &recorder);
    }
}

/// Records a line of the container's standard error: a stamp, or else a note.
fn record(line: &str, recorder: &Recorder) {
    // The witness numbers starts. A container outside the cluster starts once. The nodes are containers on the
    // same machine, so all have the same clock.
    let stamp = serde_json::from_str::<Stamp>(line).ok();
    if stamp.is_none_or(|stamp| recorder.stamp(stamp, 1).is_err()) {
        recorder.note("outside", line);
    }
}

/// Removes the containers of runs whose process has exited. Returns their number.
pub(crate) async fn clean() -> usize {
    let left = || {
        let format = format!("--format={{{{.ID}}}} {{{{.Label \"{LABEL}\"}}}}");
        let listed = docker::containers(LABEL, &["--all", &format])?;
        let left: Vec<_> = listed.iter().filter_map(|line| left_behind(line)).collect();
        docker::remove(&left)?;
        Ok(left.len())
    };
    // Without docker there are no containers to remove.
    blocking(left).await.unwrap_or_default()
}

/// The container of a line of container and process id, if the process has exited.
fn left_behind(line: &str) -> Option<String> {
    let (container, process) = line.split_once(' ')?;
    has_exited(process.parse().ok()?).then(|| container.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::evidence::Seen;
    use crate::observe::recorder::RunnerClock;

    #[tokio::test]
    async fn the_command_is_followed_until_it_ends() {
        let recorder = Recorder::new(RunnerClock::default());
        let logs = Command::new("sh")
            .args(["-c", "echo one >&2; sleep 0.2; echo two >&2"])
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        tokio::spawn(follow(logs, recorder.clone())).await.unwrap();
        assert_eq!(recorder.entries().len(), 2);
    }

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

    #[test]
    fn only_containers_of_exited_processes_are_removed() {
        // No process has this ID: it exceeds the kernel's maximum.
        assert_eq!(left_behind("b 4999999").as_deref(), Some("b"));
        assert_eq!(left_behind(&format!("a {}", std::process::id())), None);
        assert_eq!(left_behind("c"), None);
    }
}
