//! Programs that a scenario runs, kubectl and commands on nodes. Every line of output is timestamped.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::recorder::Recorder;
use crate::evidence::{Clock, Output, Seen};

/// Time between SIGINT and SIGKILL.
const STOP_TIME: Duration = Duration::from_secs(5);
/// Bytes kept of each output stream.
const OUTPUT_LIMIT: usize = 256 * 1024;

/// How to run kubectl against a cluster.
#[derive(Debug, Clone)]
pub struct Kubectl {
    pub program: Utf8PathBuf,
    pub kubeconfig: Utf8PathBuf,
    /// The kubeconfig's current context if `None`.
    pub context: Option<String>,
    /// Discovery cache, shared by all calls of a run.
    pub cache: Utf8PathBuf,
    /// Set when the runner is root: what kubectl needs to run as an unprivileged user.
    pub ordinary: Option<OrdinaryUser>,
}

/// An unprivileged user, with copies of kubectl and of the kubeconfig that this user can read.
#[derive(Debug, Clone)]
pub struct OrdinaryUser {
    /// User and group ID.
    pub id: u32,
    pub program: Utf8PathBuf,
    pub kubeconfig: Utf8PathBuf,
    /// A directory that the user can write to.
    pub home: Utf8PathBuf,
}

impl Kubectl {
    /// Builds a kubectl command with kubeconfig, context, cache, namespace and `args`.
    pub fn command(&self, namespace: &str, args: &[String], ordinary_user: bool) -> Command {
        let ordinary = self.ordinary.as_ref().filter(|_| ordinary_user);
        let (program, kubeconfig) = match ordinary {
            Some(user) => (&user.program, &user.kubeconfig),
            None => (&self.program, &self.kubeconfig),
        };
        let mut command = Command::new(program);
        command
            .env_remove("KUBECONFIG")
            .arg("--kubeconfig")
            .arg(kubeconfig);
        if let Some(context) = &self.context {
            command.arg("--context").arg(context);
        }
        if let Some(user) = ordinary {
            command.uid(user.id).gid(user.id).env("HOME", &user.home);
            command.arg("--cache-dir").arg(user.home.join("cache"));
        } else {
            command.arg("--cache-dir").arg(&self.cache);
        }
        command.arg("--namespace").arg(namespace).args(args);
        command
    }
}

pub struct Program {
    pub command: Command,
    /// Kind of step: `kubectl` or `node`.
    pub step: &'static str,
    /// The command line as a user types it, recorded as `argv`.
    pub shown: Vec<String>,
    pub stdin: Option<String>,
}

