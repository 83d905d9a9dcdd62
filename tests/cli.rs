//! The command line as a user meets it.

use std::borrow::BorrowMut;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use hookproof::testing::{Cell, Phase, Results, State, Verdict, read_results, write_results};
use rstest::rstest;
use serde_json::Value;

/// A claim of the built-in suites.
const CLAIM: &str = "poststart.concurrent-with-entrypoint";
/// A folder with results in which one claim of the built-in suites has an error.
const RESULTS: &str = "tests/fixtures/report";
const FAILED: &str = "kubectl.port-forward-privileged-port-denied";

fn hookproof(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookproof"));
    command
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null());
    for variable in ["NO_COLOR", "CLICOLOR_FORCE", "HOOKPROOF_DOCUMENTS"] {
        command.env_remove(variable);
    }
    command
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// Runs a command that has to end with this exit code.
fn ends(exit: i32, mut command: impl BorrowMut<Command>) -> Result<Output> {
    let command = command.borrow_mut();
    let output = command.output()?;
    ensure!(code(&output) == Some(exit), "{command:?}: {output:?}");
    Ok(output)
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Commands that print without a cluster. Few of them read the suites, which takes seconds in a development build.
const PRINTING: &[&[&str]] = &[
    &["--help"],
    &["--version"],
    &["help", "run"],
    &["lint", "--schema"],
    &["node-image", "versions"],
    &["completions", "bash"],
    &["man"],
    &["list", "--json"],
    &["explain", CLAIM],
];

#[test]
fn a_closed_pipe_does_not_change_the_exit_code() -> Result<()> {
    for args in PRINTING {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let output = hookproof(args).stdout(writer).output()?;
        ensure!(code(&output) == Some(0), "{args:?}: {output:?}");
        ensure!(!stderr(&output).contains("error"), "{args:?}: {output:?}");
    }
    Ok(())
}

#[test]
fn a_full_disk_is_an_error() -> Result<()> {
    for args in PRINTING {
        let full = OpenOptions::new().write(true).open("/dev/full")?;
        let output = hookproof(args).stdout(full).output()?;
        ensure!(code(&output) == Some(3), "{args:?}: {output:?}");
        let message = "error: failed to write to standard output: No space left on device";
        ensure!(stderr(&output).contains(message), "{args:?}: {output:?}");
    }
    Ok(())
}

#[rstest]
#[case::usage(&["--nonsense"])]
#[case::error(&["report", "nothing-here"])]
#[case::log(&["node-image", "versions", "--color", "always"])]
fn standard_error_may_be_closed_or_full(#[case] args: &[&str]) -> Result<()> {
    let usual = code(&hookproof(args).output()?);
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let full = OpenOptions::new().write(true).open("/dev/full")?;
    for stderr in [Stdio::from(writer), Stdio::from(full)] {
        let mut command = hookproof(args);
        command.env("HOOKPROOF_LOG", "trace");
        let output = command.stderr(stderr).output()?;
        assert_eq!(code(&output), usual);
    }
    Ok(())
}

#[rstest]
#[case::jobs(&["--jobs", "0"], "0 is not in 1..")]
#[case::attempts(&["--attempts", "0"], "0 is not in 1..")]
#[case::repeat(&["--repeat", "0"], "0 is not in 1..")]
#[case::timeout(&["--timeout", "0s"], "expected a duration such as `90s`")]
#[case::scenario_timeout(&["--scenario-timeout", "soon"], "expected a duration such as `90s`")]
#[case::shard(&["--shard", "4/3"], "invalid shard `4/3`")]
#[case::quiet_and_verbose(&["-q", "-v"], "cannot be used with")]
#[case::unknown_skip(&["--skip", "postsart"], "no claim, scenario, suite or document named `postsart`")]
#[case::no_earlier_results(&["--failed", "--out", "nothing-here"], "nothing-here/results.json")]
#[case::format(&["--message-format", "xml"], "possible values: human, json")]
fn usage_errors_of_run(#[case] args: &[&str], #[case] message: &str) -> Result<()> {
    let output = ends(2, hookproof(&["run"]).args(args))?;
    assert!(stderr(&output).contains(message), "{output:?}");
    assert!(stdout(&output).is_empty(), "{output:?}");
    Ok(())
}

fn dry_run(args: &[&str]) -> Result<String> {
    let output = hookproof(&["run", "--dry-run"]).args(args).output()?;
    ensure!(code(&output) == Some(0), "{output:?}");
    Ok(stdout(&output))
}

#[test]
fn a_dry_run_shows_what_would_run() -> Result<()> {
    let selection = [CLAIM, "literal", "--skip", "literal.pending-for-30s"];
    let text = dry_run(&[&selection[..], &["--kubernetes", "1.29,1.36"]].concat())?;
    let (older, newer) = text
        .split_once("\n1.36.")
        .context("a section per cluster")?;
    assert!(older.starts_with("1.29."), "{text}");
    for section in [older, newer] {
        assert!(section.contains(CLAIM), "{text}");
        let reason = "not applicable: needs literal, more time; pass --allow literal";
        assert!(section.contains(reason), "{text}");
        assert!(section.contains("1 scenario, 1 claim, about"), "{text}");
    }
    assert!(text.ends_with("dry run: nothing was created\n"), "{text}");
    Ok(())
}

#[test]
fn skip_leaves_out_claims() -> Result<()> {
    let list = hookproof(&["list", "poststart", "--skip", CLAIM, "--skip", "http*"]).output()?;
    assert!(stdout(&list).contains("  poststart."), "{list:?}");
    assert!(!stdout(&list).contains(CLAIM), "{list:?}");
    Ok(())
}

#[test]
fn failed_selects_what_was_unexpected_or_had_an_error() -> Result<()> {
    let text = dry_run(&["--failed", "--out", RESULTS])?;
    assert!(text.contains(FAILED), "{text}");
    assert!(text.contains("1 scenario, 1 claim,"), "{text}");
    let output = ends(
        0,
        hookproof(&["run", "prestop", "--failed", "--out", RESULTS]),
    )?;
    assert!(stderr(&output).starts_with("nothing to run"), "{output:?}");
    Ok(())
}

/// A kubeconfig of a cluster that does not answer.
fn no_cluster(folder: &Path) -> Result<PathBuf> {
    let kubeconfig = folder.join("kubeconfig");
    fs::write(
        &kubeconfig,
        r#"{"apiVersion": "v1", "kind": "Config", "current-context": "gone",
            "clusters": [{"name": "gone", "cluster": {"server": "http://127.0.0.1:1"}}],
            "users": [{"name": "gone", "user": {}}],
            "contexts": [{"name": "gone", "context": {"cluster": "gone", "user": "gone"}}]}"#,
    )?;
    Ok(kubeconfig)
}

