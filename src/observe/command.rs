//! Programs that a scenario runs, kubectl and commands on nodes. Every line of output is timestamped.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use kube::config::AuthInfo;
use kube::{Client, Config};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt as _, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::recorder::Recorder;
use super::scratch::utf8;

/// Time between SIGINT and SIGKILL.
const STOP_TIME: Duration = Duration::from_secs(5);
/// Bytes kept of each output stream.
const OUTPUT_LIMIT: usize = 256 * 1024;

/// How to run kubectl against a cluster.
#[derive(Debug, Clone)]
pub struct Kubectl {
    pub program: Utf8PathBuf,
    pub server: Server,
    /// The run's temporary folder, which every user can enter.
    pub folder: Utf8PathBuf,
    /// Whether it can run as an unprivileged user: the runner is root.
    pub ordinary: bool,
    /// The hookproof that runs kubectl in a sandbox; `None` in tests.
    pub sandbox: Option<Utf8PathBuf>,
}

/// User and group ID of `nobody` on common Linux distributions, the unprivileged user.
const NOBODY: u32 = 65534;
/// A copy of kubectl that the unprivileged user can run.
const COPY: &str = "kubectl";
/// Discovery caches, shared by all calls of a run.
const CACHE: &str = "kubectl-cache";
const ORDINARY_CACHE: &str = "ordinary-cache";

/// How to reach an API server, without credentials.
#[derive(Debug, Clone)]
pub struct Server(Config);

impl Server {
    pub(crate) fn of(config: &Config) -> Self {
        let mut config = config.clone();
        config.auth_info = AuthInfo::default();
        Self(config)
    }

    /// A client whose only credential is a token.
    pub(super) fn client(&self, token: &str) -> Result<Client, kube::Error> {
        let mut config = self.0.clone();
        config.auth_info.token = Some(token.to_owned().into());
        Client::try_from(config)
    }

    /// The TCP port of the server, or of the proxy to it.
    fn port(&self) -> u16 {
        let target = self.0.proxy_url.as_ref().unwrap_or(&self.0.cluster_url);
        let usual = match target.scheme_str() {
            Some("http") => 80,
            _ => 443,
        };
        target.port_u16().unwrap_or(usual)
    }

    /// A kubeconfig with nothing but this server and a token.
    fn kubeconfig(&self, token: &str, namespace: &str) -> String {
        let config = &self.0;
        let url = config.cluster_url.to_string();
        let mut cluster = json!({"server": url.trim_end_matches('/')});
        if config.accept_invalid_certs {
            cluster["insecure-skip-tls-verify"] = json!(true);
        } else if let Some(certificates) = &config.root_cert {
            let pem = certificates.iter().map(|der| {
                let text = BASE64.encode(der);
                format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
            });
            cluster["certificate-authority-data"] = json!(BASE64.encode(pem.collect::<String>()));
        }
        if let Some(name) = &config.tls_server_name {
            cluster["tls-server-name"] = json!(name);
        }
        if let Some(proxy) = &config.proxy_url {
            cluster["proxy-url"] = json!(proxy.to_string());
        }
        let context = json!({"cluster": "cluster", "user": "scenario", "namespace": namespace});
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "scenario",
            "clusters": [{"name": "cluster", "cluster": cluster}],
            "contexts": [{"name": "scenario", "context": context}],
            "users": [{"name": "scenario", "user": {"token": token}}],
        })
        .to_string()
    }
}

/// A scenario's folder for kubectl: its home and working directory, with a kubeconfig. Removed on drop.
#[derive(Debug)]
pub struct Workplace {
    pub(super) path: Utf8PathBuf,
    namespace: String,
    _folder: tempfile::TempDir,
}

/// The part of a workplace that belongs to the ordinary user.
const ORDINARY: &str = "ordinary";
const KUBECONFIG: &str = "kubeconfig";

impl Kubectl {
    /// Prepares the temporary folder of a run.
    pub fn new(program: Utf8PathBuf, server: Server, folder: &Utf8Path) -> std::io::Result<Self> {
        let ordinary = rustix::process::geteuid().is_root();
        if ordinary {
            let copy = folder.join(COPY);
            fs::copy(&program, &copy)?;
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
            let cache = folder.join(ORDINARY_CACHE);
            fs::create_dir(&cache)?;
            chown(&cache, Some(NOBODY), Some(NOBODY))?;
        }
        fs::create_dir(folder.join(CACHE))?;
        Ok(Self {
            program,
            server,
            folder: folder.to_owned(),
            ordinary,
            sandbox: Some(utf8(&std::env::current_exe()?)?),
        })
    }

