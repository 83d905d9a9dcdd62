//! The documents in `docs` that tell what was found, and the numbers in the README: they are made of
//! the catalogue and the recorded evidence. `HOOKPROOF_UPDATE_DOCS=1 cargo test --test docs` writes
//! them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::sync::LazyLock;

use anyhow::{Context, Result, anyhow, bail, ensure};
use camino::Utf8Path;
use hookproof::catalogue::load::catalogue;
use hookproof::catalogue::model::{Catalogue, Citation, Claim, Scenario, Verdict};
use hookproof::judge::judgement::Judgement;
use hookproof::judge::verdict::{judge, untestable};
use hookproof::observe::evidence::ClusterFacts;
use hookproof::observe::store;
use hookproof::report::file::write_atomic;
use hookproof::report::view::{State, document_stem};

const UPDATE: &str = "HOOKPROOF_UPDATE_DOCS";
const GENERATED: &str = "<!-- Generated from the suites and tests/evidence: HOOKPROOF_UPDATE_DOCS=1 cargo test --test docs -->";

/// What claims are about, by the first part of their ids, in the order of the document.
const FAMILIES: &[(&str, &str)] = &[
    ("poststart", "postStart"),
    ("prestop", "preStop"),
    ("http", "HTTP handlers"),
    ("exec", "Exec handlers"),
    ("tcp", "TCP handlers"),
    ("sleep", "Sleep handlers"),
    ("handlers", "Kinds of handlers"),
    ("hooks", "Hooks as such"),
    ("hook", "Hooks and images"),
    ("sync", "Synchrony"),
    ("delivery", "Delivery"),
    ("events", "Events"),
    ("status", "Status"),
    ("output", "Output"),
    ("kubectl", "kubectl"),
    ("init", "Init containers"),
    ("manifest", "Manifests"),
    ("deployment", "Deployments"),
    ("literal", "The documents' own numbers"),
    ("advice", "Advice"),
    ("beyond", "Beyond the documents"),
];

#[test]
fn verdicts_are_current() -> Result<()> {
    current("docs/verdicts.md", |_| verdicts(found()?))
}

#[test]
fn wrong_statements_are_current() -> Result<()> {
    current("docs/wrong-statements.md", |_| wrong_statements(found()?))
}

#[test]
fn the_readme_is_current() -> Result<()> {
    current("README.md", |readme| {
        between(readme, "claims", &claims_line(found()?))
    })
}

/// Compares a file with what it should be, or makes it so.
fn current(file: &str, wanted: impl FnOnce(&str) -> Result<String>) -> Result<()> {
    let path = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let wanted = wanted(&committed)?;
    if std::env::var_os(UPDATE).is_some() && committed != wanted {
        write_atomic(&path, wanted.as_bytes())?;
        return Ok(());
    }
    let lines = committed.lines().chain(std::iter::repeat(""));
    let mut differing = wanted.lines().zip(lines).filter(|(new, old)| new != old);
    let first = differing.next().map_or_else(
        || "there are lines too many at its end".to_owned(),
        |(new, old)| format!("it says\n  {old}\nand the evidence says\n  {new}"),
    );
    ensure!(
        committed == wanted,
        "{file} is not what the suites and tests/evidence give: {first}\nrun {UPDATE}=1 cargo test --test docs"
    );
    Ok(())
}

/// A text with what stands between two of its comments replaced.
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
            "README.md has no lines `{}` and `{}`",
            begin.trim(),
            end.trim()
        )
    })?;
    Ok(format!("{before}{begin}{content}{end}{after}"))
}

/// Everything that the documents tell.
struct Found {
    /// One for each claim, in the catalogue's order.
    rows: Vec<Row>,
    /// The cluster that most scenarios' own evidence is of.
    reference: String,
    /// What its nodes were.
    nodes: &'static str,
    /// The other clusters with the scenarios that are recorded there.
    others: BTreeMap<String, BTreeSet<String>>,
}

/// A claim and what decided it.
struct Row {
    claim: Claim,
    verdict: Verdict,
    /// The judge's.
    reason: String,
    /// The evidence file without `.json`.
    evidence: Option<String>,
    /// The cluster that it is of, where that is not the reference.
    cluster: Option<String>,
    /// Clusters that gave another verdict.
    others: Vec<Other>,
}

struct Other {
    verdict: Verdict,
    evidence: String,
    cluster: String,
}

