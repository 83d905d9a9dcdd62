//! Generates `docs/verdicts.md`, `docs/wrong-statements.md`, `docs/matrix.md` and regions of the README from the suites and the recorded
//! evidence, and regions of `docs/cli.md` from the command line. `HOOKPROOF_UPDATE_DOCS=1 cargo test --test docs` updates them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::sync::LazyLock;

use anyhow::{Context, Result, anyhow, bail, ensure};
use camino::Utf8Path;
use hookproof::testing::{
    Catalogue, Citation, Claim, ClusterFacts, Judgement, Matrix, Scenario, State, Verdict, View,
    bare_reason, catalogue, causes, claims, command, count, files, judge, matrix_page, read,
    untestable, write_atomic,
};

const UPDATE: &str = "HOOKPROOF_UPDATE_DOCS";
const GENERATED: &str = "<!-- Generated from the suites and tests/evidence: HOOKPROOF_UPDATE_DOCS=1 cargo test --test docs -->";

const MATRIX: &str = "\
# Verdicts by version

<!-- Generated from docs/matrix: HOOKPROOF_UPDATE_DOCS=1 cargo test --test docs -->

The verdicts of real runs on all tested versions of Kubernetes. `hookproof matrix` shows the same on a terminal,
`hookproof explain CLAIM --kubernetes VERSION` the values that decided a verdict. The results are in
[matrix/results.json](matrix/results.json), the causes of differences in [matrix/causes.yaml](matrix/causes.yaml);
[results.md](results.md#the-matrix) says how to update both.

";

/// First part of claim ids and section title, in document order. Other families follow, with their name as title.
const FAMILIES: &[(&str, &str)] = &[
    ("poststart", "postStart"),
    ("prestop", "preStop"),
    ("http", "HTTP handlers"),
    ("exec", "Exec handlers"),
    ("tcp", "TCP handlers"),
    ("sleep", "Sleep handlers"),
    ("handlers", "Handler types"),
    ("hooks", "Hooks in general"),
    ("hook", "Hooks and images"),
    ("sync", "Synchronous execution"),
    ("delivery", "Delivery"),
    ("events", "Events"),
    ("status", "Status"),
    ("output", "Output"),
    ("kubectl", "kubectl"),
    ("init", "Init containers"),
    ("manifest", "Manifests"),
    ("deployment", "Deployments"),
    ("literal", "Durations from the documents"),
    ("advice", "Advice"),
    ("beyond", "Beyond the documents"),
];

#[test]
fn verdicts_are_up_to_date() -> Result<()> {
    up_to_date("docs/verdicts.md", |_| Ok(verdicts(found()?)))
}

#[test]
fn wrong_statements_are_up_to_date() -> Result<()> {
    up_to_date("docs/wrong-statements.md", |_| wrong_statements(found()?))
}

#[test]
fn the_matrix_is_up_to_date() -> Result<()> {
    let (matrix, catalogue) = (Matrix::built_in()?, catalogue(&[])?);
    let ids = found()?.rows.iter().map(|row| row.claim.id.clone());
    let claims = claims(&catalogue, &ids.collect());
    let causes = causes().map_err(|error| anyhow!(error))?;
    let view = View::new(&matrix);
    let page = matrix_page(&view, &claims, &causes)?;
    up_to_date("docs/matrix.md", |_| Ok(format!("{MATRIX}{page}")))
}

#[test]
fn the_readme_is_up_to_date() -> Result<()> {
    up_to_date("README.md", |readme| {
        between(readme, "claims", &claims_line(found()?)?)
    })
}

#[test]
fn the_command_line_is_up_to_date() -> Result<()> {
    up_to_date("docs/cli.md", |text| {
        let mut command = command();
        command.build();
        let text = between(text, "commands", &commands(&command))?;
        let text = between(&text, "options", &options(&command))?;
        between(&text, "exit codes", &exit_codes(&command)?)
    })
}

/// The commands that do something, with their whole names.
fn leaves(command: &clap::Command, name: &str) -> Vec<(String, clap::Command)> {
    let subcommands = command.get_subcommands();
    let mut found = Vec::new();
    let subcommands = subcommands.filter(|command| command.get_name() != "help");
    for subcommand in subcommands.filter(|command| !command.is_hide_set()) {
        let name = format!("{name} {}", subcommand.get_name());
        if subcommand.has_subcommands() {
            found.extend(leaves(subcommand, &name));
        } else {
            found.push((name, subcommand.clone()));
        }
    }
    found
}

fn styled(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(|text| cell(&text.to_string())).unwrap_or_default()
}

fn commands(command: &clap::Command) -> String {
    let mut out = "| command | purpose |\n|---|---|\n".to_owned();
    for (name, command) in leaves(command, "hookproof") {
        let positionals = command.get_positionals().map(ToString::to_string);
        let usage: Vec<String> = std::iter::once(name).chain(positionals).collect();
        let about = styled(command.get_about());
        let _ = writeln!(out, "| `{}` | {about} |", usage.join(" "));
    }
    out
}

fn options(command: &clap::Command) -> String {
    let mut out = String::new();
    for (name, command) in leaves(command, "hookproof") {
        let shown = |argument: &&clap::Arg| {
            !argument.is_positional()
                && !argument.is_global_set()
                && !["help", "version"].contains(&argument.get_id().as_str())
        };
        let arguments: Vec<_> = command.get_arguments().filter(shown).collect();
        if arguments.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n### {name}\n\n| option | effect |\n|---|---|");
        for argument in arguments {
            let short = argument.get_short();
            let short = short.map_or_else(String::new, |short| format!("-{short}, "));
            let values = argument.get_possible_values();
            let values: Vec<_> = values
                .iter()
                .map(clap::builder::PossibleValue::get_name)
                .collect();
            let flag = argument.get_num_args().is_none_or(|n| !n.takes_values());
            let usage = argument.to_string().replace("...", "");
            let mut notes = vec![styled(argument.get_help())];
            if !flag && !values.is_empty() {
                notes.push(format!("({})", values.join(", ")));
            }
            let defaults = argument.get_default_values().iter();
            let defaults: Vec<_> = defaults.map(|value| value.to_string_lossy()).collect();
            if !flag && !defaults.is_empty() {
                notes.push(format!("[default: {}]", defaults.join(",")));
            }
            if let Some(variable) = argument.get_env() {
                notes.push(format!("[env: {}]", variable.to_string_lossy()));
            }
            let _ = writeln!(out, "| `{short}{usage}` | {} |", notes.join(" "));
        }
    }
    out
}

/// One row for each meaning, as the help of the commands gives it.
fn exit_codes(command: &clap::Command) -> Result<String> {
    let mut meanings: BTreeMap<(u8, String), BTreeSet<String>> = BTreeMap::new();
    for command in command.get_subcommands() {
        if command.get_name() == "help" || command.is_hide_set() {
            continue;
        }
        let help = command.get_after_help().map(ToString::to_string);
        let help = help.with_context(|| format!("{} has no codes", command.get_name()))?;
        for line in help.lines().skip(1) {
            let (code, meaning) = line.trim().split_once(' ').context("a code")?;
            let commands = meanings
                .entry((code.parse()?, meaning.trim().to_owned()))
                .or_default();
            commands.insert(format!("`{}`", command.get_name()));
        }
    }
    let mut out = "| code | meaning | commands |\n|---|---|---|\n".to_owned();
    for ((code, meaning), commands) in meanings {
        let commands: Vec<String> = commands.into_iter().collect();
        let _ = writeln!(out, "| {code} | {meaning} | {} |", commands.join(", "));
    }
    Ok(out)
}

/// Compares a file with the generated content, or updates it.
fn up_to_date(file: &str, generate: impl FnOnce(&str) -> Result<String>) -> Result<()> {
    let path = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let generated = generate(&committed)?;
    if std::env::var_os(UPDATE).is_some() && committed != generated {
        write_atomic(&path, generated.as_bytes())?;
        return Ok(());
    }
    let lines = committed.lines().chain(std::iter::repeat(""));
    let mut differing = generated.lines().zip(lines).filter(|(new, old)| new != old);
    let first = differing.next().map_or_else(
        || "extra lines at the end".to_owned(),
        |(new, old)| format!("first difference\n  committed: {old}\n  generated: {new}"),
    );
    ensure!(
        committed == generated,
        "{file} is out of date: {first}\nupdate it: {UPDATE}=1 cargo test --test docs"
    );
    Ok(())
}

/// Replaces the text between two marker comments.
fn between(text: &str, name: &str, content: &str) -> Result<String> {
    let (begin, end) = (
        format!("<!-- {name}: generated, see tests/docs.rs -->\n"),
        format!("<!-- {name}: end -->\n"),
    );
    let parts = text
        .split_once(&begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = parts.with_context(|| {
        format!(
            "the document lacks the lines `{}` and `{}`",
            begin.trim(),
            end.trim()
        )
    })?;
    Ok(format!("{before}{begin}{content}{end}{after}"))
}

/// The content of the generated documents.
struct Found {
    /// One per claim, in catalogue order.
    rows: Vec<Row>,
    /// The cluster of most evidence files without a suffix.
    reference: String,
    /// Origin of its node images.
    nodes: &'static str,
    /// Scenarios recorded on other clusters, by cluster.
    others: BTreeMap<String, BTreeSet<String>>,
}

/// A claim, its verdict and the evidence for it.
struct Row {
    claim: Claim,
    verdict: Verdict,
    reason: String,
    /// Evidence file without `.json`.
    evidence: Option<String>,
    /// Cluster of the evidence, unless it is the reference.
    cluster: Option<String>,
    /// Clusters with a different verdict.
    others: Vec<Other>,
}

struct Other {
    verdict: Verdict,
    evidence: String,
    cluster: String,
}

/// A judged evidence file.
struct Recorded {
    /// Path in `tests/evidence`, without `.json`.
    file: String,
    facts: ClusterFacts,
    judgements: Vec<Judgement>,
}

impl Recorded {
    fn is_main(&self) -> bool {
        !self.file.contains('@')
    }

    fn judgement(&self, claim: &Claim) -> Result<&Judgement> {
        let judgement = self.judgements.iter().find(|j| j.claim == claim.id);
        judgement.with_context(|| format!("{} has no verdict for {}", self.file, claim.id))
    }
}

/// Reads and judges the evidence once for all tests.
fn found() -> Result<&'static Found> {
    static FOUND: LazyLock<Result<Found>> = LazyLock::new(find);
    FOUND.as_ref().map_err(|error| anyhow!("{error:#}"))
}

fn find() -> Result<Found> {
    let catalogue = catalogue(&[])?;
    let recorded = recorded(&catalogue)?;
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for main in recorded.values().flatten().filter(|one| one.is_main()) {
        *counted.entry(cluster(&main.facts)).or_default() += 1;
    }
    let reference = counted.into_iter().max_by_key(|(_, scenarios)| *scenarios);
    let (reference, _) = reference.context("no evidence in tests/evidence")?;

    let mut found = Found {
        rows: Vec::new(),
        nodes: "",
        others: BTreeMap::new(),
        reference,
    };
    let of_reference = || {
        let all = recorded.values().flatten();
        all.filter(|one| one.is_main() && cluster(&one.facts) == found.reference)
    };
    let from = |source: &str| {
        of_reference().all(|one| {
            let image = one.facts.node_image.as_deref();
            image.is_some_and(|image| image.starts_with(source))
        })
    };
    found.nodes = match (from("packages"), from("published")) {
        (true, _) => ", on kind nodes built from packages",
        (_, true) => ", on kind nodes from published images",
        _ => "",
    };
    let facts = of_reference().next().map(|one| one.facts.clone());
    let facts = facts.unwrap_or_default();
    for scenario in catalogue.scenarios.values() {
        let recorded = recorded.get(&scenario.id).map_or(&[][..], Vec::as_slice);
        for one in recorded {
            let name = name(one, recorded);
            if name != found.reference {
                let scenarios = found.others.entry(name).or_default();
                scenarios.insert(scenario.id.clone());
            }
        }
        for claim in &scenario.claims {
            let row = row(scenario, claim, recorded, &found.reference, &facts)?;
            found.rows.push(row);
        }
    }
    for (claim, judgement) in catalogue.untestable.iter().zip(untestable(&catalogue)) {
        found.rows.push(Row {
            claim: claim.clone(),
            verdict: judgement.verdict,
            reason: judgement.reason,
            evidence: None,
            cluster: None,
            others: Vec::new(),
        });
    }
    Ok(found)
}

/// The evidence files of each scenario: first the one without a suffix, then those of other clusters.
fn recorded(catalogue: &Catalogue) -> Result<BTreeMap<String, Vec<Recorded>>> {
    let folder = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evidence");
    let mut recorded: BTreeMap<String, Vec<Recorded>> = BTreeMap::new();
    for path in files(&folder)? {
        let file = path.strip_prefix(&folder)?.as_str();
        let file = file.trim_end_matches(".json").to_owned();
        let id = file.split('@').next().unwrap_or_default();
        let Some(scenario) = catalogue.scenarios.get(id) else {
            continue;
        };
        let evidence = read(&path)?;
        let judged = judge(scenario, &evidence).with_context(|| path.to_string())?;
        recorded.entry(id.to_owned()).or_default().push(Recorded {
            facts: evidence.cluster,
            judgements: judged.judgements,
            file,
        });
    }
    for files in recorded.values_mut() {
        files.sort_by_key(|one| (!one.is_main(), one.file.clone()));
    }
    Ok(recorded)
}

/// The cluster properties that verdicts depend on: version and configured feature gates.
fn cluster(facts: &ClusterFacts) -> String {
    let version = facts.kubernetes.trim_start_matches('v');
    let gates: Vec<String> = facts
        .gates
        .iter()
        .map(|(gate, on)| format!("{gate} {}", if *on { "on" } else { "off" }))
        .collect();
    if gates.is_empty() {
        version.to_owned()
    } else {
        format!("{version} ({})", gates.join(", "))
    }
}

/// Name of an evidence file's cluster, unique among the scenario's files.
fn name(one: &Recorded, recorded: &[Recorded]) -> String {
    let name = cluster(&one.facts);
    let same = |main: &Recorded| main.is_main() && cluster(&main.facts) == name;
    match one.file.split_once('@') {
        Some((_, suffix)) if recorded.iter().any(same) => format!("{name} ({suffix})"),
        _ => name,
    }
}

fn decides(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Confirmed | Verdict::Refuted | Verdict::Qualified
    )
}

