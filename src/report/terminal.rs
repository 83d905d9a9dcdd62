//! The summary printed at the end of a run, 80 columns wide. Whatever needs attention comes last,
//! next to the prompt.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use camino::Utf8Path;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use itertools::Itertools as _;

use super::essentials::verdict_in_words;
use super::results::Results;
use super::text::{count, one_line, seconds, shorten, wrap};
use super::view::{Cell, Counts, State, labels};
use crate::catalogue::model::Verdict;
use crate::report::event::Planned;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Width in columns.
    pub(crate) width: usize,
    pub(crate) colour: bool,
}

impl Layout {
    /// Layout for standard output, 80 columns wide.
    pub(crate) fn for_stdout() -> Self {
        Self::of(&std::io::stdout())
    }

    /// Layout for text to read: as wide as the terminal, at most 100 columns.
    pub(crate) fn for_page() -> Self {
        Self::for_stdout().as_wide_as(&Table::new())
    }

    /// Layout for progress: as wide as the terminal, at most 100 columns.
    pub(super) fn for_stderr() -> Self {
        let mut table = Table::new();
        table.use_stderr();
        Self::of(&std::io::stderr()).as_wide_as(&table)
    }

    /// Coloured as `--color`, or else `NO_COLOR`, `CLICOLOR_FORCE` and the terminal say.
    fn of(stream: &impl RawStream) -> Self {
        let colour = AutoStream::choice(stream) != ColorChoice::Never;
        Self { width: 80, colour }
    }

    fn as_wide_as(self, table: &Table) -> Self {
        let width = table.width().map_or(80, usize::from).clamp(40, 100);
        Self { width, ..self }
    }