/// Runs a claim on a cluster that does not answer.
fn unreachable(folder: &Path, args: &[&str]) -> Result<Output> {
    let kubeconfig = no_cluster(folder)?;
    let mut command = hookproof(&["run", CLAIM, "--context", "gone"]);
    command
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .arg("--out")
        .arg(folder.join("out"))
        .args(args)
        .env("HOOKPROOF_CACHE", folder.join("cache"));
    Ok(command.output()?)
}

#[test]
fn a_run_without_a_cluster_fails_in_human_words() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let output = unreachable(folder.path(), &["--timeout", "2m"])?;
    assert_eq!(code(&output), Some(3), "{output:?}");
    let (text, progress) = (stdout(&output), stderr(&output));
    assert!(text.contains("ERRORS 1"), "{text}");
    assert!(text.contains("report: "), "{text}");
    assert!(progress.contains("provision failed after"), "{progress}");
    assert!(progress.contains("finished after"), "{progress}");
    assert!(!progress.contains('\u{1b}'), "{progress}");
    assert!(folder.path().join("out/results.json").is_file());
    Ok(())
}

#[test]
fn json_messages_are_the_events_of_a_run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let output = unreachable(folder.path(), &["--message-format", "json", "--quiet"])?;
    assert_eq!(code(&output), Some(3), "{output:?}");
    assert_eq!(stderr(&output).lines().count(), 2, "{output:?}");
    let events: Vec<Value> = stdout(&output)
        .lines()
        .map(serde_json::from_str)
        .collect::<serde_json::Result<_>>()?;
    let names: Vec<&str> = events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .filter(|name| *name != "phase-progress")
        .collect();
    assert_eq!(names, ["begun", "phase-begun", "phase-ended", "ended"]);
    for event in &events {
        assert_eq!(event["schema"], "hookproof.events/1");
        assert!(event["at"].is_string(), "{event}");
    }
    Ok(())
}

