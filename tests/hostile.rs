//! Hostile input: every reader answers with a clear error, within a second and a bounded amount of memory.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use hookproof::testing::{Source, load, read, read_results};
use itertools::Itertools as _;
use proptest::prelude::*;
use rstest::rstest;

/// Processor time in seconds of an unoptimized program.
const SECONDS: &str = "5";
/// Generous, for busy machines.
const LIMIT: Duration = Duration::from_secs(60);
/// Address space in KiB, of which threads reserve a part.
const MEMORY: &str = "1000000";

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n\
    spec: {containers: [{name: main, image: hookproof/agent, command: [agent, entrypoint, wait]}]}\n";

fn suite(holds: &str, before: &str, claims: usize) -> String {
    let claims = (0..claims).map(|n| {
        format!(
            "  - id: a.b{n}\n    says: It is so.\n    control: runs(a.entrypoint) == 1\n    holds: {holds}\n    \
             fails: has(a.failed)\n"
        )
    });
    format!(
        "scenario: a\nmanifest: manifests/a.yaml\nsteps: [apply, {{until: a.running}}]\n{before}claims:\n{}",
        claims.collect::<String>()
    )
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).join("\n") + "\n"
}

/// A folder of suites.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(suite: &str, manifest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [("suites/a.yaml", suite), ("manifests/a.yaml", manifest)] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.0.path()).unwrap()
    }

    /// Runs `hookproof lint` with limits. Returns the exit code and what it printed.
    fn lint(&self, more: &[&str]) -> (Option<i32>, String) {
        let began = Instant::now();
        let output = Command::new("sh")
            .args([
                "-c",
                &format!("ulimit -v {MEMORY}; ulimit -t {SECONDS}; exec timeout 60 \"$@\""),
                "sh",
            ])
            .arg(env!("CARGO_BIN_EXE_hookproof"))
            .args(["lint", "--suites", self.path().as_str()])
            .args(more)
            .env_remove("HOOKPROOF_DOCUMENTS")
            .output()
            .unwrap();
        assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }
}

fn aliases() -> String {
    let levels = (1..9).map(|n| {
        format!(
            "b{n}: &b{n} [{}]\n",
            vec![format!("*b{}", n - 1); 10].join(",")
        )
    });
    format!(
        "b0: &b0 [{}]\n{}",
        ["{}"; 10].join(","),
        levels.collect::<String>()
    )
}

/// Lists of claims made of aliases, in which every part is of the right type.
fn claims_of_aliases() -> String {
    let many = |what: &str| vec![what; 40].join(",");
    format!(
        "claims: [&c {{id: a, checks: [&k {{name: &n x}},{}]}},{}]\n",
        many("*k"),
        many("*c")
    )
}

#[rstest]
#[case::aliases(aliases(), POD.to_owned(), "a.yaml:")]
#[case::claims_of_aliases(claims_of_aliases(), POD.to_owned(), "alias")]
#[case::manifest_of_aliases(suite("true", "", 1), aliases(), "alias")]
#[case::large_suite(suite("has(a.ready)", "", 6_500), POD.to_owned(), "bytes")]
#[case::large_manifest(suite("has(a.ready)", "", 1), "# x\n".repeat(300_000), "bytes")]
#[case::many_claims(suite("has(a.ready)", "", 900), POD.to_owned(), "900 claims; 300 are allowed")]
#[case::many_steps(
    format!("scenario: a\nmanifest: manifests/a.yaml\nsteps:\n{}claims: []\n", "- {until: a.running}\n".repeat(9_000)),
    POD.to_owned(),
    "9000 steps; 300 are allowed"
)]
#[case::many_values(
    suite("has(a.ready)", &format!("values:\n{}", lines(4_000, |n| format!("  v{n}: runs(a.entrypoint) == {n}"))), 1),
    POD.to_owned(),
    "4000 values; 200 are allowed"
)]
#[case::many_moments(
    suite("has(a.ready)", &format!("moments:\n{}", lines(4_000, |n| format!("  m{n}: {{pod: a}}"))), 1),
    POD.to_owned(),
    "more findings in this file"
)]
#[case::many_terms(suite(&vec!["1"; 30_000].join("+"), "", 1), POD.to_owned(), "operators and dots")]
#[case::many_terms_below_the_old_limit(suite(&vec!["1"; 1_500].join("+"), "", 1), POD.to_owned(), "operators and dots")]
#[case::deep_expression(suite(&format!("{}true{}", "(".repeat(900), ")".repeat(900)), "", 1), POD.to_owned(), "brackets")]
#[case::deep_suite(format!("claims: {}{}", "[".repeat(20_000), "]".repeat(20_000)), POD.to_owned(), "not YAML")]
#[case::deep_manifest(suite("true", "", 1), format!("{POD}x: {}{}", "[".repeat(20_000), "]".repeat(20_000)), "not YAML")]
#[case::many_line_ranges(
    suite("has(a.ready)", "", 1).replace("says: It is so.", &format!("says: It is so.\n    cites: 'a.txt:{}'", vec!["1"; 9_000].join(","))),
    POD.to_owned(),
    "more than 64 line ranges"
)]
#[case::citation_outside(
    suite("has(a.ready)", "", 1).replace("says: It is so.", "says: It is so.\n    cites: ../../../etc/passwd:1"),
    POD.to_owned(),
    "outside the folder of the documents"
)]
fn costly_suites_are_refused(
    #[case] suite: String,
    #[case] manifest: String,
    #[case] expected: &str,
) {
    let (code, printed) = Folder::new(&suite, &manifest).lint(&[]);
    let shown: String = printed.chars().take(2_000).collect();
    assert_eq!(code, Some(2), "{shown}");
    assert!(printed.contains(expected), "{shown}");
    assert!(printed.len() < 200_000, "{} bytes", printed.len());
}

