//! `hookproof init`: a project with an example.

use camino::Utf8PathBuf;

use crate::project::FILE;

use super::exit::{Exit, Failure};
use super::new;

const QUOTE: &str = "is not Running while the hook runs";

/// Create a project: hookproof.toml, an example of a suite and a document, and a CI workflow
#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    /// Folder of the project
    #[arg(value_name = "DIR", default_value = ".")]
    folder: Utf8PathBuf,
}

/// Writes nothing if a file exists.
pub(super) fn init(InitArgs { folder }: &InitArgs) -> Result<Exit, Failure> {
    let [manifest, suite, _] = new::filled("example", "example.not-running-during-hook");
    let cites = format!("cites: {{document: example.md, quote: {QUOTE}}}");
    let suite = suite.replace(new::CITES, &cites).replace(
        new::EXPECT,
        "# The known verdict: a run fails if the cluster shows another one.\n    expect: confirmed",
    );
    let files = [
        (FILE, include_str!("hookproof.toml").to_owned()),
        (
            "documents/example.md",
            include_str!("example.md").to_owned(),
        ),
        ("suites/example.yaml", suite),
        ("manifests/example.yaml", manifest),
        (
            ".github/workflows/hookproof.yml",
            include_str!("workflow.yml").to_owned(),
        ),
    ];
    let files = files.map(|(name, text)| {
        let path = folder.join(name);
        (path.strip_prefix(".").unwrap_or(&path).to_owned(), text)
    });
    new::write_all(&files, "choose another folder")?;
    for (path, _) in files {
        line!("wrote {path}");
    }
    if folder != "." {
        line!("next: cd {folder}");
    }
    line!("next: hookproof lint, then on a cluster: hookproof run && hookproof annotate");
    Ok(Exit::AsExpected)
}
