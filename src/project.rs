//! Projects: the file `hookproof.toml` in the folder of a user's own suites and documents.

use std::collections::BTreeMap;
use std::ops::Range;

use camino::{Utf8Path, Utf8PathBuf};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::{Spanned, Value};

use crate::catalogue::finding::{Finding, Place, suggestion};
use crate::catalogue::load::Source;
use crate::cluster::error::ClusterError;
use crate::cluster::kind;
use crate::cluster::node_image::versions::select;
use crate::cluster::node_image::{Runtime, Wanted};
use crate::file::{limit, read_text, stays_inside};

/// The name of a project's file.
pub(crate) const FILE: &str = "hookproof.toml";

/// The folder of the cited documents if neither the command line nor a project names one.
const DOCUMENTS: &str = "HOOKPROOF_DOCUMENTS";

/// A project, with paths relative to the working directory.
#[derive(Debug)]
pub(crate) struct Project {
    /// Whether there is a file; without one, the others have their defaults.
    pub(crate) exists: bool,
    /// The folder that contains the file; empty if it is the working directory.
    pub(crate) root: Utf8PathBuf,
    pub(crate) suites: Vec<Utf8PathBuf>,
    pub(crate) manifests: Utf8PathBuf,
    /// Absent if the project has none.
    pub(crate) documents: Option<Utf8PathBuf>,
    /// Folder for the results of runs.
    pub(crate) results: Utf8PathBuf,
    /// The built-in claims that it uses.
    pub(crate) builtin: Option<Source>,
    /// By name.
    pub(crate) profiles: BTreeMap<String, Profile>,
}

/// A cluster configuration that the user defines.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// Kubernetes versions as on the command line, such as `1.36` or `1.34..1.36`.
    #[serde(default = "newest", deserialize_with = "versions")]
    pub(crate) kubernetes: Vec<String>,
    /// Feature gates to set.
    #[serde(default)]
    pub(crate) gates: BTreeMap<String, bool>,
    #[serde(default)]
    pub(crate) runtime: Runtime,
}

fn newest() -> Vec<String> {
    vec!["newest".to_owned()]
}

fn versions<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let text = String::deserialize(from)?;
    let versions = text.split(',').map(|version| version.trim().to_owned());
    Ok(versions.collect())
}

impl Profile {
    /// A cluster for each version.
    pub(crate) fn clusters(&self) -> Result<Vec<kind::Profile>, ClusterError> {
        let runtime = self.runtime;
        let cluster = |version| {
            let wanted = Wanted { version, runtime };
            kind::Profile::new(wanted, self.gates.clone(), kind::WORKERS)
        };
        let versions = select(&self.kubernetes)?;
        versions.into_iter().map(cluster).collect()
    }
}

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    suites: Option<Vec<Spanned<Utf8PathBuf>>>,
    manifests: Option<Spanned<Utf8PathBuf>>,
    documents: Option<Spanned<Utf8PathBuf>>,
    results: Option<Spanned<Utf8PathBuf>>,
    #[serde(default, deserialize_with = "builtin")]
    builtin: Option<Source>,
    #[serde(default)]
    profile: BTreeMap<Spanned<String>, Spanned<Profile>>,
}

fn builtin<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Source>, D::Error> {
    match Value::deserialize(from)? {
        Value::Boolean(false) => Ok(None),
        Value::Boolean(true) => Ok(Some(Source::BuiltIn)),
        Value::String(word) if word == "cited" => Ok(Some(Source::Cited)),
        _ => Err(D::Error::custom("expected `true`, `false`, or `\"cited\"`")),
    }
}

impl Project {
    /// Reads the project of the working directory or of the nearest folder above it.
    pub(crate) fn find() -> Result<Self, Finding> {
        let here = std::env::current_dir().unwrap_or_default();
        let mut root = Utf8PathBuf::new();
        for folder in here.ancestors() {
            if folder.join(FILE).is_file() {
                return Self::read(&root.join(FILE));
            }
            root.push("..");
        }
        let documents = std::env::var(DOCUMENTS).ok();
        let documents = documents.filter(|path| !path.is_empty());
        Ok(Self {
            exists: false,
            root: Utf8PathBuf::new(),
            suites: Vec::new(),
            manifests: "manifests".into(),
            documents: documents.map(Into::into),
            results: "results".into(),
            builtin: Some(Source::BuiltIn),
            profiles: BTreeMap::new(),
        })
    }

