//! `summary.md`, for the summary page of a CI run. Whatever needs attention comes first, and its size is
//! limited, as CI systems reject long summaries.

use std::fmt::Write as _;

use camino::Utf8Path;
use itertools::Itertools as _;

use super::error::ReportError;
use super::essentials::with_reason;
use super::html::PAGE;
use super::results::{ClaimInfo, Results};
use super::text::{count, one_line, seconds, shorten, url_path};
use super::view::{Cell, Counts, State, cited, labels, retried};
use crate::catalogue::model::Verdict;
use crate::file::{stays_inside, write_private};

pub const SUMMARY_FILE: &str = "summary.md";

/// Maximum size in bytes.
const LIMIT: usize = 30_000;
/// Maximum length of a sentence from a claim or a reason, in characters.
const SENTENCE: usize = 240;
/// Maximum length of a reason below a claim, in characters.
const REASON: usize = 120;
/// Room for a section's heading and the count of what it leaves out, in bytes.
const FRAME: usize = 400;

/// Writes `summary.md` into a results folder.
pub fn write(results: &Results, folder: &Utf8Path, base: &str) -> Result<(), ReportError> {
    let path = folder.join(SUMMARY_FILE);
    Ok(write_private(&path, summary(results, base).as_bytes())?)
}

/// A summary of at most 30 kB. `base` is the URL of the results folder, with a slash at the end.
pub fn summary(results: &Results, base: &str) -> String {
    let labels = labels(&results.clusters);
    let page = Page {
        results,
        labels: labels.iter().map(|label| plain(label)).collect(),
        base,
    };
    let mut out = page.head();
    let (unexpected, (head, totals)) = (page.list(Cell::changed), page.totals());
    // A limit per section, so that none displaces the totals.
    for (title, entries, limit) in [
        ("## Unexpected verdicts\n\n", unexpected, 9_000),
        ("## Errors: no verdict\n\n", page.errors(), 5_000),
        ("## Flaky: more than one attempt\n\n", page.retried(), 3_000),
        (&head, totals, 3_000),
    ] {
        page.section(&mut out, title, &entries, limit, "\n");
    }
    for (verdict, noun, share) in [
        (Verdict::Refuted, "refuted claim", 2),
        (Verdict::Qualified, "qualified claim", 1),
    ] {
        let entries = page.claims(State::Verdict(verdict));
        let number = count(entries.len(), noun);
        let title = format!("<details><summary>{number}</summary>\n\n");
        let limit = LIMIT.saturating_sub(out.len()) / share;
        page.section(&mut out, &title, &entries, limit, "\n</details>\n\n");
    }
    out
}

/// Escapes text for Markdown and HTML, on one line.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in shorten(&one_line(text), SENTENCE).chars() {
        match c {
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '&' => out += "&amp;",
            _ if "\\`*_[]|#~!$".contains(c) => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

/// Formats text as inline code.
pub(super) fn code(text: &str) -> String {
    let text = shorten(&one_line(text), SENTENCE).replace('`', "'");
    let text = text.replace('|', "¦").replace('<', "‹");
    format!("`{}`", text.replace('>', "›"))
}

struct Page<'a> {
    results: &'a Results,
    /// Escaped labels of the columns.
    labels: Vec<String>,
    base: &'a str,
}

impl<'a> Page<'a> {
    /// Appends as many entries as fit into `limit` bytes, and the number of those that do not.
    fn section(&self, out: &mut String, title: &str, entries: &[String], limit: usize, end: &str) {
        if entries.is_empty() {
            return;
        }
        let mut room = limit.saturating_sub(FRAME);
        out.push_str(title);
        for (at, entry) in entries.iter().enumerate() {
            if entry.len() > room {
                let (left, base) = (entries.len() - at, self.base);
                let _ = writeln!(out, "\n{left} more in the [full report]({base}{PAGE}).");
                break;
            }
            room -= entry.len();
            out.push_str(entry);
        }
        out.push_str(end);
    }

    /// A claim's id with a link to the claim in the report.
    fn claim(&self, claim: &ClaimInfo) -> String {
        let (text, anchor) = (code(&claim.id), url_path(&claim.id));
        format!("[{text}]({}{PAGE}#{anchor})", self.base)
    }

    /// Text with a link to the evidence, if there is any.
    fn evidence(&self, text: &str, path: Option<&str>) -> String {
        match path.filter(|path| stays_inside(Utf8Path::new(path))) {
            Some(path) => format!("[{text}]({}{})", self.base, url_path(path)),
            None => text.to_owned(),
        }
    }

    fn cells(&self, claim: &'a ClaimInfo) -> impl Iterator<Item = (&String, Cell<'a>)> {
        self.labels.iter().zip(self.results.cells(claim))
    }

    fn head(&self) -> String {
        let results = self.results;
        let took = match results.ended {
            Some(ended) => {
                let took = ended.duration_since(results.began);
                format!(" in {}", seconds(took.as_secs_f64()))
            }
            None => ", **incomplete**".to_owned(),
        };
        format!(
            "# hookproof\n\n{} on {}{took}. Run {}, {}, hookproof {}. [Full report]({}{PAGE}).\n\n",
            count(results.claims.len(), "claim"),
            count(results.clusters.len(), "cluster"),
            code(&results.run),
            results.began.strftime("%Y-%m-%d %H:%M UTC"),
            plain(&results.hookproof),
            self.base,
        )
    }

