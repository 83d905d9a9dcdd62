//! Claims, their checks and requirements.

use serde_saphyr::Location;

use super::super::capability::{KNOWN, remedy};
use super::super::model::{Check, Claim, Expectation, Expression, Needs, Verdict};
use super::super::parse::{self, VERDICTS};
use super::super::yaml::{At, Reader, Several, filled};
use super::cites;
use super::lint::{Part, Written, expression};
use super::raw::{RawCheck, RawClaim, RawExpectation, RawNeeds};
use crate::expr::conjuncts;

/// Reads claims and notes their expressions.
pub(super) struct Claims<'a, 'r> {
    pub(super) reader: &'a mut Reader<'r>,
    /// Every expression, to be checked.
    pub(super) written: Vec<Written>,
}

impl Claims<'_, '_> {
    pub(super) fn claim(&mut self, At { value: raw, at }: At<RawClaim>) -> Option<Claim> {
        let id = self.reader.must(raw.id, at, "missing `id`");
        let missing = "missing `says`: the statement in one sentence";
        let says = filled(self.reader.must(raw.says, at, missing));
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if let Some(At { value: id, at }) = &id
            && !id.chars().all(fits)
        {
            let message =
                format!("invalid claim id `{id}`: expected letters, digits, `.`, `-`, and `_`");
            self.reader.find(*at, message);
        }
        let cites = raw.cites.map(cites::each).unwrap_or_default().into_iter();
        let cites = cites
            .filter_map(|raw| cites::citation(self.reader, raw))
            .collect();
        let value = "check".to_owned();
        let own = RawCheck {
            name: Some(At { value, at }),
            needs: None,
            control: raw.control,
            holds: raw.holds,
            fails: raw.fails,
        };
        let checks = match raw.checks {
            listed if raw.not_testable.is_some() => {
                let checks = [own.control, own.holds, own.fails];
                if listed.is_some() || checks.iter().any(Option::is_some) {
                    let message = "both `not_testable` and checks: keep one";
                    self.reader.find(at, message);
                }
                Vec::new()
            }
            Some(listed) => self.checks(at, own, listed),
            None => Vec::from_iter(self.check(At { value: own, at }, None)),
        };
        let measure =
            |(name, text): (At<String>, _)| (name.value, self.expression(text, Part::Measure));
        let measures = filled(raw.measures).0.into_iter().map(measure).collect();
        let expect = raw.expect.map(|expect| self.expect(expect));
        let id = id?;
        Some(Claim {
            place: self.reader.place(id.at),
            id: id.value,
            says,
            instead: raw.instead.map(|at| at.value),
            cites,
            checks,
            measures,
            expect: expect.unwrap_or_default(),
            not_testable: raw.not_testable.map(|at| at.value),
        })
    }

    /// The listed checks; `own` is what the claim itself has of one.
    fn checks(&mut self, at: Location, own: RawCheck, listed: At<Vec<At<RawCheck>>>) -> Vec<Check> {
        if own.holds.is_some() || own.fails.is_some() {
            let message = "both `checks` and `holds` or `fails`: move those into a check";
            self.reader.find(at, message);
        }
        if listed.value.is_empty() {
            self.reader.find(listed.at, "empty `checks`");
        }
        let shared = own.control.map(|text| self.expression(text, Part::Control));
        let mut checks: Vec<Check> = Vec::new();
        for raw in listed.value {
            let at = raw.at;
            let Some(check) = self.check(raw, shared.as_ref()) else {
                continue;
            };
            if checks.iter().any(|known| known.name == check.name) {
                let message = format!("two checks are named `{}`", check.name);
                self.reader.find(at, message);
            }
            checks.push(check);
        }
        checks
    }

    fn check(
        &mut self,
        At { value: raw, at }: At<RawCheck>,
        shared: Option<&Expression>,
    ) -> Option<Check> {
        let name = self.reader.must(raw.name, at, "missing `name`");
        let missing = "missing `control`: what must be true before the check counts";
        let control = match (shared, raw.control) {
            (Some(shared), None) => Some(shared.clone()),
            (None, own) => self.required(own, at, missing, Part::Control),
            (Some(shared), Some(own)) => {
                let own = self.expression(own, Part::Control);
                let text = both(&shared.text, &own.text);
                Some(Expression { text, ..own })
            }
        };
        let missing = "missing `holds`: what is seen if the statement is true";
        let holds = self.required(raw.holds, at, missing, Part::Prediction);
        let missing = "missing `fails`: what is seen if the statement is false";
        let fails = self.required(raw.fails, at, missing, Part::Prediction);
        let needs = requirements(self.reader, filled(raw.needs));
        Some(Check {
            name: name?.value,
            needs,
            control: control?,
            holds: holds?,
            fails: fails?,
        })
    }

    fn required(
        &mut self,
        field: Option<At<String>>,
        owner: Location,
        missing: &str,
        part: Part,
    ) -> Option<Expression> {
        let text = self.reader.must(field, owner, missing)?;
        Some(self.expression(text, part))
    }

    fn expression(&mut self, text: At<String>, part: Part) -> Expression {
        let expression = expression(self.reader, text);
        self.written.push((expression.clone(), part));
        expression
    }

    fn expect(&mut self, At { value, at }: At<Several<RawExpectation>>) -> Vec<Expectation> {
        let table = match value {
            Several::Nothing => Vec::new(),
            Several::Many(table) => table,
            Several::One(value) => {
                let verdict = Some(At { value, at });
                let value = RawExpectation {
                    verdict,
                    ..RawExpectation::default()
                };
                vec![At { value, at }]
            }
        };
        let expectation = |At { value: raw, at }: At<RawExpectation>| {
            let needs = RawNeeds {
                kubernetes: raw.kubernetes,
                gates: raw.gates,
                capabilities: raw.capabilities,
            };
            let needs = requirements(self.reader, needs);
            let missing = "missing `verdict`";
            let written = self.reader.must(raw.verdict, at, missing)?;
            let mut all = VERDICTS.into_iter();
            let Some(verdict) = all.find(|verdict| verdict.as_str() == written.value) else {
                let message = format!("unknown verdict `{}`", written.value);
                let known = VERDICTS.map(Verdict::as_str);
                self.reader
                    .find_near(written.at, message, &written.value, known);
                return None;
            };
            Some(Expectation {
                needs,
                verdict,
                place: self.reader.place(at),
                verdict_place: self.reader.place(written.at),
            })
        };
        table.into_iter().filter_map(expectation).collect()
    }
}

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

pub(super) fn requirements(reader: &mut Reader<'_>, raw: RawNeeds) -> Needs {
    let mut capabilities = Vec::new();
    for At { value: name, at } in filled(raw.capabilities) {
        if remedy(&name).is_none() {
            let known = KNOWN.iter().map(|(name, _)| *name);
            reader.find_near(at, format!("unknown capability `{name}`"), &name, known);
        }
        capabilities.push(name);
    }
    let gates = filled(raw.gates).0.into_iter();
    Needs {
        kubernetes: reader.parsed(raw.kubernetes.as_ref(), parse::version_range),
        gates: gates.map(|(name, on)| (name.value, on.value)).collect(),
        capabilities,
    }
}
