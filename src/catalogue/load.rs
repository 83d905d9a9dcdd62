//! Loads suites: the built-in ones, and folders that add to them or replace some.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::iter::once;

use camino::{Utf8Path, Utf8PathBuf};
use include_dir::{Dir, include_dir};
use itertools::Itertools as _;

use super::capability::GUARDED;
use super::finding::{Finding, Place, suggestion};
use super::model::{Catalogue, Citation, Scenario};
use super::suite::{self, File, Unit};
use crate::file::{inside, limit, read_text, stays_inside, walk};

static SUITES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/suites");
static MANIFESTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/manifests");

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Embedded in the binary.
    BuiltIn,
    /// Of the suites embedded in the binary, the claims that other suites cite.
    Cited,
    /// A folder with `suites` and `manifests`, or a folder of suite files that name their
    /// manifests relative to it.
    Folder(Utf8PathBuf),
    /// A folder of suite files, and the one that their `manifests/` stands for.
    Parts {
        suites: Utf8PathBuf,
        manifests: Utf8PathBuf,
    },
}

impl Source {
    pub(crate) fn is_built_in(&self) -> bool {
        matches!(self, Self::BuiltIn | Self::Cited)
    }

    /// Whether a suite file or manifest is in this source and not embedded in the binary.
    pub(crate) fn contains(&self, file: &Utf8Path) -> bool {
        match self {
            Self::BuiltIn | Self::Cited => false,
            Self::Folder(folder) => file.starts_with(folder),
            Self::Parts { suites, manifests } => {
                file.starts_with(suites) || file.starts_with(manifests)
            }
        }
    }
}

/// The catalogue as far as it could be read, and the findings.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    pub catalogue: Catalogue,
    /// By place.
    pub findings: Vec<Finding>,
    /// Texts of the suite files, by the path in places.
    pub(crate) texts: BTreeMap<String, String>,
}

/// All findings together, as an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{}\n{} finding{} in the suites; nothing was started",
    .0.iter().join("\n"), .0.len(), if .0.len() == 1 { "" } else { "s" }
)]
pub struct Findings(pub(crate) Vec<Finding>);

impl Loaded {
    /// The catalogue, if there are no findings other than those about style.
    pub fn checked(mut self) -> Result<Catalogue, Findings> {
        self.findings.retain(|finding| !finding.style);
        if self.findings.is_empty() {
            Ok(self.catalogue)
        } else {
            Err(Findings(self.findings))
        }
    }
}

/// The built-in suites with `folders` added: a scenario there replaces one of the same id.
pub fn catalogue(folders: &[Utf8PathBuf]) -> Result<Catalogue, Findings> {
    let folders = folders.iter().cloned().map(Source::Folder);
    let sources: Vec<Source> = once(Source::BuiltIn).chain(folders).collect();
    load(&sources).checked()
}

/// Reads all suites of all sources; a later scenario replaces an earlier one of the same id.
pub fn load(sources: &[Source]) -> Loaded {
    let mut loaded = Loaded::default();
    let mut units: BTreeMap<String, (&Source, Unit)> = BTreeMap::new();
    let built_in: LazyCell<BTreeMap<String, File>> = LazyCell::new(built_in);
    for source in sources {
        let files = match source {
            Source::BuiltIn | Source::Cited => built_in.clone(),
            Source::Folder(folder) => {
                let suites = folder.join("suites");
                let root = if suites.is_dir() { &suites } else { folder };
                folder_files(folder, root, &mut loaded.findings)
            }
            Source::Parts { suites, .. } => folder_files(suites, suites, &mut loaded.findings),
        };
        for (id, file) in files {
            let mut unit = suite::read(&id, &file, |path| manifest_file(source, path));
            if let Some(scenario) = &mut unit.scenario {
                scenario.built_in = source.is_built_in() || does_the_same(scenario, &built_in);
            }
            loaded.texts.insert(file.path, file.text);
            units.insert(id, (source, unit));
        }
    }
    let cited = units.values_mut().map(|(_, unit)| &mut unit.cited);
    let cited: Vec<(String, Citation)> = cited.flat_map(std::mem::take).collect();
    for (id, (source, mut unit)) in units {
        if *source == Source::Cited {
            unit.keep(|claim| cited.iter().any(|(id, _)| *id == claim.id));
        }
        loaded.findings.extend(unit.findings);
        let scenario = unit.scenario.map(|scenario| (id, scenario));
        loaded.catalogue.scenarios.extend(scenario);
        loaded.catalogue.untestable.extend(unit.untestable);
        loaded.catalogue.accounts.extend(unit.accounts);
    }
    repeated_claims(&loaded.catalogue, &mut loaded.findings);
    attach(&mut loaded.catalogue, cited, &mut loaded.findings);
    loaded.findings.sort();
    loaded.findings.dedup();
    loaded
}

