//! Image userlands, built from Debian packages by a script that runs as root.

use std::fs;
use std::process::Command;

use camino::Utf8PathBuf;

use super::cache::Cache;
use super::command::{Long, find, output};
use super::error::{ClusterError, Result};
use super::progress::{Reporter, percent, short};
use crate::file::{rename, write_atomic};

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
        return Err(ClusterError::missing(
            format!("debootstrap is required to build the {what} from packages"),
            "install it with `./ci/setup` (or on Debian and Ubuntu: apt-get install debootstrap)",
        ));
    }
    if !can_be_root() {
        return Err(ClusterError::missing(
            format!("debootstrap needs root to build the {what}, and sudo asks for a password"),
            "run this command once as root, or allow sudo without a password",
        ));
    }
    let began = std::time::Instant::now();
    reporter.say(format!(
        "{what}: installing Debian {SUITE} with debootstrap"
    ));
    let log = cache.log(name)?;
    let (_removed_later, scratch) = cache.scratch()?;
    // The debootstrap folder belongs to root and the script removes it. After an interruption it
    // remains until the cache is cleaned.
    let work = scratch.join("work");
    fs::create_dir_all(&work).map_err(ClusterError::file("cannot create", &work))?;
    for (name, text) in helpers.iter().chain([&(*name, *text)]) {
        write_atomic(&scratch.join(name), text.as_bytes())?;
    }
    let mut command = as_root("sh");
    command.args([scratch.join(name).as_str(), work.as_str(), SUITE, packages]);
    let step = &format!("building the {what}");
    Long::new(step, &log).run(&mut command, &mut |pulse| {
        let share = installed(pulse.lines);
        reporter.say(format!("{what}: {share}, {}", short(pulse.elapsed)));
    })?;
    let folder = cache.folder(kept)?;
    for name in *archives {
        rename(&work.join(name), &folder.join(name))?;
    }
    reporter.say(format!("{what}: built in {}", short(began.elapsed())));
    Ok(folder)
}

/// How far debootstrap is, from the lines that it printed.
fn installed(lines: &[String]) -> String {
    let count = |verb: &str, words: usize| {
        let lines = lines.iter().map(|line| line.split(' '));
        lines
            .filter(|line| line.clone().nth(1) == Some(verb) && line.clone().count() == words)
            .count()
    };
    // Indexes of packages have no version, and headings have more words.
    let (retrieved, unpacked) = (count("Retrieving", 4), count("Unpacking", 3));
    let configured = count("Configuring", 3);
    if unpacked == 0 {
        return format!("{retrieved} packages downloaded");
    }
    let share = percent(unpacked + configured, 2 * retrieved);
    format!("{configured} of {retrieved} packages installed, {share} %")
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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("I: Retrieving Packages", "0 packages downloaded")]
    #[case(
        "I: Retrieving adduser 3.134|I: Validating adduser 3.134",
        "1 packages downloaded"
    )]
    #[case(
        "I: Retrieving adduser 3.134|I: Retrieving dash 0.5|I: Unpacking required packages...|\
         I: Unpacking adduser...|I: Unpacking dash...|I: Configuring dash...",
        "1 of 2 packages installed, 75 %"
    )]
    fn progress_counts_packages(#[case] printed: &str, #[case] shown: &str) {
        let lines: Vec<_> = printed.split('|').map(str::to_owned).collect();
        assert_eq!(installed(&lines), shown);
    }
}