#[rstest]
#[case::suite("suites/a.yaml")]
#[case::manifest("manifests/a.yaml")]
fn only_regular_files_in_the_folder_are_read(#[case] path: &str) {
    let folder = Folder::new(&suite("has(a.ready)", "", 1), POD);
    let path = folder.0.path().join(path);
    let refused = |expected: &str| {
        let (code, printed) = folder.lint(&[]);
        assert_eq!(code, Some(2), "{printed}");
        assert!(printed.contains(expected), "{printed}");
        assert!(!printed.contains("root:"), "{printed}");
        fs::remove_file(&path).unwrap();
    };
    fs::remove_file(&path).unwrap();
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    refused("expected a regular file, found a FIFO");
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    refused("leads out of");
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    refused("leads out of");
    fs::create_dir(&path).unwrap();
    let (code, printed) = folder.lint(&[]);
    assert_eq!(code, Some(2), "{printed}");
}

/// What a manifest may not have without declaring it, and what it may never have.
#[rstest]
#[case("spec: {", "spec: {hostNetwork: true, ", "`hostNetwork` in")]
#[case(
    "spec: {",
    "spec: {hostPID: true, ",
    "needs the capability privileged-pods"
)]
#[case(
    "name: main,",
    "name: main, securityContext: {privileged: true},",
    "`privileged` in"
)]
#[case(
    "spec: {",
    "spec: {volumes: [{name: a, hostPath: {path: /}}], ",
    "`hostPath` in"
)]
#[case(
    "kind: Pod",
    "kind: ClusterRole",
    "scenarios cannot create a ClusterRole"
)]
#[case(
    "kind: Pod",
    "kind: ClusterRoleBinding",
    "scenarios cannot create a ClusterRoleBinding"
)]
#[case(
    "kind: Pod",
    "kind: PriorityClass",
    "needs the capability cluster-objects"
)]
fn manifests_that_reach_beyond_the_namespace_are_found(
    #[case] of: &str,
    #[case] by: &str,
    #[case] expected: &str,
) {
    let folder = Folder::new(&suite("has(a.ready)", "", 1), &POD.replace(of, by));
    let (code, printed) = folder.lint(&[]);
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains(expected), "{printed}");
}

/// kubectl with another user, cluster or namespace, or with files of this machine.
#[rstest]
#[case("get pods -n kube-system")]
#[case("get secrets -A")]
#[case("config view --raw")]
#[case("cp a:/etc/passwd /tmp/x")]
#[case("apply -f /etc/passwd")]
#[case("get pods --kubeconfig=/dev/stdin")]
#[case("create token default")]
#[case("delete ns other")]
fn commands_that_reach_beyond_the_namespace_are_found(#[case] command: &str) {
    let steps = format!("steps: [apply, {{kubectl: '{command}'}}, ");
    let suite = suite("has(a.ready)", "", 1).replace("steps: [apply, ", &steps);
    let (code, printed) = Folder::new(&suite, POD).lint(&[]);
    assert_eq!(code, Some(2), "{printed}");
    let words = ["kubectl steps cannot", "cannot derive the permissions"];
    assert!(words.iter().any(|word| printed.contains(word)), "{printed}");
}

#[test]
fn links_to_folders_are_not_followed() {
    let folder = Folder::new(&suite("has(a.ready)", "", 1), POD);
    std::os::unix::fs::symlink("..", folder.0.path().join("suites/loop")).unwrap();
    let (code, printed) = folder.lint(&[]);
    assert_eq!(code, Some(2), "{printed}");
    assert_eq!(printed.matches("not followed").count(), 1, "{printed}");
}