fn row(
    scenario: &Scenario,
    claim: &Claim,
    recorded: &[Recorded],
    reference: &str,
    facts: &ClusterFacts,
) -> Result<Row> {
    let mut judged = Vec::new();
    for one in recorded {
        judged.push((one, one.judgement(claim)?));
    }
    let main = judged
        .iter()
        .find(|(one, judgement)| one.is_main() && judgement.verdict != Verdict::NotApplicable);
    let decided = || judged.iter().find(|(_, j)| decides(j.verdict));
    let Some((chosen, judgement)) = main.or_else(decided).or_else(|| judged.first()) else {
        let Some(unmet) = scenario.needs.unmet(facts) else {
            bail!(
                "missing tests/evidence/{0}.json: run the scenario, then `hookproof record --suites . {0}`",
                scenario.id
            );
        };
        return Ok(Row {
            claim: claim.clone(),
            verdict: Verdict::NotApplicable,
            reason: unmet,
            evidence: None,
            cluster: None,
            others: Vec::new(),
        });
    };
    let others = judged.iter().filter(|(_, other)| {
        other.verdict != judgement.verdict && other.verdict != Verdict::NotApplicable
    });
    let cluster = name(chosen, recorded);
    Ok(Row {
        claim: claim.clone(),
        verdict: judgement.verdict,
        reason: judgement.reason.clone(),
        evidence: Some(chosen.file.clone()),
        cluster: (cluster != reference).then_some(cluster),
        others: others
            .map(|(one, other)| Other {
                verdict: other.verdict,
                evidence: one.file.clone(),
                cluster: name(one, recorded),
            })
            .collect(),
    })
}

