//! The judge's rules. A check holds if its control and `holds` are true and `fails` is false, and fails if its control
//! and `fails` are true and `holds` is false. Everything else is inconclusive and says why.

use std::collections::{BTreeMap, BTreeSet};

use itertools::Itertools as _;
use thiserror::Error;

use super::judgement::{CheckJudgement, Evaluation, Judgement, Outcome};
use super::reasons::{Explained, explain};
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
    let mut warnings = Vec::new();
    let unmet = match evidence.forbidden() {
        Some(problem) => Some(format!("this cluster forbids it: {problem}")),
        None if !evidence.problems.is_empty() => {
            return Err(Unusable::Problems {
                scenario: scenario.id.clone(),
                problems: evidence.problems.iter().join("; "),
            });
        }
        None => {
            if evidence.scenario_digest != scenario.digest {
                warnings.push(format!(
                    "{}: the experiment has changed since this evidence was recorded; run it again",
                    scenario.id
                ));
            }
            scenario.needs.unmet(&evidence.cluster)
        }
    };
    let judgements = if let Some(reason) = unmet {
        not_applicable(scenario, &reason)
    } else {
        let judge = Judge {
            scenario,
            cluster: &evidence.cluster,
            scene: Scene::new(scenario, evidence),
            lost: lost(evidence),
        };
        let claims = scenario.claims.iter();
        claims.map(|claim| judge.claim(claim)).collect()
    };
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
            let seen = seen.or_else(|| is_removed(gate, &cluster.kubernetes).then_some(true));
            if seen != Some(*wanted) {
                let unreported = match seen {
                    Some(_) => "",
                    None => "; this cluster does not report it",
                };
                return Some(format!("needs the feature gate {gate} {word}{unreported}"));
            }
        }
        let lacks = self.capabilities.iter().find(|wanted| {
            // A run checks permissions: evidence shows that they were granted.
            !PERMISSIONS.contains(&wanted.as_str()) && !cluster.capabilities.contains(wanted)
        });
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

/// Evidence that is judged.
struct Judge<'a> {
    scenario: &'a Scenario,
    cluster: &'a ClusterFacts,
    scene: Scene,
    /// What the timeline lost.
    lost: Option<String>,
}

impl Judge<'_> {
    fn claim(&self, claim: &Claim) -> Judgement {
        let checks = claim.checks.iter().map(|check| self.check(check));
        let checks = checks.collect_vec();
        let verdict = combine(&checks);
        let expected = match verdict {
            // This follows from the catalogue, so that it is expected.
            Verdict::NotApplicable => Some(verdict),
            _ => expectation(claim, self.cluster).map(|at| claim.expect[at].verdict),
        };
        let used = used_values(self.scenario, claim).into_iter();
        let used = used.map(|name| (name, name));
        let own = claim.measures.iter();
        let own = own.map(|(name, measure)| (name.as_str(), measure.text.as_str()));
        let measured = used.chain(own).filter_map(|(name, text)| {
            let value = self.scene.evaluate(text).ok()?;
            Some((name.to_owned(), values::measured(&value, self.scene.zero)))
        });
        Judgement {
            claim: claim.id.clone(),
            scenario: Some(self.scenario.id.clone()),
            verdict,
            expected,
            reason: reason(&checks),
            measured: measured.collect(),
            checks,
        }
    }

    fn check(&self, check: &Check) -> CheckJudgement {
        let texts = [&check.control, &check.holds, &check.fails].map(|part| part.text.as_str());
        let unmet = check.needs.unmet(self.cluster);
        let (outcome, reason, [control, holds, fails]) = if let Some(unmet) = unmet {
            let evaluations = texts.map(|text| Evaluation {
                expression: text.trim().to_owned(),
                error: Some("not applicable here".to_owned()),
                ..Evaluation::default()
            });
            let reason = format!("not applicable: {unmet}");
            (Outcome::NotApplicable, reason, evaluations)
        } else {
            let explained = texts.map(|text| explain(text, &self.scene));
            let (outcome, reason) = match &self.lost {
                Some(lost) => (Outcome::Inconclusive, format!("inconclusive: {lost}")),
                None => decide(&explained),
            };
            (outcome, reason, explained.map(|part| part.evaluation))
        };
        CheckJudgement {
            name: check.name.clone(),
            outcome,
            reason,
            control,
            holds,
            fails,
        }
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

fn decide([control, holds, fails]: &[Explained; 3]) -> (Outcome, String) {
    let values = [control, holds, fails].map(|part| part.evaluation.value);
    let what = match values {
        [Some(true), Some(true), Some(false)] => {
            return (Outcome::Holds, format!("holds: {}", holds.because));
        }
        [Some(true), Some(false), Some(true)] => {
            return (Outcome::Fails, format!("fails: {}", fails.because));
        }
        [None, ..] => "the control cannot be evaluated",
        [Some(false), ..] => "the control is not met",
        [_, Some(true), Some(true)] => "both `holds` and `fails` are true",
        [_, Some(false), Some(false)] => "neither `holds` nor `fails` is true",
        [_, Some(true), None] => "`holds` is true, but `fails` cannot be evaluated",
        [_, None, Some(true)] => "`fails` is true, but `holds` cannot be evaluated",
        [_, None, _] => "`holds` cannot be evaluated",
        [_, Some(false), None] => "`holds` is false and `fails` cannot be evaluated",
    };
    let why = match values {
        [Some(true), Some(_), Some(_)] => &format!("{}; {}", holds.because, fails.because),
        [Some(true), Some(_), None] => &fails.because,
        [Some(true), None, _] => &holds.because,
        _ => &control.because,
    };
    let reason = format!("inconclusive: {what}: {why}");
    (Outcome::Inconclusive, reason)
}

#[cfg(test)]
mod tests;
