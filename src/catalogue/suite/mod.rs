//! Suite files: reads one, checks required fields and references, and fills in defaults.

mod cites;
mod claims;
mod lint;
mod moments;
mod names;
mod raw;

use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) use raw::suite_schema;
use serde_saphyr::Location;

use super::capability::{CLUSTER_OBJECTS, DOCUMENTS, NODE_SHELL, OUTSIDE, PRIVILEGED_PODS};
use super::digest;
use super::finding::{Finding, Place};
use super::form;
use super::manifest::{self, Manifest};
use super::model::{Account, Citation, Claim, Expression, Matches, Scenario};
use super::parse;
use super::pods::Pods;
use super::step::{self, Action, KINDS, Step, Steps};
use super::yaml::{self, At, Entries, Reader, filled};
use crate::expr::names_read;
use lint::Written;
use raw::RawSuite;

const TAKES: Duration = Duration::from_secs(10);
const FINDINGS: usize = 100;

/// The content of a suite file.
#[derive(Debug, Clone, Default)]
pub(super) struct Unit {
    pub(super) scenario: Option<Scenario>,
    pub(super) untestable: Vec<Claim>,
    pub(super) accounts: Vec<(Place, Account)>,
    /// Citations for claims of other suites, with the ids of these.
    pub(super) cited: Vec<(String, Citation)>,
    pub(super) findings: Vec<Finding>,
}

impl Unit {
    /// Keeps only some claims, without the documents that the suite itself cites.
    pub(super) fn keep(&mut self, wanted: impl Fn(&Claim) -> bool) {
        self.accounts.clear();
        let scenarios = self.scenario.iter_mut();
        let tested = scenarios.map(|scenario| &mut scenario.claims);
        for claims in tested.chain([&mut self.untestable]) {
            claims.retain(&wanted);
            for claim in claims {
                claim.cites.clear();
            }
        }
        self.scenario.take_if(|scenario| scenario.claims.is_empty());
    }
}

#[derive(Clone)]
pub(super) struct File {
    /// As shown in places.
    pub(super) path: String,
    pub(super) text: String,
}

/// Reads a suite file; `manifest` finds the manifests that it names.
pub(super) fn read(id: &str, file: &File, manifest: impl Fn(&str) -> Result<File, String>) -> Unit {
    let mut reader = Reader {
        file: &file.path,
        source: &file.text,
        findings: Vec::new(),
    };
    let mut unit = Unit::default();
    if let Some(raw) = yaml::read::<RawSuite>(&mut reader) {
        lint::lines(&mut reader);
        unit = suite(id, raw, manifest, &mut reader);
    }
    unit.findings = reader.findings;
    let more = unit.findings.len().saturating_sub(FINDINGS);
    if more > 0 {
        unit.findings.truncate(FINDINGS);
        let message = format!("{more} more findings in this file");
        let place = Place::new(&file.path, 1, 1);
        unit.findings.push(Finding::new(&place, message));
    }
    unit
}

fn suite(
    id: &str,
    At { value: mut raw, at }: At<RawSuite>,
    file: impl Fn(&str) -> Result<File, String>,
    reader: &mut Reader<'_>,
) -> Unit {
    bound(reader, &mut raw);
    let other = raw.no_claim.is_some() || raw.cites.is_some();
    if raw.claims.is_none() && (!other || raw.scenario.is_some()) {
        reader.find(at, "missing `claims`");
    }
    let cited = reader.each(raw.cites.take(), cites::cited);
    let accounts = reader.each(raw.no_claim.take(), cites::account);
    let mut of_claims = claims::Claims {
        reader: &mut *reader,
        written: Vec::new(),
    };
    let claims = filled(raw.claims.take()).into_iter();
    let (checkable, untestable): (Vec<Claim>, Vec<Claim>) = claims
        .filter_map(|claim| of_claims.claim(claim))
        .partition(|claim| claim.not_testable.is_none());
    let written = of_claims.written;
    let mut unit = Unit {
        untestable,
        accounts,
        cited,
        ..Unit::default()
    };
    if raw.steps.is_some() || raw.scenario.is_some() || raw.moments.is_some() {
        let scenario = scenario(id, At { value: raw, at }, checkable, &written, file, reader);
        lint::expressions(&scenario, &written, reader);
        unit.scenario = Some(scenario);
        return unit;
    }
    reader.findings.extend(checkable.iter().map(|claim| {
        let message = format!(
            "nothing tests `{}`: add `scenario`, `manifest` and `steps` to the suite, or `not_testable` with the \
             reason to the claim",
            claim.id
        );
        Finding::new(&claim.place, message)
    }));
    unit
}

