//! Suite files: reads one, checks required fields and references, and fills in defaults.

mod accounts;
mod cites;
mod claims;
mod lint;
mod moments;
mod names;
mod naming;
mod needs;
mod raw;
mod steps;

use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) use raw::suite_schema;

use super::capability::{CLUSTER_OBJECTS, DOCUMENTS, NODE_SHELL, OUTSIDE, PRIVILEGED_PODS};
use super::digest;
use super::finding::Finding;
use super::manifest::{self, Manifest};
use super::model::{Account, Citation, Claim, Expression, Place, Scenario};
use super::moment::Moment;
use super::parse;
use super::placeholder::names_of;
use super::pods::{Pods, Referenced};
use super::step::{self, Action, Known, Step};
use super::yaml::{self, At, Entries, Reader};
use lint::Written;
use raw::RawSuite;

/// Default duration of a scenario.
const TAKES: Duration = Duration::from_secs(10);

/// The content of a suite file.
#[derive(Debug, Clone, Default)]
pub(super) struct Unit {
    pub(super) scenario: Option<Scenario>,
    pub(super) untestable: Vec<Claim>,
    pub(super) accounts: Vec<(Place, Account)>,
    /// Citations for claims of other suites, with the ids of these.
    pub(super) cited: Vec<(String, Citation)>,
}

impl Unit {
    /// Keeps only some claims, without the documents that the suite itself cites.
    pub(super) fn keep(&mut self, wanted: impl Fn(&Claim) -> bool) {
        self.accounts.clear();
        let tested = self
            .scenario
            .iter_mut()
            .map(|scenario| &mut scenario.claims);
        for claims in tested.chain([&mut self.untestable]) {
            claims.retain(&wanted);
            for claim in claims.iter_mut() {
                claim.cites.clear();
            }
        }
        self.scenario.take_if(|scenario| scenario.claims.is_empty());
    }
}

/// A file of a source of suites.
#[derive(Clone)]
pub(super) struct File {
    /// As shown in places.
    pub(super) path: String,
    pub(super) text: String,
}

/// Reads a suite file; `manifest` finds the manifests that it names. Problems become findings.
pub(super) fn read(
    id: &str,
    file: &File,
    manifest: impl Fn(&str) -> Result<File, String>,
    findings: &mut Vec<Finding>,
) -> Unit {
    let before = findings.len();
    let mut reader = Reader {
        file: &file.path,
        source: &file.text,
        findings,
    };
    let Some(raw) = yaml::read::<RawSuite>(&mut reader) else {
        return Unit::default();
    };
    lint::lines(&mut reader);
    let unit = suite(id, raw, manifest, &mut reader);
    let more = (findings.len() - before).saturating_sub(FINDINGS);
    if more > 0 {
        findings.truncate(before + FINDINGS);
        let place = Place {
            file: file.path.clone(),
            line: 1,
            column: 1,
        };
        findings.push(Finding::new(
            &place,
            format!("{more} more findings in this file"),
        ));
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
    let claims = raw.claims.take();
    let accounts = raw.no_claim.take();
    let cited = raw.cites.take();
    let other = accounts.is_some() || cited.is_some();
    if claims.is_none() && (!other || raw.scenario.is_some()) {
        reader.find(at, "missing `claims`");
    }
    let cited = cited.map(|at| at.value).unwrap_or_default();
    let cited = cited
        .into_iter()
        .filter_map(|raw| cites::cited(reader, raw))
        .collect();
    let accounts = accounts.map(|at| at.value).unwrap_or_default();
    let accounts = accounts
        .into_iter()
        .filter_map(|raw| accounts::account(reader, raw))
        .collect();
    let mut of_claims = claims::Claims {
        reader: &mut *reader,
        written: Vec::new(),
    };
    let (checkable, untestable): (Vec<Claim>, Vec<Claim>) = claims
        .map(|claims| claims.value)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|claim| of_claims.claim(claim))
        .partition(|claim| claim.not_testable.is_none());
    let written = of_claims.written;
    if raw.steps.is_some() || raw.scenario.is_some() || raw.moments.is_some() {
        let scenario = scenario(id, At { value: raw, at }, checkable, &written, file, reader);
        lint::expressions(&scenario, &written, reader.source, reader.findings);
        return Unit {
            scenario: Some(scenario),
            untestable,
            accounts,
            cited,
        };
    }
    for claim in &checkable {
        let message = format!(
            "nothing tests `{}`: add `scenario`, `manifest` and `steps` to the suite, or `not_testable` with the \
             reason to the claim",
            claim.id
        );
        reader.findings.push(Finding::new(&claim.place, message));
    }
    Unit {
        scenario: None,
        untestable,
        accounts,
        cited,
    }
}

