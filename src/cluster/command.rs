//! Runs other programs: short ones for their output, long ones with a log and progress reports.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use camino::Utf8Path;

use super::error::{ClusterError, Result};

/// Interval of progress reports.
const PULSE: Duration = Duration::from_secs(20);
/// Number of output lines of a failed command in an error.
const LINES_IN_ERRORS: usize = 6;

/// Progress of a long command.
#[derive(Debug, Clone)]
pub struct Pulse {
    pub lines: usize,
    /// The last line printed.
    pub last: String,
    pub running: Duration,
}

/// A long command whose output goes to a log.
pub struct Long<'a> {
    /// Description for errors, such as `building kubelet`.
    pub step: &'a str,
    /// Log file to append to.
    pub log: &'a Utf8Path,
    /// Timeout.
    pub limit: Option<Duration>,
}

#[derive(Default)]
struct Seen {
    lines: usize,
    tail: VecDeque<String>,
}

impl Long<'_> {
    /// Runs `command` to completion and calls `pulse` at intervals.
    ///
    /// # Errors
    /// Fails if the command does not start, fails, or times out.
    pub fn run(&self, command: &mut Command, pulse: &mut dyn FnMut(Pulse)) -> Result<()> {
        let began = Instant::now();
        let mut log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log)
            .map_err(ClusterError::file("cannot write the log", self.log))?;
        let shown = shown(command);
        writeln!(log, "$ {shown}").map_err(ClusterError::file("cannot write the log", self.log))?;
        let (reader, writer) = std::io::pipe().map_err(|error| self.failed(&error.to_string()))?;
        let other = writer
            .try_clone()
            .map_err(|error| self.failed(&error.to_string()))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(other)
            .spawn()
            .map_err(|error| not_started(command, &error))?;
        // Close the pipe's write end, which `command` still holds.
        command.stdout(Stdio::null()).stderr(Stdio::null());

        let seen = Arc::new(Mutex::new(Seen::default()));
        let (finished, ended) = channel();
        let collector = collect(reader, log, Arc::clone(&seen), finished);
        loop {
            let left = self
                .limit
                .map_or(PULSE, |limit| limit.saturating_sub(began.elapsed()));
            match ended.recv_timeout(left.min(PULSE)) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.limit.is_some_and(|limit| began.elapsed() >= limit) {
                // The process may have exited already.
                let _ = child.kill();
                let _ = child.wait();
                return Err(self.failed(&format!("timed out after {:?}", began.elapsed())));
            }
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            pulse(Pulse {
                lines: seen.lines,
                last: seen.tail.back().cloned().unwrap_or_default(),
                running: began.elapsed(),
            });
        }
        let status = child
            .wait()
            .map_err(|error| self.failed(&error.to_string()))?;
        // The collector fails only if the log is not writable; the exit status counts.
        let _ = collector.join();
        if status.success() {
            return Ok(());
        }
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let tail: Vec<_> = seen.tail.iter().cloned().collect();
        Err(self.failed(&reason(&tail.join("\n"), &status.to_string())))
    }

    fn failed(&self, reason: &str) -> ClusterError {
        ClusterError::Step {
            step: self.step.to_owned(),
            reason: reason.to_owned(),
            log: self.log.to_owned(),
        }
    }
}

fn collect(
    reader: PipeReader,
    mut log: File,
    seen: Arc<Mutex<Seen>>,
    finished: Sender<()>,
) -> thread::JoinHandle<std::io::Result<()>> {
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
            writeln!(log, "{line}")?;
            if line.is_empty() {
                continue;
            }
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.lines += 1;
            seen.tail.push_back(line);
            if seen.tail.len() > LINES_IN_ERRORS {
                seen.tail.pop_front();
            }
        }
        // The receiver is gone only after a timeout.
        let _ = finished.send(());
        Ok(())
    })
}

