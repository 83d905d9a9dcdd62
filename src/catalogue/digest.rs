//! What identifies an experiment: whether recorded evidence is still evidence of it.

use sha2::{Digest, Sha256};

use super::manifest::{documents, with_defaults};
use super::model::Scenario;
use crate::digest::hex;

/// A digest of what a scenario does: its steps, the moments they wait for, and the objects it applies, with defaults
/// filled in. Claims, values, comments and layout do not change it.
pub(super) fn scenario(scenario: &Scenario) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(text);
    };
    for manifest in &scenario.manifests {
        add(&manifest.path);
        for mut object in documents(&manifest.text).unwrap_or_default() {
            with_defaults(&mut object);
            add(&sorted(&object));
        }
    }
    for step in &scenario.steps {
        add(&format!("{:?} {:?} {:?}", step.action, step.name, step.cap));
    }
    for name in scenario.awaited() {
        if let Some(moment) = scenario.moments.get(name) {
            add(&format!("{name} {:?} {}", moment.matches, moment.nth));
        }
    }
    for (name, citation) in &scenario.listings {
        add(&format!("{name} {} {}", citation.document, citation.lines));
    }
    hex(&hash.finalize())[..12].to_owned()
}

/// JSON with the fields of every object in order.
fn sorted(value: &serde_json::Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string()
}
