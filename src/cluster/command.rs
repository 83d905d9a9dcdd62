//! Runs other programs: short ones for their output, long ones with a log and progress reports.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use itertools::Itertools as _;

use super::error::{ClusterError, Result};
use super::progress::short;

/// Interval of progress reports.
const PULSE: Duration = Duration::from_secs(20);
/// Number of output lines of a failed command in an error.
const LINES_IN_ERRORS: usize = 6;

/// Runs a long command, whose output is appended to a log. Calls `on_pulse` at intervals with the lines printed so far
/// and the elapsed time. Returns the lines, without empty ones. `step` is for errors, such as `building kubelet`.
pub(crate) fn run_logged(
    step: &str,
    log: &Utf8Path,
    limit: Option<Duration>,
    command: &mut Command,
    on_pulse: impl Fn(&[String], &str),
) -> Result<Vec<String>> {
    let failed = |reason: String| ClusterError::failed(step, reason).with_log(log);
    let failed_io = |error: io::Error| failed(error.to_string());
    let began = Instant::now();
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .and_then(|mut file| writeln!(file, "$ {}", shown(command)).map(|()| file))
        .map_err(ClusterError::file("cannot write the log", log))?;
    let (reader, writer) = io::pipe().map_err(failed_io)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().map_err(failed_io)?)
        .stderr(writer)
        .spawn()
        .map_err(|error| not_started(command, &error))?;
    // Close the pipe's write end, which `command` still holds.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let (sender, printed) = channel();
    thread::spawn(move || {
        let lines = BufReader::new(reader).split(b'\n');
        for line in lines.map_while(io::Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            // The receiver is gone only after a timeout.
            let _ = sender.send(line);
        }
    });
    let deadline = limit.map(|limit| began + limit);
    let (mut lines, mut next) = (Vec::new(), began + PULSE);
    loop {
        let until = deadline.map_or(next, |deadline| deadline.min(next));
        match printed.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                // The exit status counts, not whether the log is complete.
                let _ = writeln!(file, "{line}");
                if !line.is_empty() {
                    lines.push(line);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = Instant::now();
        let elapsed = || short(began.elapsed());
        if deadline.is_some_and(|deadline| now >= deadline) {
            // The process may have exited already.
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed(format!("timed out after {}", elapsed())));
        }
        if now >= next {
            on_pulse(&lines, &elapsed());
            next += PULSE;
        }
    }
    let status = child.wait().map_err(failed_io)?;
    if status.success() {
        return Ok(lines);
    }
    Err(failed(reason(&lines.join("\n"), &status.to_string())))
}

/// The last of a long command's lines and the elapsed time.
pub(crate) fn last(lines: &[String], elapsed: &str) -> String {
    let last = lines.last().map_or("", String::as_str);
    format!("{last} ({elapsed} elapsed)")
}

/// Runs a short command and returns its standard output.
pub(crate) fn capture(step: &str, command: &mut Command) -> Result<String> {
    printed(step, &output(command)?)
}

/// Runs a short command and returns its standard output; `None` if it exits with an error.
pub(crate) fn answer(command: &mut Command) -> Result<Option<String>> {
    Ok(printed("", &output(command)?).ok())
}

/// Runs a short command and returns its output and exit status.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    output_with(command, Stdio::null())
}

/// Runs a short command with a file as its standard input.
pub(crate) fn feed(step: &str, command: &mut Command, path: &Utf8Path) -> Result<()> {
    let file = File::open(path).map_err(ClusterError::file("cannot read", path))?;
    printed(step, &output_with(command, file.into())?).map(drop)
}

fn output_with(command: &mut Command, input: Stdio) -> Result<Output> {
    let output = command.stdin(input).output();
    output.map_err(|error| not_started(command, &error))
}

fn printed(step: &str, output: &Output) -> Result<String> {
    if output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        return Ok(text.trim_end().to_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let reason = reason(&complaint, &output.status.to_string());
    Err(ClusterError::failed(step, reason))
}

/// Runs work that blocks on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(ClusterError::failed("a background task", error)))
}

/// Finds a program on PATH or in the usual system folders.
pub(crate) fn find(program: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var_os("PATH")?;
    let usual = ["/usr/sbin", "/sbin", "/usr/local/go/bin"].map(Into::into);
    let mut files = std::env::split_paths(&path)
        .chain(usual)
        .map(|folder| folder.join(program))
        .filter(|file| file.is_file());
    Utf8PathBuf::from_path_buf(files.next()?).ok()
}

/// The last lines that a failed command printed, or its exit status if it printed nothing.
pub(super) fn reason(printed: &str, status: &str) -> String {
    let lines = printed.lines().map(str::trim_end);
    let lines = lines.filter(|line| !line.is_empty()).collect_vec();
    if lines.is_empty() {
        return status.to_owned();
    }
    lines[lines.len().saturating_sub(LINES_IN_ERRORS)..].join("\n  ")
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).join(" ")
}

fn not_started(command: &Command, error: &io::Error) -> ClusterError {
    let program = command.get_program().to_string_lossy();
    ClusterError::missing(
        format!("failed to start {program}: {error}"),
        "check with `hookproof doctor`, install with `./ci/setup`",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fixture::folder;

    #[test]
    fn step_error_names_step_reason_and_log() {
        let (_keep, folder) = folder();
        let path = folder.join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo boiling; echo no water >&2; exit 3"]);
        let text = run_logged("making tea", &path, None, &mut command, |_, _| {})
            .unwrap_err()
            .to_string();
        assert!(text.starts_with("making tea failed: "), "{text}");
        assert!(text.contains("no water"), "{text}");
        assert!(text.contains(path.as_str()), "{text}");
        assert!(std::fs::read_to_string(&path).unwrap().contains("boiling"));
    }

    #[test]
    fn step_times_out() {
        let (_keep, folder) = folder();
        let path = folder.join("log");
        let limit = Some(Duration::from_millis(200));
        let mut command = Command::new("sleep");
        let error = run_logged("waiting", &path, limit, command.arg("60"), |_, _| {});
        let text = error.unwrap_err().to_string();
        assert!(text.contains("timed out"), "{text}");
    }

    #[test]
    fn error_names_missing_program() {
        let error = capture("x", &mut Command::new("no-such-program"));
        let text = error.unwrap_err().to_string();
        assert!(text.contains("no-such-program"), "{text}");
        assert!(text.contains("doctor"), "{text}");
    }

    #[test]
    fn error_without_output_shows_exit_status() {
        let error = capture("looking", &mut Command::new("false")).unwrap_err();
        assert_eq!(error.to_string(), "looking failed: exit status: 1");
    }
}
