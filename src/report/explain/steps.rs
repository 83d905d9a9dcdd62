//! The steps of an experiment: one text each.

use crate::catalogue::model::Scenario;
use crate::catalogue::step::Action;

/// One text per step; steps that wait for moments one after the other become one.
pub(super) fn in_words(scenario: &Scenario) -> Vec<String> {
    let mut texts = Vec::new();
    let mut awaited: Vec<&str> = Vec::new();
    for step in &scenario.steps {
        let text = match &step.action {
            Action::Until {
                moment,
                optional: false,
            } => {
                awaited.push(moment);
                continue;
            }
            _ => step.in_words(&scenario.manifests),
        };
        texts.extend(waiting(&mut awaited));
        texts.push(match &step.name {
            Some(name) => format!("{text} → {name}"),
            None => text,
        });
    }
    texts.extend(waiting(&mut awaited));
    texts
}

fn waiting(awaited: &mut Vec<&str>) -> Option<String> {
    let last = awaited.pop()?;
    let before = std::mem::take(awaited);
    Some(if before.is_empty() {
        format!("wait until {last}")
    } else {
        format!("wait until {} and {last}", before.join(", "))
    })
}
