//! Projects: the file `hookproof.toml` in the folder of a user's own suites and documents.

use std::collections::BTreeMap;
use std::ops::Range;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::catalogue::finding::Place;
use crate::catalogue::finding::{Finding, nearest};
use crate::catalogue::load::Source;
use crate::cluster::error::ClusterError;
use crate::cluster::kind;
use crate::cluster::node_image::versions::select;
use crate::cluster::node_image::{Runtime, Wanted};
use crate::file::{limit, read_text, stays_inside};

/// The name of a project's file.
pub(crate) const FILE: &str = "hookproof.toml";

/// A project, with paths relative to the working directory.
#[derive(Debug)]
pub(crate) struct Project {
    /// The folder that contains the file; empty if it is the working directory.
    pub(crate) root: Utf8PathBuf,
    pub(crate) suites: Vec<Utf8PathBuf>,
    pub(crate) manifests: Utf8PathBuf,
    /// Absent if the project has none.
    pub(crate) documents: Option<Utf8PathBuf>,
    /// Folder for the results of runs.
    pub(crate) results: Utf8PathBuf,
    pub(crate) builtin: BuiltIn,
    /// By name.
    pub(crate) profiles: BTreeMap<String, Profile>,
}

/// Which of the built-in claims a project uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum BuiltIn {
    #[default]
    None,
    /// Those that its suites cite.
    Cited,
    All,
}

/// A cluster configuration that the user defines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// Kubernetes versions as on the command line, such as `1.36` or `1.34..1.36`; the newest if absent.
    #[serde(default)]
    kubernetes: Option<String>,
    /// Feature gates to set.
    #[serde(default)]
    gates: BTreeMap<String, bool>,
    #[serde(default)]
    runtime: Runtime,
}

impl Profile {
    /// A cluster for each version.
    pub(crate) fn clusters(&self) -> Result<Vec<kind::Profile>, ClusterError> {
        let versions = self.kubernetes.as_deref().unwrap_or("newest");
        let versions: Vec<String> = versions
            .split(',')
            .map(|version| version.trim().to_owned())
            .collect();
        let runtime = self.runtime;
        let cluster = |version| {
            let gates = self.gates.iter().map(|(gate, on)| (gate.clone(), *on));
            kind::Profile::new(Wanted { version, runtime }, gates, kind::WORKERS)
        };
        select(&versions)?.into_iter().map(cluster).collect()
    }
}

/// The file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    suites: Option<Vec<Spanned<Utf8PathBuf>>>,
    manifests: Option<Spanned<Utf8PathBuf>>,
    documents: Option<Spanned<Utf8PathBuf>>,
    results: Option<Spanned<Utf8PathBuf>>,
    #[serde(default)]
    builtin: BuiltIn,
    #[serde(default)]
    profile: BTreeMap<Spanned<String>, Spanned<Profile>>,
}

impl<'de> Deserialize<'de> for BuiltIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected `true`, `false`, or `\"cited\"`")]
        enum Written {
            All(bool),
            Some(Word),
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Word {
            Cited,
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::All(true) => Self::All,
            Written::All(false) => Self::None,
            Written::Some(Word::Cited) => Self::Cited,
        })
    }
}

impl Project {
    /// Reads the project of the working directory or of the nearest folder above it; `None` if there is none.
    pub(crate) fn find() -> Result<Option<Self>, Finding> {
        let here = std::env::current_dir().unwrap_or_default();
        let mut root = Utf8PathBuf::new();
        for folder in here.ancestors() {
            if folder.join(FILE).is_file() {
                return Self::read(&root.join(FILE)).map(Some);
            }
            root.push("..");
        }
        Ok(None)
    }

    pub(crate) fn read(path: &Utf8Path) -> Result<Self, Finding> {
        let text = read_text(path, limit::SUITE).map_err(|error| {
            let message = format!("failed to read: {error}");
            Finding::new(&Place::new(path.as_str(), 1, 1), message)
        })?;
        let file = File { path, text: &text };
        let raw: Raw = toml::from_str(&text).map_err(|error| file.explained(&error))?;
        file.project(raw)
    }