impl Row {
    fn family(&self) -> &str {
        self.claim.id.split('.').next().unwrap_or_default()
    }

    /// The cluster if it is not the reference, and different verdicts on others.
    fn clusters(&self, word: impl Fn(Verdict) -> &'static str) -> String {
        let mut text = String::new();
        if let Some(cluster) = &self.cluster {
            let _ = write!(text, "<br>*Kubernetes:* {cluster}.");
        }
        for other in &self.others {
            let word = word(other.verdict);
            let _ = write!(text, "<br>*Kubernetes {}:* {word}.", other.cluster);
        }
        text
    }

    fn links(&self) -> String {
        let others = self.others.iter().map(|other| &other.evidence);
        let files = self.evidence.iter().chain(others);
        let links = files.map(|file| format!("[{file}](../tests/evidence/{file}.json)"));
        links.collect::<Vec<_>>().join("<br>")
    }
}

/// Formats text as a table cell.
fn cell(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|").replace('<', "&lt;")
}

fn plain(verdict: Verdict) -> &'static str {
    State::Verdict(verdict).word()
}

fn counts(found: &Found) -> String {
    let all = [
        Verdict::Confirmed,
        Verdict::Refuted,
        Verdict::Qualified,
        Verdict::Inconclusive,
        Verdict::NotTestable,
        Verdict::NotApplicable,
    ];
    let counted = all.iter().filter_map(|verdict| {
        let number = number_of(found.rows.iter(), *verdict);
        (number > 0).then(|| format!("{number} {}", plain(*verdict)))
    });
    let counted: Vec<String> = counted.collect();
    let claims = count(found.rows.len(), "claim");
    format!("{claims}: {}.", counted.join(", "))
}

