//! Recorded evidence, judged and altered: see `testing::check`.

use std::process::ExitCode;

use camino::Utf8Path;
use hookproof::testing::{Source, check, load};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let tests = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let sample = tests.join("fixtures/sample");
    let mut trials = trials("", &Source::BuiltIn, &tests);
    trials.extend(self::trials(
        "sample: ",
        &Source::Folder(sample.clone()),
        &sample,
    ));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// One for each scenario, and one for the suites themselves.
fn trials(prefix: &str, source: &Source, folder: &Utf8Path) -> Vec<Trial> {
    let loaded = load(std::slice::from_ref(source));
    let findings: Vec<String> = loaded.findings.iter().map(ToString::to_string).collect();
    let lint = Trial::test(format!("{prefix}lint"), move || fail_with(&findings));
    let scenarios = loaded.catalogue.scenarios.into_values().map(|scenario| {
        let folder = folder.to_owned();
        Trial::test(format!("{prefix}{}", scenario.id), move || {
            fail_with(&check(&scenario, &folder).failures)
        })
    });
    std::iter::once(lint).chain(scenarios).collect()
}

fn fail_with(failures: &[String]) -> Result<(), Failed> {
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n").into())
    }
}
