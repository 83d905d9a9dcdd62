//! The judge's rules. A check holds if its control and `holds` are true and `fails` is false, and fails if its control
//! and `fails` are true and `holds` is false. Everything else is inconclusive and says why.

use std::collections::{BTreeMap, BTreeSet};

use itertools::Itertools as _;
use thiserror::Error;

use super::judgement::{CheckJudgement, Evaluation, Judgement, Outcome};
use super::reasons::{self, Explained};
use super::scene::Scene;
use crate::catalogue::capability::{PERMISSIONS, remedy};
use crate::catalogue::model::{Catalogue, Check, Claim, Needs, Scenario, Verdict};
use crate::evidence::{ClusterFacts, Evidence, Seen};
use crate::expr::{self, values};
use crate::gates::is_removed;

/// The judgements on one evidence file.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// One for each claim of the scenario, in order.
    pub judgements: Vec<Judgement>,
    pub warnings: Vec<String>,
}

/// Evidence that gives no verdict.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unusable {
    /// Something could not be set up or observed.
    #[error("failed to observe {scenario}: {problems}")]
    Problems { scenario: String, problems: String },
    /// The evidence is of another scenario.
    #[error("expected evidence of {wanted}, found evidence of {found}")]
    OtherScenario { found: String, wanted: String },
}

/// Judges all claims of a scenario.
pub fn judge(scenario: &Scenario, evidence: &Evidence) -> Result<Judged, Unusable> {
    if evidence.scenario != scenario.id {
        return Err(Unusable::OtherScenario {
            found: evidence.scenario.clone(),
            wanted: scenario.id.clone(),
        });
    }
    if let Some(problem) = evidence.forbidden() {
        let reason = format!("this cluster forbids it: {problem}");
        return Ok(Judged {
            judgements: not_applicable(scenario, &reason),
            warnings: Vec::new(),
        });
    }
    if !evidence.problems.is_empty() {
        return Err(Unusable::Problems {
            scenario: scenario.id.clone(),
            problems: evidence.problems.iter().join("; "),
        });
    }
    let mut warnings = Vec::new();
    if evidence.scenario_digest != scenario.digest {
        warnings.push(format!(
            "{}: the experiment has changed since this evidence was recorded; run it again",
            scenario.id
        ));
    }
    if let Some(reason) = scenario.needs.unmet(&evidence.cluster) {
        return Ok(Judged {
            judgements: not_applicable(scenario, &reason),
            warnings,
        });
    }
    let scene = Scene::new(scenario, evidence);
    let lost = lost(evidence);
    let judgements = scenario
        .claims
        .iter()
        .map(|claim| claim_judgement(scenario, claim, evidence, &scene, lost.as_deref()))
        .collect();
    Ok(Judged {
        judgements,
        warnings,
    })
}

/// The judgements on a scenario that does not apply.
pub(crate) fn not_applicable(scenario: &Scenario, reason: &str) -> Vec<Judgement> {
    let reason = format!("not applicable: {reason}");
    let judgement = |claim| {
        let verdict = Verdict::NotApplicable;
        Judgement::unchecked(claim, Some(scenario), verdict, reason.clone())
    };
    scenario.claims.iter().map(judgement).collect()
}

/// The judgements on claims that no experiment can decide.
pub fn untestable(catalogue: &Catalogue) -> Vec<Judgement> {
    let judgement = |claim: &Claim| {
        let reason = claim.not_testable.clone().unwrap_or_default();
        Judgement::unchecked(claim, None, Verdict::NotTestable, reason)
    };
    catalogue.untestable.iter().map(judgement).collect()
}

/// The known verdict of a claim on this cluster.
pub fn expected(claim: &Claim, cluster: &ClusterFacts) -> Option<Verdict> {
    expectation(claim, cluster).map(|at| claim.expect[at].verdict)
}

/// The number of the expectation that applies to this cluster.
pub(crate) fn expectation(claim: &Claim, cluster: &ClusterFacts) -> Option<usize> {
    let mut known = claim.expect.iter();
    known.position(|known| known.needs.unmet(cluster).is_none())
}

