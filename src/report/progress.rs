//! Progress of a run: bars on a terminal, lines with the elapsed time elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::results::{EarlierAttempt, Phase, ScenarioResults};
use super::text::{count, one_line, seconds, shorten};
use super::view::{State, label};
use crate::judge::judgement::Judgement;
use crate::report::event::RunEvent;

/// Displays the events of a run.
pub struct Progress {
    began: Instant,
    clusters: BTreeMap<String, Cluster>,
    mode: Mode,
}

enum Mode {
    Lines(Box<dyn Write + Send>),
    Bars(MultiProgress),
}

#[derive(Default)]
struct Cluster {
    label: String,
    scenarios: usize,
    done: usize,
    bar: Option<ProgressBar>,
    running: BTreeMap<String, ProgressBar>,
}

impl Progress {
    /// Writes to standard error: bars if it is a terminal, else lines.
    #[must_use]
    pub fn for_stderr() -> Self {
        if std::io::stderr().is_terminal() {
            Self::new(Mode::Bars(MultiProgress::new()))
        } else {
            Self::lines(Box::new(std::io::stderr()))
        }
    }

    /// Writes lines to `out`.
    #[must_use]
    pub fn lines(out: Box<dyn Write + Send>) -> Self {
        Self::new(Mode::Lines(out))
    }

    fn new(mode: Mode) -> Self {
        Self {
            began: Instant::now(),
            clusters: BTreeMap::new(),
            mode,
        }
    }

    /// Displays an event. Errors are ignored: a display failure must not affect the run.
    pub fn on(&mut self, event: &RunEvent) {
        match event {
            RunEvent::Begun {
                run,
                claims,
                clusters,
            } => {
                let claims = count(claims.len(), "claim");
                self.say(&format!(
                    "run {run}: {claims} on {}",
                    count(clusters.len(), "cluster")
                ));
            }
            RunEvent::Provisioning { cluster, doing } => self.provisioning(cluster, doing),
            RunEvent::PhaseEnded { cluster, phase } => self.phase(cluster, phase),
            RunEvent::ClusterReady {
                cluster,
                facts,
                scenarios,
            } => {
                let known = self.cluster(cluster);
                known.label = label(facts);
                known.scenarios = *scenarios;
                if let Some(bar) = &known.bar {
                    bar.set_style(style("{prefix:.bold} {wide_bar} {pos}/{len} {elapsed}"));
                    bar.set_length(*scenarios as u64);
                    bar.set_position(0);
                    bar.set_prefix(known.label.clone());
                } else {
                    let scenarios = count(*scenarios, "scenario");
                    self.say(&format!("{cluster}: {}, {scenarios}", facts.kubernetes));
                }
            }
            RunEvent::ScenarioBegun {
                cluster,
                scenario,
                after,
            } => {
                self.begun(cluster, scenario, after.as_ref());
            }
            RunEvent::ScenarioStep {
                cluster,
                scenario,
                step,
            } => {
                if let Some(bar) = self.cluster(cluster).running.get(scenario) {
                    bar.set_message(shorten(&one_line(step), 48));
                }
            }
            RunEvent::ScenarioEnded {
                cluster,
                scenario,
                judgements,
            } => {
                self.ended(cluster, scenario, judgements);
            }
            RunEvent::Judged { .. } => {}
            RunEvent::Warning { text } => self.say(&format!("warning: {text}")),
            RunEvent::ClusterEnded { cluster } => {
                let known = self.cluster(cluster);
                for (_, bar) in std::mem::take(&mut known.running) {
                    bar.finish_and_clear();
                }
                if let Some(bar) = known.bar.take() {
                    bar.finish_and_clear();
                }
            }
            RunEvent::Ended { interrupted } => {
                let how = if *interrupted {
                    "interrupted"
                } else {
                    "finished"
                };
                let took = seconds(self.began.elapsed().as_secs_f64());
                self.say(&format!("{how} after {took}"));
                if let Mode::Bars(bars) = &self.mode {
                    let _ = bars.clear();
                }
            }
        }
    }

    fn cluster(&mut self, name: &str) -> &mut Cluster {
        self.clusters.entry(name.to_owned()).or_default()
    }

    fn provisioning(&mut self, cluster: &str, doing: &str) {
        let doing = one_line(doing);
        if let Mode::Bars(bars) = &self.mode {
            let known = self.clusters.entry(cluster.to_owned()).or_default();
            let bar = known.bar.get_or_insert_with(|| {
                let bar = bars.add(ProgressBar::new_spinner());
                bar.set_style(style("{prefix:.bold} {spinner} {msg} {elapsed}"));
                bar.set_prefix(one_line(cluster));
                bar.enable_steady_tick(Duration::from_millis(200));
                bar
            });
            bar.set_message(shorten(&doing, 60));
        } else {
            self.say(&format!("{cluster}: {doing}"));
        }
    }

    fn phase(&mut self, cluster: &str, phase: &Phase) {
        let Phase {
            name,
            began: _,
            seconds: took,
            error,
            note,
        } = phase;
        let took = seconds(*took);
        match error {
            Some(error) => self.say(&format!("{cluster}: {name} failed after {took}: {error}")),
            None if note.is_empty() => self.say(&format!("{cluster}: {name} took {took}")),
            None => self.say(&format!("{cluster}: {name} took {took}: {note}")),
        }
    }