/// Limits what a suite may have: some checks compare each with each.
fn bound(reader: &mut Reader<'_>, raw: &mut RawSuite) {
    reader.at_most(300, "claims", &mut raw.claims);
    let mut checks = Vec::new();
    for claim in raw.claims.iter_mut().flat_map(|claims| &mut claims.value) {
        let listed = &mut claim.value.checks;
        reader.at_most(50, "checks", listed);
        checks.push(listed.as_ref().map_or(1, |listed| listed.value.len()));
    }
    let total = checks.iter().scan(0, |total, count| {
        *total += count;
        Some(*total)
    });
    let fit = total.take_while(|total| *total <= 1_000).count();
    let what = "claims with more than 1000 checks together";
    reader.at_most(fit, what, &mut raw.claims);
    reader.at_most(2_000, "entries of `no_claim`", &mut raw.no_claim);
    reader.at_most(300, "steps", &mut raw.steps);
    reader.at_most(200, "moments", &mut raw.moments);
    reader.at_most(200, "values", &mut raw.values);
    reader.at_most(200, "pods", &mut raw.pods);
    reader.at_most(50, "manifests", &mut raw.manifests);
    reader.at_most(50, "listings", &mut raw.listings);
}

fn scenario(
    id: &str,
    At { value: mut raw, at }: At<RawSuite>,
    claims: Vec<Claim>,
    written: &[Written],
    file: impl Fn(&str) -> Result<File, String>,
    reader: &mut Reader<'_>,
) -> Scenario {
    let missing = "missing `scenario`: the experiment in one line";
    let title = filled(reader.must(raw.scenario.take(), at, missing));
    let own = format!("manifests/{id}.yaml");
    let own = (raw.manifests.is_none() && raw.listings.is_none()).then_some(At { value: own, at });
    let manifests = manifests(reader, raw.manifest, raw.manifests, own, file);
    let steps = filled(reader.must(raw.steps, at, "missing `steps`"));
    let takes = reader.parsed(raw.takes.as_ref(), parse::duration);
    let mut needs = claims::requirements(reader, filled(raw.needs));
    let listings = filled(raw.listings).0.into_iter();
    let listings: BTreeMap<String, Citation> = listings
        .filter_map(|(name, text)| Some((name.value, cites::lines(reader, &text)?)))
        .collect();
    if !listings.is_empty() {
        needs.capabilities.push(DOCUMENTS.to_owned());
    }
    let mut pods = Pods::of(&manifests);
    let named = filled(raw.pods);
    let named = named.iter().map(|name| name.value.as_str());
    let outside = steps
        .iter()
        .filter_map(|step| step.value.text(step::OUTSIDE));
    outside.chain(named).for_each(|name| pods.open(name));
    let moments = moments::moments(reader, filled(raw.moments).0, &pods);
    let mut known = Steps {
        reader: &mut *reader,
        manifests: &manifests,
        moments: &moments,
        pods: &pods,
        listings: &listings,
        before: Vec::new(),
    };
    self::steps(&mut known, steps);
    let values = values(&mut known, filled(raw.values));
    let steps = known.before;
    let mut scenario = Scenario {
        id: id.to_owned(),
        title,
        place: reader.place(at),
        digest: String::new(),
        built_in: false,
        manifests,
        listings,
        needs,
        steps,
        pods,
        moments,
        selectors: BTreeMap::new(),
        values,
        takes: takes.unwrap_or(TAKES),
        claims,
    };
    let expressions = written.iter().map(|(expression, _)| expression);
    let expressions = expressions.chain(scenario.values.iter().map(|(_, value)| value));
    let read = expressions.flat_map(|expression| names_read(&expression.text));
    let awaited = scenario.awaited().map(str::to_owned);
    let referred: Vec<String> = read.chain(awaited).collect();
    scenario.refer_to(referred);
    scenario.digest = digest::scenario(&scenario);
    undeclared(&scenario, &mut reader.findings);
    scenario
}

