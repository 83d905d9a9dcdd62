//! Lowers the raw format to the catalogue: checks required fields and references, fills in defaults.

use std::collections::BTreeMap;
use std::time::Duration;

use super::capability::{DOCUMENTS, KNOWN, remedy};
use super::decode::{At, Entries};
use super::finding::Finding;
use super::lint::{Part, Written};
use super::model::{
    Action, Check, Citation, Claim, Expectation, Expression, Manifest, Moment, Needs, Place,
    Scenario, Step,
};
use super::parse;
use super::placeholder::names_of;
use super::pods::{Pods, Referenced};
use super::raw::{RawCheck, RawClaim, RawExpect, RawNeeds, RawSeveral, RawSuite};
use super::{digest, moments, steps};
use crate::expr::conjuncts;

/// Default limit of a step.
pub(super) const CAP: Duration = Duration::from_secs(60);
/// Default duration of a scenario.
const TAKES: Duration = Duration::from_secs(10);

/// The content of a suite file.
#[derive(Debug, Clone, Default)]
pub(super) struct Unit {
    pub(super) scenario: Option<Scenario>,
    pub(super) untestable: Vec<Claim>,
}

/// Collects findings while fields are lowered.
pub(super) struct Lower<'a> {
    pub(super) findings: &'a mut Vec<Finding>,
    /// The suite file's text.
    pub(super) source: &'a str,
    /// Every expression of the claims, to be checked.
    pub(super) written: Vec<Written>,
}