impl Needs {
    /// The first unmet requirement.
    pub fn unmet(&self, cluster: &ClusterFacts) -> Option<String> {
        if let Some(range) = &self.kubernetes
            && !range.contains(&cluster.kubernetes)
        {
            return Some(format!(
                "needs Kubernetes {}, found {}",
                range.text, cluster.kubernetes
            ));
        }
        for (gate, wanted) in &self.gates {
            let word = if *wanted { "on" } else { "off" };
            let seen = cluster.gates_seen.get(gate);
            let seen = seen.or_else(|| cluster.gates.get(gate)).copied();
            // The feature of a removed gate is on.
            let removed = is_removed(gate, &cluster.kubernetes);
            match seen.or_else(|| removed.then_some(true)) {
                Some(seen) if seen == *wanted => {}
                Some(_) => return Some(format!("needs the feature gate {gate} {word}")),
                None => {
                    return Some(format!(
                        "needs the feature gate {gate} {word}; this cluster does not report it"
                    ));
                }
            }
        }
        let lacks = self
            .capabilities
            .iter()
            // A run checks permissions: evidence shows that they were granted.
            .filter(|wanted| !PERMISSIONS.contains(&wanted.as_str()))
            .find(|wanted| !cluster.capabilities.contains(wanted));
        lacks.map(|capability| match remedy(capability) {
            Some(remedy) => format!("needs {capability}, {remedy}"),
            None => format!("needs {capability}, which this cluster does not offer"),
        })
    }
}

/// What the timeline lost; nothing can be decided then.
fn lost(evidence: &Evidence) -> Option<String> {
    let mut seen: BTreeMap<(&str, &str, &str), BTreeSet<u32>> = BTreeMap::new();
    for entry in &evidence.timeline {
        match &entry.seen {
            Seen::Runner(note) if note.note == "gap" => {
                return Some(format!("the timeline has a gap: {}", note.text));
            }
            Seen::Agent(stamp) => {
                let process = (&*stamp.pod, &*stamp.role, &*stamp.process);
                seen.entry(process).or_default().insert(stamp.seq);
            }
            _ => {}
        }
    }
    seen.into_iter().find_map(|((pod, role, _), numbers)| {
        let missing = (1..).zip(&numbers).find(|(wanted, seq)| wanted != *seq)?.0;
        Some(format!("stamp {missing} of {role} in {pod} was lost"))
    })
}

fn claim_judgement(
    scenario: &Scenario,
    claim: &Claim,
    evidence: &Evidence,
    scene: &Scene,
    lost: Option<&str>,
) -> Judgement {
    let checks: Vec<CheckJudgement> = claim
        .checks
        .iter()
        .map(|check| judge_check(check, evidence, scene, lost))
        .collect();
    let verdict = combine(&checks);
    let expected = match verdict {
        // This follows from the catalogue, so that it is expected.
        Verdict::NotApplicable => Some(verdict),
        _ => expected(claim, &evidence.cluster),
    };
    let used = used_values(scenario, claim).into_iter().filter_map(|name| {
        let value = scene.values.get(name)?.as_ref().ok()?;
        Some((name.to_owned(), values::measured(value, scene.zero)))
    });
    let own = claim.measures.iter().filter_map(|(name, measure)| {
        let value = scene.evaluate(&measure.text).ok()?;
        Some((name.clone(), values::measured(&value, scene.zero)))
    });
    let measured = used.chain(own);
    Judgement {
        claim: claim.id.clone(),
        scenario: Some(scenario.id.clone()),
        verdict,
        expected,
        reason: reason(&checks),
        measured: measured.collect(),
        checks,
    }
}