/// Reads the steps and the names of their outputs.
fn steps(known: &mut Steps<'_, '_>, steps: Vec<At<form::Written>>) {
    let mut names: BTreeMap<String, Location> = BTreeMap::new();
    for At { value: step, at } in steps {
        let Some((kind, given)) = step.read(known.reader, at, &KINDS) else {
            continue;
        };
        if let Some(At { value: name, at }) = given.option("as") {
            if let Some(message) = fault(name, &names, known) {
                known.reader.find(*at, message);
            }
            names.insert(name.clone(), *at);
        }
        known.add(kind, given);
    }
    for (name, moment) in known.moments {
        if let Matches::Line { output, .. } = &moment.matches
            && !names.contains_key(output)
        {
            let message = format!("`{name}`: no step is named `{output}`");
            let finding = Finding::new(&moment.place, message);
            let finding = finding.with_near(output, names.keys().map(String::as_str));
            known.reader.findings.push(finding);
        }
    }
}

/// Why an output must not have this name.
fn fault(name: &str, names: &BTreeMap<String, Location>, known: &Steps<'_, '_>) -> Option<String> {
    let mut moments = known.moments.keys();
    names::unfit(name, known.pods).or_else(|| match names.get(name) {
        Some(first) => Some(format!(
            "duplicate name `{name}`, first on line {}",
            first.line()
        )),
        None if moments.any(|moment| moment == name || names::nested(moment, name)) => {
            Some(format!("`{name}` is a moment: choose another name"))
        }
        None => None,
    })
}

/// What the scenario uses without declaring it.
fn undeclared(scenario: &Scenario, findings: &mut Vec<Finding>) {
    let mut used: Vec<(&Place, String, &str)> = Vec::new();
    for Step { place, action, .. } in &scenario.steps {
        match action {
            Action::Node { .. } => used.push((place, "a `node` step".into(), NODE_SHELL)),
            Action::Outside { .. } => used.push((place, "an `outside` step".into(), OUTSIDE)),
            _ => {}
        }
    }
    let place = &scenario.place;
    for manifest in &scenario.manifests {
        let path = &manifest.path;
        if let Some(what) = manifest::beyond_baseline(manifest) {
            used.push((place, format!("`{what}` in {path}"), PRIVILEGED_PODS));
        }
        if let Some(kind) = manifest::outside_namespace(manifest) {
            if kind == manifest::PRIORITY_CLASS {
                used.push((place, format!("a {kind} in {path}"), CLUSTER_OBJECTS));
            } else {
                let message = format!("scenarios cannot create a {kind}: {path}");
                findings.push(Finding::new(place, message));
            }
        }
    }
    used.retain(|(.., capability)| !scenario.declares(capability));
    findings.extend(used.into_iter().map(|(place, what, capability)| {
        let help = format!("declare it: `needs: {{capabilities: [{capability}]}}`");
        let message = format!("{what} needs the capability {capability}");
        Finding::new(place, message).with_help(help)
    }));
}

/// The manifests. A missing one has no text, so that the indexes of `apply` steps stay right.
fn manifests(
    reader: &mut Reader<'_>,
    one: Option<At<String>>,
    several: Option<At<Vec<At<String>>>>,
    default: Option<At<String>>,
    file: impl Fn(&str) -> Result<File, String>,
) -> Vec<Manifest> {
    if let (Some(one), Some(_)) = (&one, &several) {
        reader.find(one.at, "both `manifest` and `manifests`: keep one");
    }
    let mut found: Vec<Manifest> = Vec::new();
    for At { value: path, at } in one.or(default).into_iter().chain(filled(several)) {
        if found.iter().any(|known| known.path == path) {
            reader.find(at, format!("`{path}` is listed twice"));
            continue;
        }
        let text = match file(&path) {
            Ok(file) => {
                manifest::check(&file.path, &file.text, &mut reader.findings);
                file.text
            }
            Err(message) => {
                let finding = Finding::new(&reader.place(at), message);
                let help =
                    "the path is relative to the folder that contains `suites` and `manifests`";
                reader.findings.push(finding.with_help(help));
                String::new()
            }
        };
        found.push(Manifest { path, text });
    }
    found
}

fn values(known: &mut Steps<'_, '_>, raw: Entries<String>) -> Vec<(String, Expression)> {
    let mut values = Vec::new();
    for (At { value: name, at }, text) in raw.0 {
        let is_output = known
            .before
            .iter()
            .any(|step| step.name.as_ref() == Some(&name));
        if let Some(message) = names::unfit(&name, known.pods) {
            known.reader.find(at, message);
        } else if known.moments.contains_key(&name) || is_output {
            let message = format!("`{name}` is a moment or an output: choose another name");
            known.reader.find(at, message);
        }
        values.push((name, lint::expression(known.reader, text)));
    }
    values
}