#[rstest]
#[case::pipe(&[], None, false)]
#[case::always(&["--color", "always"], None, true)]
#[case::never(&["--color", "never"], Some("CLICOLOR_FORCE"), false)]
#[case::forced(&[], Some("CLICOLOR_FORCE"), true)]
#[case::always_wins(&["--color", "always"], Some("NO_COLOR"), true)]
fn colours(
    #[case] args: &[&str],
    #[case] variable: Option<&str>,
    #[case] coloured: bool,
) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut command = hookproof(&["report", RESULTS]);
    command
        .args(args)
        .arg("--out")
        .arg(folder.path().join("out"));
    if let Some(variable) = variable {
        command.env(variable, "1");
    }
    let output = command.output()?;
    assert_eq!(stdout(&output).contains('\u{1b}'), coloured, "{output:?}");
    Ok(())
}

#[test]
fn suites_print_no_control_characters() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let suites = folder.path().join("suites/own");
    fs::create_dir_all(&suites)?;
    fs::write(
        suites.join("claims.yaml"),
        "claims:\n- {id: own.claim, says: \"red\\e[31m\\a\", not_testable: \"x\\e]0;t\\a\"}\n\
         - {id: \"own.\\e[2Jbad\", says: 1}\n",
    )?;
    let folder = folder.path().to_string_lossy().into_owned();
    for args in [["list", "--json"].as_slice(), &["lint"]] {
        let output = hookproof(args).args(["--suites", &folder]).output()?;
        let printed = stdout(&output) + &stderr(&output);
        let control = printed.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{args:?}: {printed}");
    }
    Ok(())
}

#[rstest]
fn completions(#[values("bash", "zsh", "fish", "elvish", "powershell")] shell: &str) -> Result<()> {
    let output = ends(0, hookproof(&["completions", shell]))?;
    for word in ["hookproof", "fail-fast", "message-format"] {
        assert!(stdout(&output).contains(word), "{word}");
    }
    Ok(())
}

#[test]
fn man_pages() -> Result<()> {
    let page = stdout(&hookproof(&["man"]).output()?);
    assert!(page.contains(".TH hookproof 1"), "{page}");
    let folder = tempfile::tempdir()?;
    ends(0, hookproof(&["man", "--out"]).arg(folder.path()))?;
    for (page, text) in [
        ("hookproof.1", "hookproof"),
        ("hookproof-run.1", "scenario\\-timeout"),
        ("hookproof-cluster-create.1", "max\\-clusters"),
    ] {
        let content = fs::read_to_string(folder.path().join(page))?;
        assert!(content.contains(text), "{page}");
    }
    Ok(())
}

const KUBECONFIG: &str = "{apiVersion: v1, kind: Config, contexts: [{name: a}, {name: b}]}";

#[rstest]
#[case(&["--kubectl", "/nope"], "cannot use kubectl /nope: no such file")]
#[case(&["--kubectl", "/etc/passwd"], "cannot use kubectl /etc/passwd: not an executable file")]
#[case(&["--kubectl", "/bin/true"], "cannot use kubectl /bin/true: it does not print a version")]
#[case(&["--context", "x", "--kubeconfig", "/nope"], "cannot read the kubeconfig /nope: No such")]
#[case(&["--context", "x"], "context `x` is not in CONFIG: contexts are a, b")]
#[case(&["--context", "a"], "cannot use the kubeconfig CONFIG: failed to load")]
fn clusters_and_kubectl_are_checked_before_anything_is_created(
    #[case] args: &[&str],
    #[case] expected: &str,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let [config, out, cache] = ["config", "out", "cache"].map(|name| folder.path().join(name));
    std::fs::write(&config, KUBECONFIG)?;
    let output = hookproof(&["run"])
        .args(args)
        .arg("--out")
        .arg(&out)
        .env("KUBECONFIG", &config)
        .env("HOOKPROOF_CACHE", &cache)
        .output()?;
    let shown = String::from_utf8(output.stderr)?;
    let shown = shown.replace(&config.display().to_string(), "CONFIG");
    assert!(shown.contains(expected), "{shown}");
    assert_eq!(output.status.code(), Some(2), "{shown}");
    assert!(!out.exists() && !cache.exists(), "something was created");
    Ok(())
}