fn number_of<'a>(rows: impl Iterator<Item = &'a Row>, verdict: Verdict) -> usize {
    rows.filter(|row| row.verdict == verdict).count()
}

/// Scenarios and different verdicts of the other clusters, as a list. More than three of a kind are
/// only counted.
fn other_clusters(found: &Found) -> String {
    let mut differing: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in &found.rows {
        for other in row.others.iter().filter(|other| decides(other.verdict)) {
            let (verdict, reference) = (plain(other.verdict), plain(row.verdict));
            let text = format!("`{}` is {verdict} instead of {reference}", row.claim.id);
            differing.entry(&other.cluster).or_default().push(text);
        }
    }
    let mut clusters: BTreeSet<&str> = found.others.keys().map(String::as_str).collect();
    clusters.extend(differing.keys());
    if clusters.is_empty() {
        return String::new();
    }
    let mut text = "\nEvidence from other clusters:\n\n".to_owned();
    for cluster in clusters {
        let scenarios = found.others.get(cluster).into_iter().flatten();
        let scenarios: Vec<String> = scenarios.map(|id| format!("`{id}`")).collect();
        let verdicts = differing.remove(cluster).unwrap_or_default();
        let _ = writeln!(text, "- Kubernetes {cluster}");
        for (items, noun) in [(scenarios, "scenario"), (verdicts, "different verdict")] {
            match items.len() {
                0 => {}
                1..=3 => {
                    let _ = writeln!(text, "  - {}", items.join(", "));
                }
                number => {
                    let _ = writeln!(text, "  - {}", count(number, noun));
                }
            }
        }
    }
    text
}

