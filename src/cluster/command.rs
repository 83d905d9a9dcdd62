//! Running other programs: quick ones for their output, long ones with a log and a pulse.

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

/// How often a long command is reported on.
const PULSE: Duration = Duration::from_secs(20);
/// Lines of a failed command that an error repeats.
const LINES_IN_ERRORS: usize = 6;

/// How far a long command is.
#[derive(Debug, Clone)]
pub struct Pulse {
    /// Lines printed so far.
    pub lines: usize,
    /// The last of them.
    pub last: String,
    /// How long it has been running.
    pub running: Duration,
}

/// A long command: its output goes to a log.
pub struct Long<'a> {
    /// What it does, for errors.
    pub step: &'a str,
    /// Where its output goes (appended).
    pub log: &'a Utf8Path,
    /// When it is given up.
    pub limit: Option<Duration>,
}

#[derive(Default)]
struct Seen {
    lines: usize,
    tail: VecDeque<String>,
}

impl Long<'_> {
    /// Runs `command` to its end, calling `pulse` every now and then.
    ///
    /// # Errors
    /// The command could not be started, failed, or took longer than allowed.
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
        // The command value keeps the pipe's other end open.
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
                // Its end is reported below; that it is already gone does not matter.
                let _ = child.kill();
                let _ = child.wait();
                return Err(self.failed(&format!("it took longer than {:?}", began.elapsed())));
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
        // The collector only fails where the log cannot be written; the command's end counts.
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
        // Nobody listens any more only when the command was given up.
        let _ = finished.send(());
        Ok(())
    })
}

/// Runs a quick command and gives back what it printed.
///
/// # Errors
/// It could not be started or failed.
pub fn capture(step: &str, command: &mut Command) -> Result<String> {
    printed(step, &output(command)?)
}

/// Runs a quick command, whatever its end.
///
/// # Errors
/// It could not be started.
pub fn output(command: &mut Command) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| not_started(command, &error))
}

/// Feeds a file to a command's standard input.
///
/// # Errors
/// It could not be started or failed, or the file could not be read.
pub fn feed(step: &str, command: &mut Command, path: &Utf8Path) -> Result<String> {
    let file = File::open(path).map_err(ClusterError::file("cannot read", path))?;
    let output = command
        .stdin(file)
        .output()
        .map_err(|error| not_started(command, &error))?;
    printed(step, &output)
}

/// What a command printed, if it succeeded.
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

/// Where a program is on PATH.
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

/// The end of what a failed command printed, or its exit status if it printed nothing.
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
        what: format!("{program} could not be started: {error}"),
        remedy: "`hookproof doctor` says what is missing; `./ci/setup` installs it".to_owned(),
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
    fn a_failed_step_names_itself_the_reason_and_the_log() {
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
    fn a_step_that_takes_too_long_is_given_up() {
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
        assert!(text.contains("took longer"), "{text}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let text = capture("x", &mut Command::new("no-such-program"))
            .unwrap_err()
            .to_string();
        assert!(text.contains("no-such-program"), "{text}");
        assert!(text.contains("doctor"), "{text}");
    }

    #[test]
    fn silence_is_explained_by_the_exit_status() {
        let text = capture("looking", &mut Command::new("false"))
            .unwrap_err()
            .to_string();
        assert_eq!(text, "looking failed: exit status: 1");
    }
}
