//! A scenario's evidence as lanes of bars and marks. The page's script draws them.

mod commands;
mod model;
mod pods;
mod processes;

pub(crate) use model::Timeline;

use crate::evidence::Evidence;
use model::{Clock, Group};

impl Timeline {
    pub(crate) fn of(evidence: &Evidence) -> Self {
        let clock = Clock::of(evidence);
        let groups = [
            ("Runner", commands::lanes(evidence, &clock)),
            (
                "Processes in containers",
                processes::lanes(evidence, &clock),
            ),
            ("Reported by Kubernetes", pods::lanes(evidence, &clock)),
        ];
        let groups = groups.into_iter().filter(|(_, lanes)| !lanes.is_empty());
        Self {
            span: clock.span,
            groups: groups
                .map(|(title, lanes)| Group { title, lanes })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::report::fixture;

    /// A line per lane, bar, hold and mark.
    fn in_words(timeline: &Timeline) -> String {
        let mut out = String::new();
        for group in &timeline.groups {
            let _ = writeln!(out, "{}", group.title);
            for lane in &group.lanes {
                let _ = writeln!(out, "  {} {}", lane.name, lane.of);
                for bar in lane.bars.iter().chain(&lane.holds) {
                    let open = if bar.open { " (open)" } else { "" };
                    let _ = writeln!(
                        out,
                        "    {:.3}-{:.3}{open} {:?}: {}",
                        bar.from, bar.to, bar.look, bar.label
                    );
                }
                for mark in &lane.marks {
                    let _ = writeln!(out, "    {:.3} {:?}: {}", mark.at, mark.look, mark.label);
                }
            }
        }
        out
    }

    #[test]
    fn shows_a_slow_hook() {
        let evidence = fixture::evidence("evidence/1.36/poststart/slow-hook.json");
        insta::assert_snapshot!(in_words(&Timeline::of(&evidence)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn untrusted_text_is_one_line(text in fixture::nasty_text()) {
            let timeline = Timeline::of(&fixture::poisoned_evidence(&text));
            for lane in timeline.groups.iter().flat_map(|group| &group.lanes) {
                for bar in lane.bars.iter().chain(&lane.holds) {
                    prop_assert!(!bar.label.chars().any(char::is_control));
                    prop_assert!(0.0 <= bar.from && bar.from <= bar.to && bar.to <= timeline.span);
                }
                for mark in &lane.marks {
                    prop_assert!(!mark.label.chars().any(char::is_control));
                    prop_assert!(0.0 <= mark.at && mark.at <= timeline.span);
                }
            }
        }
    }
}