/// The most findings about one file.
const FINDINGS: usize = 100;

/// Limits what a suite may have: some checks compare each with each.
fn bound(reader: &mut Reader<'_>, raw: &mut RawSuite) {
    if let Some(claims) = &mut raw.claims {
        reader.at_most(300, "claims", claims.at, &mut claims.value);
        for claim in &mut claims.value {
            if let Some(checks) = &mut claim.value.checks {
                reader.at_most(50, "checks", checks.at, &mut checks.value);
            }
        }
        let checks = claims.value.iter();
        let checks = checks.map(|claim| {
            claim
                .value
                .checks
                .as_ref()
                .map_or(1, |checks| checks.value.len())
        });
        let mut left = 1_000;
        let fit = checks.take_while(|count| {
            left -= i64::try_from(*count).unwrap_or(i64::MAX);
            left >= 0
        });
        let fit = fit.count();
        reader.at_most(
            fit,
            "claims with more than 1000 checks together",
            claims.at,
            &mut claims.value,
        );
    }
    if let Some(accounts) = &mut raw.no_claim {
        reader.at_most(
            2_000,
            "entries of `no_claim`",
            accounts.at,
            &mut accounts.value,
        );
    }
    if let Some(steps) = &mut raw.steps {
        reader.at_most(300, "steps", steps.at, &mut steps.value);
    }
    if let Some(moments) = &mut raw.moments {
        reader.at_most(200, "moments", moments.at, &mut moments.value.0);
    }
    if let Some(values) = &mut raw.values {
        reader.at_most(200, "values", values.at, &mut values.value.0);
    }
    if let Some(pods) = &mut raw.pods {
        reader.at_most(200, "pods", pods.at, &mut pods.value);
    }
    if let Some(manifests) = &mut raw.manifests {
        reader.at_most(50, "manifests", manifests.at, &mut manifests.value);
    }
    if let Some(listings) = &mut raw.listings {
        reader.at_most(50, "listings", listings.at, &mut listings.value.0);
    }
}

fn scenario(
    id: &str,
    At { value: raw, at }: At<RawSuite>,
    claims: Vec<Claim>,
    written: &[Written],
    file: impl Fn(&str) -> Result<File, String>,
    reader: &mut Reader<'_>,
) -> Scenario {
    let title = reader.must(
        raw.scenario,
        at,
        "missing `scenario`: the experiment in one line",
    );
    let default = raw.manifests.is_none() && raw.listings.is_none();
    let default = default.then(|| At {
        value: format!("manifests/{id}.yaml"),
        at,
    });
    let manifests = manifests(reader, raw.manifest, raw.manifests, default, file);
    let steps = reader.must(raw.steps, at, "missing `steps`");
    let takes = reader
        .parsed(raw.takes.as_ref(), parse::duration)
        .unwrap_or(TAKES);
    let mut needs = raw
        .needs
        .map(|raw| needs::needs(reader, raw.value))
        .unwrap_or_default();
    let listings = listings(reader, raw.listings);
    if !listings.is_empty() {
        needs.capabilities.push(DOCUMENTS.to_owned());
    }
    let mut pods = Pods::of(
        manifests
            .iter()
            .filter_map(|(_, manifest)| manifest.as_ref()),
    );
    let steps = steps.map(|steps| steps.value).unwrap_or_default();
    let named = raw.pods.map(|at| at.value).unwrap_or_default();
    let named = named.iter().map(|name| name.value.as_str());
    let outside = steps
        .iter()
        .filter_map(|step| step.value.text(step::OUTSIDE));
    outside.chain(named).for_each(|name| pods.open(name));
    let moments = raw.moments.map(|at| at.value.0).unwrap_or_default();
    let moments = moments::moments(reader, moments, &pods);
    let mut known = Known {
        manifests: &manifests,
        moments: &moments,
        pods: &pods,
        referenced: Referenced::default(),
        steps: Vec::new(),
    };
    steps::steps(reader, steps, &mut known);
    let Known {
        steps,
        mut referenced,
        ..
    } = known;
    let values = values(reader, raw.values, &pods, &moments, &steps);
    files_in_arguments(reader, &steps, &manifests, &listings);
    let texts = written.iter().map(|written| &written.expression);
    for expression in texts.chain(values.iter().map(|(_, expression)| expression)) {
        pods.references(&expression.text, &mut referenced);
    }
    let mut scenario = Scenario {
        id: id.to_owned(),
        title: title.map(|title| title.value).unwrap_or_default(),
        place: reader.place(at),
        digest: String::new(),
        built_in: false,
        manifests: manifests
            .into_iter()
            .filter_map(|(_, manifest)| manifest)
            .collect(),
        listings,
        needs,
        steps,
        pods,
        moments,
        selectors: BTreeMap::new(),
        values,
        takes,
        claims,
    };
    scenario.add(referenced);
    scenario.digest = digest::scenario(&scenario);
    undeclared(&scenario, reader.findings);
    scenario
}