impl Lower<'_> {
    pub(super) fn find(&mut self, place: &Place, message: impl Into<String>) {
        self.findings.push(Finding::new(place, message));
    }

    /// A required value. An invalid one has been reported.
    pub(super) fn must<T>(
        &mut self,
        field: Option<At<T>>,
        owner: &Place,
        what: &str,
    ) -> Option<(T, Place)> {
        let Some(at) = field else {
            self.find(owner, what);
            return None;
        };
        Some((at.value?, at.place))
    }

    /// A value read by one of the parsers in [`parse`].
    pub(super) fn parsed<T>(
        &mut self,
        field: Option<At<String>>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let at = field?;
        match parse(&at.value?) {
            Ok(value) => Some(value),
            Err(message) => {
                self.find(&at.place, message);
                None
            }
        }
    }

    pub(super) fn suite(
        &mut self,
        id: &str,
        place: &Place,
        raw: RawSuite,
        mut manifest: impl FnMut(&str) -> Option<String>,
    ) -> Unit {
        let tried = raw.steps.is_some() || raw.scenario.is_some() || raw.moments.is_some();
        let claims = self.must(raw.claims, place, "missing `claims`");
        let (checkable, untestable): (Vec<Claim>, Vec<Claim>) = claims
            .map(|(claims, _)| claims)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|at| self.claim(&at.place, at.value?))
            .partition(|claim| claim.not_testable.is_none());
        if !tried {
            for claim in &checkable {
                self.find(
                    &claim.place,
                    format!(
                        "nothing tests `{}`: add `scenario`, `manifest` and `steps` to the suite, or \
                         `not_testable` with the reason to the claim",
                        claim.id
                    ),
                );
            }
            return Unit {
                scenario: None,
                untestable,
            };
        }
        let title = self.must(
            raw.scenario,
            place,
            "missing `scenario`: the experiment in one line",
        );
        let manifests = self.manifests(
            id,
            place,
            raw.manifest,
            raw.manifests,
            raw.listings.is_some(),
            &mut manifest,
        );
        let steps = self.must(raw.steps, place, "missing `steps`");
        let steps = steps.map(|(steps, _)| steps).unwrap_or_default();
        let moments = raw.moments.and_then(|at| at.value).unwrap_or_default();
        let takes = self.parsed(raw.takes, parse::duration).unwrap_or(TAKES);
        let needs = raw.needs.and_then(|at| at.value);
        let mut needs = needs.map(|raw| self.needs(raw)).unwrap_or_default();
        let listings = self.listings(raw.listings.and_then(|at| at.value).unwrap_or_default());
        if !listings.is_empty() {
            needs.capabilities.push(DOCUMENTS.to_owned());
        }
        let mut pods = Pods::of(
            manifests
                .iter()
                .filter_map(|(_, manifest)| manifest.as_ref()),
        );
        let outside = steps
            .iter()
            .filter_map(|at| at.value.as_ref()?.outside.as_ref());
        let listed = raw.pods.and_then(|at| at.value).unwrap_or_default();
        for at in outside.chain(&listed) {
            at.value.iter().for_each(|name| pods.open(name));
        }
        let moments = moments::moments(self, moments, &pods);
        let mut referenced = Referenced::default();
        let known = steps::Known {
            manifests: &manifests,
            moments: &moments,
            pods: &pods,
        };
        let steps = steps::steps(self, steps, &known, &mut referenced);
        let values = self.values(raw.values, &pods, &moments, &steps);
        self.files_in_arguments(&steps, &manifests, &listings);
        let manifests: Vec<Manifest> = manifests.into_iter().filter_map(|(_, m)| m).collect();
        let texts = self.written.iter().map(|written| &written.expression);
        for expression in texts.chain(values.iter().map(|(_, expression)| expression)) {
            pods.references(&expression.text, &mut referenced);
        }
        let mut scenario = Scenario {
            id: id.to_owned(),
            title: title.map(|(title, _)| title).unwrap_or_default(),
            place: place.clone(),
            digest: String::new(),
            manifests,
            listings,
            needs,
            steps,
            pods,
            moments,
            selectors: BTreeMap::new(),
            values,
            takes,
            claims: checkable,
        };
        scenario.add(referenced);
        scenario.digest = digest::scenario(&scenario);
        Unit {
            scenario: Some(scenario),
            untestable,
        }
    }

    /// The manifests by path; without content if the file is missing.
    fn manifests(
        &mut self,
        id: &str,
        place: &Place,
        one: Option<At<String>>,
        several: Option<At<Vec<At<String>>>>,
        listings: bool,
        text: &mut impl FnMut(&str) -> Option<String>,
    ) -> Vec<(String, Option<Manifest>)> {
        if let (Some(one), Some(_)) = (&one, &several) {
            self.find(&one.place, "both `manifest` and `manifests`: keep one");
        }
        let one = if one.is_none() && several.is_none() && !listings {
            Some(At {
                place: place.clone(),
                value: Some(format!("manifests/{id}.yaml")),
            })
        } else {
            one
        };
        let listed = several.and_then(|at| at.value).unwrap_or_default();
        let mut found = Vec::new();
        for at in one.into_iter().chain(listed) {
            let Some(path) = at.value else { continue };
            if found.iter().any(|(known, _)| *known == path) {
                self.find(&at.place, format!("`{path}` is listed twice"));
                continue;
            }
            let manifest = text(&path).map(|text| Manifest {
                path: path.clone(),
                text,
            });
            if manifest.is_none() {
                self.findings.push(
                    Finding::new(&at.place, format!("no manifest `{path}`")).with_help(
                        "the path is relative to the folder that contains `suites` and `manifests`",
                    ),
                );
            }
            found.push((path, manifest));
        }
        found
    }

    /// Checks that `{manifest:PATH}` and `{listing:NAME}` in kubectl's arguments exist.
    fn files_in_arguments(
        &mut self,
        steps: &[Step],
        manifests: &[(String, Option<Manifest>)],
        listings: &BTreeMap<String, Citation>,
    ) {
        let paths: Vec<&str> = manifests.iter().map(|(path, _)| path.as_str()).collect();
        let names: Vec<&str> = listings.keys().map(String::as_str).collect();
        for step in steps {
            let Action::Kubectl { args, .. } = &step.action else {
                continue;
            };
            for (word, known) in [("manifest", &paths), ("listing", &names)] {
                let given = args.iter().flat_map(|arg| names_of(arg, word)).flatten();
                for name in given.filter(|name| !known.contains(name)) {
                    let finding = Finding::new(
                        &step.place,
                        format!("`{{{word}:{name}}}`: the suite has no such {word}"),
                    );
                    self.findings
                        .push(finding.with_near(name, known.iter().copied()));
                }
            }
        }
    }

    /// The scenario's named values, in order.
    fn values(
        &mut self,
        raw: Option<At<Entries<String>>>,
        pods: &Pods,
        moments: &BTreeMap<String, Moment>,
        steps: &[Step],
    ) -> Vec<(String, Expression)> {
        let mut values: Vec<(String, Expression)> = Vec::new();
        for (name, at) in raw.and_then(|at| at.value).unwrap_or_default().0 {
            let (Some(text), Some(expression)) = (name.value, at.value) else {
                continue;
            };
            if !moments::is_identifier(&text) {
                self.find(
                    &name.place,
                    format!("invalid name `{text}`: expected letters, digits, and `_`"),
                );
            } else if let Some(message) = moments::taken(&text, pods) {
                self.find(&name.place, message);
            } else if moments.contains_key(&text)
                || steps.iter().any(|step| step.name.as_ref() == Some(&text))
            {
                self.find(
                    &name.place,
                    format!("`{text}` is a moment or an output: choose another name"),
                );
            }
            values.push((
                text,
                Expression {
                    text: expression,
                    place: at.place,
                },
            ));
        }
        values
    }

    fn listings(&mut self, raw: Entries<String>) -> BTreeMap<String, Citation> {
        let mut listings = BTreeMap::new();
        for (name, at) in raw.0 {
            if let (Some(name), Some(citation)) =
                (name.value, self.parsed(Some(at), parse::citation))
            {
                listings.insert(name, citation);
            }
        }
        listings
    }

    /// The citations of a claim.
    fn cites(&mut self, field: Option<At<RawSeveral>>) -> Vec<Citation> {
        let texts = match field {
            Some(At {
                value: Some(RawSeveral::One(text)),
                place,
            }) => vec![At {
                value: Some(text),
                place,
            }],
            Some(At {
                value: Some(RawSeveral::Many(texts)),
                ..
            }) => texts,
            _ => Vec::new(),
        };
        texts
            .into_iter()
            .filter_map(|at| self.parsed(Some(at), parse::citation))
            .collect()
    }

    pub(super) fn needs(&mut self, raw: RawNeeds) -> Needs {
        Needs {
            kubernetes: self.parsed(raw.kubernetes, parse::version_range),
            gates: raw
                .gates
                .and_then(|at| at.value)
                .map(gates)
                .unwrap_or_default(),
            capabilities: self.capabilities(raw.capabilities),
        }
    }

    fn capabilities(&mut self, field: Option<At<Vec<At<String>>>>) -> Vec<String> {
        let mut wanted = Vec::new();
        for at in field.and_then(|at| at.value).unwrap_or_default() {
            let Some(name) = at.value else { continue };
            if remedy(&name).is_none() {
                let finding = Finding::new(&at.place, format!("unknown capability `{name}`"));
                let known = KNOWN.iter().map(|(name, _)| *name);
                self.findings.push(finding.with_near(&name, known));
            }
            wanted.push(name);
        }
        wanted
    }

    fn claim(&mut self, place: &Place, raw: RawClaim) -> Option<Claim> {
        let id = self.must(raw.id, place, "missing `id`");
        let says = self.must(
            raw.says,
            place,
            "missing `says`: the statement in one sentence",
        );
        if let Some((id, place)) = &id
            && !id
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
        {
            self.find(
                place,
                format!("invalid claim id `{id}`: expected letters, digits, `.`, `-`, and `_`"),
            );
        }
        let cites = self.cites(raw.cites);
        let not_testable = raw.not_testable.and_then(|at| at.value);
        let own = RawCheck {
            name: Some(At {
                place: place.clone(),
                value: Some("check".to_owned()),
            }),
            needs: None,
            control: raw.control,
            holds: raw.holds,
            fails: raw.fails,
        };
        let has_own = own.control.is_some() || own.holds.is_some() || own.fails.is_some();
        let checks = match (not_testable.is_some(), raw.checks) {
            (true, None) if !has_own => Vec::new(),
            (true, _) => {
                self.find(place, "both `not_testable` and checks: keep one");
                Vec::new()
            }
            (false, Some(checks)) => {
                if own.holds.is_some() || own.fails.is_some() {
                    self.find(
                        place,
                        "both `checks` and `holds` or `fails`: move those into a check",
                    );
                }
                let shared = own
                    .control
                    .is_some()
                    .then(|| self.expression(own.control, place, "", Part::Control));
                self.checks(
                    &checks.place,
                    checks.value.unwrap_or_default(),
                    shared.flatten().as_ref(),
                )
            }
            (false, None) => self.check(place, own, None).into_iter().collect(),
        };
        let measures = raw.measures.and_then(|at| at.value).unwrap_or_default();
        let measures: BTreeMap<String, Expression> = measures
            .0
            .into_iter()
            .filter_map(|(name, at)| {
                Some((
                    name.value?,
                    self.expression(Some(at), place, "", Part::Measure)?,
                ))
            })
            .collect();
        let expect = raw
            .expect
            .and_then(|at| Some(self.expect(&at.place, at.value?)));
        let (id, id_place) = id?;
        Some(Claim {
            id,
            place: id_place,
            says: says.map(|(says, _)| says).unwrap_or_default(),
            instead: raw.instead.and_then(|at| at.value),
            cites,
            checks,
            measures,
            expect: expect.unwrap_or_default(),
            not_testable,
        })
    }

    fn checks(
        &mut self,
        place: &Place,
        raw: Vec<At<RawCheck>>,
        shared: Option<&Expression>,
    ) -> Vec<Check> {
        if raw.is_empty() {
            self.find(place, "empty `checks`");
        }
        let mut checks: Vec<Check> = Vec::new();
        for at in raw {
            let Some(check) = at.value.and_then(|raw| self.check(&at.place, raw, shared)) else {
                continue;
            };
            if checks.iter().any(|known| known.name == check.name) {
                self.find(&at.place, format!("two checks are named `{}`", check.name));
            } else {
                checks.push(check);
            }
        }
        checks
    }

    fn check(
        &mut self,
        place: &Place,
        raw: RawCheck,
        shared: Option<&Expression>,
    ) -> Option<Check> {
        let name = self.must(raw.name, place, "missing `name`");
        let control = match (shared, raw.control.is_some()) {
            (Some(shared), false) => Some(shared.clone()),
            (shared, _) => {
                let missing = "missing `control`: what must be true before the check counts";
                let own = self.expression(raw.control, place, missing, Part::Control);
                own.map(|own| match shared {
                    Some(shared) => Expression {
                        text: both(&shared.text, &own.text),
                        place: own.place,
                    },
                    None => own,
                })
            }
        };
        let holds = self.expression(
            raw.holds,
            place,
            "missing `holds`: what is seen if the statement is true",
            Part::Prediction,
        );
        let fails = self.expression(
            raw.fails,
            place,
            "missing `fails`: what is seen if the statement is false",
            Part::Prediction,
        );
        let needs = raw.needs.and_then(|at| at.value).map(|raw| self.needs(raw));
        Some(Check {
            name: name?.0,
            needs: needs.unwrap_or_default(),
            control: control?,
            holds: holds?,
            fails: fails?,
        })
    }

    fn expression(
        &mut self,
        field: Option<At<String>>,
        owner: &Place,
        missing: &str,
        part: Part,
    ) -> Option<Expression> {
        let (text, place) = self.must(field, owner, missing)?;
        let expression = Expression { text, place };
        self.written.push(Written {
            expression: expression.clone(),
            part,
        });
        Some(expression)
    }

    fn expect(&mut self, place: &Place, raw: RawExpect) -> Vec<Expectation> {
        let table = match raw {
            RawExpect::One(verdict) => {
                let verdict = At {
                    place: place.clone(),
                    value: Some(verdict),
                };
                return self
                    .verdict(verdict)
                    .map(|verdict| Expectation {
                        needs: Needs::default(),
                        verdict,
                    })
                    .into_iter()
                    .collect();
            }
            RawExpect::Table(table) => table,
        };
        let mut expectations = Vec::new();
        for at in table {
            let Some(raw) = at.value else { continue };
            let needs = self.needs(RawNeeds {
                kubernetes: raw.kubernetes,
                gates: raw.gates,
                capabilities: raw.capabilities,
            });
            let Some(verdict) = raw.verdict else {
                self.find(&at.place, "missing `verdict`");
                continue;
            };
            if let Some(verdict) = self.verdict(verdict) {
                expectations.push(Expectation { needs, verdict });
            }
        }
        expectations
    }

    fn verdict(&mut self, at: At<String>) -> Option<super::model::Verdict> {
        let text = at.value?;
        let verdict = parse::verdict(&text);
        if verdict.is_none() {
            self.findings.push(
                Finding::new(&at.place, format!("unknown verdict `{text}`"))
                    .with_near(&text, parse::VERDICTS.map(super::model::Verdict::as_str)),
            );
        }
        verdict
    }
}

/// The conjunction of two conditions.
fn both(a: &str, b: &str) -> String {
    let parts = conjuncts(a).into_iter().chain(conjuncts(b));
    let enclosed: Vec<String> = parts
        .map(|part| match part {
            part if part.contains("||") || part.contains('?') => format!("({part})"),
            part => part.to_owned(),
        })
        .collect();
    enclosed.join(" && ")
}

fn gates(entries: Entries<bool>) -> BTreeMap<String, bool> {
    entries
        .0
        .into_iter()
        .filter_map(|(name, on)| Some((name.value?, on.value?)))
        .collect()
}
