//! Docker, by its command.

use std::process::Command;

use camino::Utf8Path;

use super::command::{capture, feed, output};
use super::error::Result;

/// A docker command.
pub(crate) fn docker<const N: usize>(args: [&str; N]) -> Command {
    let mut command = Command::new("docker");
    command.args(args);
    command
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
        // Containers have labels, by which `hookproof clean` removes one that remains.
        let _ = output(&mut docker(["rm", "--force", "--volumes", &self.id]));
    }
}