/// What the scenario uses without declaring it.
fn undeclared(scenario: &Scenario, findings: &mut Vec<Finding>) {
    let missing = |place: &Place, what: &str, capability: &str| {
        let finding = Finding::new(place, format!("{what} needs the capability {capability}"));
        let help = format!("declare it: `needs: {{capabilities: [{capability}]}}`");
        (!scenario.declares(capability)).then(|| finding.with_help(help))
    };
    for step in &scenario.steps {
        findings.extend(match step.action {
            Action::Node { .. } => missing(&step.place, "a `node` step", NODE_SHELL),
            Action::Outside { .. } => missing(&step.place, "an `outside` step", OUTSIDE),
            _ => None,
        });
    }
    let place = &scenario.place;
    for manifest in &scenario.manifests {
        let path = &manifest.path;
        if let Some(what) = manifest::beyond_baseline(&manifest.text) {
            findings.extend(missing(
                place,
                &format!("`{what}` in {path}"),
                PRIVILEGED_PODS,
            ));
        }
        findings.extend(match manifest::outside_namespace(&manifest.text) {
            Some(kind) if kind == manifest::PRIORITY_CLASS => {
                missing(place, &format!("a {kind} in {path}"), CLUSTER_OBJECTS)
            }
            Some(kind) => Some(Finding::new(
                place,
                format!("scenarios cannot create a {kind}: {path}"),
            )),
            None => None,
        });
    }
}

/// The manifests by path; without content if the file is missing.
fn manifests(
    reader: &mut Reader<'_>,
    one: Option<At<String>>,
    several: Option<At<Vec<At<String>>>>,
    default: Option<At<String>>,
    file: impl Fn(&str) -> Result<File, String>,
) -> Vec<(String, Option<Manifest>)> {
    if let (Some(one), Some(_)) = (&one, &several) {
        reader.find(one.at, "both `manifest` and `manifests`: keep one");
    }
    let several = several.map(|at| at.value).unwrap_or_default();
    let mut found: Vec<(String, Option<Manifest>)> = Vec::new();
    for At { value: path, at } in one.or(default).into_iter().chain(several) {
        if found.iter().any(|(known, _)| *known == path) {
            reader.find(at, format!("`{path}` is listed twice"));
            continue;
        }
        let manifest = match file(&path) {
            Ok(file) => {
                manifest::check(&file.path, &file.text, reader.findings);
                Some(Manifest {
                    path: path.clone(),
                    text: file.text,
                })
            }
            Err(message) => {
                let finding = Finding::new(&reader.place(at), message);
                let help =
                    "the path is relative to the folder that contains `suites` and `manifests`";
                reader.findings.push(finding.with_help(help));
                None
            }
        };
        found.push((path, manifest));
    }
    found
}

/// Checks that `{manifest:PATH}` and `{listing:NAME}` in kubectl's arguments exist.
fn files_in_arguments(
    reader: &mut Reader<'_>,
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
                let message = format!("`{{{word}:{name}}}`: the suite has no such {word}");
                let finding = Finding::new(&step.place, message);
                reader
                    .findings
                    .push(finding.with_near(name, known.iter().copied()));
            }
        }
    }
}

/// The scenario's named values, in order.
fn values(
    reader: &mut Reader<'_>,
    raw: Option<At<Entries<String>>>,
    pods: &Pods,
    moments: &BTreeMap<String, Moment>,
    steps: &[Step],
) -> Vec<(String, Expression)> {
    let mut values = Vec::new();
    for (At { value: name, at }, text) in raw.map(|at| at.value.0).unwrap_or_default() {
        let output = steps.iter().any(|step| step.name.as_ref() == Some(&name));
        if let Some(message) = naming::unfit(&name, pods) {
            reader.find(at, message);
        } else if moments.contains_key(&name) || output {
            reader.find(
                at,
                format!("`{name}` is a moment or an output: choose another name"),
            );
        }
        let expression = Expression {
            text: text.value,
            place: reader.place(text.at),
        };
        values.push((name, expression));
    }
    values
}

fn listings(
    reader: &mut Reader<'_>,
    raw: Option<At<Entries<String>>>,
) -> BTreeMap<String, Citation> {
    let listings = raw.map(|at| at.value.0).unwrap_or_default();
    let citations = listings.into_iter();
    citations
        .filter_map(|(name, text)| Some((name.value, cites::lines(reader, &text)?)))
        .collect()
}
