//! What identifies an experiment: whether recorded evidence is still evidence of it.

use sha2::{Digest, Sha256};

use super::manifest::with_defaults;
use super::model::Scenario;

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
        for mut object in manifest.objects() {
            with_defaults(&mut object);
            object.sort_all_objects();
            add(&object.to_string());
        }
    }
    for step in &scenario.steps {
        add(&format!("{:?} {:?} {:?}", step.action, step.name, step.cap));
        if let Some(range) = &step.kubernetes {
            add(&range.text);
        }
    }
    for name in scenario.awaited() {
        if let Some(moment) = scenario.moments.get(name) {
            add(&format!("{name} {:?} {}", moment.matches, moment.nth));
        }
    }
    for (name, citation) in &scenario.listings {
        add(&format!("{name} {} {}", citation.document, citation.lines));
    }
    format!("{:.12x}", hash.finalize())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::fixture::catalogue;

    const MANIFEST: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: slow}
spec:
  containers: [{name: main, image: hookproof/agent, command: [agent, entrypoint, wait]}]
";
    const SUITE: &str = "\
scenario: a pod
manifest: manifests/a/b.yaml
steps:
  - apply
  - until: slow.running
claims:
  - id: a.b
    says: The pod starts.
    control: runs(slow.entrypoint) == 1
    holds: has(slow.ready)
    fails: has(slow.failed)
";

    fn digest(suite: &str, manifest: &str) -> String {
        let catalogue = catalogue("a/b", manifest, suite);
        catalogue.scenarios["a/b"].digest.clone()
    }

    #[rstest]
    #[case::expect("has(slow.failed)\n", "has(slow.failed)\n    expect: confirmed\n")]
    #[case::wording("says: The pod starts.", "says: Pods start.")]
    #[case::checks("holds: has(slow.ready)", "holds: has(slow.ready) && !has(slow.gone)")]
    #[case::title("scenario: a pod", "scenario: a pod that starts")]
    #[case::comments("steps:", "# A comment.\nsteps:")]
    #[case::layout("- until: slow.running", "- {until: [slow.running]}")]
    fn evidence_stays_valid(#[case] from: &str, #[case] to: &str) {
        assert_ne!(SUITE, SUITE.replace(from, to));
        assert_eq!(
            digest(SUITE, MANIFEST),
            digest(&SUITE.replace(from, to), MANIFEST)
        );
    }

    #[rstest]
    #[case::more_steps("- until: slow.running", "- until: [slow.running, slow.ready]")]
    #[case::other_moments("- until: slow.running", "- until: slow.ready")]
    #[case::other_limits("- until: slow.running", "- {until: slow.running, within: 3s}")]
    fn evidence_of_other_steps_does_not(#[case] from: &str, #[case] to: &str) {
        assert_ne!(
            digest(SUITE, MANIFEST),
            digest(&SUITE.replace(from, to), MANIFEST)
        );
    }

    #[test]
    fn only_objects_count_in_manifests() {
        let spelled = MANIFEST.replace(
            "metadata: {name: slow}",
            "metadata:\n  name: slow # the pod",
        );
        let default = MANIFEST.replace("spec:\n", "spec:\n  restartPolicy: Never\n");
        let other = MANIFEST.replace("spec:\n", "spec:\n  restartPolicy: Always\n");
        let digest = |manifest: &str| digest(SUITE, manifest);
        assert_eq!(digest(MANIFEST), digest(&spelled));
        assert_eq!(digest(MANIFEST), digest(&default));
        assert_ne!(digest(MANIFEST), digest(&other));
    }
}