fn verdicts(found: &Found) -> String {
    let mut out = format!(
        "# Verdicts

{GENERATED}

{}
The reference is Kubernetes {}{}.

The verdicts follow from the evidence in [tests/evidence](../tests/evidence). `hookproof judge tests/evidence` judges it
again in seconds, without a cluster. Refuted and qualified claims come with the actual behaviour;
[wrong-statements.md](wrong-statements.md) lists them by document and line. Documents are identified by the number at
the start of their name. *Beyond the documents* lists claims that no document makes, but that help to interpret the
others.
{}
| family | confirmed | refuted | qualified | other |
|---|--:|--:|--:|--:|
",
        counts(found),
        found.reference,
        found.nodes,
        other_clusters(found),
    );
    let mut sections = String::new();
    for (family, title) in &families(found) {
        let rows = || found.rows.iter().filter(|row| row.family() == *family);
        if rows().next().is_none() {
            continue;
        }
        let number = |number: usize| match number {
            0 => String::new(),
            number => number.to_string(),
        };
        let of = |verdict| number(number_of(rows(), verdict));
        let other = rows().filter(|row| !decides(row.verdict)).count();
        let _ = writeln!(
            out,
            "| [{title}](#{}) | {} | {} | {} | {} |",
            anchor(title),
            of(Verdict::Confirmed),
            of(Verdict::Refuted),
            of(Verdict::Qualified),
            number(other),
        );
        let _ = write!(
            sections,
            "\n## {title}\n\n| id | claim | verdict | source | evidence |\n|---|---|---|---|---|\n"
        );
        for row in rows() {
            sections.push_str(&verdict_row(row));
        }
    }
    out + &sections
}

