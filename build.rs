//! Builds the agent, static and small, for `src/cluster/agent_image.rs` to embed.
//!
//! A cargo of its own does it, because the agent's profile and flags are not those of the harness.
//! Its target directory lies beside the profiles' directories, so they share one build.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Profile of that name in Cargo.toml.
const PROFILE: &str = "agent";

fn main() -> ExitCode {
    // The suites and manifests are carried in the binary too: a new file there means building again.
    for path in ["suites", "manifests"] {
        println!("cargo::rerun-if-changed={path}");
    }
    for path in ["agent/src", "agent/Cargo.toml", "Cargo.toml", "Cargo.lock", "build.rs"] {
        println!("cargo::rerun-if-changed={path}");
    }
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Cargo shows the stderr of a build script that fails.
            eprintln!("the agent could not be built: {message}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    // The agent runs on the nodes, which are containers on this machine.
    let target = variable("HOST")?;
    let target_dir = target_dir(&out)?;

    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(&root)
        .args(["build", "--package", "hookproof-agent", "--profile", PROFILE, "--color", "never"])
        // An explicit target keeps the flags away from procedural macros, which cannot be static.
        .args(["--target", &target])
        .arg("--target-dir")
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        // Set when clippy or a coverage tool drives the outer cargo; the agent is only built.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("CLIPPY_ARGS");
    if root.join("Cargo.lock").exists() {
        cargo.arg("--locked");
    }
    if env::var("CARGO_NET_OFFLINE").is_ok_and(|offline| offline == "true" || offline == "1") {
        cargo.arg("--offline");
    }
    let output = cargo.output().map_err(|error| format!("cargo did not start: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "{}\n{}\ntry: {cargo:?}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let built = target_dir.join(&target).join(PROFILE).join("agent");
    replace(&built, &out.join("agent"))
}

/// Beside the directory of the profile, whose `build/<package>/out` the script writes to.
fn target_dir(out: &Path) -> Result<PathBuf, String> {
    out.ancestors()
        .nth(4)
        .map(|dir| dir.join("agent-build"))
        .ok_or_else(|| format!("no target directory above {}", out.display()))
}

/// By way of a rename, so that a compiler that reads the old file meanwhile reads a whole one.
fn replace(built: &Path, place: &Path) -> Result<(), String> {
    let draft = place.with_extension("draft");
    fs::copy(built, &draft)
        .and_then(|_| fs::rename(&draft, place))
        .map_err(|error| format!("{} could not be put in place: {error}", built.display()))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("cargo did not set {name}"))
}
