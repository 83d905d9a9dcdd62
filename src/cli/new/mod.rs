//! `hookproof new FAMILY/NAME`: the files of a new scenario.

use camino::{Utf8Path, Utf8PathBuf};

use crate::catalogue::load::{Source, load};
use crate::file::write_atomic;

use super::exit::{Exit, Failure};

/// Files of a scenario by folder. They are an experiment that runs as it is.
const FILES: [(&str, &str); 3] = [
    ("manifests", include_str!("manifest.yaml")),
    ("suites", include_str!("suite.yaml")),
    ("tests/alterations", include_str!("alterations.yaml")),
];

/// Write the files of a new scenario: a working example to edit
#[derive(Debug, clap::Args)]
pub(super) struct NewArgs {
    /// Id of the scenario, such as example/greeting
    #[arg(value_name = "FAMILY/NAME", value_parser = scenario)]
    scenario: String,
    /// Folder of your suites
    #[arg(long, value_name = "DIR", default_value = ".")]
    suites: Utf8PathBuf,
}

/// Writes nothing if a file exists.
pub(super) fn new(args: &NewArgs) -> Result<Exit, Failure> {
    let NewArgs { scenario, suites } = args;
    let built_in = load(&[Source::BuiltIn]).catalogue;
    if built_in.scenarios.contains_key(scenario) {
        return Err(Failure::usage(format!(
            "{scenario} is a built-in scenario; choose another name"
        )));
    }
    let written = write(scenario, suites)?;
    for path in written {
        line!("wrote {}", path.strip_prefix(".").unwrap_or(&path));
    }
    line!(
        "next: edit these files, check them with `hookproof lint --suites {suites}`,\n\
         then run them on a cluster: hookproof run --suites {suites} {scenario}"
    );
    Ok(Exit::AsExpected)
}

fn write(scenario: &str, folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>, Failure> {
    let path = |part: &str| folder.join(format!("{part}/{scenario}.yaml"));
    let existing = FILES.iter().map(|(part, _)| path(part));
    if let Some(existing) = existing.into_iter().find(|path| path.exists()) {
        return Err(Failure::usage(format!(
            "{existing} exists; choose another name"
        )));
    }
    let claim = scenario.replace('/', ".");
    let mut written = Vec::new();
    for (part, template) in FILES {
        let text = template
            .replace("SCENARIO", scenario)
            .replace("CLAIM", &claim);
        write_atomic(&path(part), text.as_bytes()).map_err(Failure::usage)?;
        written.push(path(part));
    }
    Ok(written)
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
        let written = write("some/new-one", folder).unwrap();
        let loaded = load(&[Source::Folder(folder.to_owned())]);
        let findings: Vec<String> = loaded.findings.iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{findings:?}");
        let scenario = &loaded.catalogue.scenarios["some/new-one"];
        assert_eq!(scenario.claims[0].id, "some.new-one");
        let alterations = std::fs::read_to_string(&written[2]).unwrap();
        let alterations = Alterations::parse(&alterations).unwrap();
        assert!(alterations.claims.contains_key("some.new-one"));
        for path in &written {
            for line in std::fs::read_to_string(path).unwrap().lines() {
                assert!(line.chars().count() <= 120, "{line}");
            }
        }
        std::fs::remove_file(&written[0]).unwrap();
        let again = write("some/new-one", folder).unwrap_err();
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
