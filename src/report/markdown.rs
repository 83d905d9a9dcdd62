//! `summary.md`, for the summary page of a CI run. Whatever needs attention comes first.

use std::fmt::Write as _;

use camino::Utf8Path;

use super::error::ReportError;
use super::essentials::verdict_in_words;
use super::html::PAGE;
use super::results::{ClaimInfo, Results};
use super::text::{count, one_line, seconds, short_title};
use super::view::{Cell, Counts, State, cited, labels};
use crate::catalogue::model::Verdict;
use crate::file::{stays_inside, write_atomic};

pub const SUMMARY_FILE: &str = "summary.md";

/// Writes `summary.md` into a results folder.
///
/// # Errors
/// It cannot be written.
pub fn write(results: &Results, folder: &Utf8Path) -> Result<(), ReportError> {
    Ok(write_atomic(
        &folder.join(SUMMARY_FILE),
        summary(results).as_bytes(),
    )?)
}

#[must_use]
pub fn summary(results: &Results) -> String {
    let mut out = String::new();
    let labels = labels(&results.clusters);
    head(&mut out, results);
    attention(&mut out, results, &labels);
    retried(&mut out, results, &labels);
    counts(&mut out, results, &labels);
    for (verdict, title) in [
        (Verdict::Refuted, "Refuted"),
        (Verdict::Qualified, "True only under a condition"),
    ] {
        verdicts(&mut out, results, &labels, verdict, title);
    }
    matrix(&mut out, results, &labels);
    clusters(&mut out, results, &labels);
    out
}

/// Escapes text for Markdown and HTML, on one line.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in one_line(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// Formats text as inline code.
fn code(text: &str) -> String {
    let text = one_line(text).replace('`', "'").replace('|', "¦");
    format!("`{}`", text.replace('<', "‹").replace('>', "›"))
}

fn link(text: &str, evidence: Option<&str>) -> String {
    match evidence {
        Some(path) if stays_inside(Utf8Path::new(path)) => {
            let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
            if path.chars().all(safe) {
                format!("[{text}](./{path})")
            } else {
                code(path)
            }
        }
        _ => String::new(),
    }
}

fn head(out: &mut String, results: &Results) {
    let _ = writeln!(out, "# hookproof\n");
    let took = results
        .ended
        .map(|ended| ended.duration_since(results.began).as_secs_f64());
    let _ = writeln!(
        out,
        "{} on {}{}. Run {}, {}, hookproof {}. Full report: [{PAGE}](./{PAGE}).\n",
        count(results.claims.len(), "claim"),
        count(results.clusters.len(), "cluster"),
        took.map_or_else(
            || ", **incomplete**".to_owned(),
            |took| format!(" in {}", seconds(took))
        ),
        code(&results.run),
        results.began.strftime("%Y-%m-%d %H:%M UTC"),
        plain(&results.hookproof),
    );
}

fn attention(out: &mut String, results: &Results, labels: &[String]) {
    let mut changed = String::new();
    let mut errors = String::new();
    for (cluster, label) in results.clusters.iter().zip(labels) {
        let label = plain(label);
        for phase in &cluster.phases {
            if let Some(error) = &phase.error {
                let _ = writeln!(
                    errors,
                    "- **{label}**, {}: {}",
                    plain(&phase.name),
                    plain(error)
                );
            }
        }
        for claim in &results.claims {
            let cell = Cell::of(cluster, claim);
            if cell.changed() {
                let _ = writeln!(
                    changed,
                    "- **{label}** {}: **{}**. {} {}",
                    code(&claim.id),
                    verdict_in_words(&cell),
                    plain(&cell.reason()),
                    link("evidence", evidence(&cell))
                );
            } else if let Cell::Problem { scenario } = cell {
                let _ = writeln!(
                    errors,
                    "- **{label}** {} ({}): {} {}",
                    code(&claim.id),
                    plain(&scenario.scenario),
                    plain(&cell.reason()),
                    link("evidence", evidence(&cell))
                );
            }
        }
    }
    if !changed.is_empty() {
        let _ = writeln!(out, "## Changed verdicts\n\n{changed}");
    }
    if !errors.is_empty() {
        let _ = writeln!(out, "## Errors: no verdict\n\n{errors}");
    }
}

/// Scenarios with more than one attempt.
fn retried(out: &mut String, results: &Results, labels: &[String]) {
    let retried = super::view::retried(results, labels);
    if retried.is_empty() {
        return;
    }
    let _ = writeln!(out, "## Retried\n");
    for (label, scenario) in retried {
        for earlier in &scenario.earlier {
            for why in earlier.why() {
                let _ = writeln!(
                    out,
                    "- **{}** {}, attempt {}: {} {}",
                    plain(label),
                    code(&scenario.scenario),
                    earlier.attempt,
                    plain(&why),
                    link("evidence", earlier.evidence.as_deref())
                );
            }
        }
    }
    out.push('\n');
}

fn evidence<'a>(cell: &Cell<'a>) -> Option<&'a str> {
    match cell {
        Cell::Judged {
            scenario: Some(scenario),
            ..
        }
        | Cell::Problem { scenario } => scenario.evidence.as_deref(),
        _ => None,
    }
}

