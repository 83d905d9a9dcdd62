//! `hookproof new FAMILY/NAME`: the files of a new scenario.

use camino::{Utf8Path, Utf8PathBuf};

use crate::catalogue::load::{Source, load};
use crate::file::write_atomic;
use crate::project::Project;

use super::exit::{Exit, Failure};
use super::suites::ProjectArgs;

/// Files of a scenario: manifest, suite, alterations. They are an experiment that runs as it is.
const FILES: [&str; 3] = [
    include_str!("manifest.yaml"),
    include_str!("suite.yaml"),
    include_str!("alterations.yaml"),
];
/// What the suite says in place of citations.
pub(super) const CITES: &str =
    "# Documents that say so; leave it out if there are none: cites: NAME.txt:12-14";
/// What the suite says in place of a known verdict.
pub(super) const EXPECT: &str = "# After a run, write the verdict here: expect: confirmed (or refuted or qualified, \
                                 with instead: what is true)";

/// Write the files of a new scenario: a working example to edit
#[derive(Debug, clap::Args)]
pub(super) struct NewArgs {
    /// Id of the scenario, such as example/greeting
    #[arg(value_name = "FAMILY/NAME", value_parser = scenario)]
    scenario: String,
    /// Folder of your suites [default: the project's, or else the working directory]
    #[arg(long, value_name = "DIR")]
    suites: Option<Utf8PathBuf>,
    #[command(flatten)]
    project: ProjectArgs,
}

/// Writes nothing if a file exists.
pub(super) fn new(args: &NewArgs) -> Result<Exit, Failure> {
    let scenario = &args.scenario;
    let built_in = load(&[Source::BuiltIn]).catalogue;
    if built_in.scenarios.contains_key(scenario) {
        return Err(Failure::usage(format!(
            "{scenario} is a built-in scenario; choose another name"
        )));
    }
    let project = match &args.suites {
        Some(_) => None,
        None => Some(args.project.project()?).filter(|project| project.exists),
    };
    let folder = args.suites.as_deref().unwrap_or(Utf8Path::new("."));
    let (folders, option) = match &project {
        Some(project) => (of_project(project), String::new()),
        None => (of_folder(folder), format!(" --suites {folder}")),
    };
    let files = files(scenario, folders);
    write_all(&files, "choose another name")?;
    for (path, _) in &files {
        line!("wrote {}", path.strip_prefix(".").unwrap_or(path));
    }
    line!(
        "next: edit these files, check them with `hookproof lint{option}`,\n\
         then run them on a cluster: hookproof run{option} {scenario}"
    );
    Ok(Exit::AsExpected)
}

/// The folders of manifests, suites and alterations.
fn of_folder(root: &Utf8Path) -> [Utf8PathBuf; 3] {
    ["manifests", "suites", "tests/alterations"].map(|part| root.join(part))
}

fn of_project(project: &Project) -> [Utf8PathBuf; 3] {
    let [_, suites, alterations] = of_folder(&project.root);
    let suites = project.suites.first().cloned().unwrap_or(suites);
    [project.manifests.clone(), suites, alterations]
}

/// The files of a scenario.
pub(super) fn filled(scenario: &str, claim: &str) -> [String; 3] {
    FILES.map(|text| text.replace("SCENARIO", scenario).replace("CLAIM", claim))
}

fn files(scenario: &str, folders: [Utf8PathBuf; 3]) -> Vec<(Utf8PathBuf, String)> {
    let paths = folders.map(|folder| folder.join(format!("{scenario}.yaml")));
    let texts = filled(scenario, &scenario.replace('/', "."));
    paths.into_iter().zip(texts).collect()
}

/// Writes files; none if one of them exists.
pub(super) fn write_all(files: &[(Utf8PathBuf, String)], advice: &str) -> Result<(), Failure> {
    if let Some((existing, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(Failure::usage(format!("{existing} exists; {advice}")));
    }
    for (path, text) in files {
        write_atomic(path, text.as_bytes()).map_err(Failure::usage)?;
    }
    Ok(())
}

fn scenario(text: &str) -> Result<String, String> {
    let valid = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    match text.split_once('/') {
        Some((family, name)) if valid(family) && valid(name) => Ok(text.to_owned()),
        _ => Err(
            "expected two parts of lower-case letters, digits and `-`, for example `example/greeting`"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;
    use crate::judge::alter::Alterations;

    #[test]
    fn the_files_have_no_findings_and_are_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let files = files("some/new-one", of_folder(folder));
        write_all(&files, "choose another name").unwrap();
        let written: Vec<_> = files.iter().map(|(path, _)| path).collect();
        let loaded = load(&[Source::Folder(folder.to_owned())]);
        let findings: Vec<String> = loaded.findings.iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{findings:?}");
        let scenario = &loaded.catalogue.scenarios["some/new-one"];
        assert_eq!(scenario.claims[0].id, "some.new-one");
        let alterations = std::fs::read_to_string(written[2]).unwrap();
        let alterations = Alterations::parse(&alterations).unwrap();
        assert!(alterations.claims.contains_key("some.new-one"));
        for path in &written {
            for line in std::fs::read_to_string(path).unwrap().lines() {
                assert!(line.chars().count() <= 120, "{line}");
            }
        }
        std::fs::remove_file(written[0]).unwrap();
        let again = write_all(&files, "choose another name").unwrap_err();
        assert!(again.message.contains("suites/some/new-one.yaml exists"));
        assert!(!written[0].exists());
    }

    #[rstest]
    #[case("example/greeting", true)]
    #[case("a-b/c2", true)]
    #[case("example", false)]
    #[case("a/b/c", false)]
    #[case("../x", false)]
    #[case("A/b", false)]
    #[case("a/", false)]
    fn ids(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(scenario(text).is_ok(), valid);
    }
}
