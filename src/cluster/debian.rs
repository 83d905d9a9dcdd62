//! Image userlands, built from Debian packages by a script that runs as root.

use std::fs;
use std::process::Command;
use std::time::Instant;

use camino::Utf8PathBuf;

use super::cache::Cache;
use super::command::{answer, find, run_logged};
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
    /// Names and texts of the build script and of those that it calls. Its arguments are a working directory, the
    /// release and the packages.
    pub scripts: &'a [(&'a str, &'a str)],
    /// Packages in addition to Debian's minimal set.
    pub packages: &'a str,
    /// Archives that the script leaves in its working directory.
    pub archives: &'a [&'a str],
}

/// Builds a userland, unless it is cached. Returns the folder with its archives.
pub(super) fn build(cache: &Cache, recipe: &Recipe, reporter: &Reporter) -> Result<Utf8PathBuf> {
    let what = recipe.what;
    let folder = cache.root().join(&recipe.kept);
    let is_kept = |name: &&str| folder.join(name).exists();
    if recipe.archives.iter().all(is_kept) {
        return Ok(folder);
    }
    if find("debootstrap").is_none() {
        return Err(ClusterError::missing(
            format!("debootstrap is required to build the {what} from packages"),
            "install it with `./ci/setup` (or on Debian and Ubuntu: apt-get install debootstrap)",
        ));
    }
    if answer(&mut as_root("true")).ok().flatten().is_none() {
        return Err(ClusterError::missing(
            format!("debootstrap needs root to build the {what}, and sudo asks for a password"),
            "run this command once as root, or allow sudo without a password",
        ));
    }
    let began = Instant::now();
    reporter.say(format!(
        "{what}: installing Debian {SUITE} with debootstrap"
    ));
    let name = recipe.scripts[0].0;
    let log = cache.log(name)?;
    let (_removed_later, scratch) = cache.scratch()?;
    // The debootstrap folder belongs to root and the script removes it. After an interruption it
    // remains until the cache is cleaned.
    let work = scratch.join("work");
    fs::create_dir_all(&work).map_err(ClusterError::file("cannot create", &work))?;
    for (name, text) in recipe.scripts {
        write_atomic(&scratch.join(name), text.as_bytes())?;
    }
    let mut command = as_root("sh");
    command.args([&scratch.join(name), &work]);
    command.args([SUITE, recipe.packages]);
    let step = format!("building the {what}");
    run_logged(&step, &log, None, &mut command, |lines, elapsed| {
        reporter.say(format!("{what}: {}, {elapsed}", installed(lines)));
    })?;
    for name in recipe.archives {
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
