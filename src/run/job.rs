//! A run as an Indexed Job in the cluster under test: each index runs a shard, and its pod waits until its results are
//! collected.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::json;

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
const POLL: Duration = Duration::from_secs(2);

/// An Indexed Job.
pub(crate) struct Indexed<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// The pods' service account.
    pub(crate) account: &'a str,
    /// The runner image.
    pub(crate) image: &'a str,
    pub(crate) shards: usize,
    /// Arguments of `hookproof run` without the shard and the results folder.
    pub(crate) args: Vec<String>,
}

impl Indexed<'_> {
    /// The manifest in JSON, which is also YAML.
    pub(crate) fn manifest(&self) -> String {
        let words = self.args.iter().map(String::as_str);
        // No argument has a NUL byte.
        let args = shlex::try_join(words).unwrap_or_default();
        let script = format!(
            "hookproof run --in-cluster {args} --shard $((JOB_COMPLETION_INDEX + 1))/{shards} --out {RESULTS}/run &\n\
             run=$!\n\
             trap 'kill -TERM $run; wait $run; exit 143' TERM\n\
             wait $run\n\
             echo $? >{ENDED}\n\
             until [ -e {COLLECTED} ]; do sleep 1; done\n",
            shards = self.shards,
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

#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    #[error("failed to {doing}: {source}")]
    Api {
        doing: String,
        source: Box<kube::Error>,
    },
    #[error("no Job {name} in namespace {namespace}; `hookproof k8s-job` prints it")]
    NoJob { namespace: String, name: String },
    #[error("the Job failed: {0}; `kubectl logs` shows what its pods printed")]
    Failed(String),
    #[error("shard {0} was collected earlier")]
    Earlier(usize),
    #[error("timed out: shards {0} have not ended; raise --timeout")]
    TimedOut(String),
    #[error("failed to copy the results of pod {pod}: {why}")]
    Copy { pod: String, why: String },
    #[error(
        "pod {pod} has no results: its run exited with code {code}; `kubectl logs {pod}` shows why"
    )]
    NoResults { pod: String, code: String },
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
    ) -> Result<Vec<Shard>, CollectError> {
        let count = self.count().await?;
        let mut copied: BTreeMap<usize, Shard> = BTreeMap::new();
        let deadline = tokio::time::Instant::now() + limit;
        let mut shown = usize::MAX;
        while copied.len() < count {
            let pods = self.pods().await?;
            for (index, pod) in pods {
                if copied.contains_key(&index) || index >= count {
                    continue;
                }
                match state(&pod) {
                    State::Running => {}
                    State::Ended => {
                        let pod = pod.name_any();
                        let folder = self
                            .copy_one(&pod, into.join((index + 1).to_string()))
                            .await?;
                        say(format!("shard {}/{count}: copied", index + 1));
                        copied.insert(index, Shard { pod, folder });
                    }
                    State::Collected => return Err(CollectError::Earlier(index + 1)),
                }
            }
            if copied.len() == count {
                break;
            }
            if shown != copied.len() {
                shown = copied.len();
                say(format!("{shown} of {count} shards have ended; waiting"));
            }
            if tokio::time::Instant::now() >= deadline {
                let missing = (0..count).filter(|index| !copied.contains_key(index));
                let missing: Vec<String> = missing.map(|index| (index + 1).to_string()).collect();
                return Err(CollectError::TimedOut(missing.join(", ")));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(copied.into_values().collect())
    }

    /// Lets the pods end.
    pub(crate) async fn release(&self, shards: &[Shard]) -> Result<(), CollectError> {
        for shard in shards {
            let touch = self.exec(&shard.pod, &["touch", COLLECTED]);
            let output = tokio::process::Command::from(touch).output().await;
            let output = output.map_err(|error| failed(&shard.pod, &error))?;
            if !output.status.success() {
                return Err(failed(
                    &shard.pod,
                    &String::from_utf8_lossy(&output.stderr).trim(),
                ));
            }
        }
        Ok(())
    }

    /// The number of shards.
    async fn count(&self) -> Result<usize, CollectError> {
        let spec = self.job().await?.spec.unwrap_or_default();
        Ok(usize::try_from(spec.completions.unwrap_or(1)).unwrap_or(1))
    }

    async fn job(&self) -> Result<Job, CollectError> {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &self.namespace);
        let job = jobs.get_opt(&self.name).await.map_err(api("get the Job"))?;
        job.ok_or_else(|| CollectError::NoJob {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        })
    }

    /// The newest pod of each index, unless the Job has failed.
    async fn pods(&self) -> Result<BTreeMap<usize, Pod>, CollectError> {
        let conditions = self
            .job()
            .await?
            .status
            .and_then(|status| status.conditions);
        let mut conditions = conditions.into_iter().flatten();
        if let Some(failed) = conditions.find(|c| c.type_ == "Failed" && c.status == "True") {
            return Err(CollectError::Failed(failed.message.unwrap_or_default()));
        }
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let labels = ListParams::default().labels(&format!("job-name={}", self.name));
        let mut found = pods
            .list(&labels)
            .await
            .map_err(api("list the pods of the Job"))?
            .items;
        found.sort_by_key(|pod| pod.creation_timestamp().map(|time| time.0));
        let indexed = found.into_iter().filter_map(|pod| {
            let index = pod.annotations().get(INDEX)?.parse().ok()?;
            Some((index, pod))
        });
        Ok(indexed.collect())
    }

    fn exec(&self, pod: &str, args: &[&str]) -> Command {
        let mut command = Command::new(&self.kubectl[0]);
        command
            .args(&self.kubectl[1..])
            .args([
                "exec",
                "--namespace",
                &self.namespace,
                pod,
                "--container",
                CONTAINER,
                "--",
            ])
            .args(args);
        command
    }

    /// Copies the results of a pod into a new folder. Returns the results folder in it.
    async fn copy_one(&self, pod: &str, into: Utf8PathBuf) -> Result<Utf8PathBuf, CollectError> {
        let mut tar = self.exec(pod, &["tar", "-C", RESULTS, "-cf", "-", "."]);
        let name = pod.to_owned();
        let copy = move || {
            let mut child = tar
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            if let Some(archive) = child.stdout.take() {
                unpack(archive, &into)?;
            }
            let output = child.wait_with_output()?;
            if !output.status.success() {
                return Err(io::Error::other(
                    String::from_utf8_lossy(&output.stderr).trim().to_owned(),
                ));
            }
            Ok(into)
        };
        let copied = tokio::task::spawn_blocking(copy)
            .await
            .map_err(io::Error::other);
        let into = copied.flatten().map_err(|error| failed(&name, &error))?;
        let folder = into.join("run");
        if !folder.join("results.json").is_file() {
            let code = std::fs::read_to_string(into.join("exit-code")).unwrap_or_default();
            return Err(CollectError::NoResults {
                pod: name,
                code: code.trim().to_owned(),
            });
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

fn failed(pod: &str, why: &dyn std::fmt::Display) -> CollectError {
    CollectError::Copy {
        pod: pod.to_owned(),
        why: why.to_string(),
    }
}

fn api(doing: &str) -> impl FnOnce(kube::Error) -> CollectError {
    let doing = doing.to_owned();
    |source| CollectError::Api {
        doing,
        source: Box::new(source),
    }
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
    let ready =
        conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
    match status.phase.as_deref() {
        Some("Succeeded") => State::Collected,
        _ if ready => State::Ended,
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