/// Whether a scenario has the steps, manifests and guarded capabilities of the built-in one with its id.
fn does_the_same(scenario: &Scenario, built_in: &LazyCell<BTreeMap<String, File>>) -> bool {
    let declared = |of: &Scenario| GUARDED.map(|name| of.declares(name));
    if !declared(scenario).contains(&true) {
        return false;
    }
    let unit = built_in.get(&scenario.id).map(|file| {
        suite::read(&scenario.id, file, |path| {
            manifest_file(&Source::BuiltIn, path)
        })
    });
    let own = unit.and_then(|unit| unit.scenario);
    own.is_some_and(|own| own.digest == scenario.digest && declared(&own) == declared(scenario))
}

fn attach(catalogue: &mut Catalogue, cited: Vec<(String, Citation)>, findings: &mut Vec<Finding>) {
    for (id, citation) in cited {
        if let Some(claim) = catalogue.claims_mut().find(|claim| claim.id == id) {
            claim.cites.push(citation);
            continue;
        }
        let finding = Finding::new(&citation.place, format!("no claim named `{id}`"));
        let known = catalogue.claims().map(|(claim, _)| claim.id.as_str());
        let cited = "built-in claims need `builtin = \"cited\"` in hookproof.toml, or --builtin";
        let help = suggestion(&id, known).unwrap_or_else(|| cited.to_owned());
        findings.push(finding.with_help(help));
    }
}

fn built_in() -> BTreeMap<String, File> {
    let mut files = BTreeMap::new();
    let mut dirs = vec![&SUITES];
    while let Some(dir) = dirs.pop() {
        dirs.extend(dir.dirs());
        // Tests read every built-in suite, so that none is lost here.
        files.extend(dir.files().filter_map(|file| {
            let path = file.path().to_str()?;
            let text = file.contents_utf8()?.to_owned();
            // Not like the path of a file of the user.
            let shown = format!("built-in/suites/{path}");
            Some((suite_id(path)?.to_owned(), File { path: shown, text }))
        }));
    }
    files
}

fn suite_id(path: &str) -> Option<&str> {
    path.strip_suffix(".yaml")
        .or_else(|| path.strip_suffix(".yml"))
}

/// The suite files below `root`, which is the folder that a source names or its `suites`.
fn folder_files(
    folder: &Utf8Path,
    root: &Utf8Path,
    findings: &mut Vec<Finding>,
) -> BTreeMap<String, File> {
    let before = findings.len();
    let mut unread = |path: &Utf8Path, error: &std::io::Error| {
        let message = format!("failed to read: {error}");
        findings.push(Finding::new(&Place::new(path.as_str(), 1, 1), message));
    };
    let mut files = BTreeMap::new();
    let found = walk(root).unwrap_or_else(|(path, error)| {
        unread(&path, &error);
        Vec::new()
    });
    // The folder may also contain the manifests that the suites name.
    let manifests = root.join("manifests");
    for path in found.iter().filter(|path| !path.starts_with(&manifests)) {
        let relative = path.strip_prefix(root).unwrap_or(path).as_str();
        let Some(id) = suite_id(relative) else {
            continue;
        };
        match inside(root, path).and_then(|()| read_text(path, limit::SUITE)) {
            Ok(text) => {
                let path = path.to_string();
                files.insert(id.to_owned(), File { path, text });
            }
            Err(error) => unread(path, &error),
        }
    }
    if files.is_empty() && findings.len() == before {
        let place = Place::new(folder.as_str(), 1, 1);
        let finding = Finding::new(&place, "no suite files (*.yaml) in this folder");
        findings.push(finding.with_help("name a folder that contains `suites` and `manifests`"));
    }
    files
}

/// A manifest, from the suite's own source or else built-in; or why there is none.
fn manifest_file(source: &Source, path: &str) -> Result<File, String> {
    let missing = || format!("no manifest `{path}`");
    let clean = path.strip_prefix("./").unwrap_or(path);
    if !stays_inside(Utf8Path::new(clean)) {
        return Err(missing());
    }
    let name = clean.strip_prefix("manifests/");
    let own = match source {
        Source::BuiltIn | Source::Cited => None,
        Source::Folder(folder) => Some((folder, folder.join(clean))),
        Source::Parts { manifests, .. } => name.map(|name| (manifests, manifests.join(name))),
    };
    if let Some((folder, own)) = own {
        match inside(folder, &own).and_then(|()| read_text(&own, limit::MANIFEST)) {
            Ok(text) => {
                let path = own.into_string();
                return Ok(File { path, text });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("failed to read the manifest `{path}`: {error}")),
        }
    }
    let text = name.and_then(|name| MANIFESTS.get_file(name)?.contents_utf8());
    let text = text.ok_or_else(missing)?.to_owned();
    let path = clean.to_owned();
    Ok(File { path, text })
}

