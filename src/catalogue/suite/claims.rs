//! Claims and their checks.

use std::collections::BTreeMap;

use serde_saphyr::Location;

use super::super::model::{Check, Claim, Expectation, Expression, Verdict};
use super::super::parse;
use super::super::yaml::{At, Reader, Several};
use super::cites;
use super::lint::{Part, Written};
use super::needs::needs;
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
        let says = self.reader.must(raw.says, at, missing);
        if let Some(At { value: id, at }) = &id
            && !id
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
        {
            let message =
                format!("invalid claim id `{id}`: expected letters, digits, `.`, `-`, and `_`");
            self.reader.find(*at, message);
        }
        let cites = raw.cites.map(cites::each).unwrap_or_default().into_iter();
        let cites = cites
            .filter_map(|raw| cites::citation(self.reader, raw))
            .collect();
        let own = RawCheck {
            name: Some(At {
                value: "check".to_owned(),
                at,
            }),
            needs: None,
            control: raw.control,
            holds: raw.holds,
            fails: raw.fails,
        };
        let checks = self.of_claim(at, own, raw.checks, raw.not_testable.is_some());
        let measures = raw.measures.map(|at| at.value.0).unwrap_or_default();
        let measures: BTreeMap<String, Expression> = measures
            .into_iter()
            .map(|(name, text)| (name.value, self.expression(text, Part::Measure)))
            .collect();
        let expect = raw
            .expect
            .map(|expect| self.expect(expect))
            .unwrap_or_default();
        let id = id?;
        Some(Claim {
            place: self.reader.place(id.at),
            id: id.value,
            says: says.map(|says| says.value).unwrap_or_default(),
            instead: raw.instead.map(|at| at.value),
            cites,
            checks,
            measures,
            expect,
            not_testable: raw.not_testable.map(|at| at.value),
        })
    }

    /// The checks of a claim: those listed, or the claim's own.
    fn of_claim(
        &mut self,
        at: Location,
        own: RawCheck,
        listed: Option<At<Vec<At<RawCheck>>>>,
        not_testable: bool,
    ) -> Vec<Check> {
        let predicts = own.holds.is_some() || own.fails.is_some();
        match listed {
            _ if not_testable => {
                if predicts || own.control.is_some() || listed.is_some() {
                    self.reader
                        .find(at, "both `not_testable` and checks: keep one");
                }
                Vec::new()
            }
            Some(listed) => {
                if predicts {
                    let message = "both `checks` and `holds` or `fails`: move those into a check";
                    self.reader.find(at, message);
                }
                let shared = own
                    .control
                    .map(|control| self.expression(control, Part::Control));
                self.checks(listed, shared.as_ref())
            }
            None => self
                .check(At { value: own, at }, None)
                .into_iter()
                .collect(),
        }
    }

    fn checks(&mut self, listed: At<Vec<At<RawCheck>>>, shared: Option<&Expression>) -> Vec<Check> {
        if listed.value.is_empty() {
            self.reader.find(listed.at, "empty `checks`");
        }
        let mut checks: Vec<Check> = Vec::new();
        for raw in listed.value {
            let at = raw.at;
            let Some(check) = self.check(raw, shared) else {
                continue;
            };
            if checks.iter().any(|known| known.name == check.name) {
                self.reader
                    .find(at, format!("two checks are named `{}`", check.name));
            } else {
                checks.push(check);
            }
        }
        checks
    }

    fn check(
        &mut self,
        At { value: raw, at }: At<RawCheck>,
        shared: Option<&Expression>,
    ) -> Option<Check> {
        let name = self.reader.must(raw.name, at, "missing `name`");
        let control = if let (Some(shared), None) = (shared, &raw.control) {
            Some(shared.clone())
        } else {
            let missing = "missing `control`: what must be true before the check counts";
            let own = self.required(raw.control, at, missing, Part::Control);
            own.map(|own| match shared {
                Some(shared) => Expression {
                    text: both(&shared.text, &own.text),
                    place: own.place,
                },
                None => own,
            })
        };
        let missing = "missing `holds`: what is seen if the statement is true";
        let holds = self.required(raw.holds, at, missing, Part::Prediction);
        let missing = "missing `fails`: what is seen if the statement is false";
        let fails = self.required(raw.fails, at, missing, Part::Prediction);
        let needs = raw.needs.map(|raw| needs(self.reader, raw.value));
        Some(Check {
            name: name?.value,
            needs: needs.unwrap_or_default(),
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
        let expression = Expression {
            place: self.reader.place(text.at),
            text: text.value,
        };
        self.written.push(Written {
            expression: expression.clone(),
            part,
        });
        expression
    }

    fn expect(&mut self, raw: At<Several<RawExpectation>>) -> Vec<Expectation> {
        let table = match raw.value {
            Several::Nothing => Vec::new(),
            Several::Many(table) => table,
            Several::One(verdict) => vec![At {
                value: RawExpectation {
                    verdict: Some(At {
                        value: verdict,
                        at: raw.at,
                    }),
                    ..RawExpectation::default()
                },
                at: raw.at,
            }],
        };
        let mut expectations = Vec::new();
        for At { value: raw, at } in table {
            let needs = needs(
                self.reader,
                RawNeeds {
                    kubernetes: raw.kubernetes,
                    gates: raw.gates,
                    capabilities: raw.capabilities,
                },
            );
            let verdict = self.reader.must(raw.verdict, at, "missing `verdict`");
            if let Some(verdict) = verdict.and_then(|verdict| self.verdict(&verdict)) {
                expectations.push(Expectation { needs, verdict });
            }
        }
        expectations
    }

    fn verdict(&mut self, text: &At<String>) -> Option<Verdict> {
        let verdict = parse::verdict(&text.value);
        if verdict.is_none() {
            let message = format!("unknown verdict `{}`", text.value);
            let known = parse::VERDICTS.map(Verdict::as_str);
            self.reader.find_near(text.at, message, &text.value, known);
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
