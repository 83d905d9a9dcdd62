//! A run as an Indexed Job in the cluster under test: each index runs a shard, and its pod waits until its results are
//! collected.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::pin::pin;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use futures::TryStreamExt as _;
use itertools::Itertools as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::observe::failure::Failure;

/// The results of a shard in its pod.
const RESULTS: &str = "/results";
/// Exit code of the run, when its results are complete.
const ENDED: &str = "/results/exit-code";
/// Ends the pod.
const COLLECTED: &str = "/results/collected";
const CONTAINER: &str = "runner";
/// The Job controller's annotation with the number of the pod's index.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Pods that nobody collects end after this.
const LIMIT: Duration = Duration::from_secs(6 * 60 * 60);
/// A shard's results are at most this large.
const MAX_BYTES: u64 = 4 << 30;

/// An Indexed Job.
pub(crate) struct Indexed<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// The pods' service account.
    pub(crate) account: &'a str,
    /// The runner image.
    pub(crate) image: &'a str,
    pub(crate) shards: usize,
    /// Scenarios that a shard runs in parallel.
    pub(crate) jobs: Option<usize>,
    /// Arguments of `hookproof run` without the shard and the results folder.
    pub(crate) args: Vec<String>,
}

impl Indexed<'_> {
    /// The manifest in JSON, which is also YAML.
    pub(crate) fn manifest(&self) -> String {
        // No argument has a NUL byte.
        let args = shlex::try_join(self.args.iter().map(String::as_str)).unwrap_or_default();
        let shards = self.shards;
        // The shards may share a node: together they run as many scenarios as one run does.
        let jobs = self.jobs.map_or_else(
            || format!("$((($(nproc) * 4 + {shards} - 1) / {shards}))"),
            |jobs| jobs.to_string(),
        );
        let script = format!(
            "hookproof run --in-cluster {args} --jobs {jobs} \
             --shard $((JOB_COMPLETION_INDEX + 1))/{shards} --out {RESULTS}/run &\n\
             run=$!\n\
             trap 'kill -TERM $run; wait $run; exit 143' TERM\n\
             wait $run\n\
             echo $? >{ENDED}\n\
             until [ -e {COLLECTED} ]; do sleep 1; done\n"
        );
        let restricted = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true});
        let manifest = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "completionMode": "Indexed", "completions": self.shards, "parallelism": self.shards,
                "backoffLimit": self.shards, "activeDeadlineSeconds": LIMIT.as_secs(), "ttlSecondsAfterFinished": 3600,
                "template": {"spec": {
                    "serviceAccountName": self.account, "restartPolicy": "Never",
                    // A run that is stopped removes its namespaces.
                    "terminationGracePeriodSeconds": 150,
                    "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000,
                        "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [{
                        "name": CONTAINER, "image": self.image, "imagePullPolicy": "IfNotPresent",
                        "command": ["sh", "-c", script], "securityContext": restricted,
                        "readinessProbe": {"exec": {"command": ["test", "-e", ENDED]}, "periodSeconds": 2},
                        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
                        "volumeMounts": [{"name": "results", "mountPath": RESULTS}, {"name": "tmp", "mountPath": "/tmp"}],
                    }],
                    "volumes": [{"name": "results", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
                }},
            },
        });
        serde_json::to_string_pretty(&manifest).unwrap_or_default()
    }
}