/// Runs a short command and returns its standard output.
///
/// # Errors
/// Fails if the command does not start or fails.
pub fn capture(step: &str, command: &mut Command) -> Result<String> {
    printed(step, &output(command)?)
}

/// Runs a short command and returns its output and exit status.
///
/// # Errors
/// Fails if the command does not start.
pub fn output(command: &mut Command) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| not_started(command, &error))
}

/// Runs a short command with a file as its standard input.
///
/// # Errors
/// Fails if the file is not readable, or the command does not start or fails.
pub fn feed(step: &str, command: &mut Command, path: &Utf8Path) -> Result<String> {
    let file = File::open(path).map_err(ClusterError::file("cannot read", path))?;
    let output = command
        .stdin(file)
        .output()
        .map_err(|error| not_started(command, &error))?;
    printed(step, &output)
}

/// Runs work that blocks on a thread of its own.
///
/// # Errors
/// Those of the work.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|error| {
        Err(ClusterError::Command {
            step: "a background task".to_owned(),
            reason: error.to_string(),
        })
    })
}

fn printed(step: &str, output: &Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned());
    }
    Err(ClusterError::Command {
        step: step.to_owned(),
        reason: reason(
            &String::from_utf8_lossy(&output.stderr),
            &output.status.to_string(),
        ),
    })
}

/// Finds a program on PATH or in the usual system folders.
#[must_use]
pub fn find(program: &str) -> Option<camino::Utf8PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain([
            "/usr/sbin".into(),
            "/sbin".into(),
            "/usr/local/go/bin".into(),
        ])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .and_then(|found| camino::Utf8PathBuf::from_path_buf(found).ok())
}

/// The last lines that a failed command printed, or its exit status if it printed nothing.
fn reason(printed: &str, status: &str) -> String {
    let lines: Vec<_> = printed
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() {
        return status.to_owned();
    }
    lines[lines.len().saturating_sub(LINES_IN_ERRORS)..].join("\n  ")
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

fn not_started(command: &Command, error: &std::io::Error) -> ClusterError {
    let program = command.get_program().to_string_lossy().into_owned();
    ClusterError::Missing {
        what: format!("failed to start {program}: {error}"),
        remedy: "check with `hookproof doctor`, install with `./ci/setup`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use camino::Utf8PathBuf;

    fn log() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("log")).unwrap();
        (folder, path)
    }

    #[test]
    fn step_error_names_step_reason_and_log() {
        let (_folder, path) = log();
        let long = Long {
            step: "making tea",
            log: &path,
            limit: None,
        };
        let mut command = Command::new("sh");
        command.args(["-c", "echo boiling; echo no water >&2; exit 3"]);
        let text = long.run(&mut command, &mut |_| {}).unwrap_err().to_string();
        assert!(text.starts_with("making tea failed: "), "{text}");
        assert!(text.contains("no water"), "{text}");
        assert!(text.contains(path.as_str()), "{text}");
        assert!(std::fs::read_to_string(&path).unwrap().contains("boiling"));
    }

    #[test]
    fn step_times_out() {
        let (_folder, path) = log();
        let limit = Some(Duration::from_millis(200));
        let long = Long {
            step: "waiting",
            log: &path,
            limit,
        };
        let text = long
            .run(Command::new("sleep").arg("60"), &mut |_| {})
            .unwrap_err()
            .to_string();
        assert!(text.contains("timed out"), "{text}");
    }

    #[test]
    fn error_names_missing_program() {
        let text = capture("x", &mut Command::new("no-such-program"))
            .unwrap_err()
            .to_string();
        assert!(text.contains("no-such-program"), "{text}");
        assert!(text.contains("doctor"), "{text}");
    }

    #[test]
    fn error_without_output_shows_exit_status() {
        let text = capture("looking", &mut Command::new("false"))
            .unwrap_err()
            .to_string();
        assert_eq!(text, "looking failed: exit status: 1");
    }
}