    pub(crate) fn read(path: &Utf8Path) -> Result<Self, Finding> {
        let mut file = File {
            path,
            root: path.parent().unwrap_or(Utf8Path::new("")),
            text: String::new(),
        };
        file.text = read_text(path, limit::SUITE)
            .map_err(|error| file.finding(&(0..0), format!("failed to read: {error}")))?;
        file.project(toml::from_str(&file.text).map_err(|error| file.explained(&error))?)
    }

    /// Where its claims come from, in the order in which they replace each other.
    pub(crate) fn sources(&self) -> impl Iterator<Item = Source> {
        self.suites.iter().map(|suites| Source::Parts {
            suites: suites.clone(),
            manifests: self.manifests.clone(),
        })
    }
}

/// A project's file while it is checked.
struct File<'a> {
    path: &'a Utf8Path,
    root: &'a Utf8Path,
    text: String,
}

impl File<'_> {
    fn finding(&self, span: &Range<usize>, message: impl Into<String>) -> Finding {
        let before = self.text.get(..span.start).unwrap_or_default();
        let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
        let line = before.rsplit('\n').next().unwrap_or_default();
        let place = Place {
            file: self.path.to_string(),
            line: number(before.matches('\n').count()),
            column: number(line.chars().count()),
        };
        Finding::new(&place, message)
    }

    fn explained(&self, error: &toml::de::Error) -> Finding {
        let message = error.message();
        let span = error.span().unwrap_or_default();
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        match (message.starts_with("unknown field"), quoted.as_slice()) {
            (true, [field, known @ ..]) => self
                .finding(&span, format!("unknown key `{field}`"))
                .with_near(field, known.iter().copied()),
            _ => self.finding(&span, message.lines().collect::<Vec<_>>().join(": ")),
        }
    }

    fn project(&self, raw: Raw) -> Result<Project, Finding> {
        let root = self.root;
        let existing = |path: Spanned<Utf8PathBuf>| self.existing(&path);
        let suites = raw.suites.map(|paths| paths.into_iter().map(existing));
        let suites = suites.map(Iterator::collect::<Result<_, _>>).transpose()?;
        let manifests = raw.manifests.map(existing).transpose()?;
        let documents = raw.documents.map(existing).transpose()?;
        let results = raw.results.map(|path| self.inside(&path)).transpose()?;
        let mut profiles = BTreeMap::new();
        for (name, profile) in raw.profile {
            self.check(&name, profile.as_ref())?;
            profiles.insert(name.into_inner(), profile.into_inner());
        }
        let found = Some(root.join("documents")).filter(|path| path.is_dir());
        Ok(Project {
            exists: true,
            root: root.to_owned(),
            suites: suites.unwrap_or_else(|| vec![root.join("suites")]),
            manifests: manifests.unwrap_or_else(|| root.join("manifests")),
            documents: documents.or(found),
            results: results.unwrap_or_else(|| root.join("results")),
            builtin: raw.builtin,
            profiles,
        })
    }

    /// A path of the project, symbolic links included.
    fn inside(&self, path: &Spanned<Utf8PathBuf>) -> Result<Utf8PathBuf, Finding> {
        let written = path.as_ref();
        let whole = self.root.join(written);
        let real = whole.canonicalize_utf8().ok();
        let root = self.here().canonicalize_utf8().ok();
        let is_outside = real
            .zip(root)
            .is_some_and(|(path, root)| !path.starts_with(root));
        if !stays_inside(written) || is_outside {
            let message = format!("`{written}` is outside of the project");
            let help = "use a path within it, or pass that folder on the command line";
            return Err(self.finding(&path.span(), message).with_help(help));
        }
        Ok(whole)
    }

    /// The root as a path that can be opened: `.` if it is empty.
    fn here(&self) -> &Utf8Path {
        match self.root.as_str() {
            "" => Utf8Path::new("."),
            _ => self.root,
        }
    }

    /// A folder of the project.
    fn existing(&self, path: &Spanned<Utf8PathBuf>) -> Result<Utf8PathBuf, Finding> {
        let whole = self.inside(path)?;
        if whole.is_dir() {
            return Ok(whole);
        }
        let names = self.here().read_dir_utf8().into_iter().flatten().flatten();
        let names: Vec<String> = names
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_owned())
            .collect();
        let written = path.as_ref().as_str();
        let message = format!("no folder `{written}` in the project");
        let finding = self.finding(&path.span(), message);
        let near = suggestion(written, names.iter().map(String::as_str));
        Err(match near {
            Some(help) => finding.with_help(help),
            None => finding,
        })
    }

    fn check(&self, name: &Spanned<String>, profile: &Profile) -> Result<(), Finding> {
        let written = name.as_ref();
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        let message = if written.is_empty() || !written.chars().all(is_allowed) {
            format!("invalid profile name `{written}`: expected letters, digits, `-` and `.`")
        } else if let Err(error) = profile.clusters() {
            format!("profile `{written}`: {error}")
        } else {
            return Ok(());
        };
        Err(self.finding(&name.span(), message))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;

    /// Reads a project in a folder with `suites`, `docs`, and a link that leads out of it.
    fn read(text: &str) -> Result<Project, String> {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        for name in ["suites", "docs"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        std::os::unix::fs::symlink("/usr", root.join("link")).unwrap();
        std::fs::write(root.join(FILE), text).unwrap();
        let shown = |finding: Finding| finding.to_string().replace(root.as_str(), "DIR");
        Project::read(&root.join(FILE)).map_err(shown)
    }

    #[test]
    fn everything_has_a_default() {
        let project = read("").unwrap();
        assert_eq!(project.suites, [project.root.join("suites")]);
        assert_eq!(project.documents, None);
        assert_eq!(project.builtin, None);
    }

    #[test]
    fn profiles_are_read() {
        let project = read("[profile.old]\nkubernetes = \"1.29\"\ngates = {PodLifecycleSleepAction = true}\nruntime = \"containerd-1\"\n").unwrap();
        let clusters = project.profiles["old"].clusters().unwrap();
        assert_eq!(clusters.len(), 1);
        assert_eq!(
            clusters[0].id(),
            "1.29-PodLifecycleSleepAction-on-containerd-1"
        );
    }

    #[rstest]
    #[case("builtin = true", Some(Source::BuiltIn))]
    #[case("builtin = false", None)]
    #[case("builtin = \"cited\"", Some(Source::Cited))]
    fn built_in_suites(#[case] text: &str, #[case] wanted: Option<Source>) {
        assert_eq!(read(text).unwrap().builtin, wanted);
    }

    #[rstest]
    #[case::unknown(
        "\nsuits = [\"suites\"]",
        "2:1: unknown key `suits`\n    did you mean `suites`?"
    )]
    #[case::in_profile(
        "[profile.a]\n gate = {}",
        "2:2: unknown key `gate`\n    did you mean `gates`?"
    )]
    #[case::shape("suites = 1", "1:10: invalid type: integer `1`, expected a sequence")]
    #[case::builtin("builtin = \"some\"", "1:11: expected `true`, `false`, or `\"cited\"`")]
    #[case::syntax("suites = [", "1:11: unclosed array")]
    #[case::missing(
        "documents = \"doc\"",
        "1:13: no folder `doc` in the project\n    did you mean `docs`?"
    )]
    #[case::outside("documents = \"../docs\"", "1:13: `../docs` is outside of the project")]
    #[case::absolute("results = \"/tmp\"", "1:11: `/tmp` is outside of the project")]
    #[case::link(
        "documents = \"link/share\"",
        "1:13: `link/share` is outside of the project"
    )]
    #[case::name("[profile.\"a b\"]", "1:10: invalid profile name `a b`")]
    #[case::version(
        "[profile.a]\nkubernetes = \"new\"",
        "1:10: profile `a`: invalid Kubernetes version `new`"
    )]
    #[case::gate(
        "[profile.a.gates]\n\"A=\" = true",
        "1:10: profile `a`: invalid feature gate `A=`"
    )]
    #[case::twice("builtin = true\nbuiltin = true", "2:1: duplicate key")]
    fn problems_have_a_place(#[case] text: &str, #[case] wanted: &str) {
        let found = read(text).unwrap_err();
        assert!(
            found.starts_with(&format!("DIR/hookproof.toml:{wanted}")),
            "{found}"
        );
    }
}