fn counts(out: &mut String, results: &Results, labels: &[String]) {
    let counts: Vec<_> = results
        .clusters
        .iter()
        .map(|c| Counts::of(results, c))
        .collect();
    let states: Vec<_> = State::ALL
        .into_iter()
        .filter(|s| counts.iter().any(|c| c.get(*s) > 0))
        .collect();
    let words: Vec<_> = states
        .iter()
        .map(|s| format!("{} {}", s.mark(), s.word()))
        .collect();
    let _ = writeln!(out, "| Kubernetes | {} | changed |", words.join(" | "));
    let _ = writeln!(out, "|---|{}", "--:|".repeat(states.len() + 1));
    for (counts, label) in counts.iter().zip(labels) {
        let numbers: Vec<_> = states.iter().map(|s| counts.get(*s).to_string()).collect();
        let _ = writeln!(
            out,
            "| {} | {} | {} |",
            plain(label),
            numbers.join(" | "),
            counts.changed
        );
    }
    out.push('\n');
}

fn verdicts(out: &mut String, results: &Results, labels: &[String], verdict: Verdict, title: &str) {
    let mut section = String::new();
    for claim in &results.claims {
        let cells: Vec<_> = results
            .clusters
            .iter()
            .zip(labels)
            .map(|(cluster, label)| (label, Cell::of(cluster, claim)))
            .filter(|(_, cell)| cell.state() == State::Verdict(verdict))
            .collect();
        if !cells.is_empty() {
            claim_section(
                &mut section,
                claim,
                &cells,
                cells.len() == results.clusters.len(),
            );
        }
    }
    if !section.is_empty() {
        let _ = writeln!(out, "## {title}\n\n{section}");
    }
}

fn claim_section(out: &mut String, claim: &ClaimInfo, cells: &[(&String, Cell<'_>)], all: bool) {
    let _ = writeln!(
        out,
        "### {} {}\n",
        cells.first().map_or("", |(_, c)| c.state().mark()),
        plain(&claim.says)
    );
    if let Some(instead) = &claim.instead {
        let _ = writeln!(out, "**Actually:** {}\n", plain(instead));
    }
    let cited = cited(claim);
    let source = if cited.is_empty() {
        String::new()
    } else {
        format!(" · source: {}", plain(&cited))
    };
    let only = if all { "" } else { " · not on all clusters" };
    let _ = writeln!(out, "{}{source}{only}\n", code(&claim.id));
    // Clusters with the same reason share a line.
    let mut reasons: Vec<(String, Vec<String>, Vec<String>)> = Vec::new();
    for (label, cell) in cells {
        let reason = plain(&cell.reason());
        let link = link(&plain(label), evidence(cell));
        match reasons.iter_mut().find(|(known, ..)| *known == reason) {
            Some((_, on, links)) => {
                on.push(plain(label));
                links.push(link);
            }
            None => reasons.push((reason, vec![plain(label)], vec![link])),
        }
    }
    for (reason, on, mut links) in reasons {
        links.retain(|link| !link.is_empty());
        let links = if links.is_empty() {
            String::new()
        } else {
            format!(" (evidence: {})", links.join(", "))
        };
        let _ = writeln!(out, "- **{}**: {reason}{links}", on.join(", "));
    }
    out.push('\n');
}

fn matrix(out: &mut String, results: &Results, labels: &[String]) {
    let heads: Vec<_> = labels.iter().map(|label| plain(label)).collect();
    let _ = writeln!(out, "## Claims\n\n| claim | {} |", heads.join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(labels.len()));
    for claim in &results.claims {
        let cells: Vec<_> = results
            .clusters
            .iter()
            .map(|cluster| {
                let cell = Cell::of(cluster, claim);
                let changed = if cell.changed() { " **changed**" } else { "" };
                format!("{} {}{changed}", cell.state().mark(), cell.state().word())
            })
            .collect();
        let title = plain(&short_title(&claim.says));
        let _ = writeln!(
            out,
            "| {}<br>{title} | {} |",
            code(&claim.id),
            cells.join(" | ")
        );
    }
    out.push('\n');
}

fn clusters(out: &mut String, results: &Results, labels: &[String]) {
    let _ = writeln!(out, "## Clusters\n");
    for (cluster, label) in results.clusters.iter().zip(labels) {
        let facts = &cluster.facts;
        let phases: Vec<_> = cluster
            .phases
            .iter()
            .map(|phase| format!("{} {}", plain(&phase.name), seconds(phase.seconds)))
            .collect();
        let _ = writeln!(
            out,
            "- **{}**: {} {}, {}, node image {}; {}",
            plain(label),
            plain(&facts.name),
            plain(&facts.kubernetes),
            plain(&facts.container_runtimes.join(", ")),
            code(facts.node_image.as_deref().unwrap_or("unknown")),
            phases.join(", "),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn shows_a_run() {
        insta::assert_snapshot!(summary(&fixture::results()));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
        #[test]
        fn untrusted_text_is_escaped(text in fixture::nasty_text()) {
            let out = summary(&fixture::poisoned(&text));
            proptest::prop_assert!(!out.contains("<script"));
            // Outside of code, all links point to reports and evidence.
            let words: String = out.replace("\\`", "").replace("\\]", "").split('`').step_by(2).collect();
            for link in words.split("](").skip(1) {
                proptest::prop_assert!(link.starts_with("./"), "{}", link);
            }
            proptest::prop_assert!(!out.lines().any(|line| line.starts_with("# heading")));
            // Every table row has the same number of columns.
            let rows = out.lines().skip_while(|l| !l.starts_with("| claim")).take_while(|l| l.starts_with('|'));
            for row in rows {
                let bars = row.replace("\\|", "").matches('|').count();
                proptest::prop_assert_eq!(bars, 4, "{}", row);
            }
        }
    }
}
