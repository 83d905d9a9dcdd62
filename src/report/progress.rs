//! Progress of a run on standard error: a status line below the results on a terminal, lines elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use itertools::Itertools as _;

use super::essentials::verdict_of;
use super::results::{Phase, ScenarioResults};
use super::terminal::{Layout, code};
use super::text::{count, for_terminal, one_line, seconds, shorten};
use super::view::{State, bare_reason, in_words};
use crate::judge::judgement::Judgement;
use crate::report::event::RunEvent;

/// How much a run prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Unexpected verdicts, errors and the last line.
    Quiet,
    Normal,
    /// Every verdict and step.
    Verbose,
}

/// The most detailed lines that are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    /// Unexpected verdicts, errors, warnings, the end.
    Notable,
    /// Phases and retries.
    Phases,
    /// What the status line of a terminal shows: the progress of phases, and scenarios that are as expected.
    Scenarios,
    /// Every verdict and step.
    Steps,
}

/// Displays the events of a run.
pub(crate) struct Progress {
    began: Instant,
    detail: Detail,
    layout: Layout,
    out: Box<dyn Write + Send>,
    /// Hidden unless standard error is a terminal.
    bar: ProgressBar,
    status: Arc<Mutex<Statuses>>,
    /// Number of selected claims by scenario.
    claims: BTreeMap<String, usize>,
}

/// What the status line shows of a cluster.
#[derive(Debug, Default)]
struct Status {
    /// The phase; empty while scenarios run.
    phase: String,
    /// Progress of the phase.
    doing: String,
    scenarios: usize,
    done: usize,
    running: BTreeMap<String, Instant>,
}

impl Status {
    /// `12 of 57, longest: prestop/slow-hook 34 s, 7 more` or `teardown`.
    fn line(&self, now: Instant) -> String {
        match (self.phase.as_str(), self.doing.as_str()) {
            ("", _) => {}
            (phase, "") => return phase.to_owned(),
            (phase, doing) => return format!("{phase}: {doing}"),
        }
        let mut line = format!("{} of {}", self.done, self.scenarios);
        if let Some((longest, since)) = self.running.iter().min_by_key(|(_, since)| **since) {
            let took = now.duration_since(*since).as_secs();
            let _ = write!(line, ", longest: {longest} {took} s");
        }
        if self.running.len() > 1 {
            let _ = write!(line, ", {} more", self.running.len() - 1);
        }
        line
    }

    /// `12 of 57` or `teardown`.
    fn brief(&self) -> String {
        match self.phase.as_str() {
            "" => format!("{} of {}", self.done, self.scenarios),
            phase => phase.to_owned(),
        }
    }
}

/// The status of each cluster that the run is using, by name.
type Statuses = BTreeMap<String, Status>;

/// `1.36: 12 of 57, longest: …`, or `1.36: 12 of 57; 1.37: provision`.
fn status_line(statuses: &Statuses, now: Instant) -> String {
    let one = |(cluster, status): (&String, &Status)| match statuses.len() {
        1 => format!("{cluster}: {}", status.line(now)),
        _ => format!("{cluster}: {}", status.brief()),
    };
    statuses.iter().map(one).join("; ")
}

impl Progress {
    pub(crate) fn for_stderr(verbosity: Verbosity) -> Self {
        let layout = Layout::for_stderr();
        let bar = match verbosity {
            Verbosity::Quiet => ProgressBar::hidden(),
            Verbosity::Normal | Verbosity::Verbose => ProgressBar::new_spinner(),
        };
        let progress = Self::new(verbosity, layout, Box::new(std::io::stderr()), bar);
        progress.bar.enable_steady_tick(Duration::from_millis(250));
        progress
    }

    fn new(
        verbosity: Verbosity,
        layout: Layout,
        out: Box<dyn Write + Send>,
        bar: ProgressBar,
    ) -> Self {
        let detail = match verbosity {
            Verbosity::Quiet => Detail::Notable,
            Verbosity::Normal if bar.is_hidden() => Detail::Scenarios,
            Verbosity::Normal => Detail::Phases,
            Verbosity::Verbose => Detail::Steps,
        };
        let status: Arc<Mutex<Statuses>> = Arc::default();
        let shown = status.clone();
        let line = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let status = shown.lock().unwrap_or_else(PoisonError::into_inner);
            // Room for the spinner and the elapsed time.
            let width = layout.width.saturating_sub(16);
            let text = shorten(&status_line(&status, Instant::now()), width);
            let _ = out.write_str(&for_terminal(&text));
        };
        let style = ProgressStyle::with_template("{spinner} {elapsed_precise} {status}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        bar.set_style(style.with_key("status", line));
        Self {
            began: Instant::now(),
            detail,
            layout,
            out,
            bar,
            status,
            claims: BTreeMap::new(),
        }
    }