    pub(super) fn paint(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The colour of a state.
pub(super) fn code(state: State) -> &'static str {
    match state {
        State::Verdict(Verdict::Confirmed) => "36",
        State::Verdict(Verdict::Refuted) => "31",
        State::Verdict(Verdict::Qualified) => "33",
        State::Verdict(Verdict::Inconclusive) => "35",
        State::Error => "1;31",
        State::Verdict(Verdict::NotApplicable | Verdict::NotTestable) | State::NotRun => "2",
    }
}

/// Renders the summary of a run. `report` is the path of its HTML page.
pub(crate) fn summary(results: &Results, report: Option<&Utf8Path>, layout: Layout) -> String {
    let mut out = String::new();
    let labels = labels(&results.clusters);
    for (verdict, title, meaning) in [
        (
            Verdict::Refuted,
            "REFUTED",
            "the cluster contradicts the claim",
        ),
        (
            Verdict::Qualified,
            "QUALIFIED",
            "true only under a condition",
        ),
        (
            Verdict::Inconclusive,
            "INCONCLUSIVE",
            "the evidence does not decide the claim",
        ),
    ] {
        let entries = with_verdict(results, &labels, verdict, layout);
        section(&mut out, ("1", title, meaning), &entries, layout);
    }
    let meaning = "an attempt failed or had an unexpected verdict";
    let entries = retried(results, &labels);
    section(&mut out, ("1", "RETRIED", meaning), &entries, layout);
    attention(&mut out, results, &labels, layout);
    out.push_str(&counts(results, &labels, layout));
    last_line(&mut out, results, layout);
    if let Some(report) = report {
        let _ = writeln!(out, "report: {report}");
    }
    out
}

/// Changed verdicts, errors and the last line of the summary.
pub(crate) fn brief(results: &Results, layout: Layout) -> String {
    let mut out = String::new();
    attention(&mut out, results, &labels(&results.clusters), layout);
    last_line(&mut out, results, layout);
    out
}

fn last_line(out: &mut String, results: &Results, layout: Layout) {
    let text = if let Some(ended) = results.ended {
        let took = ended.duration_since(results.began).as_secs_f64();
        let claims = count(results.claims.len(), "claim");
        let clusters = count(results.clusters.len(), "cluster");
        format!("{claims} on {clusters} in {}", seconds(took))
    } else {
        let text = "The run did not finish; these are the results so far.";
        layout.paint("1;31", text)
    };
    let _ = writeln!(out, "{text}");
}

/// What a run would do, a section for each cluster.
pub(crate) fn plan(clusters: &[Planned]) -> String {
    let mut out = String::new();
    for planned in clusters {
        let _ = writeln!(out, "{}", planned.cluster);
        let width = planned.scenarios.iter().map(|s| s.scenario.len()).max();
        let (mut scenarios, mut claims) = (0, 0);
        for planned in &planned.scenarios {
            let _ = write!(out, "  {:<1$}", planned.scenario, width.unwrap_or_default());
            if let Some(reason) = &planned.not_applicable {
                let _ = writeln!(out, "  not applicable: {reason}");
                continue;
            }
            scenarios += 1;
            claims += planned.claims.len();
            let _ = writeln!(out, "  {:>4.0} s", planned.seconds);
            for claim in &planned.claims {
                let _ = writeln!(out, "    {claim}");
            }
        }
        let (scenarios, claims) = (count(scenarios, "scenario"), count(claims, "claim"));
        let takes = seconds(planned.seconds.round());
        let _ = writeln!(
            out,
            "{scenarios}, {claims}, about {takes} after the cluster is ready\n"
        );
    }
    out.push_str("dry run: nothing was created\n");
    out
}

/// A line and the paragraphs below it.
type Entry = (String, Vec<String>);

/// A section with a colour, a title and its meaning; nothing without entries.
fn section(
    out: &mut String,
    (colour, title, meaning): (&str, &str, &str),
    entries: &[Entry],
    layout: Layout,
) {
    if entries.is_empty() {
        return;
    }
    let title = layout.paint(colour, &format!("{title} {}", entries.len()));
    let _ = writeln!(out, "{title}  {meaning}");
    for (head, paragraphs) in entries {
        let _ = writeln!(out, "  {head}");
        for text in paragraphs {
            for line in wrap(text, layout.width.saturating_sub(6), "      ") {
                let _ = writeln!(out, "      {line}");
            }
        }
    }
    out.push('\n');
}

/// The claims with this verdict in any column.
fn with_verdict(
    results: &Results,
    labels: &[String],
    verdict: Verdict,
    layout: Layout,
) -> Vec<Entry> {
    let state = State::Verdict(verdict);
    let mark = layout.paint(code(state), state.mark());
    let mut entries = Vec::new();
    for claim in &results.claims {
        let cells = labels.iter().zip(results.cells(claim));
        let cells = cells
            .filter(|(_, cell)| cell.state() == state)
            .collect_vec();
        let Some((_, last)) = cells.last() else {
            continue;
        };
        let only = cells.len() < results.clusters.len();
        let on = cells.iter().map(|(label, _)| label).join(", ");
        let on = only.then(|| format!("  only on {on}"));
        let why = match (&claim.instead, verdict) {
            (Some(instead), Verdict::Refuted | Verdict::Qualified) => {
                format!("actually: {instead}")
            }
            _ => reason(last),
        };
        let head = format!("{mark} {}{}", one_line(&claim.id), on.unwrap_or_default());
        entries.push((head, vec![format!("claim: {}", claim.says), why]));
    }
    entries
}

/// Scenarios with more than one attempt.
fn retried(results: &Results, labels: &[String]) -> Vec<Entry> {
    let retried = super::view::retried(results, labels).into_iter();
    let retried = retried.map(|(label, scenario)| {
        let why = scenario.earlier.iter().flat_map(|earlier| {
            let why = earlier.why().into_iter();
            let why = why.map(|why| shorten(&one_line(&why), 220));
            why.map(move |why| format!("attempt {}: {why}", earlier.attempt))
        });
        let head = format!("↻ {}  on {label}", one_line(&scenario.scenario));
        (head, why.collect())
    });
    retried.collect()
}

/// Changed verdicts and errors. Claims with the same error share an entry.
fn attention(out: &mut String, results: &Results, labels: &[String], layout: Layout) {
    let mut changed: Vec<Entry> = Vec::new();
    let mut errors: BTreeMap<(usize, String), Vec<&str>> = BTreeMap::new();
    for (at, (cluster, label)) in results.clusters.iter().zip(labels).enumerate() {
        for phase in &cluster.phases {
            if let Some(error) = &phase.error {
                let text = format!("{}: {error}", phase.name);
                errors.entry((at, text)).or_default();
            }
        }
        for claim in &results.claims {
            let cell = Cell::of(cluster, claim);
            match cell {
                _ if cell.changed() => {
                    let mark = layout.paint(code(cell.state()), cell.state().mark());
                    let found = format!("{label}: {}", verdict_in_words(&cell));
                    let head = format!("{mark} {}", one_line(&claim.id));
                    changed.push((head, vec![found, reason(&cell)]));
                }
                Cell::Problem { scenario } => {
                    let text = format!("{}: {}", scenario.scenario, cell.reason());
                    errors.entry((at, text)).or_default().push(&claim.id);
                }
                _ => {}
            }
        }
    }
    let errors = errors.into_iter().map(|((at, text), claims)| {
        let text = format!("! {}: {text}", labels[at]);
        let head = wrap(&text, layout.width.saturating_sub(2), "    ").join("\n  ");
        let claims = (!claims.is_empty()).then(|| format!("claims: {}", claims.join(", ")));
        (head, Vec::from_iter(claims))
    });
    let errors = errors.collect_vec();
    let red = code(State::Error);
    let title = (red, "ERRORS", "setup or observation failed; no verdict");
    section(out, title, &errors, layout);
    let title = (red, "CHANGED", "the verdict differs from the expected one");
    section(out, title, &changed, layout);
}

fn reason(cell: &Cell<'_>) -> String {
    format!("reason: {}", shorten(&one_line(&cell.reason()), 220))
}

/// A table of counts: a row per state that occurred, a column per cluster.
fn counts(results: &Results, labels: &[String], layout: Layout) -> String {
    let counts = results
        .clusters
        .iter()
        .map(|c| Counts::of(results, c))
        .collect_vec();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(layout.width).unwrap_or(80));
    let mut header = vec!["Kubernetes".to_owned()];
    header.extend(labels.iter().cloned());
    table.set_header(header);
    let occurs = |state: &State| counts.iter().any(|c| c.get(*state) > 0);
    for state in State::ALL.into_iter().filter(occurs) {
        let mut row = vec![format!("{} {}", state.mark(), state.word())];
        row.extend(counts.iter().map(|c| c.get(state).to_string()));
        table.add_row(row);
    }
    let mut row = vec!["  changed".to_owned()];
    row.extend(counts.iter().map(|c| c.changed.to_string()));
    table.add_row(row);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut out = String::new();
    for (at, line) in table.lines().enumerate() {
        let line = line.trim_end();
        let _ = match at {
            0 => writeln!(out, "{}", layout.paint("1", line)),
            _ => writeln!(out, "{line}"),
        };
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::report::fixture::{self, PLAIN};

    #[test]
    fn fits_80_columns() {
        let page = Utf8Path::new("out/index.html");
        let text = summary(&fixture::results(), Some(page), PLAIN);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_failed_cluster_is_one_error() {
        let mut results = fixture::results();
        results.clusters.truncate(1);
        let cluster = &mut results.clusters[0];
        cluster.judgements.clear();
        cluster.scenarios.clear();
        cluster.phases.truncate(1);
        cluster.phases[0].error =
            Some("the node image needs 9 GiB, 2 GiB are free; free some or set TMPDIR".to_owned());
        insta::assert_snapshot!(summary(&results, None, PLAIN));
    }

    #[test]
    fn colours_only_when_asked() {
        let results = fixture::results();
        assert!(!summary(&results, None, PLAIN).contains('\u{1b}'));
        let layout = Layout {
            colour: true,
            ..PLAIN
        };
        let coloured = summary(&results, None, layout);
        assert!(coloured.contains("\u{1b}[31m✗\u{1b}[0m"));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
        #[test]
        fn untrusted_text_has_no_control_characters(text in fixture::nasty_text()) {
            let out = summary(&fixture::poisoned(&text), None, PLAIN);
            proptest::prop_assert!(!out.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}