    /// Creates a folder for a scenario in the run's temporary folder.
    pub fn workplace(&self, namespace: &str, token: &str) -> std::io::Result<Workplace> {
        let folder = tempfile::Builder::new()
            .prefix("scenario-")
            .tempdir_in(&self.folder)?;
        let path = utf8(folder.path())?;
        let write = |path: Utf8PathBuf| {
            let options = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path);
            options?.write_all(self.server.kubeconfig(token, namespace).as_bytes())
        };
        write(path.join(KUBECONFIG))?;
        if self.ordinary {
            // Others may pass through the folder, but not list it.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o711))?;
            let own = path.join(ORDINARY);
            fs::DirBuilder::new().mode(0o700).create(&own)?;
            write(own.join(KUBECONFIG))?;
            for path in [own.join(KUBECONFIG), own] {
                chown(path, Some(NOBODY), Some(NOBODY))?;
            }
        }
        Ok(Workplace {
            path,
            namespace: namespace.to_owned(),
            _folder: folder,
        })
    }

    /// Builds a kubectl command with the scenario's kubeconfig, namespace and `args`. It gets no environment but its
    /// home, and runs in a sandbox.
    pub fn command(&self, at: &Workplace, args: &[String], ordinary_user: bool) -> Command {
        let ordinary = self.ordinary && ordinary_user;
        let in_folder = |name| self.folder.join(name);
        let (program, home, cache) = if ordinary {
            (
                in_folder(COPY),
                at.path.join(ORDINARY),
                in_folder(ORDINARY_CACHE),
            )
        } else {
            (self.program.clone(), at.path.clone(), in_folder(CACHE))
        };
        let mut command = Command::new(self.sandbox.as_ref().unwrap_or(&program));
        if self.sandbox.is_some() {
            command.args(["sandbox", "--port", &self.server.port().to_string()]);
            command.args(["--write", home.as_str(), "--write", cache.as_str()]);
            if ordinary {
                command.args(["--uid", &NOBODY.to_string()]);
            }
            command.args(["--", program.as_str()]);
        }
        command
            .env_clear()
            .env("HOME", &home)
            .env("TMPDIR", &home)
            .current_dir(&home)
            .args(["--kubeconfig", home.join(KUBECONFIG).as_str()])
            .args(["--cache-dir", cache.as_str()])
            .args(["--namespace", &at.namespace])
            .args(args);
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

/// A line of output, as evidence has it.
#[derive(serde::Serialize)]
struct Line {
    /// Time of arrival.
    at: Timestamp,
    stream: &'static str,
    text: String,
}

pub struct Running {
    program: Program,
    name: String,
    begin: Timestamp,
    child: Child,
    readers: [JoinHandle<Vec<Line>>; 2],
    recorder: Recorder,
}

impl Running {
    /// Starts a program. Its output is recorded under `name`.
    pub fn start(mut program: Program, name: &str, recorder: &Recorder) -> std::io::Result<Self> {
        let begin = recorder.now();
        let stdin = program.stdin.take();
        let mut child = program
            .command
            .stdin(stdin.as_ref().map_or_else(Stdio::null, |_| Stdio::piped()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
            // A program that exits before it has read everything explains why in its own output.
            tokio::spawn(async move { pipe.write_all(text.as_bytes()).await });
        }
        let to = || (name.to_owned(), recorder.clone());
        let readers = [
            tokio::spawn(lines(child.stdout.take(), "stdout", to())),
            tokio::spawn(lines(child.stderr.take(), "stderr", to())),
        ];
        Ok(Self {
            program,
            name: name.to_owned(),
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
        if ended.is_none() {
            self.interrupt().await;
        }
        let end = self.recorder.now();
        let mut printed = Vec::new();
        for reader in &mut self.readers {
            printed.extend(reader.await.unwrap_or_default());
        }
        printed.sort_by_key(|line| line.at);
        let text = |stream: &str| -> String {
            let lines = printed.iter().filter(|line| line.stream == stream);
            lines.flat_map(|line| [&line.text, "\n"]).collect()
        };
        let data = json!({
            "argv": self.program.shown,
            // An interrupted program's exit code is the runner's doing.
            "exit_code": ended.as_ref().and_then(|status| status.as_ref().ok()?.code()),
            "stopped": ended.is_none(),
            "stdout": text("stdout"),
            "stderr": text("stderr"),
            "lines": printed,
        });
        let Self { name, begin, .. } = &self;
        self.recorder
            .output(name, self.program.step, *begin, end, data);
    }

    async fn interrupt(&mut self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = id.and_then(Pid::from_raw) {
            // Fails if the program has already exited, which the wait below finds out.
            let _ = kill_process(pid, Signal::INT);
        }
        let exited = tokio::time::timeout(STOP_TIME, self.child.wait()).await;
        if exited.is_err() {
            // Nothing can be done about a program that survives SIGKILL.
            let _ = self.child.kill().await;
        }
    }
}

async fn lines(
    from: Option<impl AsyncRead + Unpin>,
    stream: &'static str,
    (name, recorder): (String, Recorder),
) -> Vec<Line> {
    let (mut kept, mut size, mut buffer) = (Vec::new(), 0, Vec::new());
    let Some(from) = from else { return kept };
    let mut reader = BufReader::new(from);
    // Invalid UTF-8 becomes replacement characters.
    // A line may never end.
    while (&mut reader)
        .take(OUTPUT_LIMIT as u64)
        .read_until(b'\n', &mut buffer)
        .await
        .is_ok_and(|n| n > 0)
    {
        let text = String::from_utf8_lossy(&buffer);
        let text = text.trim_end_matches(['\n', '\r']).to_owned();
        buffer.clear();
        size += text.len();
        if size <= OUTPUT_LIMIT {
            recorder.line(&name, &text);
            let at = recorder.now();
            kept.push(Line { at, stream, text });
        }
    }
    kept
}