#[test]
fn a_failed_provision_shows_its_cause() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let output = hookproof(&["run", "--out"])
        .arg(folder.path())
        .env("HOOKPROOF_CACHE", "/dev/null/cache")
        .stdout(Stdio::null())
        .output()?;
    assert_eq!(output.status.code(), Some(3));
    let results = std::fs::read_to_string(folder.path().join("results.json"))?;
    let cause = "cannot create /dev/null/cache: Not a directory";
    assert!(results.contains(cause), "{results}");
    Ok(())
}

#[rstest]
fn foreign_folders_are_refused(
    #[values(
        &["judge", "tests/evidence/gates"],
        &["report", "tests/fixtures/report"],
        &["annotate", "README.md", "--results", "tests/fixtures/report"],
        &["run", CLAIM]
    )]
    args: &[&str],
) -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("mine"), "")?;
    let output = hookproof(args).arg("--out").arg(folder.path()).output()?;
    let message = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("did not write"), "{message}");
    assert_eq!(fs::read_dir(folder.path())?.count(), 1);
    Ok(())
}

#[test]
fn judging_again_keeps_every_claim() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| Utf8PathBuf::try_from(folder.path().join(name));
    let run = |args: &[&str]| anyhow::Ok(hookproof(args).stdout(Stdio::null()).status()?.code());
    let judge = |from: &Utf8Path, to: &Utf8Path| {
        let args = ["judge", from.as_str(), "--out", to.as_str()];
        anyhow::Ok((run(&args)?, read_results(to)?))
    };
    let (first, second, third) = (path("1")?, path("2")?, path("3")?);
    let (code, mut before) = judge("tests/evidence/gates".into(), &first)?;
    assert_eq!(code, Some(0));
    let states = |results: &Results| {
        let cell = |claim| Cell::of(&results.clusters[0], claim).state();
        let cells = results
            .claims
            .iter()
            .map(|claim| (claim.id.clone(), cell(claim)));
        cells.collect::<BTreeMap<_, _>>()
    };
    assert!(
        states(&before)
            .values()
            .any(|state| *state == State::Verdict(Verdict::NotTestable))
    );
    // Phases are not in the evidence.
    before.clusters[0].phases.push(Phase {
        name: "provision".to_owned(),
        began: before.began,
        seconds: 1.0,
        error: None,
        note: "created".to_owned(),
    });
    write_results(&before, &first)?;
    let (code, again) = judge(&first, &second)?;
    assert_eq!(code, Some(0));
    assert_eq!(again, before);
    assert_eq!(
        run(&["diff", first.as_str(), second.as_str(), "--values"])?,
        Some(0)
    );

    let lost = &before.clusters[0].scenarios[0];
    fs::remove_file(first.join(lost.evidence.as_deref().unwrap_or_default()))?;
    let (code, less) = judge(&first, &third)?;
    assert_eq!(code, Some(3));
    assert_eq!(less.claims, before.claims);
    for (claim, state) in states(&less) {
        let info = before.claims.iter().find(|info| info.id == claim);
        let is_lost = info.is_some_and(|info| info.scenario.as_ref() == Some(&lost.scenario));
        assert_eq!(
            state == State::NotRun,
            is_lost || states(&before)[&claim] == State::NotRun
        );
    }
    assert_eq!(run(&["diff", first.as_str(), third.as_str()])?, Some(1));
    Ok(())
}

#[test]
fn reports_of_two_runs_of_one_cluster_keep_both() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| Utf8PathBuf::try_from(folder.path().join(name));
    let (other, both) = (path("other")?, path("both")?);
    let fixture = Utf8Path::new("tests/fixtures/report");
    let one = read_results(fixture)?;
    let mut two = one.clone();
    for column in &mut two.clusters {
        column.facts.nodes = 7;
        column.run.id = "other".to_owned();
        for judgement in &mut column.judgements {
            judgement.reason = format!("other: {}", judgement.reason);
        }
    }
    fs::create_dir(&other)?;
    write_results(&two, &other)?;
    let args = [
        "report",
        fixture.as_str(),
        other.as_str(),
        "--out",
        both.as_str(),
    ];
    hookproof(&args).stdout(Stdio::null()).status()?;
    let merged = read_results(&both)?;
    let expected: Vec<_> = one.clusters.iter().chain(&two.clusters).collect();
    assert_eq!(merged.clusters.len(), expected.len());
    for (found, expected) in merged.clusters.iter().zip(expected) {
        assert_eq!(found.run, expected.run);
        assert_eq!(found.facts, expected.facts);
        assert_eq!(found.phases, expected.phases);
        assert_eq!(found.judgements, expected.judgements);
        assert!(
            both.join(format!("junit/junit-{}.xml", found.key))
                .is_file()
        );
    }
    Ok(())
}

