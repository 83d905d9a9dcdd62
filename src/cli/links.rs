//! The options `--base-url` and `--world-readable`.

use crate::file::share;

/// Where the results folder is published, and who may read it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Links {
    /// URL at which the results folder is published, for links in summary.md and annotated documents
    #[arg(long, value_name = "URL", env = "HOOKPROOF_BASE_URL", value_parser = base_url)]
    base_url: Option<String>,
    /// Let other users read the files that are written; by default only their owner may
    #[arg(long)]
    world_readable: bool,
}

impl Links {
    /// Applies `--world-readable` to everything that is written from now on.
    pub(super) fn apply(&self) {
        if self.world_readable {
            share();
        }
    }

    /// Ends with a slash.
    pub(super) fn base_url(&self) -> Option<&str> {
        self.base_url.as_deref()
    }

    /// The URL, or the folder of the file with the link.
    pub(super) fn base(&self) -> &str {
        self.base_url().unwrap_or("./")
    }
}

fn base_url(text: &str) -> Result<String, String> {
    let web = text.starts_with("https://") || text.starts_with("http://");
    let safe = |c: char| c.is_ascii_graphic() && !"()<>\"'`\\?#".contains(c);
    if web && text.chars().all(safe) {
        Ok(format!("{}/", text.trim_end_matches('/')))
    } else {
        Err("expected the URL of a folder, for example https://ci.example/results".to_owned())
    }
}
