//! Builds the agent as a small static binary, which `src/cluster/agent_image.rs` embeds.
//!
//! A nested cargo builds it, because the agent has its own profile and flags. All profiles of the
//! harness share the nested target directory.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Profile in Cargo.toml.
const PROFILE: &str = "agent";

fn main() -> ExitCode {
    // Suites and manifests are embedded too, so a new file there requires a rebuild.
    for path in [
        "suites",
        "manifests",
        "agent/src",
        "agent/Cargo.toml",
        "protocol/src",
        "protocol/Cargo.toml",
        "Cargo.toml",
        "Cargo.lock",
        "build.rs",
    ] {
        println!("cargo::rerun-if-changed={path}");
    }
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Cargo shows the stderr of a build script that fails.
            eprintln!("failed to build the agent: {message}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let variable = |name| env::var(name).map_err(|_| format!("{name} is not set by cargo"));
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    // The agent runs on nodes of the same architecture as this program.
    let target = variable("TARGET")?;
    // A sibling of the profile directory, four levels above `OUT_DIR` (`build/<package>/out`).
    let above = out.ancestors().nth(4);
    let above = above.ok_or_else(|| format!("no target directory above {}", out.display()))?;
    let target_dir = above.join("agent-build");

    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(&root)
        .args(["build", "--package", "hookproof-agent"])
        .args(["--profile", PROFILE, "--color", "never"])
        // With an explicit target, the flags do not apply to procedural macros, which cannot be static.
        .args(["--target", &target])
        .arg("--target-dir")
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        // Set by clippy or a coverage tool in the outer cargo; they must not affect the agent.
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
    let output = cargo
        .output()
        .map_err(|error| format!("failed to start cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "{}\n{}\ncommand: {cargo:?}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    replace(
        &target_dir.join(target).join(PROFILE).join("agent"),
        &out.join("agent"),
    )
}

/// Replaces the file atomically, since a compiler may be reading it.
fn replace(built: &Path, target: &Path) -> Result<(), String> {
    let temporary = target.with_extension("draft");
    fs::copy(built, &temporary)
        .and_then(|_| fs::rename(&temporary, target))
        .map_err(|error| format!("cannot copy {}: {error}", built.display()))
}