/// A Job whose results are collected.
pub(crate) struct Running {
    pub(crate) client: Client,
    /// kubectl with the options that select the cluster.
    pub(crate) kubectl: Vec<String>,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// A shard whose results were copied.
pub(crate) struct Shard {
    pod: String,
    /// Its results folder.
    pub(crate) folder: Utf8PathBuf,
}

impl Running {
    /// Waits for the shards and copies the results of each into a folder of its own. The pods keep them until
    /// [`Self::release`].
    pub(crate) async fn copy(
        &self,
        into: &Utf8Path,
        limit: Duration,
        say: impl Fn(String),
    ) -> Result<Vec<Shard>, Failure> {
        let Self {
            namespace, name, ..
        } = self;
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), namespace);
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let job = jobs.get_opt(name).await;
        let job = job.map_err(|error| format!("failed to get the Job: {error}"))?;
        let job = job.ok_or_else(|| {
            format!("no Job {name} in namespace {namespace}; `hookproof k8s-job` prints it")
        })?;
        let count = job.spec.and_then(|spec| spec.completions).unwrap_or(1);
        let count = usize::try_from(count).unwrap_or(1);
        say(format!("waiting for {count} shards"));
        let named = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let labelled = watcher::Config::default().labels(&format!("job-name={name}"));
        let mut jobs = pin!(watcher(jobs, named).default_backoff().applied_objects());
        let mut pods = pin!(watcher(pods, labelled).default_backoff().applied_objects());
        let mut copied: BTreeMap<usize, Shard> = BTreeMap::new();
        let deadline = tokio::time::Instant::now() + limit;
        while copied.len() < count {
            tokio::select! {
                job = jobs.try_next() => {
                    let job = watched(job, "watch the Job")?;
                    if let Some(why) = job.as_ref().and_then(failure) {
                        return Err(format!("the Job failed: {why}; `kubectl logs` shows what its pods printed").into());
                    }
                }
                pod = pods.try_next() => {
                    let Some(pod) = watched(pod, "watch the pods of the Job")? else {
                        continue;
                    };
                    let index = pod.annotations().get(INDEX).and_then(|index| index.parse().ok());
                    let Some(index) = index.filter(|index| *index < count && !copied.contains_key(index)) else {
                        continue;
                    };
                    let (name, shard) = (pod.name_any(), index + 1);
                    match state(&pod) {
                        State::Running => {}
                        State::Ended => {
                            let folder = self.copy_one(&name, into.join(shard.to_string())).await?;
                            copied.insert(index, Shard { pod: name, folder });
                            say(format!("shard {shard} copied: {} of {count}", copied.len()));
                        }
                        State::Collected => return Err(format!("shard {shard} was collected earlier").into()),
                    }
                }
                () = tokio::time::sleep_until(deadline) => {
                    let missing = (0..count).filter(|index| !copied.contains_key(index));
                    let missing = missing.map(|index| (index + 1).to_string()).join(", ");
                    return Err(format!("timed out: shards {missing} have not ended; raise --timeout").into());
                }
            }
        }
        Ok(copied.into_values().collect())
    }

    /// Lets the pods end.
    pub(crate) async fn release(&self, shards: &[Shard]) -> Result<(), Failure> {
        for shard in shards {
            let touch = self.exec(&shard.pod, &["touch", COLLECTED]);
            let output = tokio::process::Command::from(touch).output().await;
            let ended = output.and_then(|output| succeeded(&output));
            ended.map_err(|why| not_copied(&shard.pod, &why))?;
        }
        Ok(())
    }

    fn exec(&self, pod: &str, args: &[&str]) -> Command {
        let mut command = Command::new(&self.kubectl[0]);
        command
            .args(&self.kubectl[1..])
            .args(["exec", "--namespace", &self.namespace, pod])
            .args(["--container", CONTAINER, "--"])
            .args(args);
        command
    }

    /// Copies the results of a pod into a new folder. Returns the results folder in it.
    async fn copy_one(&self, pod: &str, into: Utf8PathBuf) -> Result<Utf8PathBuf, Failure> {
        let mut tar = self.exec(pod, &["tar", "-C", RESULTS, "-cf", "-", "."]);
        let copy = move || {
            let mut child = tar
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            if let Some(archive) = child.stdout.take() {
                unpack(archive, &into)?;
            }
            succeeded(&child.wait_with_output()?)?;
            Ok(into)
        };
        let copied = tokio::task::spawn_blocking(copy).await;
        let into = copied.map_err(io::Error::other).flatten();
        let into = into.map_err(|why| not_copied(pod, &why))?;
        let folder = into.join("run");
        if !folder.join("results.json").is_file() {
            let code = std::fs::read_to_string(into.join("exit-code")).unwrap_or_default();
            return Err(format!(
                "pod {pod} has no results: its run exited with code {}; `kubectl logs {pod}` shows why",
                code.trim()
            )
            .into());
        }
        Ok(folder)
    }
}