    fn begun(&mut self, cluster: &str, scenario: &str, after: Option<&EarlierAttempt>) {
        if let Some(earlier) = after {
            let (attempt, why) = (earlier.attempt, earlier.why().join("; "));
            self.say(&format!(
                "{cluster}: retrying {scenario} after attempt {attempt}: {why}"
            ));
        }
        if let Mode::Bars(bars) = &self.mode {
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_style(style("  {spinner} {prefix} {msg:.dim} {elapsed}"));
            let retry = if after.is_some() { " (retry)" } else { "" };
            bar.set_prefix(format!("{}{retry}", one_line(scenario)));
            bar.enable_steady_tick(Duration::from_millis(200));
            let known = self.clusters.entry(cluster.to_owned()).or_default();
            if let Some(earlier) = known.running.insert(scenario.to_owned(), bar) {
                earlier.finish_and_clear();
            }
        }
    }

    fn ended(&mut self, cluster: &str, scenario: &ScenarioResults, judgements: &[Judgement]) {
        let ScenarioResults {
            scenario: id,
            problems,
            seconds: took,
            ..
        } = scenario;
        let known = self.cluster(cluster);
        known.done += 1;
        let place = format!("{}/{}", known.done, known.scenarios);
        if let Some(bar) = known.running.remove(id) {
            bar.finish_and_clear();
        }
        if let Some(bar) = &known.bar {
            bar.inc(1);
        }
        let changed = judgements.iter().filter(|j| j.is_unexpected()).map(|j| {
            let word = State::Verdict(j.verdict).word();
            match j.expected {
                Some(expected) => {
                    let expected = State::Verdict(expected).word();
                    format!("changed: {} is {word}, expected {expected}", j.claim)
                }
                None => format!("undecided: {} is {word}", j.claim),
            }
        });
        let notable: Vec<String> = problems
            .iter()
            .map(|problem| format!("error: {problem}"))
            .chain(changed)
            .collect();
        let lines = matches!(self.mode, Mode::Lines(_));
        if lines || !notable.is_empty() {
            let verdicts = verdicts(judgements);
            self.say(&format!(
                "{cluster}: {place} {id} took {}{verdicts}",
                seconds(*took)
            ));
        }
        for text in notable {
            self.say(&format!("    {text}"));
        }
    }

    fn say(&mut self, text: &str) {
        let elapsed = self.began.elapsed().as_secs();
        let indent = if text.starts_with("    ") { "    " } else { "" };
        let line = format!(
            "[{:>2}:{:02}] {indent}{}",
            elapsed / 60,
            elapsed % 60,
            one_line(text)
        );
        // A closed pipe must not abort the run.
        let _ = match &mut self.mode {
            Mode::Lines(out) => writeln!(out, "{line}").and_then(|()| out.flush()),
            Mode::Bars(bars) => bars.println(line),
        };
    }
}

fn verdicts(judgements: &[Judgement]) -> String {
    let words: Vec<String> = State::ALL
        .into_iter()
        .map(|state| {
            let number = judgements
                .iter()
                .filter(|j| State::Verdict(j.verdict) == state)
                .count();
            (state, number)
        })
        .filter(|(_, number)| *number > 0)
        .map(|(state, number)| format!("{number} {}", state.word()))
        .collect();
    if words.is_empty() {
        ": no verdict".to_owned()
    } else {
        format!(": {}", words.join(", "))
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::catalogue::model::Verdict;
    use crate::report::fixture;
    use crate::report::results::Standing;

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

    #[test]
    fn prints_a_line_per_event() {
        let kept = Kept::default();
        let mut progress = Progress::lines(Box::new(kept.clone()));
        for event in fixture::events(&fixture::results()) {
            progress.on(&event);
        }
        progress.on(&RunEvent::Warning {
            text: "two\nlines \u{1b}[2J".to_owned(),
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        insta::with_settings!({filters => vec![(r"\[ 0:\d\d\]", "[elapsed]"), (r"finished after .*", "finished after [time]")]}, {
            insta::assert_snapshot!(text);
        });
    }

    #[test]
    fn an_undecided_claim_without_an_expected_verdict_is_notable() {
        let mut cluster = fixture::results().clusters.remove(0);
        let judgement = &mut cluster.judgements[0];
        judgement.verdict = Verdict::Inconclusive;
        judgement.expected = None;
        let claim = judgement.claim.clone();
        assert_eq!(cluster.standing(&claim), Standing::Changed);
        let kept = Kept::default();
        Progress::lines(Box::new(kept.clone())).ended(
            "c",
            &cluster.scenarios[0],
            &cluster.judgements[..1],
        );
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(
            text.contains(&format!("undecided: {claim} is inconclusive")),
            "{text}"
        );
    }

    #[test]
    fn bars_handle_every_event() {
        let bars = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        let mut progress = Progress::new(Mode::Bars(bars));
        for event in fixture::events(&fixture::results()) {
            progress.on(&event);
        }
        assert!(
            progress
                .clusters
                .values()
                .all(|c| c.bar.is_none() && c.running.is_empty())
        );
    }
}