/// The named values that a claim's expressions use, directly or through other values.
pub fn used_values<'a>(scenario: &'a Scenario, claim: &Claim) -> BTreeSet<&'a str> {
    let mut texts: Vec<&str> = claim
        .expressions()
        .map(|found| found.text.as_str())
        .collect();
    let mut used = BTreeSet::new();
    while let Some(text) = texts.pop() {
        for read in expr::names_read(text) {
            let mut values = scenario.values.iter();
            let value = values.find(|(name, _)| read.split('.').next() == Some(name));
            if let Some((name, expression)) = value
                && used.insert(name.as_str())
            {
                texts.push(&expression.text);
            }
        }
    }
    used
}

fn reason(checks: &[CheckJudgement]) -> String {
    if let [only] = checks {
        return only.reason.clone();
    }
    let all = checks.iter();
    all.map(|check| format!("{}: {}", check.name, check.reason))
        .join(". ")
}

/// The verdict that follows from a claim's checks.
pub fn combine(checks: &[CheckJudgement]) -> Verdict {
    let has = |outcome| checks.iter().any(|check| check.outcome == outcome);
    match (has(Outcome::Holds), has(Outcome::Fails)) {
        _ if has(Outcome::Inconclusive) => Verdict::Inconclusive,
        (true, true) => Verdict::Qualified,
        (true, false) => Verdict::Confirmed,
        (false, true) => Verdict::Refuted,
        (false, false) => Verdict::NotApplicable,
    }
}

fn judge_check(
    check: &Check,
    evidence: &Evidence,
    scene: &Scene,
    lost: Option<&str>,
) -> CheckJudgement {
    if let Some(unmet) = check.needs.unmet(&evidence.cluster) {
        let skipped = |text: &str| Evaluation {
            expression: text.trim().to_owned(),
            error: Some("not applicable here".to_owned()),
            ..Evaluation::default()
        };
        return CheckJudgement {
            name: check.name.clone(),
            outcome: Outcome::NotApplicable,
            reason: format!("not applicable: {unmet}"),
            control: skipped(&check.control.text),
            holds: skipped(&check.holds.text),
            fails: skipped(&check.fails.text),
        };
    }
    let control = reasons::explain(&check.control.text, scene);
    let holds = reasons::explain(&check.holds.text, scene);
    let fails = reasons::explain(&check.fails.text, scene);
    let (outcome, reason) = match lost {
        Some(lost) => (Outcome::Inconclusive, format!("inconclusive: {lost}")),
        None => decide(&control, &holds, &fails),
    };
    CheckJudgement {
        name: check.name.clone(),
        outcome,
        reason,
        control: control.evaluation,
        holds: holds.evaluation,
        fails: fails.evaluation,
    }
}

fn decide(control: &Explained, holds: &Explained, fails: &Explained) -> (Outcome, String) {
    let both = || format!("{}; {}", holds.because(), fails.because());
    let (what, why) = match (control.value(), holds.value(), fails.value()) {
        (Some(true), Some(true), Some(false)) => {
            return (Outcome::Holds, format!("holds: {}", holds.because()));
        }
        (Some(true), Some(false), Some(true)) => {
            return (Outcome::Fails, format!("fails: {}", fails.because()));
        }
        (None, ..) => ("the control cannot be evaluated", control.error()),
        (Some(false), ..) => ("the control is not met", control.because()),
        (_, Some(true), Some(true)) => ("both `holds` and `fails` are true", both()),
        (_, Some(false), Some(false)) => ("neither `holds` nor `fails` is true", both()),
        (_, Some(true), None) => (
            "`holds` is true, but `fails` cannot be evaluated",
            fails.error(),
        ),
        (_, None, Some(true)) => (
            "`fails` is true, but `holds` cannot be evaluated",
            holds.error(),
        ),
        (_, None, _) => ("`holds` cannot be evaluated", holds.error()),
        (_, Some(false), None) => (
            "`holds` is false and `fails` cannot be evaluated",
            fails.error(),
        ),
    };
    (
        Outcome::Inconclusive,
        format!("inconclusive: {what}: {why}"),
    )
}

#[cfg(test)]
mod tests;