/// Time of arrival, stream and text.
type Line = (Timestamp, &'static str, String);

pub struct Running {
    name: String,
    step: &'static str,
    argv: Vec<String>,
    begin: Timestamp,
    child: Child,
    readers: Vec<JoinHandle<Vec<Line>>>,
    recorder: Recorder,
}

impl Running {
    /// Starts a program. Its output is recorded under `name`.
    pub fn start(program: Program, name: &str, recorder: &Recorder) -> std::io::Result<Self> {
        let Program {
            mut command,
            step,
            shown,
            stdin,
        } = program;
        let begin = recorder.clock().now();
        let mut child = command
            .stdin(if stdin.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
            // A program that exits before it has read everything explains why in its own output.
            tokio::spawn(async move { pipe.write_all(text.as_bytes()).await });
        }
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(tokio::spawn(lines(
                stdout,
                "stdout",
                name.to_owned(),
                recorder.clone(),
            )));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(tokio::spawn(lines(
                stderr,
                "stderr",
                name.to_owned(),
                recorder.clone(),
            )));
        }
        Ok(Self {
            name: name.to_owned(),
            step,
            argv: shown,
            begin,
            child,
            readers,
            recorder: recorder.clone(),
        })
    }

    /// Waits until the program exits and records its output. Interrupts it after `cap` or on `stop`.
    pub async fn finish(mut self, cap: Duration, stop: &CancellationToken) {
        let ended = tokio::select! {
            status = self.child.wait() => Some(status),
            () = tokio::time::sleep(cap) => None,
            () = stop.cancelled() => None,
        };
        let stopped = ended.is_none();
        let status = match ended {
            Some(status) => status.ok(),
            None => self.interrupt().await,
        };
        let end = self.recorder.clock().now();
        let mut printed = Vec::new();
        for reader in &mut self.readers {
            printed.extend(reader.await.unwrap_or_default());
        }
        printed.sort_by_key(|(at, _, _)| *at);
        let text = |stream: &str| -> String {
            let mut text = String::new();
            for (_, _, line) in printed.iter().filter(|(_, from, _)| *from == stream) {
                text.push_str(line);
                text.push('\n');
            }
            text
        };
        let lines: Vec<Value> = printed
            .iter()
            .map(|(at, stream, text)| json!({"at": at, "stream": stream, "text": text}))
            .collect();
        // An interrupted program's exit code is the runner's doing.
        let exit_code = if stopped {
            None
        } else {
            status.and_then(|s| s.code())
        };
        let data = BTreeMap::from([
            ("argv".to_owned(), json!(self.argv)),
            ("exit_code".to_owned(), json!(exit_code)),
            ("stopped".to_owned(), json!(stopped)),
            ("stdout".to_owned(), json!(text("stdout"))),
            ("stderr".to_owned(), json!(text("stderr"))),
            ("lines".to_owned(), Value::Array(lines)),
        ]);
        let output = Output {
            name: self.name,
            step: self.step.to_owned(),
            begin: self.begin,
            end,
            data,
        };
        self.recorder
            .record(self.begin, Clock::Runner, Seen::Output(output));
    }

    async fn interrupt(&mut self) -> Option<std::process::ExitStatus> {
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            // Fails if the program has already exited, which the wait below finds out.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        if let Ok(status) = tokio::time::timeout(STOP_TIME, self.child.wait()).await {
            return status.ok();
        }
        // Nothing can be done about a program that survives SIGKILL.
        let _ = self.child.kill().await;
        None
    }
}

async fn lines(
    from: impl AsyncRead + Unpin,
    stream: &'static str,
    name: String,
    recorder: Recorder,
) -> Vec<Line> {
    let mut reader = BufReader::new(from);
    let (mut kept, mut size, mut buffer) = (Vec::new(), 0, Vec::new());
    // Invalid UTF-8 becomes replacement characters.
    while reader
        .read_until(b'\n', &mut buffer)
        .await
        .is_ok_and(|n| n > 0)
    {
        let line = String::from_utf8_lossy(&buffer)
            .trim_end_matches(['\n', '\r'])
            .to_owned();
        buffer.clear();
        size += line.len();
        if size <= OUTPUT_LIMIT {
            recorder.line(&name, &line);
            kept.push((recorder.clock().now(), stream, line));
        }
    }
    kept
}

/// Creates an [`OrdinaryUser`] with its copies in `folder`, which every user must be able to enter. `None`
/// if the runner is not root.
pub fn ordinary_user(
    program: &Utf8Path,
    kubeconfig: &Utf8Path,
    folder: &Utf8Path,
) -> std::io::Result<Option<OrdinaryUser>> {
    use std::os::unix::fs::{PermissionsExt, chown};
    // `nobody` on common Linux distributions.
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let copy = folder.join("kubectl");
    std::fs::copy(program, &copy)?;
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755))?;
    let config = folder.join("kubeconfig");
    std::fs::copy(kubeconfig, &config)?;
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600))?;
    chown(&config, Some(NOBODY), Some(NOBODY))?;
    let home = folder.join("home");
    std::fs::create_dir(&home)?;
    chown(&home, Some(NOBODY), Some(NOBODY))?;
    Ok(Some(OrdinaryUser {
        id: NOBODY,
        program: copy,
        kubeconfig: config,
        home,
    }))
}