fn repeated_claims(catalogue: &Catalogue, findings: &mut Vec<Finding>) {
    let mut first: BTreeMap<&str, &Place> = BTreeMap::new();
    let claims = catalogue.claims().map(|(claim, _)| claim);
    for claim in claims.sorted_by_key(|claim| (&claim.place.file, claim.place.line)) {
        if let Some(place) = first.get(claim.id.as_str()) {
            let message = format!("the claim `{}` is already at {place}", claim.id);
            findings.push(Finding::new(&claim.place, message));
        } else {
            first.insert(&claim.id, &claim.place);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn fixture(name: &str) -> Loaded {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(name);
        load(&[Source::Folder(root)])
    }

    fn shown(loaded: &Loaded) -> String {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/");
        Findings(loaded.findings.clone())
            .to_string()
            .replace(root, "")
    }

    #[test]
    fn valid_suites_load_completely() {
        let loaded = fixture("sample");
        assert!(loaded.findings.is_empty(), "{}", shown(&loaded));
        let scenario = &loaded.catalogue.scenarios["poststart/slow-hook"];
        assert_eq!(scenario.steps.len(), 9);
        assert_eq!(scenario.claims.len(), 3);
        assert_eq!(loaded.catalogue.untestable.len(), 1);
    }

    #[test]
    fn all_findings_are_reported_together() {
        insta::assert_snapshot!(shown(&fixture("broken")));
    }

    #[test]
    fn a_word_that_needs_a_value_is_named_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let suite = "scenario: a\nclaims: []\nsteps:\n- apply\n- until\n";
        std::fs::write(folder.path().join("a.yaml"), suite).unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        let found = Findings(load(&[Source::Folder(folder)]).findings).to_string();
        assert!(
            found.contains("a.yaml:5:3: `until`: expected text"),
            "{found}"
        );
    }

    /// A folder with one good suite is read in spite of what is wrong with the rest of it.
    #[cfg(unix)]
    #[rstest::rstest]
    #[case::missing(
        "suites/gone.yaml",
        "absent",
        "suites/gone.yaml:1:1: failed to read: No such file"
    )]
    #[case::loops(
        "suites/loop.yaml",
        "loop.yaml",
        "suites/loop.yaml:1:1: failed to read: Too many"
    )]
    #[case::manifest(
        "manifests/loop.yaml",
        "loop.yaml",
        "failed to read the manifest `manifests/loop.yaml`: Too many"
    )]
    fn unreadable_files_are_named_with_the_reason(
        #[case] link: &str,
        #[case] target: &str,
        #[case] wanted: &str,
        #[values(false, true)] alone: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        for dir in ["suites", "manifests"] {
            std::fs::create_dir(folder.path().join(dir)).unwrap();
        }
        std::os::unix::fs::symlink(target, folder.path().join(link)).unwrap();
        let manifest = link.starts_with("manifests");
        if manifest || !alone {
            let claims = "claims: [{id: a.b, says: It is, not_testable: opinion}]\n";
            let tests = format!("scenario: a\nmanifest: {link}\nsteps: [apply]\n");
            let text = if manifest {
                tests + claims
            } else {
                claims.to_owned()
            };
            std::fs::write(folder.path().join("suites/good.yaml"), text).unwrap();
        }
        let folder = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        let loaded = load(&[Source::Folder(folder)]);
        let found = Findings(loaded.findings.clone()).to_string();
        assert_eq!(loaded.findings.len(), 1, "{found}");
        assert!(found.contains(wanted), "{found}");
        assert_eq!(
            loaded.catalogue.untestable.len(),
            usize::from(manifest || !alone)
        );
    }

    #[rstest::rstest]
    #[case::no_folder("absent", "failed to read: No such file")]
    #[case::a_file("a.txt", "failed to read: Not a directory")]
    #[case::no_suites(".", "no suite files (*.yaml) in this folder")]
    fn folders_without_suites_are_named_with_the_reason(#[case] path: &str, #[case] wanted: &str) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "").unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap().join(path);
        let found = Findings(load(&[Source::Folder(folder)]).findings);
        assert_eq!(found.0.len(), 1, "{found}");
        assert!(found.to_string().contains(wanted), "{found}");
    }
}