/// A folder with suites that cite one document, and the document.
fn documented(accounts: &str) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("suites"))?;
    let claims = "claims: [{id: a.b, says: It is., cites: \"d.md:3\", not_testable: opinion}]\n";
    fs::write(
        folder.path().join("suites/d.yaml"),
        claims.to_owned() + accounts,
    )?;
    fs::write(folder.path().join("d.md"), "# Title\n\nIt is.\n\nIt is.\n")?;
    Ok(folder)
}

#[rstest]
#[case::nothing(
    "",
    1,
    "1 of 3 sentences are cited, 1 need no claim, 1 remain: 66 % covered"
)]
#[case::all(
    "no_claim: [{cites: \"d.md:5\", repeats: \"3\"}]",
    0,
    "1 of 3 sentences are cited, 2 need no claim, 0 remain: 100 % covered"
)]
fn coverage(#[case] accounts: &str, #[case] exit: i32, #[case] summary: &str) -> Result<()> {
    let folder = documented(accounts)?;
    let mut command = hookproof(&["coverage", "d.md", "--suites", "."]);
    let output = command.current_dir(folder.path()).output()?;
    let text = stdout(&output);
    assert_eq!(code(&output), Some(exit), "{text}{}", stderr(&output));
    assert!(text.contains(summary), "{text}");
    assert_eq!(text.contains("NO CLAIM CITES THIS"), exit == 1, "{text}");
    assert!(text.contains("→ a.b"), "{text}");
    Ok(())
}

/// Only documents for which suites account have to be covered completely.
#[rstest]
#[case::no_accounts("", None)]
#[case::incomplete(
    "no_claim: [{cites: \"d.md:1\", because: heading}]",
    Some("./d.md:5:1: no claim cites this, and no suite accounts for it: It is.")
)]
#[case::repeats_what_is_not_cited(
    "no_claim: [{cites: \"d.md:1\", because: heading}, {cites: \"d.md:5\", repeats: \"1\"}]",
    Some("./suites/d.yaml:2:62: no claim cites one of the lines in `repeats`")
)]
fn lint_reports_what_remains(#[case] accounts: &str, #[case] finding: Option<&str>) -> Result<()> {
    let folder = documented(accounts)?;
    let lint = |extra: &[&str]| -> Result<Output> {
        let mut command = hookproof(&["lint", "--suites", ".", "--documents", "."]);
        Ok(command.args(extra).current_dir(folder.path()).output()?)
    };
    let output = lint(&["--fix-digests"])?;
    let expected = if finding.is_some() { 2 } else { 0 };
    assert_eq!(code(&output), Some(expected), "{output:?}");
    let message = stderr(&output);
    let lines = message
        .lines()
        .map(|line| line.trim_start_matches("error: "));
    let of_folder = lines.filter(|line| line.starts_with("./"));
    assert_eq!(
        of_folder.collect::<Vec<_>>(),
        Vec::from_iter(finding),
        "{message}"
    );
    Ok(())
}

/// Offline answers from the built-in results.
#[rstest]
#[case::matrix(&["matrix", CLAIM], "confirmed since ≤ 1.")]
#[case::differences(&["matrix", "--differs", "events"], "events.created-started-text")]
#[case::none(&["matrix", "--flaky", CLAIM], "no claim matches")]
#[case::markdown(&["matrix", "--format", "markdown", CLAIM], "| claim | ")]
#[case::json(&["matrix", "--format", "json", CLAIM], "\"verdict\": \"confirmed\"")]
#[case::version(&["explain", CLAIM, "--kubernetes", "1.36"], "Kubernetes 1.36: confirmed")]
#[case::untested(&["explain", CLAIM, "--kubernetes", "1.9"], "Kubernetes 1.9: untested")]
#[case::ranges(&["explain", CLAIM], "confirmed since ≤ 1.")]
fn answers_need_no_cluster(#[case] args: &[&str], #[case] expected: &str) -> Result<()> {
    let output = ends(0, hookproof(args))?;
    assert!(stdout(&output).contains(expected), "{}", stdout(&output));
    Ok(())
}