/// The families of [`FAMILIES`], then all others by name.
fn families(found: &Found) -> Vec<(&str, String)> {
    let known = FAMILIES
        .iter()
        .map(|(family, title)| (*family, (*title).to_owned()));
    let others: BTreeSet<&str> = found.rows.iter().map(Row::family).collect();
    let is_known = |family: &str| FAMILIES.iter().any(|(known, _)| *known == family);
    let others = others.into_iter().filter(|family| !is_known(family));
    known
        .chain(others.map(|family| (family, title(family))))
        .collect()
}

/// The name of a family as a title: `Image volumes` for `image-volumes`.
fn title(family: &str) -> String {
    let words = family.replace(['-', '_'], " ");
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[test]
fn families_have_titles() {
    assert_eq!(title("image-volumes"), "Image volumes");
    assert_eq!(title("example"), "Example");
}

fn verdict_row(row: &Row) -> String {
    let mut text = cell(&row.claim.says);
    let given = std::iter::once(row.verdict).chain(row.others.iter().map(|other| other.verdict));
    let corrected = given
        .into_iter()
        .any(|verdict| matches!(verdict, Verdict::Refuted | Verdict::Qualified));
    if let Some(instead) = row.claim.instead.as_ref().filter(|_| corrected) {
        let _ = write!(text, "<br>*Actually:* {}", cell(instead));
    }
    if !decides(row.verdict) {
        let reason = bare_reason(&row.reason, row.verdict);
        let _ = write!(text, "<br>*Reason:* {}", cell(reason));
    }
    text.push_str(&row.clusters(plain));
    let verdict = match row.verdict {
        Verdict::Refuted => format!("**{}**", plain(row.verdict)),
        Verdict::Qualified => format!("*{}*", plain(row.verdict)),
        verdict => plain(verdict).to_owned(),
    };
    let sources: Vec<String> = row.claim.cites.iter().map(source).collect();
    format!(
        "| `{}` | {text} | {verdict} | {} | {} |\n",
        row.claim.id,
        sources.join("; "),
        row.links()
    )
}

/// Document and lines, such as `002: 40-41`.
fn source(citation: &Citation) -> String {
    let document = &citation.document;
    let stem = document
        .rsplit_once('.')
        .map_or(document.as_str(), |(stem, _)| stem);
    let number = stem.split('_').next().unwrap_or(stem);
    format!("{number}: {}", cell(&citation.lines))
}

/// Anchor of a heading.
fn anchor(title: &str) -> String {
    let letters = title.to_lowercase();
    let letters = letters.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' => Some(c),
        _ => None,
    });
    letters.collect()
}