    /// Displays an event. Errors are ignored: a display failure must not affect the run.
    pub(crate) fn on(&mut self, event: &RunEvent) {
        self.update(event);
        let (detail, text) = match event {
            RunEvent::Begun {
                run,
                claims,
                clusters,
                ..
            } => {
                for scenario in claims.iter().filter_map(|claim| claim.scenario.clone()) {
                    *self.claims.entry(scenario).or_default() += 1;
                }
                let (claims, clusters) = (claims.len(), clusters.len());
                let (claims, clusters) = (count(claims, "claim"), count(clusters, "cluster"));
                (Detail::Phases, format!("run {run}: {claims} on {clusters}"))
            }
            RunEvent::PhaseBegun { cluster, name } => (Detail::Steps, format!("{cluster}: {name}")),
            RunEvent::PhaseProgress { cluster, doing } => {
                (Detail::Scenarios, format!("{cluster}: {doing}"))
            }
            RunEvent::PhaseEnded { cluster, phase } => phase_ended(cluster, phase),
            RunEvent::ClusterReady {
                cluster,
                facts,
                scenarios,
            } => {
                let (version, scenarios) = (&facts.kubernetes, count(*scenarios, "scenario"));
                (
                    Detail::Scenarios,
                    format!("{cluster}: {version}, {scenarios}"),
                )
            }
            RunEvent::ScenarioBegun {
                cluster,
                scenario,
                after: Some(earlier),
            } => {
                let (attempt, why) = (earlier.attempt, earlier.why().join("; "));
                let text = format!("{cluster}: retrying {scenario} after attempt {attempt}: {why}");
                (Detail::Phases, text)
            }
            RunEvent::ScenarioStep {
                cluster,
                scenario,
                step,
            } => (Detail::Steps, format!("{cluster}: {scenario}: {step}")),
            RunEvent::ScenarioEnded {
                cluster,
                scenario,
                judgements,
            } => return self.ended(cluster, scenario, judgements),
            RunEvent::Warning { text } => (Detail::Notable, format!("warning: {text}")),
            RunEvent::Stopping { reason } => (
                Detail::Notable,
                format!("{}; cleaning up", reason.in_words()),
            ),
            RunEvent::Ended { stopped } => {
                self.bar.finish_and_clear();
                let how = stopped.map_or("finished", |reason| reason.in_words());
                let took = seconds(self.began.elapsed().as_secs_f64());
                (Detail::Notable, format!("{how} after {took}"))
            }
            RunEvent::Planned { .. }
            | RunEvent::ScenarioBegun { after: None, .. }
            | RunEvent::Judged { .. }
            | RunEvent::ClusterEnded { .. } => return,
        };
        self.say(detail, &text);
    }

    /// Updates the status line.
    fn update(&self, event: &RunEvent) {
        let mut statuses = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of = |cluster: &str, change: &dyn Fn(&mut Status)| {
            change(statuses.entry(one_line(cluster)).or_default());
        };
        match event {
            RunEvent::PhaseBegun { cluster, name } => of(cluster, &|status| {
                status.phase.clone_from(name);
                status.doing.clear();
            }),
            RunEvent::PhaseProgress { cluster, doing } => {
                of(cluster, &|status| status.doing = one_line(doing));
            }
            RunEvent::ClusterReady {
                cluster, scenarios, ..
            } => of(cluster, &|status| {
                *status = Status {
                    scenarios: *scenarios,
                    ..Status::default()
                };
            }),
            RunEvent::ScenarioBegun {
                cluster, scenario, ..
            } => of(cluster, &|status| {
                let scenario = one_line(scenario);
                status.running.entry(scenario).or_insert_with(Instant::now);
            }),
            RunEvent::ScenarioEnded {
                cluster, scenario, ..
            } => of(cluster, &|status| {
                status.running.remove(&one_line(&scenario.scenario));
                status.done += 1;
            }),
            RunEvent::ClusterEnded { cluster } => {
                statuses.remove(&one_line(cluster));
            }
            RunEvent::PhaseEnded { cluster, phase } if phase.error.is_some() => {
                statuses.remove(&one_line(cluster));
            }
            _ => {}
        }
    }

