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
use super::results::{ClaimInfo, Results};
use super::text::{count, one_line, seconds, shorten, wrap};
use super::view::{Cell, Counts, State, labels, retried};
use crate::catalogue::model::Verdict;
use crate::report::event::Planned;

/// Maximum length of a reason, in characters.
const REASON: usize = 220;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Width in columns.
    pub(crate) width: usize,
    pub(crate) colour: bool,
}

impl Layout {
    /// Layout for standard output, 80 columns wide.
    pub(crate) fn for_stdout() -> Self {
        Self::of(&std::io::stdout(), None)
    }

    /// Layout for text to read: as wide as the terminal, at most 100 columns.
    pub(crate) fn for_page() -> Self {
        Self::of(&std::io::stdout(), Table::new().width())
    }

    /// Layout for progress: as wide as the terminal, at most 100 columns.
    pub(super) fn for_stderr() -> Self {
        let mut table = Table::new();
        table.use_stderr();
        Self::of(&std::io::stderr(), table.width())
    }

    /// Coloured as `--color`, or else `NO_COLOR`, `CLICOLOR_FORCE` and the terminal say.
    fn of(stream: &impl RawStream, width: Option<u16>) -> Self {
        Self {
            width: width.map_or(80, usize::from).clamp(40, 100),
            colour: AutoStream::choice(stream) != ColorChoice::Never,
        }
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
    use Verdict::{Inconclusive, Qualified, Refuted};
    let page = Page::of(results, layout);
    let mut out = String::new();
    for (verdict, meaning) in [
        (Refuted, "the cluster contradicts the claim"),
        (Qualified, "true only under a condition"),
        (Inconclusive, "the evidence does not decide the claim"),
    ] {
        let title = State::Verdict(verdict).word().to_uppercase();
        out += &page.section("1", &title, meaning, &page.with_verdict(verdict));
    }
    let meaning = "an attempt failed or had an unexpected verdict";
    out += &page.section("1", "RETRIED", meaning, &page.retried());
    out += &page.attention();
    out += &page.counts();
    out += &page.last_line();
    if let Some(report) = report {
        let _ = writeln!(out, "report: {report}");
    }
    out
}

/// Changed verdicts, errors and the last line of the summary.
pub(crate) fn brief(results: &Results, layout: Layout) -> String {
    let page = Page::of(results, layout);
    page.attention() + &page.last_line()
}

/// A line and the paragraphs below it.
type Entry = (String, Vec<String>);

struct Page<'a> {
    results: &'a Results,
    labels: Vec<String>,
    layout: Layout,
}

impl<'a> Page<'a> {
    fn of(results: &'a Results, layout: Layout) -> Self {
        Self {
            results,
            labels: labels(&results.clusters),
            layout,
        }
    }

    /// A section with a colour, a title and its meaning; nothing without entries.
    fn section(&self, colour: &str, title: &str, meaning: &str, entries: &[Entry]) -> String {
        if entries.is_empty() {
            return String::new();
        }
        let title = format!("{title} {}", entries.len());
        let mut out = format!("{}  {meaning}\n", self.layout.paint(colour, &title));
        let width = self.layout.width.saturating_sub(6);
        let lines = |text: &String| wrap(text, width, "      ");
        for (head, paragraphs) in entries {
            let _ = writeln!(out, "  {head}");
            for line in paragraphs.iter().flat_map(lines) {
                let _ = writeln!(out, "      {line}");
            }
        }
        out + "\n"
    }

    /// A claim's id after the mark of a state.
    fn head(&self, state: State, claim: &ClaimInfo) -> String {
        let mark = self.layout.paint(code(state), state.mark());
        format!("{mark} {}", one_line(&claim.id))
    }

    /// The claims with this verdict in any column.
    fn with_verdict(&self, verdict: Verdict) -> Vec<Entry> {
        let state = State::Verdict(verdict);
        let mut entries = Vec::new();
        for claim in &self.results.claims {
            let cells = self.labels.iter().zip(self.results.cells(claim));
            let cells = cells.filter(|(_, cell)| cell.state() == state);
            let (on, cells): (Vec<_>, Vec<_>) = cells.unzip();
            let Some(last) = cells.last() else { continue };
            let why = match &claim.instead {
                Some(instead) if state.is_wrong() => format!("actually: {instead}"),
                _ => reason(last),
            };
            let mut head = self.head(state, claim);
            if on.len() < self.labels.len() {
                let _ = write!(head, "  only on {}", on.iter().join(", "));
            }
            entries.push((head, vec![format!("claim: {}", claim.says), why]));
        }
        entries
    }