    /// Where its claims come from, in the order in which they replace each other.
    pub(crate) fn sources(&self) -> Vec<Source> {
        let suites = self.suites.iter().map(|suites| Source::Parts {
            suites: suites.clone(),
            manifests: self.manifests.clone(),
        });
        suites.collect()
    }
}

/// A project's file while it is checked.
struct File<'a> {
    path: &'a Utf8Path,
    text: &'a str,
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
        let root = self.path.parent().unwrap_or(Utf8Path::new("")).to_owned();
        let suites = match raw.suites {
            None => vec![root.join("suites")],
            Some(paths) => {
                let paths = paths.iter().map(|path| self.existing(&root, path));
                paths.collect::<Result<_, _>>()?
            }
        };
        let manifests = raw.manifests.map(|path| self.existing(&root, &path));
        let documents = match raw.documents {
            Some(path) => Some(self.existing(&root, &path)?),
            None => Some(root.join("documents")).filter(|path| path.is_dir()),
        };
        let results = raw.results.map(|path| self.inside(&root, &path));
        let mut profiles = BTreeMap::new();
        for (name, profile) in raw.profile {
            self.check(&name, &profile)?;
            profiles.insert(name.into_inner(), profile.into_inner());
        }
        Ok(Project {
            suites,
            manifests: manifests
                .transpose()?
                .unwrap_or_else(|| root.join("manifests")),
            documents,
            results: results.transpose()?.unwrap_or_else(|| root.join("results")),
            builtin: raw.builtin,
            profiles,
            root,
        })
    }

    /// A path of the project, symbolic links included.
    fn inside(&self, root: &Utf8Path, path: &Spanned<Utf8PathBuf>) -> Result<Utf8PathBuf, Finding> {
        let written = path.as_ref();
        let whole = root.join(written);
        let real = |path: &Utf8Path| {
            if path.as_str().is_empty() {
                ".".into()
            } else {
                path
            }
            .canonicalize_utf8()
            .ok()
        };
        let is_outside = real(&whole)
            .zip(real(root))
            .is_some_and(|(path, root)| !path.starts_with(root));
        if !stays_inside(written) || is_outside {
            let message = format!("`{written}` is outside of the project");
            let help = "use a path within it, or pass that folder on the command line";
            return Err(self.finding(&path.span(), message).with_help(help));
        }
        Ok(whole)
    }

    /// A folder of the project.
    fn existing(
        &self,
        root: &Utf8Path,
        path: &Spanned<Utf8PathBuf>,
    ) -> Result<Utf8PathBuf, Finding> {
        let whole = self.inside(root, path)?;
        if whole.is_dir() {
            return Ok(whole);
        }
        let base = if root.as_str().is_empty() {
            Utf8Path::new(".")
        } else {
            root
        };
        let names = base.read_dir_utf8().into_iter().flatten().flatten();
        let names: Vec<String> = names
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_owned())
            .collect();
        let written = path.as_ref().as_str();
        let finding = self.finding(
            &path.span(),
            format!("no folder `{written}` in the project"),
        );
        let near = nearest(written, names.iter().map(String::as_str));
        Err(match near {
            Some(near) => finding.with_help(format!("did you mean `{near}`?")),
            None => finding,
        })
    }

    fn check(&self, name: &Spanned<String>, profile: &Spanned<Profile>) -> Result<(), Finding> {
        let written = name.as_ref();
        let is_valid = !written.is_empty()
            && written
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
        if !is_valid {
            let message =
                format!("invalid profile name `{written}`: expected letters, digits, `-` and `.`");
            return Err(self.finding(&name.span(), message));
        }
        let invalid = |error: ClusterError| {
            self.finding(&name.span(), format!("profile `{written}`: {error}"))
        };
        profile.as_ref().clusters().map(|_| ()).map_err(invalid)
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
        assert_eq!(project.builtin, BuiltIn::None);
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
    #[case("builtin = true", BuiltIn::All)]
    #[case("builtin = false", BuiltIn::None)]
    #[case("builtin = \"cited\"", BuiltIn::Cited)]
    fn built_in_suites(#[case] text: &str, #[case] wanted: BuiltIn) {
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
