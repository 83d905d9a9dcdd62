//! The command line as a user meets it.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use rstest::rstest;

fn hookproof(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookproof"));
    command.args(args).stderr(Stdio::piped());
    command
}

/// The exit code of a Rust program that panicked.
const PANIC: i32 = 101;

#[rstest]
fn a_closed_pipe_is_not_a_panic(
    #[values(&["lint", "--schema"], &["list"], &["node-image", "versions"])] args: &[&str],
) -> anyhow::Result<()> {
    let mut child = hookproof(args).stdout(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    assert_ne!(child.wait()?.code(), Some(PANIC));
    Ok(())
}

#[rstest]
fn a_full_disk_is_not_a_panic(
    #[values(&["lint", "--schema"], &["lint"], &["list"])] args: &[&str],
) -> anyhow::Result<()> {
    let full = OpenOptions::new().write(true).open("/dev/full")?;
    assert_ne!(hookproof(args).stdout(full).status()?.code(), Some(PANIC));
    Ok(())
}