/// An evidence file, judged.
struct Recorded {
    /// Its path in `tests/evidence`, without `.json`.
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
        judgement.with_context(|| format!("{} gives no verdict on {}", self.file, claim.id))
    }
}

/// Read and judged once for all tests.
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
        (true, _) => ", on kind nodes that were built from packages",
        (_, true) => ", on kind nodes of published images",
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

/// The evidence of each scenario, its own first, then other clusters'.
fn recorded(catalogue: &Catalogue) -> Result<BTreeMap<String, Vec<Recorded>>> {
    let folder = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evidence");
    let mut recorded: BTreeMap<String, Vec<Recorded>> = BTreeMap::new();
    for path in store::files(&folder)? {
        let file = path.strip_prefix(&folder)?.as_str();
        let file = file.trim_end_matches(".json").to_owned();
        let id = file.split('@').next().unwrap_or_default();
        let Some(scenario) = catalogue.scenarios.get(id) else {
            continue;
        };
        let evidence = store::read(&path)?;
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

/// A cluster as far as verdicts depend on it: version, and gates that were set.
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

/// The name of the cluster of one of a scenario's evidence files.
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
                "no recorded evidence tests/evidence/{}.json: run the scenario and copy its evidence file there",
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

    /// Which cluster it is, where it isn't the reference, and what others gave.
    fn clusters(&self, word: impl Fn(Verdict) -> &'static str) -> String {
        let mut text = String::new();
        if let Some(cluster) = &self.cluster {
            let _ = write!(text, "<br>*Found with:* {cluster}.");
        }
        for other in &self.others {
            let word = word(other.verdict);
            let _ = write!(text, "<br>*With {}:* {word}.", other.cluster);
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

/// A text as a cell of a table.
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
        let number = count(found.rows.iter(), *verdict);
        (number > 0).then(|| format!("{number} {}", plain(*verdict)))
    });
    let counted: Vec<String> = counted.collect();
    format!("{} claims: {}.", found.rows.len(), counted.join(", "))
}

fn count<'a>(rows: impl Iterator<Item = &'a Row>, verdict: Verdict) -> usize {
    rows.filter(|row| row.verdict == verdict).count()
}

/// What other clusters gave: each verdict where they are few, else their number.
fn differing(found: &Found) -> String {
    let mut by_cluster: BTreeMap<&str, Vec<(&Row, Verdict)>> = BTreeMap::new();
    for row in &found.rows {
        for other in row.others.iter().filter(|other| decides(other.verdict)) {
            let rows = by_cluster.entry(&other.cluster).or_default();
            rows.push((row, other.verdict));
        }
    }
    let mut text = String::new();
    for (cluster, rows) in by_cluster {
        if rows.len() > 3 {
            let _ = write!(text, " With {cluster} {} verdicts differ.", rows.len());
            continue;
        }
        let rows = rows.iter().map(|(row, verdict)| {
            let (verdict, first) = (plain(*verdict), plain(row.verdict));
            format!("`{}` is {verdict}, not {first}", row.claim.id)
        });
        let _ = write!(
            text,
            " With {cluster} {}.",
            rows.collect::<Vec<_>>().join("; ")
        );
    }
    text
}

fn others(found: &Found) -> String {
    if found.others.is_empty() {
        return String::new();
    }
    let others = found.others.iter().map(|(cluster, scenarios)| {
        if scenarios.len() > 3 {
            return format!("{cluster} for {} scenarios", scenarios.len());
        }
        let names: Vec<String> = scenarios.iter().map(|id| format!("`{id}`")).collect();
        format!("{cluster} for {}", names.join(", "))
    });
    format!(
        " Recorded with others as well: {}.",
        others.collect::<Vec<_>>().join("; ")
    )
}

