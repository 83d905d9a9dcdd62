//! Projects, and the selection of suites and claims.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use crate::catalogue::citations::{self, Documents};
use crate::catalogue::finding::Finding;
use crate::catalogue::load::{self, Findings, Loaded, Source};
use crate::catalogue::model::{Catalogue, Citation, Place, Scenario};
use crate::catalogue::select;
use crate::document::Document;
use crate::file::{limit, read_text, stays_inside};
use crate::observe::rbac::Rules;
use crate::project::Project;

use super::exit::Failure;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ProjectArgs {
    /// Project file [default: hookproof.toml here or in the nearest folder above]
    #[arg(long, value_name = "FILE")]
    config: Option<Utf8PathBuf>,
}

impl ProjectArgs {
    pub(super) fn project(&self) -> Result<Project, Failure> {
        match &self.config {
            Some(path) => Project::read(path),
            None => Project::find(),
        }
        .map_err(Failure::usage)
    }
}

/// The results folders given, or that of the project.
pub(super) fn results_of(
    given: &[Utf8PathBuf],
    project: &Project,
) -> Result<Vec<Utf8PathBuf>, Failure> {
    match given {
        [] if project.exists => Ok(vec![project.results.clone()]),
        [] => Err(Failure::usage("name a results folder")),
        _ => Ok(given.to_vec()),
    }
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct SuiteArgs {
    /// Folder with suites to use in place of the built-in ones; repeat it to add others, of which the last replaces
    /// suites with the same id
    #[arg(long, value_name = "DIR")]
    suites: Vec<Utf8PathBuf>,
    /// Use the built-in suites in addition to those of --suites or of the project
    #[arg(long)]
    builtin: bool,
    /// Folder with the cited documents, to compare citations and apply listings [default: that of the project, or else
    /// the environment variable `HOOKPROOF_DOCUMENTS`]
    #[arg(long, value_name = "DIR")]
    documents: Option<Utf8PathBuf>,
    #[command(flatten)]
    project: ProjectArgs,
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Words {
    /// Claims, scenarios, suites or documents to select [default: all]
    pub(super) words: Vec<String>,
    /// Claims, scenarios, suites or documents to leave out
    #[arg(long, value_name = "WORD")]
    pub(super) skip: Vec<String>,
}

impl Words {
    pub(super) fn select(&self, catalogue: &Catalogue) -> Result<BTreeSet<String>, Failure> {
        let mut claims = select(catalogue, &self.words)?;
        if !self.skip.is_empty() {
            let skipped = select(catalogue, &self.skip)?;
            claims.retain(|claim| !skipped.contains(claim));
        }
        Ok(claims)
    }
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Selection {
    #[command(flatten)]
    pub(super) words: Words,
    #[command(flatten)]
    pub(super) suites: SuiteArgs,
}

impl Selection {
    /// Loads the catalogue and selects claims.
    pub(super) fn load(&self) -> Result<(Catalogue, BTreeSet<String>), Failure> {
        let catalogue = self.suites.open()?.load()?;
        let claims = self.words.select(&catalogue)?;
        Ok((catalogue, claims))
    }
}

/// The suites that the arguments and the project select.
#[derive(Debug)]
pub(super) struct Suites {
    sources: Vec<Source>,
    /// The folder that new files and recorded evidence belong to, if it is only one.
    folder: Option<Utf8PathBuf>,
    /// The project; `--documents` replaces its folder of documents.
    pub(super) project: Project,
}

impl SuiteArgs {
    /// What the command line says counts more than the project, and the project more than the environment.
    pub(super) fn open(&self) -> Result<Suites, Failure> {
        let mut project = self.project.project()?;
        project.documents = self.documents.clone().or(project.documents);
        let mut sources = Vec::new();
        let folder = match self.suites.as_slice() {
            [] => {
                sources.extend(project.builtin.clone());
                sources.extend(project.sources());
                project.exists.then(|| project.root.clone())
            }
            folders => {
                sources.extend(folders.iter().cloned().map(Source::Folder));
                folders.first().filter(|_| folders.len() == 1).cloned()
            }
        };
        let mut suites = Suites {
            sources,
            folder,
            project,
        };
        if self.builtin {
            suites.add_built_in();
        }
        Ok(suites)
    }
}

impl Suites {
    /// Adds all built-in suites.
    pub(super) fn add_built_in(&mut self) {
        self.sources.retain(|source| !source.is_built_in());
        self.sources.insert(0, Source::BuiltIn);
    }

    /// Loads the catalogue; an error contains all findings.
    pub(super) fn load(&self) -> Result<Catalogue, Failure> {
        let (loaded, findings) = self.checked();
        refuse(findings)?;
        Ok(loaded.catalogue)
    }

    /// Fails if there are findings in the files of these scenarios, other than those about style.
    pub(super) fn refuse_of(
        mut findings: Vec<Finding>,
        scenarios: &[&Scenario],
    ) -> Result<(), Failure> {
        let files: BTreeSet<_> = scenarios.iter().map(|of| &of.place.file).collect();
        findings.retain(|finding| files.contains(&finding.place.file));
        refuse(findings)
    }

    /// The folder that new files and recorded evidence belong to.
    pub(super) fn folder(&self) -> Result<&Utf8Path, Failure> {
        self.folder
            .as_deref()
            .ok_or_else(|| Failure::usage("name the folder of your suites: --suites DIR"))
    }

    /// The folder with recorded evidence: the one given, or `tests` in the folder of suites.
    pub(super) fn recorded(&self, given: Option<&Utf8Path>) -> Result<Utf8PathBuf, Failure> {
        match given {
            Some(folder) => Ok(folder.to_owned()),
            None => Ok(self.folder()?.join("tests")),
        }
    }

    /// Whether a suite file is one of the user's own; if there are only built-in suites, every file is.
    pub(super) fn includes(&self, file: &str) -> bool {
        self.sources.iter().all(Source::is_built_in) || self.contains(file)
    }

    /// Whether a suite file is in a folder, and not built in.
    pub(super) fn contains(&self, file: &str) -> bool {
        let mut sources = self.sources.iter();
        sources.any(|source| source.contains(Utf8Path::new(file)))
    }

    /// Fails if all suites are built in, so that none can be written.
    pub(super) fn writable(&self) -> Result<(), Failure> {
        if self.sources.iter().all(Source::is_built_in) {
            return Err(Failure::usage(
                "--accept writes into your own suites: name their folder with --suites DIR",
            ));
        }
        Ok(())
    }

    /// Reads the suites without rejecting invalid ones.
    pub(super) fn read(&self) -> Loaded {
        load::load(&self.sources)
    }

    /// The cited documents, if their folder is known.
    pub(super) fn documents(&self, catalogue: &Catalogue) -> Option<Documents> {
        let folder = self.project.documents.as_ref()?;
        Some(Documents::read(catalogue, folder))
    }

    /// Reads the suites. Findings are those in the suites, and in their citations if the documents are given.
    pub(super) fn checked(&self) -> (Loaded, Vec<Finding>) {
        let mut loaded = self.read();
        let mut findings = loaded.findings.clone();
        if let Some(documents) = self.documents(&loaded.catalogue) {
            let is_own = |place: &Place| self.includes(&place.file);
            findings.extend(citations::check(&mut loaded, &documents, is_own));
        }
        // The runner restricts a scenario to the permissions that follow from its steps and manifests.
        let scenarios = loaded.catalogue.scenarios.values();
        let unknown = scenarios.filter_map(|scenario| Rules::of_scenario(scenario).err());
        findings.extend(unknown.map(|place| {
            Finding::new(&place, "cannot derive the permissions that this needs")
                .with_help("use a command and a kind of object that `hookproof rbac` knows")
        }));
        (loaded, findings)
    }
}

/// The names of the documents.
pub(super) fn cited<'a>(citations: impl Iterator<Item = &'a Citation>) -> BTreeSet<&'a str> {
    citations.map(|cites| cites.document.as_str()).collect()
}

/// The documents that the command line names, by their paths or by their paths in the folder of documents; without paths,
/// those of the folder that are cited. Their names are those that citations use.
pub(super) fn documents(
    paths: &[Utf8PathBuf],
    folder: Option<&Utf8Path>,
    cited: &BTreeSet<&str>,
) -> Result<Vec<Document>, Failure> {
    let read = |path: &Utf8PathBuf| document(path, folder, cited);
    if !paths.is_empty() {
        return paths.iter().map(read).collect();
    }
    let folder = folder.ok_or_else(|| Failure::usage("name a document"))?;
    let names = cited.iter().map(Utf8Path::new);
    let paths: Vec<_> = names
        .filter(|name| stays_inside(name))
        .map(|name| folder.join(name))
        .filter(|path| path.is_file())
        .collect();
    if paths.is_empty() {
        return Err(Failure::usage(format!(
            "no claim cites a document in {folder}; name a document"
        )));
    }
    paths.iter().map(read).collect()
}

fn document(
    path: &Utf8Path,
    folder: Option<&Utf8Path>,
    cited: &BTreeSet<&str>,
) -> Result<Document, Failure> {
    let inner = folder.map(|folder| folder.join(path));
    let inner = inner.filter(|inner| !path.exists() && inner.is_file());
    let path = inner.as_deref().unwrap_or(path);
    let text = read_text(path, limit::DOCUMENT)
        .map_err(|e| Failure::usage(format!("cannot read {path}: {e}")))?;
    let real = |path: &Utf8Path| path.canonicalize_utf8().ok();
    let within = real(path).zip(folder.and_then(real));
    let within = within.and_then(|(path, folder)| Some(path.strip_prefix(folder).ok()?.to_owned()));
    let is_end = |name: &&&str| path.ends_with(name) && stays_inside(Utf8Path::new(name));
    let name = match (&within, cited.iter().filter(is_end).max_by_key(|n| n.len())) {
        (Some(within), _) => within.as_str(),
        (None, Some(cited)) => cited,
        (None, None) => path.file_name().unwrap_or(path.as_str()),
    };
    Ok(Document::new(name, text))
}

/// Fails if there are findings other than those about style.
fn refuse(mut findings: Vec<Finding>) -> Result<(), Failure> {
    findings.retain(|finding| !finding.style);
    if findings.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(Findings(findings)))
}

/// Like [`select`]. If a word selects nothing, findings come first: a suite that cannot be read has no claims.
pub(super) fn select_from(loaded: &Loaded, words: &[String]) -> Result<BTreeSet<String>, Failure> {
    select(&loaded.catalogue, words).or_else(|unknown| {
        refuse(loaded.findings.clone())?;
        Err(unknown)
    })
}

/// The claims that the words select, or all claims without words.
pub(super) fn select(catalogue: &Catalogue, words: &[String]) -> Result<BTreeSet<String>, Failure> {
    select::claims(catalogue, words).map_err(Failure::usage)
}