#[test]
fn documents_stay_in_their_folder() {
    let cites = "says: It is so.\n    cites: secret.txt:1";
    let suite = suite("has(a.ready)", "", 1).replace("says: It is so.", cites);
    let folder = Folder::new(&suite, POD);
    let documents = folder.0.path().join("documents");
    fs::create_dir(&documents).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", documents.join("secret.txt")).unwrap();
    let (code, printed) = folder.lint(&["--documents", documents.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("leads out of"), "{printed}");
}

#[test]
fn no_control_characters_reach_the_terminal() {
    let suite = suite("has(a.ready)", "", 1).replace("id: a.b0", r#"id: "a\e]0;x\a\u202E\u0085b""#);
    let (code, printed) = Folder::new(&suite, POD).lint(&[]);
    assert_eq!(code, Some(2), "{printed}");
    let control = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!printed.contains(control), "{printed:?}");
}

/// Text that resembles the formats, so that it gets past the first character.
fn resembling(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => proptest::sample::select(words).prop_map(str::to_owned),
        1 => "\\PC{0,6}",
        1 => Just("\n".to_owned()),
    ];
    proptest::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

const YAML: &[&str] = &[
    "scenario: ",
    "steps:\n",
    "- apply\n",
    "- {until: a.running}\n",
    "claims:\n",
    "- id: a.b\n",
    "  holds: ",
    "  says: ",
    "runs(a.entrypoint)",
    " == ",
    "has(a.x)",
    "&a ",
    "*a",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "  ",
    "|",
    ">",
    "\"",
    "'",
    "!!x ",
    "kubectl: ",
    "moments:\n",
    "values:\n",
    "needs: ",
    "cites: a.txt:1-3",
    "---\n",
    "kind: Pod\n",
    "metadata: ",
];
const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"schema\"",
    "\"hookproof.evidence/1\"",
    "\"hookproof.results/2\"",
    "\"timeline\"",
    "\"clusters\"",
    "\"claims\"",
    "null",
    "1e999",
    "-1",
    "\"2026-01-01T00:00:00Z\"",
    "\"at\"",
    "\"\\ud800\"",
];

fn file(folder: &Path, name: &str, text: &str) -> camino::Utf8PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    camino::Utf8PathBuf::from_path_buf(path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_suite_and_manifest_are_read(suite in resembling(YAML), manifest in resembling(YAML)) {
        let folder = Folder::new(&suite, &manifest);
        let began = Instant::now();
        let _ = load(&[Source::Folder(folder.path().to_owned())]);
        prop_assert!(began.elapsed() < LIMIT);
    }

    #[test]
    fn any_expression_is_checked(holds in "[a-c0-9 .,&|()'\\[\\]{}?:<=!+*\"\\\\-]{0,60}") {
        let text = suite(&format!("{holds:?}"), "", 1);
        let began = Instant::now();
        let folder = Folder::new(&text, POD);
        let _ = load(&[Source::Folder(folder.path().to_owned())]);
        prop_assert!(began.elapsed() < LIMIT);
    }

    #[test]
    fn any_evidence_and_results_are_read(text in resembling(JSON)) {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "results.json", &text);
        let began = Instant::now();
        let _ = read(&path);
        let _ = read_results(path.parent().unwrap());
        prop_assert!(began.elapsed() < LIMIT);
    }
}

#[rstest]
#[case::deep(&"[".repeat(1_000_000))]
#[case::large(&" ".repeat(40_000_000))]
#[case::wide(&format!("{{\"schema\":\"hookproof.evidence/1\",\"timeline\":[{}]}}", vec!["[]"; 2_000_000].join(",")))]
fn large_evidence_and_results_are_refused(#[case] text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "results.json", text);
    let began = Instant::now();
    assert!(read(&path).is_err());
    assert!(read_results(path.parent().unwrap()).is_err());
    assert!(began.elapsed() < LIMIT);
}

/// What kubectl runs in: its folders, the C library, and one port.
#[test]
fn a_sandboxed_program_reads_and_writes_its_folder_only() {
    let folder = tempfile::tempdir().unwrap();
    let own = file(folder.path(), "own", "text");
    let sandboxed = |command: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_hookproof"))
            .args([
                "sandbox",
                "--port",
                "1",
                "--write",
                folder.path().to_str().unwrap(),
                "--",
            ])
            .args(command)
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    assert_eq!(
        sandboxed(&["/bin/cat", own.as_str()]),
        (true, String::new())
    );
    // Kernels without Landlock restrict nothing.
    let supported = fs::read_to_string("/sys/kernel/security/lsm")
        .is_ok_and(|lsm| lsm.contains("landlock"))
        || !sandboxed(&["/bin/cat", "/etc/passwd"]).0;
    if !supported {
        return;
    }
    for refused in [
        &["/bin/cat", "/etc/passwd"][..],
        &["/bin/cat", env!("CARGO_MANIFEST_PATH")],
        &["/bin/cp", own.as_str(), "/tmp/hookproof-sandbox-test"],
        &["/bin/sh", "-c", "/bin/cat /dev/null"],
    ] {
        let (success, printed) = sandboxed(refused);
        assert!(!success, "{refused:?}");
        assert!(
            printed.contains("ermission denied"),
            "{refused:?}: {printed}"
        );
    }
}