fn verdicts(found: &Found) -> Result<String> {
    let unknown = found
        .rows
        .iter()
        .find(|row| FAMILIES.iter().all(|(family, _)| *family != row.family()));
    if let Some(row) = unknown {
        bail!(
            "the family of {} has no title: add it to FAMILIES in tests/docs.rs",
            row.claim.id
        );
    }
    let mut out = format!(
        "# Verdicts

{GENERATED}

{}
Found with Kubernetes {}{}.{}{}

The table says what the evidence in [tests/evidence](../tests/evidence) says; `hookproof judge tests/evidence` decides
it again in seconds, without a cluster. Refuted and qualified statements come with what is so instead; where and
how the documents have them stands in [wrong-statements.md](wrong-statements.md). Documents are called by the number that begins
their name. *Beyond* are claims that no document makes, but that decide how the others are to be read.

| family | confirmed | refuted | qualified | other |
|---|--:|--:|--:|--:|
",
        counts(found),
        found.reference,
        found.nodes,
        others(found),
        differing(found),
    );
    let mut sections = String::new();
    for (family, title) in FAMILIES {
        let rows = || found.rows.iter().filter(|row| row.family() == *family);
        if rows().next().is_none() {
            continue;
        }
        let number = |number: usize| match number {
            0 => String::new(),
            number => number.to_string(),
        };
        let of = |verdict| number(count(rows(), verdict));
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
            "\n## {title}\n\n| claim | statement, and what is so instead | verdict | said in | evidence |\n|---|---|---|---|---|\n"
        );
        for row in rows() {
            sections.push_str(&verdict_row(row));
        }
    }
    Ok(out + &sections)
}

fn verdict_row(row: &Row) -> String {
    let mut text = cell(&row.claim.says);
    let given = std::iter::once(row.verdict).chain(row.others.iter().map(|other| other.verdict));
    let not_quite = given
        .into_iter()
        .any(|verdict| matches!(verdict, Verdict::Refuted | Verdict::Qualified));
    if let Some(instead) = row.claim.instead.as_ref().filter(|_| not_quite) {
        let _ = write!(text, "<br>*Instead:* {}", cell(instead));
    }
    if !decides(row.verdict) {
        let reason = row.reason.replacen("not applicable: ", "", 1);
        let reason = reason.trim_start_matches("inconclusive: ");
        let _ = write!(text, "<br>*Why not:* {}", cell(reason));
    }
    text.push_str(&row.clusters(plain));
    let verdict = match row.verdict {
        Verdict::Refuted => format!("**{}**", plain(row.verdict)),
        Verdict::Qualified => format!("*{}*", plain(row.verdict)),
        verdict => plain(verdict).to_owned(),
    };
    let said: Vec<String> = row.claim.cites.iter().map(said).collect();
    format!(
        "| `{}` | {text} | {verdict} | {} | {} |\n",
        row.claim.id,
        said.join("; "),
        row.links()
    )
}

/// Document and lines, such as `002: 40-41`.
fn said(citation: &Citation) -> String {
    let stem = document_stem(&citation.document);
    let number = stem.split('_').next().unwrap_or(stem);
    format!("{number}: {}", cell(&citation.lines))
}

/// What a heading's link is called.
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
        "# What the documents get wrong

{GENERATED}

Statements that the evidence refutes (wrong) or finds true only under a condition (conditional), by document and line. Found
with Kubernetes {}; the evidence is what [verdicts.md](verdicts.md) rests on, and `hookproof explain CLAIM` tells how each
was tried. All other statements that were tried are confirmed.
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
        let of = |verdict| count(rows.iter().map(|(_, row, _)| *row), verdict);
        let _ = write!(
            out,
            "\n## {document}\n\n{} wrong, {} conditional.\n\n| lines | the statement | | what is so | claim, evidence |\n|---|---|---|---|---|\n",
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

/// Statements that are right on the reference, and not on another cluster.
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
        "\n## Confirmed with Kubernetes {}, but not everywhere\n\n| said in | the statement | what is so | claim, evidence |\n|---|---|---|---|\n",
        found.reference
    );
    for row in rows {
        let said: Vec<String> = row.claim.cites.iter().map(said).collect();
        let instead = cell(row.claim.instead.as_deref().unwrap_or_default());
        let instead = format!("{instead}{}", row.clusters(in_a_document));
        let _ = writeln!(
            out,
            "| {} | {} | {} | `{}`<br>{} |",
            said.join("; "),
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
    let first = first.with_context(|| format!("{} is cited without a line", citation.document))?;
    Ok(first.parse()?)
}

fn claims_line(found: &Found) -> String {
    let counts = counts(found).replace(" qualified", " qualified (true under a condition)");
    let differs = |row: &&Row| row.others.iter().any(|other| decides(other.verdict));
    let differing = match found.rows.iter().filter(differs).count() {
        0 => String::new(),
        1 => "; with other versions or gates one verdict differs".to_owned(),
        number => format!("; with other versions or gates {number} verdicts differ"),
    };
    format!(
        "{counts} That is with Kubernetes {}{differing}.\n",
        found.reference
    )
}