fn wrong_statements(found: &Found) -> Result<String> {
    let mut out = format!(
        "# Wrong and conditional claims

{GENERATED}

Claims that are refuted (wrong) or true only under a condition (conditional) with Kubernetes {}, by document and
line. All other tested claims are confirmed; see [verdicts.md](verdicts.md). `hookproof explain CLAIM` shows how a claim
is tested.
",
        found.reference
    );
    let mut documents: BTreeMap<&str, Vec<(u32, &Row, &Citation)>> = BTreeMap::new();
    for row in &found.rows {
        if !matches!(row.verdict, Verdict::Refuted | Verdict::Qualified) {
            continue;
        }
        for citation in &row.claim.cites {
            let rows = documents.entry(&citation.document).or_default();
            rows.push((first_line(citation)?, row, citation));
        }
    }
    for (document, mut rows) in documents {
        rows.sort_by_key(|(line, row, _)| (*line, &row.claim.id));
        let of = |verdict| number_of(rows.iter().map(|(_, row, _)| *row), verdict);
        let _ = write!(
            out,
            "\n## {document}\n\n{} wrong, {} conditional.\n\n\
             | lines | claim | verdict | actually | id, evidence |\n|---|---|---|---|---|\n",
            of(Verdict::Refuted),
            of(Verdict::Qualified)
        );
        for (_, row, citation) in rows {
            let verdict = match row.verdict {
                Verdict::Refuted => "**wrong**",
                verdict => in_a_document(verdict),
            };
            let instead = cell(row.claim.instead.as_deref().unwrap_or_default());
            let instead = format!("{instead}{}", row.clusters(in_a_document));
            let _ = writeln!(
                out,
                "| {} | {} | {verdict} | {} | `{}`<br>{} |",
                cell(&citation.lines),
                cell(&row.claim.says),
                instead.trim_start_matches("<br>"),
                row.claim.id,
                row.links()
            );
        }
    }
    elsewhere(&mut out, found);
    Ok(out)
}

fn in_a_document(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Refuted => "wrong",
        Verdict::Qualified => "conditional",
        verdict => plain(verdict),
    }
}

/// Claims that are confirmed on the reference but not on another cluster.
fn elsewhere(out: &mut String, found: &Found) {
    let rows: Vec<&Row> = found
        .rows
        .iter()
        .filter(|row| row.verdict == Verdict::Confirmed && !row.claim.cites.is_empty())
        .filter(|row| row.others.iter().any(|other| decides(other.verdict)))
        .collect();
    if rows.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "\n## Confirmed with Kubernetes {}, but not on other clusters\n\n\
         | source | claim | actually | id, evidence |\n|---|---|---|---|\n",
        found.reference
    );
    for row in rows {
        let sources: Vec<String> = row.claim.cites.iter().map(source).collect();
        let instead = cell(row.claim.instead.as_deref().unwrap_or_default());
        let instead = format!("{instead}{}", row.clusters(in_a_document));
        let _ = writeln!(
            out,
            "| {} | {} | {} | `{}`<br>{} |",
            sources.join("; "),
            cell(&row.claim.says),
            instead.trim_start_matches("<br>"),
            row.claim.id,
            row.links()
        );
    }
}

fn first_line(citation: &Citation) -> Result<u32> {
    let digits = citation.lines.split(|c: char| !c.is_ascii_digit());
    let first = digits.into_iter().find(|digits| !digits.is_empty());
    let first = first.with_context(|| format!("no line in a citation of {}", citation.document))?;
    Ok(first.parse()?)
}

fn claims_line(found: &Found) -> Result<String> {
    let counts = counts(found).replace(" qualified", " qualified (true under a condition)");
    let matrix = Matrix::built_in()?;
    let view = View::new(&matrix);
    let differing = found.rows.iter().filter(|row| view.differs(&row.claim.id));
    Ok(format!(
        "{counts}\nThe verdicts are for Kubernetes {}. On the {} tested profiles (versions, feature gates, container \
         runtimes),\n{} claims have more than one verdict.\n",
        found.reference,
        view.tested(),
        differing.count()
    ))
}
