//! Progress of a run on standard error: a status line below the results on a terminal, lines elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use itertools::Itertools as _;

use super::essentials::verdict_of;
use super::results::ScenarioResults;
use super::terminal::{Layout, code};
use super::text::{count, for_terminal, one_line, seconds, shorten};
use super::view::{State, bare_reason, in_words};
use crate::judge::judgement::Judgement;
use crate::report::event::{RunEvent, Stopped};

/// How much a run prints. Each level includes those before it; a line has the lowest level that prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Unexpected verdicts, errors, warnings and the last line.
    Quiet,
    /// Also phases and retries. `Normal` becomes this on a terminal, where the status line shows the rest.
    AboveStatus,
    /// The progress of phases, and scenarios that are as expected.
    Normal,
    /// Every verdict and step.
    Verbose,
}

/// Displays the events of a run.
pub(crate) struct Progress {
    began: Instant,
    verbosity: Verbosity,
    layout: Layout,
    out: Box<dyn Write + Send>,
    /// Hidden unless standard error is a terminal.
    bar: ProgressBar,
    statuses: Arc<Mutex<Statuses>>,
    /// Number of selected claims by scenario.
    claims: HashMap<String, usize>,
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
    /// `12 of 57` or `teardown`.
    fn brief(&self) -> String {
        match self.phase.as_str() {
            "" => format!("{} of {}", self.done, self.scenarios),
            phase => phase.to_owned(),
        }
    }

    /// `12 of 57, longest: prestop/slow-hook 34 s, 7 more` or `provision: building the image`.
    fn line(&self, now: Instant) -> String {
        let mut line = self.brief();
        if !self.doing.is_empty() {
            let _ = write!(line, ": {}", self.doing);
        }
        if let Some((longest, since)) = self.running.iter().min_by_key(|(_, since)| **since) {
            let took = now.duration_since(*since).as_secs();
            let _ = write!(line, ", longest: {longest} {took} s");
        }
        if self.running.len() > 1 {
            let _ = write!(line, ", {} more", self.running.len() - 1);
        }
        line
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
        let bar = match verbosity {
            Verbosity::Quiet => ProgressBar::hidden(),
            _ => ProgressBar::new_spinner(),
        };
        let out = Box::new(std::io::stderr());
        let progress = Self::new(verbosity, Layout::for_stderr(), out, bar);
        progress.bar.enable_steady_tick(Duration::from_millis(250));
        progress
    }

    fn new(
        mut verbosity: Verbosity,
        layout: Layout,
        out: Box<dyn Write + Send>,
        bar: ProgressBar,
    ) -> Self {
        if verbosity == Verbosity::Normal && !bar.is_hidden() {
            verbosity = Verbosity::AboveStatus;
        }
        let statuses: Arc<Mutex<Statuses>> = Arc::default();
        let shown = statuses.clone();
        let line = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let line = status_line(&lock(&shown), Instant::now());
            // Room for the spinner and the elapsed time.
            let line = shorten(&line, layout.width.saturating_sub(16));
            let _ = out.write_str(&for_terminal(&line));
        };
        let style = ProgressStyle::with_template("{spinner} {elapsed_precise} {status}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        bar.set_style(style.with_key("status", line));
        Self {
            began: Instant::now(),
            verbosity,
            layout,
            out,
            bar,
            statuses,
            claims: HashMap::new(),
        }
    }

    /// Displays an event. Errors are ignored: a display failure must not affect the run.
    pub(crate) fn on(&mut self, event: &RunEvent) {
        use Verbosity::{AboveStatus, Normal, Quiet, Verbose};
        let (least, text) = match event {
            RunEvent::Begun {
                run,
                claims,
                clusters,
                ..
            } => {
                let scenarios = claims.iter().filter_map(|claim| claim.scenario.clone());
                self.claims = scenarios.counts();
                let (claims, clusters) = (claims.len(), clusters.len());
                let (claims, clusters) = (count(claims, "claim"), count(clusters, "cluster"));
                (AboveStatus, format!("run {run}: {claims} on {clusters}"))
            }
            RunEvent::PhaseBegun { cluster, name } => {
                self.reset(cluster, name, 0);
                (Verbose, format!("{cluster}: {name}"))
            }
            RunEvent::PhaseProgress { cluster, doing } => {
                self.change(cluster, |status| status.doing = one_line(doing));
                (Normal, format!("{cluster}: {doing}"))
            }
            RunEvent::PhaseEnded { cluster, phase } => {
                let (name, note, took) = (&phase.name, &phase.note, seconds(phase.seconds));
                if let Some(error) = &phase.error {
                    self.forget(cluster);
                    (
                        Quiet,
                        format!("{cluster}: {name} failed after {took}: {error}"),
                    )
                } else {
                    let colon = if note.is_empty() { "" } else { ": " };
                    (
                        AboveStatus,
                        format!("{cluster}: {name} took {took}{colon}{note}"),
                    )
                }
            }
            RunEvent::ClusterReady {
                cluster,
                facts,
                scenarios,
            } => {
                self.reset(cluster, "", *scenarios);
                let (version, scenarios) = (&facts.kubernetes, count(*scenarios, "scenario"));
                (Normal, format!("{cluster}: {version}, {scenarios}"))
            }
            RunEvent::ScenarioBegun {
                cluster,
                scenario,
                after,
            } => {
                self.change(cluster, |status| {
                    let running = status.running.entry(one_line(scenario));
                    running.or_insert_with(Instant::now);
                });
                let Some(earlier) = after else { return };
                let (attempt, why) = (earlier.attempt, earlier.why().join("; "));
                let text = format!("{cluster}: retrying {scenario} after attempt {attempt}: {why}");
                (AboveStatus, text)
            }
            RunEvent::ScenarioStep {
                cluster,
                scenario,
                step,
            } => (Verbose, format!("{cluster}: {scenario}: {step}")),
            RunEvent::ScenarioEnded {
                cluster,
                scenario,
                judgements,
            } => return self.ended(cluster, scenario, judgements),
            RunEvent::Warning { text } => (Quiet, format!("warning: {text}")),
            RunEvent::Stopping { reason } => (Quiet, format!("{}; cleaning up", reason.in_words())),
            RunEvent::ClusterEnded { cluster } => return self.forget(cluster),
            RunEvent::Ended { stopped } => {
                self.bar.finish_and_clear();
                let how = stopped.map_or("finished", Stopped::in_words);
                let took = seconds(self.began.elapsed().as_secs_f64());
                (Quiet, format!("{how} after {took}"))
            }
            RunEvent::Planned { .. } | RunEvent::Judged { .. } => return,
        };
        self.print(least, &one_line(&text));
    }

