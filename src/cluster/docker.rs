//! Docker, by its command.

use std::ffi::OsStr;
use std::process::Command;

use camino::Utf8Path;

use super::command::{answer, capture, feed, output};
use super::error::{ClusterError, Result};

pub(crate) fn docker<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("docker");
    command.args(args);
    command
}

/// Runs a short docker command and returns its standard output.
pub(super) fn run<S: AsRef<OsStr>>(
    step: &str,
    args: impl IntoIterator<Item = S>,
) -> Result<String> {
    capture(step, &mut docker(args))
}

/// The versions of docker's client and daemon, such as `28.2.2 20.10.24`.
pub(super) fn versions() -> Result<String> {
    let format = "--format={{.Client.Version}} {{.Server.Version}}";
    let output = output(&mut docker(["version", format]))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(unusable(&String::from_utf8_lossy(&output.stderr)))
}

/// Why docker cannot be used, from what it printed.
pub(super) fn unusable(complaint: &str) -> ClusterError {
    if complaint.contains("permission denied") {
        return ClusterError::missing(
            "permission denied on the docker socket",
            "sudo usermod -aG docker $USER, then log in again",
        );
    }
    ClusterError::missing(
        "the docker daemon does not respond",
        "start it with `./ci/setup` (or: sudo systemctl start docker)",
    )
}

/// The id of an image, if docker has it.
pub(super) fn image_id(name: &str) -> Result<Option<String>> {
    let id = answer(&mut docker([
        "image", "inspect", "--format", "{{.Id}}", name,
    ]))?;
    Ok(id.filter(|id| !id.is_empty()))
}

/// Loads an image from its archive, unless docker has it.
pub(crate) fn load_image(name: &str, archive: &Utf8Path) -> Result<()> {
    match image_id(name)? {
        Some(_) => Ok(()),
        None => feed(&format!("loading {name}"), &mut docker(["load"]), archive),
    }
}

/// What `docker ps` prints about the containers with a label, one a line.
pub(crate) fn containers(label: &str, args: &[&str]) -> Result<Vec<String>> {
    let filter = format!("--filter=label={label}");
    let ps = ["ps", &filter].into_iter().chain(args.iter().copied());
    let listed = run("listing containers", ps)?;
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
        let args = ["run", "--detach"].into_iter().chain(args);
        let id = run("starting a container", args)?;
        Ok(Self { id })
    }

    /// Creates a container of an image without starting it.
    pub(super) fn create(image: &str) -> Result<Self> {
        let id = run("creating a container", ["create", image])?;
        Ok(Self { id })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // A container that remains has a label, by which `hookproof clean` finds it.
        let _ = remove(std::slice::from_ref(&self.id));
    }
}
