//! Userlands of images, built from Debian's packages by a script that runs as root.

use std::fs;
use std::process::Command;

use camino::Utf8PathBuf;

use super::cache::{Cache, write};
use super::command::{Long, find, output};
use super::error::{ClusterError, Result};
use super::progress::{Teller, short};

/// Debian's release.
pub(super) const SUITE: &str = "bookworm";

/// How a userland is made.
#[derive(Debug)]
pub(super) struct Recipe<'a> {
    /// Whose it is, in words.
    pub what: &'a str,
    /// Folder below the cache in which the archives are kept; it names the recipe.
    pub kept: String,
    /// The script's name and text. It is given a folder to work in, the release and the packages.
    pub script: (&'a str, &'a str),
    /// What the script calls, beside it.
    pub helpers: &'a [(&'a str, &'a str)],
    /// Packages beside Debian's minimum.
    pub packages: &'a str,
    /// The archives that it leaves in its folder; the last one is written last.
    pub archives: &'a [&'a str],
}

/// Builds a userland, if it is not there yet; gives back the folder with its archives.
pub(super) fn build(
    cache: &Cache,
    recipe: &Recipe<'_>,
    teller: &mut Teller<'_>,
) -> Result<Utf8PathBuf> {
    let Recipe {
        what,
        kept,
        script: (name, text),
        helpers,
        packages,
        archives,
    } = recipe;
    let folder = cache.root().join(kept);
    if archives.iter().all(|name| folder.join(name).exists()) {
        return Ok(folder);
    }
    if find("debootstrap").is_none() {
        return Err(ClusterError::Missing {
            what: format!("debootstrap is needed to build {what} from packages"),
            remedy: "`./ci/setup` installs it (on Debian or Ubuntu: apt-get install debootstrap)"
                .into(),
        });
    }
    if !can_be_root() {
        return Err(ClusterError::Missing {
            what: format!("debootstrap needs root to build {what}, and sudo asks for a password"),
            remedy: "Run it once as root, or allow sudo without a password".into(),
        });
    }
    let began = std::time::Instant::now();
    teller.say(format!("{what}: installing Debian {SUITE} by debootstrap"));
    let log = cache.log(name)?;
    let scratch = cache.scratch()?;
    let scratch = Utf8PathBuf::from_path_buf(scratch.path().to_owned()).map_err(|path| {
        ClusterError::Refused(format!(
            "the cache's path is no plain text: {}",
            path.display()
        ))
    })?;
    // Debootstrap's folder belongs to root and is removed by the script itself; what an
    // interruption leaves goes with the next clean of the cache.
    let work = scratch.join("work");
    fs::create_dir_all(&work).map_err(ClusterError::file("cannot make the folder", &work))?;
    for (name, text) in helpers.iter().chain([&(*name, *text)]) {
        write(&scratch.join(name), text.as_bytes())?;
    }
    let mut command = as_root("sh");
    command.args([scratch.join(name).as_str(), work.as_str(), SUITE, packages]);
    Long {
        step: &format!("building {what}"),
        log: &log,
        limit: None,
    }
    .run(&mut command, &mut |pulse| {
        teller.say(format!(
            "{what}: {} (for {})",
            pulse.last,
            short(pulse.running)
        ));
    })?;
    let folder = cache.folder(kept)?;
    for name in *archives {
        let target = folder.join(name);
        fs::rename(work.join(name), &target)
            .map_err(ClusterError::file("cannot write", &target))?;
    }
    teller.say(format!("{what}: done in {}", short(began.elapsed())));
    Ok(folder)
}

/// Whether [`as_root`] will work.
fn can_be_root() -> bool {
    let mut sudo = Command::new("sudo");
    rustix::process::geteuid().is_root()
        || output(sudo.args(["-n", "true"])).is_ok_and(|output| output.status.success())
}

/// A command that is run as root.
fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}
