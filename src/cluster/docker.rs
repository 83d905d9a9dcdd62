//! Docker, by its command.

use std::process::Command;

use camino::Utf8Path;

use super::command::{capture, feed, output};
use super::error::{ClusterError, Result};

/// A docker command.
pub(crate) fn docker<const N: usize>(args: [&str; N]) -> Command {
    let mut command = Command::new("docker");
    command.args(args);
    command
}

/// The versions of docker's client and daemon, such as `28.2.2 20.10.24`.
pub(super) fn versions() -> Result<String> {
    let format = "--format={{.Client.Version}} {{.Server.Version}}";
    let output = output(&mut docker(["version", format]))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(unusable(&text(&output.stderr)))
}

/// Why docker cannot be used, from what it printed.
pub(super) fn unusable(complaint: &str) -> ClusterError {
    let (what, remedy) = if complaint.contains("permission denied") {
        (
            "permission denied on the docker socket",
            "sudo usermod -aG docker $USER, then log in again",
        )
    } else {
        (
            "the docker daemon does not respond",
            "start it with `./ci/setup` (or: sudo systemctl start docker)",
        )
    };
    ClusterError::missing(what, remedy)
}

/// The id of an image, if docker has it.
pub(crate) fn image_id(name: &str) -> Result<Option<String>> {
    let output = output(&mut docker([
        "image", "inspect", "--format", "{{.Id}}", name,
    ]))?;
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok((output.status.success() && !id.is_empty()).then_some(id))
}

/// Loads an image from its archive, unless docker has it.
pub(crate) fn load_image(name: &str, archive: &Utf8Path) -> Result<()> {
    if image_id(name)?.is_none() {
        feed(&format!("loading {name}"), &mut docker(["load"]), archive)?;
    }
    Ok(())
}

/// What `docker ps` prints about the containers with a label, one a line.
pub(crate) fn containers(label: &str, args: &[&str]) -> Result<Vec<String>> {
    let mut ps = docker(["ps", &format!("--filter=label={label}")]);
    let listed = capture("listing containers", ps.args(args))?;
    Ok(listed.lines().map(str::to_owned).collect())
}

pub(crate) fn remove(containers: &[String]) -> Result<()> {
    if containers.is_empty() {
        return Ok(());
    }
    let mut rm = docker(["rm", "--force", "--volumes"]);
    capture("removing containers", rm.args(containers)).map(drop)
}

/// A container, removed when dropped.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) id: String,
}

impl Container {
    /// Starts a container in the background. `args` are those of `docker run`.
    pub(crate) fn start<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut run = docker(["run", "--detach"]);
        let id = capture("starting a container", run.args(args))?;
        Ok(Self { id })
    }

    /// Creates a container of an image without starting it.
    pub(crate) fn create(image: &str) -> Result<Self> {
        let id = capture("creating a container", &mut docker(["create", image]))?;
        Ok(Self { id })
    }

    /// A command in the container, with standard input.
    pub(crate) fn exec(&self, args: &[&str]) -> Command {
        let mut command = docker(["exec", "-i", &self.id]);
        command.args(args);
        command
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // A container that remains has a label, by which `hookproof clean` finds it.
        let _ = remove(std::slice::from_ref(&self.id));
    }
}