    fn ended(&mut self, cluster: &str, scenario: &ScenarioResults, judgements: &[Judgement]) {
        let place = {
            let statuses = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            let status = statuses.get(&one_line(cluster));
            let (done, of) = status.map_or((0, 0), |status| (status.done, status.scenarios));
            format!("{done}/{of}")
        };
        let (id, took) = (&scenario.scenario, seconds(scenario.seconds));
        let verdicts = judgements.iter().map(|found| State::Verdict(found.verdict));
        let verdicts = in_words(&verdicts.counts(), "no verdict");
        let text = format!("{cluster}: {place} {id} took {took}: {verdicts}");
        self.say(Detail::Scenarios, &text);
        if !scenario.problems.is_empty() {
            let problems = scenario.problems.join("; ");
            let claims = self.claims.get(id).copied().unwrap_or_default();
            let claims = count(claims, "claim");
            let text = format!("{id} ({claims}): {problems}");
            self.mark(Detail::Notable, State::Error, cluster, &text);
        }
        for judgement in judgements {
            let detail = if judgement.is_unexpected() {
                Detail::Notable
            } else {
                Detail::Steps
            };
            let (claim, verdict) = (&judgement.claim, verdict_of(judgement));
            let reason = bare_reason(&judgement.reason, judgement.verdict);
            let text = format!("{claim}: {verdict}: {reason}");
            self.mark(detail, State::Verdict(judgement.verdict), cluster, &text);
        }
    }

    fn say(&mut self, detail: Detail, text: &str) {
        self.print(detail, "", &one_line(text));
    }

    /// Prints a claim or scenario with the mark of its state.
    fn mark(&mut self, detail: Detail, state: State, cluster: &str, text: &str) {
        let mark = format!("{} ", self.layout.paint(code(state), state.mark()));
        let text = if self.bar.is_hidden() {
            one_line(&format!("{cluster}: {text}"))
        } else {
            // One line: the status line names the cluster, and the summary has the whole text.
            shorten(&one_line(text), self.layout.width.saturating_sub(10))
        };
        self.print(detail, &mark, &text);
    }

    fn print(&mut self, detail: Detail, mark: &str, text: &str) {
        if detail > self.detail {
            return;
        }
        let elapsed = self.began.elapsed().as_secs();
        let (minutes, seconds) = (elapsed / 60, elapsed % 60);
        let out = &mut self.out;
        // A closed pipe must not abort the run.
        let line = for_terminal(&format!("[{minutes:>2}:{seconds:02}] {mark}{text}"));
        let _ = self
            .bar
            .suspend(|| writeln!(out, "{line}").and_then(|()| out.flush()));
    }
}