    /// Changes what the status line shows of a cluster.
    fn change<T>(&self, cluster: &str, change: impl FnOnce(&mut Status) -> T) -> T {
        change(lock(&self.statuses).entry(one_line(cluster)).or_default())
    }

    fn reset(&self, cluster: &str, phase: &str, scenarios: usize) {
        let status = Status {
            phase: phase.to_owned(),
            scenarios,
            ..Status::default()
        };
        lock(&self.statuses).insert(one_line(cluster), status);
    }

    fn forget(&self, cluster: &str) {
        lock(&self.statuses).remove(&one_line(cluster));
    }

    fn ended(&mut self, cluster: &str, scenario: &ScenarioResults, judgements: &[Judgement]) {
        let (id, took) = (&scenario.scenario, seconds(scenario.seconds));
        let place = self.change(cluster, |status| {
            status.running.remove(&one_line(id));
            status.done += 1;
            format!("{}/{}", status.done, status.scenarios)
        });
        let verdicts = judgements.iter().map(|found| State::Verdict(found.verdict));
        let verdicts = in_words(&verdicts.counts(), "no verdict");
        let text = format!("{cluster}: {place} {id} took {took}: {verdicts}");
        self.print(Verbosity::Normal, &one_line(&text));
        if !scenario.problems.is_empty() {
            let problems = scenario.problems.join("; ");
            let claims = self.claims.get(id).copied().unwrap_or_default();
            let text = format!("{id} ({}): {problems}", count(claims, "claim"));
            self.mark(Verbosity::Quiet, State::Error, cluster, &text);
        }
        for judgement in judgements {
            let least = if judgement.is_unexpected() {
                Verbosity::Quiet
            } else {
                Verbosity::Verbose
            };
            let (claim, verdict) = (&judgement.claim, verdict_of(judgement));
            let reason = bare_reason(&judgement.reason, judgement.verdict);
            let text = format!("{claim}: {verdict}: {reason}");
            self.mark(least, State::Verdict(judgement.verdict), cluster, &text);
        }
    }

    /// Prints a claim or scenario with the mark of its state.
    fn mark(&mut self, least: Verbosity, state: State, cluster: &str, text: &str) {
        let text = if self.bar.is_hidden() {
            one_line(&format!("{cluster}: {text}"))
        } else {
            // One line: the status line names the cluster, and the summary has the whole text.
            shorten(&one_line(text), self.layout.width.saturating_sub(10))
        };
        let mark = self.layout.paint(code(state), state.mark());
        self.print(least, &format!("{mark} {text}"));
    }

    fn print(&mut self, least: Verbosity, text: &str) {
        if least > self.verbosity {
            return;
        }
        let elapsed = self.began.elapsed().as_secs();
        let line = format!("[{:>2}:{:02}] {text}", elapsed / 60, elapsed % 60);
        let (out, line) = (&mut self.out, for_terminal(&line));
        // A closed pipe must not abort the run.
        let _ = self
            .bar
            .suspend(|| writeln!(out, "{line}").and_then(|()| out.flush()));
    }
}

/// Ignores poisoning: after a panic, at most the status line is out of date.
fn lock(statuses: &Mutex<Statuses>) -> MutexGuard<'_, Statuses> {
    statuses.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io;

    use indicatif::{InMemoryTerm, ProgressDrawTarget};
    use rstest::rstest;

    use super::*;
    use crate::catalogue::model::Verdict;
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
            let status = progress.statuses.lock().unwrap();
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