#[test]
fn results_become_compact_results_and_a_site() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| Utf8PathBuf::try_from(folder.path().join(name));
    let (file, site) = (path("matrix.json")?, path("site")?);
    let args = ["matrix", "--results", RESULTS, "--save", file.as_str()];
    assert_eq!(code(&hookproof(&args).output()?), Some(0));
    let shown = hookproof(&["matrix", "--results", file.as_str(), CLAIM]).output()?;
    assert!(stdout(&shown).contains("2 profiles"), "{shown:?}");
    let args = ["site", "--out", site.as_str(), RESULTS];
    for _ in 0..2 {
        assert_eq!(code(&hookproof(&args).output()?), Some(0));
    }
    assert!(site.join(format!("claims/{CLAIM}.html")).is_file());
    // It is for others, unlike results.
    for path in ["index.html", "evidence"] {
        let mode = fs::metadata(site.join(path))?.permissions().mode();
        assert_eq!(mode & 0o044, 0o044, "{path}: {mode:o}");
    }
    let same = ends(2, hookproof(&["site", "--out", RESULTS, RESULTS]))?;
    assert!(stderr(&same).contains("is a results folder"), "{same:?}");
    Ok(())
}

/// Verdicts become the expected ones; everything else in the file stays.
#[test]
fn accepted_verdicts_are_written_into_the_suite() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let root = Utf8Path::from_path(folder.path()).context("UTF-8")?;
    let suite = "suites/handlers/kinds.yaml";
    for folder in ["suites/handlers", "manifests/handlers/cases"] {
        fs::create_dir_all(root.join(folder))?;
    }
    for manifest in ["kinds-receiver", "kinds", "by-sleep", "cases/grpc"] {
        let path = format!("manifests/handlers/{manifest}.yaml");
        fs::copy(&path, root.join(&path))?;
    }
    let text = fs::read_to_string(suite)?;
    let judge = |accept: &[&str]| {
        let args = [
            "judge",
            "tests/evidence/handlers",
            "--builtin",
            "--suites",
            root.as_str(),
        ];
        hookproof(&[&args[..], accept].concat()).output()
    };
    fs::write(
        root.join(suite),
        text.replace("{verdict: confirmed}", "{verdict: qualified}"),
    )?;
    assert_eq!(code(&judge(&[])?), Some(1));
    let accepted = judge(&["--accept"])?;
    assert_eq!(code(&accepted), Some(0), "{accepted:?}");
    assert!(
        stderr(&accepted).contains("qualified becomes confirmed"),
        "{accepted:?}"
    );
    assert_eq!(fs::read_to_string(root.join(suite))?, text);
    ends(
        2,
        hookproof(&["judge", "tests/evidence/handlers", "--accept"]),
    )?;
    Ok(())
}

/// The folder of a file of this repository.
fn of_repository(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

fn within(folder: &Path, args: &[&str]) -> Command {
    let mut command = hookproof(args);
    command.current_dir(folder);
    command
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (path, target) = (entry?.path(), to);
        let target = target.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(path, target)?;
        }
    }
    Ok(())
}

/// A wrong folder of documents is one problem, however many citations there are.
#[rstest]
#[case::missing("nowhere", "nowhere:1:1: no such folder of documents")]
#[case::other(
    "tests/fixtures/pages",
    "pages:1:1: none of the 5 cited documents is in this folder"
)]
fn a_wrong_folder_of_documents_is_one_finding(
    #[case] folder: &str,
    #[case] message: &str,
) -> Result<()> {
    let output = ends(2, hookproof(&["lint", "--documents", folder]))?;
    let text = stderr(&output);
    assert!(text.contains(message), "{text}");
    assert!(text.contains("1 finding in the suites"), "{text}");
    Ok(())
}