fn phase_ended(cluster: &str, phase: &Phase) -> (Detail, String) {
    let (name, note, took) = (&phase.name, &phase.note, seconds(phase.seconds));
    match &phase.error {
        Some(error) => (
            Detail::Notable,
            format!("{cluster}: {name} failed after {took}: {error}"),
        ),
        None if note.is_empty() => (Detail::Phases, format!("{cluster}: {name} took {took}")),
        None => (
            Detail::Phases,
            format!("{cluster}: {name} took {took}: {note}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io;

    use indicatif::{InMemoryTerm, ProgressDrawTarget};
    use rstest::rstest;

    use super::*;
    use crate::catalogue::model::Verdict;
    use crate::report::event::Stopped;
    use crate::report::fixture::{self, PLAIN};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What the events print next to a status line that is hidden or not.
    fn printed(verbosity: Verbosity, bar: ProgressBar, events: &[RunEvent]) -> String {
        let kept = Kept::default();
        let mut progress = Progress::new(verbosity, PLAIN, Box::new(kept.clone()), bar);
        for event in events {
            progress.on(event);
        }
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn snapshot(name: &str, text: &str) {
        insta::with_settings!({filters => vec![(r"\[ 0:\d\d\]", "[elapsed]"), (r"finished after .*", "finished after [time]")]}, {
            insta::assert_snapshot!(name, text);
        });
    }

    #[rstest]
    #[case::quiet("quiet", Verbosity::Quiet)]
    #[case::normal("normal", Verbosity::Normal)]
    #[case::verbose("verbose", Verbosity::Verbose)]
    fn prints_lines(#[case] name: &str, #[case] verbosity: Verbosity) {
        let mut events = fixture::events(&fixture::results());
        let step = RunEvent::ScenarioStep {
            cluster: "hookproof-1.35".to_owned(),
            scenario: "poststart/failing-hook".to_owned(),
            step: "until running".to_owned(),
        };
        events.insert(6, step);
        events.push(RunEvent::Warning {
            text: "two\nlines \u{1b}[2J".to_owned(),
        });
        snapshot(name, &printed(verbosity, ProgressBar::hidden(), &events));
    }

    #[test]
    fn an_undecided_claim_without_an_expected_verdict_is_notable() {
        let mut cluster = fixture::results().clusters.remove(0);
        let mut judgement = cluster.judgements.remove(0);
        judgement.verdict = Verdict::Inconclusive;
        judgement.expected = None;
        cluster.judgements = vec![judgement.clone()];
        assert!(judgement.is_unexpected());
        let ended = RunEvent::ScenarioEnded {
            cluster: "c".to_owned(),
            scenario: cluster.scenarios.remove(0),
            judgements: vec![judgement.clone()],
        };
        let text = printed(Verbosity::Quiet, ProgressBar::hidden(), &[ended]);
        let expected = format!("{}: inconclusive, no expected verdict", judgement.claim);
        assert!(text.contains(&expected), "{text}");
    }

    #[test]
    fn prints_only_what_matters_above_a_status_line() {
        let term = InMemoryTerm::new(24, 80);
        let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
        let bar = ProgressBar::with_draw_target(None, target);
        let events = fixture::events(&fixture::results());
        snapshot("terminal", &printed(Verbosity::Normal, bar, &events));
        assert_eq!(term.contents(), "", "the status line is removed");
    }

    #[test]
    fn the_status_line_shows_phases_and_the_longest_scenario() {
        let bar = ProgressBar::hidden();
        let kept = Box::new(Kept::default());
        let mut progress = Progress::new(Verbosity::Normal, PLAIN, kept, bar);
        let cluster = "1.36 default".to_owned();
        let mut shown = |event: RunEvent| {
            progress.on(&event);
            let status = progress.status.lock().unwrap();
            status_line(&status, Instant::now())
        };
        let begun = |name: &str| RunEvent::PhaseBegun {
            cluster: cluster.clone(),
            name: name.to_owned(),
        };
        let scenario = |scenario: &str| RunEvent::ScenarioBegun {
            cluster: cluster.clone(),
            scenario: scenario.to_owned(),
            after: None,
        };
        assert_eq!(shown(begun("provision")), "1.36 default: provision");
        let doing = RunEvent::PhaseProgress {
            cluster: cluster.clone(),
            doing: "building\nthe image".to_owned(),
        };
        let line = "1.36 default: provision: building the image";
        assert_eq!(shown(doing.clone()), line);
        assert_eq!(shown(doing), line);
        let ready = RunEvent::ClusterReady {
            cluster: cluster.clone(),
            facts: crate::evidence::ClusterFacts::default(),
            scenarios: 57,
        };
        assert_eq!(shown(ready), "1.36 default: 0 of 57");
        shown(scenario("b/first"));
        assert_eq!(
            shown(scenario("a/second")),
            "1.36 default: 0 of 57, longest: b/first 0 s, 1 more"
        );
        let reason = Stopped::TimedOut;
        shown(RunEvent::Stopping { reason });
        assert_eq!(shown(begun("teardown")), "1.36 default: teardown");
        let other = RunEvent::PhaseBegun {
            cluster: "1.37 default".to_owned(),
            name: "provision".to_owned(),
        };
        assert_eq!(
            shown(other),
            "1.36 default: teardown; 1.37 default: provision"
        );
        let ended = RunEvent::ClusterEnded { cluster };
        assert_eq!(shown(ended), "1.37 default: provision");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
        #[test]
        fn untrusted_text_has_no_control_characters(text in fixture::nasty_text()) {
            let events = fixture::events(&fixture::poisoned(&text));
            let out = printed(Verbosity::Verbose, ProgressBar::hidden(), &events);
            proptest::prop_assert!(!out.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}
