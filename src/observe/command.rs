//! Programs that a scenario runs: the real kubectl and commands on nodes, with every line stamped.

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

use super::evidence::{Clock, Output, Seen};
use super::recorder::Recorder;

/// How long a program gets to end by itself after it was asked to.
const STOP_TIME: Duration = Duration::from_secs(5);
/// What one program may print before the rest is cut.
const OUTPUT_LIMIT: usize = 256 * 1024;

/// How to run kubectl against a cluster.
#[derive(Debug, Clone)]
pub struct Kubectl {
    /// The program.
    pub program: Utf8PathBuf,
    /// Its kubeconfig.
    pub kubeconfig: Utf8PathBuf,
    /// The context; the kubeconfig's current one where none.
    pub context: Option<String>,
    /// Where it caches what the server can do, shared by all calls of a run.
    pub cache: Utf8PathBuf,
    /// Program and kubeconfig that a user without privileges can read, and that user's id; where
    /// the runner itself has no privileges, none is needed.
    pub ordinary: Option<OrdinaryUser>,
}

/// What kubectl needs to run as somebody else.
#[derive(Debug, Clone)]
pub struct OrdinaryUser {
    /// User and group id.
    pub id: u32,
    /// A copy of the program in a place that user can reach.
    pub program: Utf8PathBuf,
    /// A copy of the kubeconfig that belongs to that user.
    pub kubeconfig: Utf8PathBuf,
    /// A folder that user can write to.
    pub home: Utf8PathBuf,
}

impl Kubectl {
    /// A command with everything but its own arguments.
    #[must_use]
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

/// A program to be run.
pub struct Program {
    /// It and its arguments.
    pub command: Command,
    /// Kind of step.
    pub step: &'static str,
    /// The command as people would type it.
    pub shown: Vec<String>,
    /// What it reads on standard input.
    pub stdin: Option<String>,
}

/// When a line came, on which stream, and the line.
type Line = (Timestamp, &'static str, String);

/// A program under way.
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
    /// Starts a program whose output will be kept under `name`.
    ///
    /// # Errors
    /// When it cannot be started.
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
            // A program that ends without reading it all has said why in its own output.
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

    /// Waits for its end, or for the cap or the wish to stop, and writes its output down.
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
        // A program that the runner ended has no exit code of its own.
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
            // It may have ended meanwhile; the wait below tells.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        if let Ok(status) = tokio::time::timeout(STOP_TIME, self.child.wait()).await {
            return status.ok();
        }
        // Nothing more can be done about a program that cannot be killed.
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
    // What is no UTF-8 is shown with replacement characters rather than dropped.
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

/// Makes the copies that [`OrdinaryUser`] needs, in a folder that everybody may enter. None where
/// the runner has no privileges to give up.
///
/// # Errors
/// When the files cannot be copied.
pub fn ordinary_user(
    program: &Utf8Path,
    kubeconfig: &Utf8Path,
    folder: &Utf8Path,
) -> std::io::Result<Option<OrdinaryUser>> {
    use std::os::unix::fs::{PermissionsExt, chown};
    // `nobody` on every Linux distribution we know of.
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
