//! Image userlands, built from Debian packages by a script that runs as root.

use std::fs;
use std::process::Command;

use camino::Utf8PathBuf;

use super::cache::{Cache, write};
use super::command::{Long, find, output};
use super::error::{ClusterError, Result};
use super::progress::{Reporter, short};

/// Debian release.
pub(super) const SUITE: &str = "bookworm";

#[derive(Debug)]
pub(super) struct Recipe<'a> {
    /// Name for messages.
    pub what: &'a str,
    /// Cache folder of the archives; contains the recipe's digest.
    pub kept: String,
    /// Name and text of the build script. Its arguments are a working directory, the release and the packages.
    pub script: (&'a str, &'a str),
    /// Scripts that the build script calls.
    pub helpers: &'a [(&'a str, &'a str)],
    /// Packages in addition to Debian's minimal set.
    pub packages: &'a str,
    /// Archives that the script leaves in its working directory.
    pub archives: &'a [&'a str],
}

/// Builds a userland, unless it is cached. Returns the folder with its archives.
pub(super) fn build(
    cache: &Cache,
    recipe: &Recipe<'_>,
    reporter: &mut Reporter<'_>,
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
                what: format!("debootstrap is required to build the {what} from packages"),
                remedy: "install it with `./ci/setup` (or on Debian and Ubuntu: apt-get install debootstrap)"
                    .into(),
        });
    }
    if !can_be_root() {
        return Err(ClusterError::Missing {
            what: format!(
                "debootstrap needs root to build the {what}, and sudo asks for a password"
            ),
            remedy: "run this command once as root, or allow sudo without a password".into(),
        });
    }
    let began = std::time::Instant::now();
    reporter.say(format!(
        "{what}: installing Debian {SUITE} with debootstrap"
    ));
    let log = cache.log(name)?;
    let scratch = cache.scratch()?;
    let scratch = Utf8PathBuf::from_path_buf(scratch.path().to_owned()).map_err(|path| {
        ClusterError::Refused(format!(
            "the cache path is not valid UTF-8: {}",
            path.display()
        ))
    })?;
    // The debootstrap folder belongs to root and the script removes it. After an interruption it
    // remains until the cache is cleaned.
    let work = scratch.join("work");
    fs::create_dir_all(&work).map_err(ClusterError::file("cannot create", &work))?;
    for (name, text) in helpers.iter().chain([&(*name, *text)]) {
        write(&scratch.join(name), text.as_bytes())?;
    }
    let mut command = as_root("sh");
    command.args([scratch.join(name).as_str(), work.as_str(), SUITE, packages]);
    Long {
        step: &format!("building the {what}"),
        log: &log,
        limit: None,
    }
    .run(&mut command, &mut |pulse| {
        reporter.say(format!(
            "{what}: {} ({} elapsed)",
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
    reporter.say(format!("{what}: built in {}", short(began.elapsed())));
    Ok(folder)
}

/// Whether [`as_root`] works.
fn can_be_root() -> bool {
    let mut sudo = Command::new("sudo");
    rustix::process::geteuid().is_root()
        || output(sudo.args(["-n", "true"])).is_ok_and(|output| output.status.success())
}

fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}