    /// Scenarios with more than one attempt.
    fn retried(&self) -> Vec<Entry> {
        let retried = retried(self.results, &self.labels);
        let retried = retried.map(|(label, scenario)| {
            let why = scenario.earlier.iter().flat_map(|earlier| {
                let why = earlier.why().into_iter();
                let why = why.map(|why| shorten(&one_line(&why), REASON));
                why.map(move |why| format!("attempt {}: {why}", earlier.attempt))
            });
            let head = format!("↻ {}  on {label}", one_line(&scenario.scenario));
            (head, why.collect())
        });
        retried.collect()
    }

    /// Changed verdicts and errors. Claims with the same error share an entry.
    fn attention(&self) -> String {
        let mut changed: Vec<Entry> = Vec::new();
        let mut errors: BTreeMap<(usize, String), Vec<&str>> = BTreeMap::new();
        for (at, (cluster, label)) in self.results.clusters.iter().zip(&self.labels).enumerate() {
            for phase in &cluster.phases {
                if let Some(error) = &phase.error {
                    let text = format!("{}: {error}", phase.name);
                    errors.entry((at, text)).or_default();
                }
            }
            for claim in &self.results.claims {
                let cell = Cell::of(cluster, claim);
                if cell.changed() {
                    let found = format!("{label}: {}", verdict_in_words(&cell));
                    let head = self.head(cell.state(), claim);
                    changed.push((head, vec![found, reason(&cell)]));
                } else if let Cell::Problem { scenario } = cell {
                    let text = format!("{}: {}", scenario.scenario, cell.reason());
                    errors.entry((at, text)).or_default().push(&claim.id);
                }
            }
        }
        let errors = errors.into_iter().map(|((at, text), claims)| {
            let text = format!("! {}: {text}", self.labels[at]);
            let head = wrap(&text, self.layout.width.saturating_sub(2), "    ").join("\n  ");
            let claims = (!claims.is_empty()).then(|| format!("claims: {}", claims.join(", ")));
            (head, Vec::from_iter(claims))
        });
        let (red, errors) = (code(State::Error), errors.collect_vec());
        let meaning = "setup or observation failed; no verdict";
        let errors = self.section(red, "ERRORS", meaning, &errors);
        let meaning = "the verdict differs from the expected one";
        errors + &self.section(red, "CHANGED", meaning, &changed)
    }

    /// A table of counts: a row per state that occurred, a column per cluster.
    fn counts(&self) -> String {
        let (states, counts) = Counts::all(self.results);
        let row = |title: String, number: &dyn Fn(&Counts) -> usize| {
            let numbers = counts.iter().map(|counts| number(counts).to_string());
            std::iter::once(title).chain(numbers).collect_vec()
        };
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(self.layout.width).unwrap_or(80));
        let mut header = self.labels.clone();
        header.insert(0, "Kubernetes".to_owned());
        table.set_header(header);
        for state in states {
            let title = format!("{} {}", state.mark(), state.word());
            table.add_row(row(title, &|counts| counts.get(state)));
        }
        table.add_row(row("  changed".to_owned(), &|counts| counts.changed));
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let mut lines = table.lines().map(|line| line.trim_end().to_owned());
        let head = lines.next().unwrap_or_default();
        let lines = lines.map(|line| line + "\n").join("");
        format!("{}\n{lines}\n", self.layout.paint("1", &head))
    }

    fn last_line(&self) -> String {
        let results = self.results;
        let Some(ended) = results.ended else {
            let text = "The run did not finish; these are the results so far.";
            return self.layout.paint("1;31", text) + "\n";
        };
        let took = seconds(ended.duration_since(results.began).as_secs_f64());
        let claims = count(results.claims.len(), "claim");
        let clusters = count(results.clusters.len(), "cluster");
        format!("{claims} on {clusters} in {took}\n")
    }
}

fn reason(cell: &Cell<'_>) -> String {
    format!("reason: {}", shorten(&one_line(&cell.reason()), REASON))
}

/// What a run would do, a section for each cluster.
pub(crate) fn plan(clusters: &[Planned]) -> String {
    let mut out = String::new();
    for cluster in clusters {
        let _ = writeln!(out, "{}", cluster.cluster);
        let names = cluster.scenarios.iter().map(|ran| ran.scenario.len());
        let width = names.max().unwrap_or_default();
        let (mut scenarios, mut claims) = (0, 0);
        for planned in &cluster.scenarios {
            let name = &planned.scenario;
            if let Some(reason) = &planned.not_applicable {
                let _ = writeln!(out, "  {name:<width$}  not applicable: {reason}");
                continue;
            }
            scenarios += 1;
            claims += planned.claims.len();
            let _ = writeln!(out, "  {name:<width$}  {:>4.0} s", planned.seconds);
            for claim in &planned.claims {
                let _ = writeln!(out, "    {claim}");
            }
        }
        let (scenarios, claims) = (count(scenarios, "scenario"), count(claims, "claim"));
        let takes = seconds(cluster.seconds.round());
        let after = "after the cluster is ready";
        let _ = writeln!(out, "{scenarios}, {claims}, about {takes} {after}\n");
    }
    out + "dry run: nothing was created\n"
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