/// Unpacks the files and directories of a tar archive. Anything else, such as a link out of the folder, is left out.
fn unpack(archive: impl Read, into: &Utf8Path) -> io::Result<()> {
    std::fs::create_dir_all(into)?;
    let mut archive = tar::Archive::new(archive.take(MAX_BYTES));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if kind.is_file() || kind.is_dir() {
            entry.unpack_in(into)?;
        }
    }
    Ok(())
}

fn not_copied(pod: &str, why: &io::Error) -> String {
    format!("failed to copy the results of pod {pod}: {why}")
}

/// Fails with what kubectl printed.
fn succeeded(output: &Output) -> io::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(printed.trim().to_owned()))
}

/// An object from a watch; none if the watch was interrupted, which then resumes by itself.
fn watched<T>(seen: Result<Option<T>, watcher::Error>, doing: &str) -> Result<Option<T>, Failure> {
    seen.or_else(|error| match error {
        watcher::Error::InitialListFailed(source) => Err(Failure::to(doing)(source)),
        error => {
            tracing::warn!("{doing}: {error}");
            Ok(None)
        }
    })
}

/// Why the Job failed, if it did.
fn failure(job: &Job) -> Option<String> {
    let mut conditions = job.status.as_ref()?.conditions.iter().flatten();
    let failed = conditions.find(|at| at.type_ == "Failed" && at.status == "True")?;
    Some(failed.message.clone().unwrap_or_default())
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Running,
    /// The results are complete and wait.
    Ended,
    Collected,
}

fn state(pod: &Pod) -> State {
    let status = pod.status.clone().unwrap_or_default();
    let mut conditions = status.conditions.into_iter().flatten();
    match status.phase.as_deref() {
        Some("Succeeded") => State::Collected,
        _ if conditions.any(|at| at.type_ == "Ready" && at.status == "True") => State::Ended,
        _ => State::Running,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    #[test]
    fn manifest_of_three_shards() {
        let job = Indexed {
            namespace: "hookproof",
            name: "nightly",
            account: "hookproof",
            image: "example/runner:1",
            shards: 3,
            jobs: None,
            args: ["--label", "it's", "prestop"].map(str::to_owned).to_vec(),
        };
        insta::assert_snapshot!(job.manifest());
    }

    #[rstest]
    #[case(json!({"phase": "Pending"}), State::Running)]
    #[case(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}), State::Running)]
    #[case(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}), State::Ended)]
    #[case(json!({"phase": "Succeeded"}), State::Collected)]
    fn states_of_pods(#[case] status: Value, #[case] expected: State) {
        let pod =
            serde_json::from_value(json!({"metadata": {"name": "x"}, "status": status})).unwrap();
        assert_eq!(state(&pod), expected);
    }

    #[test]
    fn nothing_is_unpacked_outside_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive.append_link(&mut header, "run", "/").unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        header.as_old_mut().name[..7].copy_from_slice(b"../evil");
        header.set_cksum();
        archive.append(&header, &b"x"[..]).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, "run/results.json", &b"x"[..])
            .unwrap();
        unpack(&archive.into_inner().unwrap()[..], &dir.join("in")).unwrap();
        assert!(!dir.join("evil").exists());
        assert!(dir.join("in/run/results.json").is_file());
        assert!(!dir.join("in/run").is_symlink());
    }
}