    /// One line per claim and column for which `wanted` is true.
    fn list(&self, wanted: fn(&Cell<'a>) -> bool) -> Vec<String> {
        let mut entries = Vec::new();
        for claim in &self.results.claims {
            for (label, cell) in self.cells(claim).filter(|(_, cell)| wanted(cell)) {
                let column = self.evidence(label, cell.evidence());
                let (claim, found) = (self.claim(claim), plain(&with_reason(&cell)));
                entries.push(format!("- **{column}** {claim}: {found}\n"));
            }
        }
        entries
    }

    fn errors(&self) -> Vec<String> {
        let columns = self.labels.iter().zip(&self.results.clusters);
        let phases = columns.flat_map(|(label, column)| {
            column.phases.iter().filter_map(move |phase| {
                let error = plain(phase.error.as_deref()?);
                Some(format!("- **{label}**, {}: {error}\n", plain(&phase.name)))
            })
        });
        let claims = self.list(|cell| matches!(cell, Cell::Problem { .. }));
        phases.chain(claims).collect()
    }

    fn retried(&self) -> Vec<String> {
        let mut entries = Vec::new();
        for (label, scenario) in retried(self.results, &self.labels) {
            for earlier in &scenario.earlier {
                let attempt = format!("attempt {}", earlier.attempt);
                let attempt = self.evidence(&attempt, earlier.evidence.as_deref());
                let head = format!("- **{label}** {}, {attempt}", code(&scenario.scenario));
                let why = earlier.why().into_iter();
                entries.extend(why.map(|why| format!("{head}: {}\n", plain(&why))));
            }
        }
        entries
    }

    /// The head of the table of totals, and a row per column.
    fn totals(&self) -> (String, Vec<String>) {
        let (states, counts) = Counts::all(self.results);
        let words = states.iter();
        let mut words = words.map(|state| format!("{} {}", state.mark(), state.word()));
        let (words, rule) = (words.join(" | "), "--:|".repeat(states.len() + 2));
        let head = format!("| Kubernetes | {words} | unexpected | claims |\n|---|{rule}\n");
        let rows = self.labels.iter().zip(&counts).map(|(label, counts)| {
            let numbers = states.iter().map(|state| counts.get(*state)).join(" | ");
            let (changed, total) = (counts.changed, self.results.claims.len());
            format!("| {label} | {numbers} | {changed} | {total} |\n")
        });
        (head, rows.collect())
    }

    /// The claims with this state in any column: claim, correction, source, and reasons.
    fn claims(&self, state: State) -> Vec<String> {
        let mut entries = Vec::new();
        for claim in &self.results.claims {
            // Columns with the same reason share a line.
            let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
            for (label, cell) in self.cells(claim).filter(|(_, cell)| cell.state() == state) {
                let column = self.evidence(label, cell.evidence());
                let reason = plain(&shorten(&cell.reason(), REASON));
                match reasons.iter_mut().find(|(known, _)| *known == reason) {
                    Some((_, columns)) => columns.push(column),
                    None => reasons.push((reason, vec![column])),
                }
            }
            if reasons.is_empty() {
                continue;
            }
            let (id, says) = (self.claim(claim), plain(&claim.says));
            let mut entry = format!("- {} {id}: {says}", state.mark());
            if let Some(instead) = &claim.instead {
                let _ = write!(entry, " **Actually:** {}", plain(instead));
            }
            if let Some(cited) = cited(claim) {
                let _ = write!(entry, " ({})", plain(&cited));
            }
            for (reason, columns) in reasons {
                let _ = write!(entry, "\n  - {}: {reason}", columns.join(", "));
            }
            entries.push(entry + "\n");
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn shows_a_run() {
        insta::assert_snapshot!(summary(&fixture::results(), "./"));
    }

    #[test]
    fn a_base_url_makes_every_link_absolute() {
        let out = summary(&fixture::results(), "https://ci.example/7/");
        for link in out.split("](").skip(1) {
            assert!(link.starts_with("https://ci.example/7/"), "{link}");
        }
    }

    /// Thousands of claims, each changed, refuted or qualified, with long texts.
    #[rstest::rstest]
    #[case::ascii("a long sentence ")]
    #[case::escaped("<&>|#")]
    #[case::wide("\u{1f980} ")]
    fn a_large_catalogue_fits(#[case] words: &str) {
        let mut results = fixture::results();
        let claims = results.claims.clone();
        for nth in 0..200 {
            fixture::repeat(&mut results, &claims, nth);
        }
        for claim in results.claims.iter_mut().skip(claims.len()) {
            claim.says = words.repeat(40);
        }
        for judgement in results.clusters.iter_mut().flat_map(|c| &mut c.judgements) {
            judgement.reason = words.repeat(40);
        }
        let out = summary(&results, "https://ci.example/results/");
        assert!(out.len() <= LIMIT, "{} bytes", out.len());
        assert!(out.contains(" more in the [full report](https://ci.example/results/index.html)."));
        assert!(out.contains("| Kubernetes |"), "the totals are complete");
        let tags = ["<details>", "</details>"].map(|tag| out.matches(tag).count());
        assert_eq!(tags[0], tags[1]);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
        #[test]
        fn untrusted_text_is_escaped(text in fixture::nasty_text()) {
            let out = summary(&fixture::poisoned(&text), "./");
            proptest::prop_assert!(!out.contains("<script"));
            // Outside of code, all links point to reports and evidence.
            let words: String = out.replace("\\`", "").replace("\\]", "").split('`').step_by(2).collect();
            for link in words.split("](").skip(1) {
                proptest::prop_assert!(link.starts_with("./"), "{}", link);
            }
            proptest::prop_assert!(!out.lines().any(|line| line.starts_with("# heading")));
            // Every table row has the same number of columns.
            let rows: Vec<&str> = out.lines().filter(|l| l.starts_with('|')).collect();
            for row in &rows {
                let bars = |row: &str| row.replace("\\|", "").matches('|').count();
                proptest::prop_assert_eq!(bars(row), bars(rows[0]), "{}", row);
            }
        }
    }
}
