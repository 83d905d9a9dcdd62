//! The agent image as a plain container, without Kubernetes: `cargo test --features e2e --test agent_image`.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testcontainers::core::WaitFor;
use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt};

/// Saves the agent image with the command line, loads it into docker and returns its name.
fn load() -> Result<String> {
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/agent-image.tar");
    let saved = Command::new(env!("CARGO_BIN_EXE_hookproof"))
        .args(["agent-image", "--save", file])
        .output()?;
    ensure!(saved.status.success(), "agent-image failed: {saved:?}");
    let loaded = Command::new("docker")
        .args(["load", "--input", file])
        .output()?;
    ensure!(loaded.status.success(), "docker load failed: {loaded:?}");
    Ok(String::from_utf8(saved.stdout)?.trim().to_owned())
}

#[tokio::test]
async fn without_a_witness_stamps_go_to_standard_error() -> Result<()> {
    let image = load()?;
    let (name, tag) = image.rsplit_once(':').context("the image has no tag")?;
    let container = GenericImage::new(name, tag)
        .with_wait_for(WaitFor::message_on_stderr(r#""stamp":"listening""#))
        .with_cmd(["agent", "receiver", "serve=8080", "wait"])
        .with_env_var("HOOKPROOF_POD", "elsewhere")
        .with_env_var("HOOKPROOF_CONTAINER", "outside")
        .start()
        .await?;
    container.stop().await?;
    let printed = String::from_utf8(container.stderr_to_vec().await?)?;
    let stamps: Vec<Value> = printed
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .with_context(|| format!("not only stamps: {printed}"))?;
    let names: Vec<_> = stamps.iter().map(|stamp| &stamp["stamp"]).collect();
    assert_eq!(names, ["begun", "listening", "signal", "ended"]);
    for (seq, stamp) in (1..).zip(&stamps) {
        assert_eq!(stamp["seq"], seq, "{stamp}");
        assert_eq!(stamp["pod"], "elsewhere", "{stamp}");
        assert_eq!(stamp["role"], "receiver", "{stamp}");
    }
    Ok(())
}
