//! `hookproof completions` and `hookproof man`.

use camino::Utf8PathBuf;
use clap_complete::Shell;

use super::{Exit, Failure, command, print};

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn completions(args: &CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "hookproof", &mut script);
    print::page(&String::from_utf8_lossy(&script));
    Exit::AsExpected
}

/// Print the man page, or write one for each command
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Folder for the pages
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
}

pub(super) fn man(args: &ManArgs) -> Result<Exit, Failure> {
    let Some(folder) = &args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command())
            .render(&mut page)
            .map_err(Failure::infrastructure)?;
        print::page(&String::from_utf8_lossy(&page));
        return Ok(Exit::AsExpected);
    };
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command(), folder))
        .map_err(|e| Failure::usage(format!("failed to write man pages to {folder}: {e}")))?;
    line!("wrote man pages to {folder}");
    Ok(Exit::AsExpected)
}