#[test]
fn own_documents_need_no_built_in_ones() -> Result<()> {
    let folder = documented("")?;
    let suite = folder.path().join("suites/d.yaml");
    fs::write(
        &suite,
        fs::read_to_string(&suite)?.replace("\"d.md:3\"", "{document: d.md, quote: Title}"),
    )?;
    let own = ["--suites", ".", "--documents", "."];
    for (more, claims) in [
        (&[][..], "0 scenarios, 1 claim: no problems"),
        (&["--builtin"][..], " claims: no problems"),
    ] {
        let output = ends(
            0,
            within(folder.path(), &[&["lint"], &own[..], more].concat()),
        )?;
        assert!(stdout(&output).contains(claims), "{output:?}");
        assert!(
            stdout(&output).contains("d.md: 1 of 3 sentences are cited"),
            "{output:?}"
        );
    }
    Ok(())
}

#[test]
fn a_new_project_works_from_every_folder_in_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let project = folder.path().join("shop");
    ends(0, within(folder.path(), &["init", "shop"]))?;
    for inner in ["", "suites", "documents"] {
        let output = ends(0, within(&project.join(inner), &["lint"]))?;
        assert!(
            stdout(&output).contains("1 scenario, 1 claim: no problems"),
            "{output:?}"
        );
    }
    let output = within(folder.path(), &["list", "--config", "shop/hookproof.toml"]).output()?;
    assert!(stdout(&output).ends_with("\n1 claim\n"), "{output:?}");
    let output = within(&project, &["run", "--dry-run", "documents/example.md"]).output()?;
    assert!(
        stdout(&output).contains("example.not-running-during-hook"),
        "{output:?}"
    );
    let output = within(&project, &["new", "a/b"]).output()?;
    assert!(stdout(&output).contains("run a/b"), "{output:?}");
    ends(0, within(&project, &["explain", "a.b"]))?;
    // Nothing is overwritten, and nothing is written next to what exists.
    fs::remove_file(project.join("hookproof.toml"))?;
    let output = ends(2, within(&project, &["init"]))?;
    assert!(
        stderr(&output).contains("documents/example.md exists"),
        "{output:?}"
    );
    assert!(!project.join("hookproof.toml").exists());
    Ok(())
}

#[test]
fn problems_of_a_project_have_a_place() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(
        folder.path().join("hookproof.toml"),
        "\ndocumets = \"docs\"\n",
    )?;
    fs::create_dir(folder.path().join("docs"))?;
    for args in [
        &["lint"][..],
        &["annotate"],
        &["report"],
        &["run"],
        &["judge"],
        &["coverage"],
    ] {
        let output = ends(2, within(&folder.path().join("docs"), args))?;
        let message =
            "../hookproof.toml:2:1: unknown key `documets`\n    did you mean `documents`?";
        assert!(stderr(&output).contains(message), "{output:?}");
    }
    Ok(())
}

/// The project in tests/example, with the results of a run on a cluster that does not answer.
fn example() -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    copy(of_repository("tests/example").as_ref(), folder.path())?;
    let kubeconfig = no_cluster(folder.path())?;
    let mut command = hookproof(&["run", "--context", "gone", "--kubeconfig"]);
    command.arg(kubeconfig).current_dir(folder.path());
    let output = command
        .env("HOOKPROOF_CACHE", folder.path().join("cache"))
        .output()?;
    ensure!(code(&output) == Some(3), "{output:?}");
    Ok(folder)
}

#[test]
fn the_example_is_covered_and_annotated() -> Result<()> {
    let folder = example()?;
    for args in [&["lint"][..], &["coverage"], &["run", "--dry-run"]] {
        ends(0, within(folder.path(), args))?;
    }
    let output = ends(0, within(folder.path(), &["annotate"]))?;
    let printed = stdout(&output);
    for line in [
        "notes.txt.html: 1 claim: ",
        "shutdown.md.html: 2 claims: ",
        "startup.html.html: 2 claims: ",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
    let page = fs::read_to_string(folder.path().join("annotated/startup.html.html"))?;
    assert!(page.contains("id=\"L7\">"), "{page}");
    assert!(page.contains("..&#x2f;results&#x2f;index.html"), "{page}");
    Ok(())
}

#[rstest]
#[case::renamed(
    "shutdown.md",
    "stopping.md",
    "no claim in results cites `stopping.md`"
)]
#[case::other_format(
    "shutdown.md",
    "shutdown.txt",
    "no claim in results cites `shutdown.txt`; did you mean `shutdown.md`?"
)]
fn a_document_that_no_claim_cites_is_an_error(
    #[case] old: &str,
    #[case] new: &str,
    #[case] message: &str,
) -> Result<()> {
    let folder = example()?;
    let documents = folder.path().join("documents");
    fs::rename(documents.join(old), documents.join(new))?;
    let output = ends(2, within(folder.path(), &["annotate", new]))?;
    assert!(stderr(&output).contains(message), "{output:?}");
    assert!(stdout(&output).is_empty(), "{output:?}");
    let output = ends(2, within(folder.path(), &["lint"]))?;
    let message =
        format!("no document `{old}` in documents: No such file or directory (os error 2)");
    assert_eq!(stderr(&output).matches(&message).count(), 1, "{output:?}");
    Ok(())
}

