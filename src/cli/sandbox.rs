//! `hookproof sandbox`: runs kubectl with access to nothing but its folders and the API server's port.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use camino::Utf8PathBuf;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, NetPort, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, path_beneath_rules,
};

use super::exit::{Exit, Failure};

/// Files and folders that programs read to find hosts, time zones and libraries.
const SYSTEM: [&str; 13] = [
    "/dev/urandom",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/lib",
    "/lib64",
    "/proc/sys/net/core/somaxconn",
    "/run/systemd/resolve/stub-resolv.conf",
    "/sys/kernel/mm/transparent_hugepage",
    "/usr/lib",
    "/usr/share/zoneinfo",
];

/// The programs that load dynamic libraries.
const LOADERS: [&str; 4] = [
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-musl-aarch64.so.1",
    "/lib/ld-musl-x86_64.so.1",
    "/lib64/ld-linux-x86-64.so.2",
];

/// Run a program with access to its folders and one port only; runs call this for kubectl
#[derive(Debug, clap::Args)]
pub(super) struct SandboxArgs {
    /// TCP port that it may connect to
    #[arg(long)]
    port: u16,
    /// Folder that it may read and write
    #[arg(long, value_name = "DIR")]
    write: Vec<Utf8PathBuf>,
    /// User and group that it runs as
    #[arg(long)]
    uid: Option<u32>,
    /// Program and arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

pub(super) fn sandbox(args: &SandboxArgs) -> Result<Exit, Failure> {
    let [program, rest @ ..] = args.command.as_slice() else {
        return Err(Failure::usage("no program"));
    };
    restrict(args, program).map_err(|error| {
        Failure::infrastructure(format!("failed to restrict {program}: {error}"))
    })?;
    let mut command = Command::new(program);
    if let Some(uid) = args.uid {
        command.uid(uid).gid(uid);
    }
    let error = command.args(rest).exec();
    Err(Failure::infrastructure(format!(
        "failed to start {program}: {error}"
    )))
}

/// Restricts this process as far as the kernel supports it: files since Linux 5.13, ports since 6.7.
fn restrict(args: &SandboxArgs, program: &str) -> Result<(), RulesetError> {
    let abi = ABI::V5;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let execute: BitFlags<AccessFs> = AccessFs::Execute | AccessFs::ReadFile;
    let device = AccessFs::ReadFile | AccessFs::WriteFile;
    Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::ConnectTcp)?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, read))?
        .add_rules(path_beneath_rules([program], execute))?
        .add_rules(path_beneath_rules(LOADERS, execute))?
        .add_rules(path_beneath_rules(["/dev/null"], device))?
        .add_rules(path_beneath_rules(&args.write, AccessFs::from_all(abi)))?
        .add_rule(NetPort::new(args.port, AccessNet::ConnectTcp))?
        .restrict_self()
        .map(drop)
}
