//! Projects, and the selection of suites and claims.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use crate::catalogue::citations::{self, Documents};
use crate::catalogue::finding::Finding;
use crate::catalogue::load::{self, Findings, Loaded, Source};
use crate::catalogue::model::{Catalogue, Place, Scenario};
use crate::catalogue::select;
use crate::document::Document;
use crate::file::{limit, read_text, stays_inside};
use crate::observe::rbac::Rules;
use crate::project::{BuiltIn, Project};

use super::exit::Failure;

/// The folder of the cited documents if neither the command line nor a project names one.
const DOCUMENTS: &str = "HOOKPROOF_DOCUMENTS";

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ProjectArgs {
    /// Project file [default: hookproof.toml here or in the nearest folder above]
    #[arg(long, value_name = "FILE")]
    config: Option<Utf8PathBuf>,
}

impl ProjectArgs {
    pub(super) fn project(&self) -> Result<Option<Project>, Failure> {
        match &self.config {
            Some(path) => Project::read(path).map(Some),
            None => Project::find(),
        }
        .map_err(Failure::usage)
    }
}

/// A folder for output: the one given, or that of the project, or else `name` in the working directory.
pub(super) fn output(
    given: Option<&Utf8PathBuf>,
    project: Option<&Project>,
    name: &str,
) -> Utf8PathBuf {
    match (given, project) {
        (Some(given), _) => given.clone(),
        (None, Some(project)) if name == RESULTS => project.results.clone(),
        (None, Some(project)) => project.root.join(name),
        (None, None) => name.into(),
    }
}

/// The results folders given, or that of the project.
pub(super) fn results_of(
    given: &[Utf8PathBuf],
    project: Option<&Project>,
) -> Result<Vec<Utf8PathBuf>, Failure> {
    match (given, project) {
        ([], None) => Err(Failure::usage("name a results folder")),
        ([], Some(project)) => Ok(vec![project.results.clone()]),
        _ => Ok(given.to_vec()),
    }
}

/// The folder of the cited documents: the one given, that of the project, or that of the environment.
pub(super) fn documents_of(
    given: Option<&Utf8PathBuf>,
    project: Option<&Project>,
) -> Option<Utf8PathBuf> {
    given.cloned().or_else(|| match project {
        Some(project) => project.documents.clone(),
        None => std::env::var(DOCUMENTS)
            .ok()
            .filter(|path| !path.is_empty())
            .map(Into::into),
    })
}

/// The folder for the results of runs.
pub(super) const RESULTS: &str = "results";

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

/// Selection of claims by words.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Selection {
    /// Claims, scenarios, suites or documents to select [default: all]
    words: Vec<String>,
    /// Claims, scenarios, suites or documents to leave out
    #[arg(long, value_name = "WORD")]
    skip: Vec<String>,
    #[command(flatten)]
    pub(super) suites: SuiteArgs,
}

impl Selection {
    /// Loads the catalogue and selects claims.
    pub(super) fn load(&self, suites: &Suites) -> Result<(Catalogue, BTreeSet<String>), Failure> {
        let catalogue = suites.load()?;
        let mut claims = select(&catalogue, &self.words)?;
        if !self.skip.is_empty() {
            let skipped = select(&catalogue, &self.skip)?;
            claims.retain(|claim| !skipped.contains(claim));
        }
        Ok((catalogue, claims))
    }
}

/// The suites that the arguments and the project select.
#[derive(Debug)]
pub(super) struct Suites {
    sources: Vec<Source>,
    /// The folder that new files and recorded evidence belong to, if it is only one.
    folder: Option<Utf8PathBuf>,
    /// The folder with the cited documents.
    pub(super) documents: Option<Utf8PathBuf>,
    pub(super) project: Option<Project>,
}

impl SuiteArgs {
    /// What the command line says counts more than the project, and the project more than the environment.
    pub(super) fn open(&self) -> Result<Suites, Failure> {
        let project = self.project.project()?;
        let folders = self.suites.iter().cloned().map(Source::Folder);
        let of_project = project.as_ref().filter(|_| self.suites.is_empty());
        let builtin = match of_project {
            _ if self.builtin => BuiltIn::All,
            Some(project) => project.builtin,
            None if self.suites.is_empty() => BuiltIn::All,
            None => BuiltIn::None,
        };
        let builtin = match builtin {
            BuiltIn::None => None,
            BuiltIn::Cited => Some(Source::Cited),
            BuiltIn::All => Some(Source::BuiltIn),
        };
        let mut sources: Vec<Source> = builtin.into_iter().chain(folders).collect();
        sources.extend(of_project.map(Project::sources).unwrap_or_default());
        let folder = match (self.suites.as_slice(), of_project) {
            ([folder], _) => Some(folder.clone()),
            ([], Some(project)) => Some(project.root.clone()),
            _ => None,
        };
        let documents = documents_of(self.documents.as_ref(), project.as_ref());
        Ok(Suites {
            sources,
            folder,
            documents,
            project,
        })
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
        findings: Vec<Finding>,
        scenarios: &[&Scenario],
    ) -> Result<(), Failure> {
        let of = |finding: &Finding| {
            let mut scenarios = scenarios.iter();
            scenarios.any(|scenario| scenario.place.file == finding.place.file)
        };
        refuse(findings.into_iter().filter(of))
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
        let folder = self.documents.as_ref()?;
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

/// The documents that the command line names, by their paths or by their paths in the folder of documents; without paths,
/// those of the folder that are cited. Their names are those that citations use.
pub(super) fn documents(
    paths: &[Utf8PathBuf],
    folder: Option<&Utf8Path>,
    cited: &BTreeSet<&str>,
) -> Result<Vec<Document>, Failure> {
    if !paths.is_empty() {
        return paths
            .iter()
            .map(|path| document(path, folder, cited))
            .collect();
    }
    let folder = folder.ok_or_else(|| Failure::usage("name a document"))?;
    let names = cited
        .iter()
        .map(Utf8Path::new)
        .filter(|name| stays_inside(name));
    let paths = names
        .map(|name| folder.join(name))
        .filter(|path| path.is_file());
    let found: Vec<Document> = paths
        .map(|path| document(&path, Some(folder), cited))
        .collect::<Result<_, _>>()?;
    if found.is_empty() {
        return Err(Failure::usage(format!(
            "no claim cites a document in {folder}; name a document"
        )));
    }
    Ok(found)
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
    let cited = cited
        .iter()
        .copied()
        .filter(|name| path.ends_with(name) && stays_inside((*name).into()));
    let name = match (&within, cited.max_by_key(|name| name.len())) {
        (Some(within), _) => within.as_str(),
        (None, Some(cited)) => cited,
        (None, None) => path.file_name().unwrap_or(path.as_str()),
    };
    Ok(Document::new(name, text))
}

/// Fails if there are findings other than those about style.
fn refuse(findings: impl IntoIterator<Item = Finding>) -> Result<(), Failure> {
    let findings = findings.into_iter().filter(|finding| !finding.style);
    let findings: Vec<Finding> = findings.collect();
    if findings.is_empty() {
        Ok(())
    } else {
        Err(Failure::usage(Findings(findings)))
    }
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