/// A quotation follows text that moves; an edit is one finding with the nearest line.
#[rstest]
#[case::moved("# Shutting down\n", "# Shutting down\n\n\n", None)]
#[case::rewrapped(
    "The main process gets\nSIGTERM",
    "The main\nprocess gets SIGTERM",
    None
)]
#[case::emphasis("right away", "**right** _away_", None)]
#[case::edited(
    "right away",
    "right now",
    Some(
        "suites/shutdown.yaml:28:12: the quoted text is not in shutdown.md; line 8 is the nearest: A container without \
          such a hook gets SIGTERM right now."
    )
)]
#[case::repeated(
    "# Shutting down\n",
    "# Shutting down\n\nThe containers of the shop stop in two steps.\n",
    Some(
        "suites/shutdown.yaml:34:13: the quoted text occurs 2 times in shutdown.md, on lines 3, 5"
    )
)]
fn quotations_follow_the_text(
    #[case] old: &str,
    #[case] new: &str,
    #[case] message: Option<&str>,
) -> Result<()> {
    let folder = tempfile::tempdir()?;
    copy(of_repository("tests/example").as_ref(), folder.path())?;
    let document = folder.path().join("documents/shutdown.md");
    let text = fs::read_to_string(&document)?;
    ensure!(text.contains(old), "{text}");
    fs::write(&document, text.replace(old, new))?;
    let output = within(folder.path(), &["lint"]).output()?;
    let found = stderr(&output);
    assert_eq!(
        code(&output),
        Some(if message.is_some() { 2 } else { 0 }),
        "{found}"
    );
    assert!(found.contains(message.unwrap_or_default()), "{found}");
    assert_eq!(
        found.matches("the quoted text").count(),
        usize::from(message.is_some()),
        "{found}"
    );
    Ok(())
}

/// The page was written before its suggestions were seen.
#[test]
fn claims_are_suggested_for_a_page() -> Result<()> {
    let folder = tempfile::tempdir()?;
    ensure!(code(&within(folder.path(), &["init"]).output()?) == Some(0));
    let page = of_repository("tests/fixtures/pages/unprepared.md");
    fs::copy(page, folder.path().join("documents/page.md"))?;
    let output = ends(0, within(folder.path(), &["cite", "page.md"]))?;
    let text = stdout(&output);
    assert!(
        text.starts_with("Suggestions by shared words, not verdicts"),
        "{text}"
    );
    for (sentence, claim) in SUGGESTED {
        let (_, after) = text
            .split_once(sentence)
            .with_context(|| format!("{sentence}: {text}"))?;
        let block = after.split("\n\n").next().unwrap_or_default();
        ensure!(block.contains(claim), "{sentence}: {block}");
    }
    assert!(!text.contains("Coffee"), "{text}");
    // What is suggested as YAML is a valid suite, with quotations that are found.
    let output = within(folder.path(), &["cite", "page.md", "--format", "yaml"]).output()?;
    fs::write(folder.path().join("suites/cited.yaml"), &output.stdout)?;
    ends(0, within(folder.path(), &["lint"]))?;
    Ok(())
}

/// Sentences of the page and a claim that fits.
const SUGGESTED: [(&str, &str); 6] = [
    ("fired right after", "poststart.runs-right-after-create"),
    ("Do not count on it", "poststart.no-order-guarantee"),
    (
        "Until the handler returns",
        "poststart.kubectl-get-shows-pending",
    ),
    ("process 1 afterwards", "prestop.completes-before-term"),
    (
        "preStop is not called when",
        "beyond.no-prestop-for-own-end",
    ),
    ("the request is sent by the kubelet", "http.sent-from-node"),
];
