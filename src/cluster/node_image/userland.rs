//! The Debian userland of a node.

use std::fs;
use std::process::Command;

use camino::Utf8PathBuf;

use super::recipe::{BUILD_USERLAND, PACKAGES, PREPARE_ROOTFS, SUITE, userland_digest};
use crate::cluster::cache::{Cache, write};
use crate::cluster::command::{Long, find};
use crate::cluster::error::{ClusterError, Result};
use crate::cluster::progress::{Teller, short};

/// Archives of the userlands.
pub(super) struct Userland {
    /// A node's.
    pub node: Utf8PathBuf,
    /// kube-proxy's: iptables and what belongs to it.
    pub proxy: Utf8PathBuf,
}

/// Builds it, if it is not there yet.
pub(super) fn userland(cache: &Cache, teller: &mut Teller) -> Result<Userland> {
    let kept = format!("userland/{SUITE}-{}", userland_digest());
    let folder = cache.root().join(&kept);
    let done = Userland {
        node: folder.join("node.tar"),
        proxy: folder.join("proxy.tar"),
    };
    if done.node.exists() && done.proxy.exists() {
        return Ok(done);
    }
    if find("debootstrap").is_none() {
        return Err(ClusterError::Missing {
            what: "debootstrap is needed to build a node image from packages".into(),
            remedy: "`./ci/setup` installs it (on Debian or Ubuntu: apt-get install debootstrap)"
                .into(),
        });
    }
    let began = std::time::Instant::now();
    teller.say(format!(
        "userland: installing Debian {SUITE} by debootstrap"
    ));
    let log = cache.log("build-userland")?;
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
    write(&scratch.join("prepare-rootfs"), PREPARE_ROOTFS.as_bytes())?;
    let script = scratch.join("build-userland");
    write(&script, BUILD_USERLAND.as_bytes())?;
    let mut command = as_root("sh");
    command.args([script.as_str(), work.as_str(), SUITE, PACKAGES]);
    Long {
        step: "building the node's userland",
        log: &log,
        limit: None,
    }
    .run(&mut command, &mut |pulse| {
        teller.say(format!(
            "userland: {} (for {})",
            pulse.last,
            short(pulse.running)
        ));
    })?;
    let folder = cache.folder(&kept)?;
    for name in ["proxy.tar", "node.tar"] {
        let target = folder.join(name);
        fs::rename(work.join(name), &target)
            .map_err(ClusterError::file("cannot write", &target))?;
    }
    teller.say(format!("userland: done in {}", short(began.elapsed())));
    Ok(done)
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
