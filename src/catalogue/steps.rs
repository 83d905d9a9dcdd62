//! Lowers steps.

use std::collections::BTreeMap;
use std::time::Duration;

use super::decode::At;
use super::finding::Finding;
use super::lower::{CAP, Lower};
use super::model::{Action, Manifest, Matches, Moment, Place, Step};
use super::moments::{is_identifier, nested, taken};
use super::parse;
use super::pods::{Pods, Referenced};
use super::raw::{RawSeveral, RawStep};

/// The actions and the options of each.
const ACTIONS: [(&str, &[&str]); 12] = [
    ("apply", &["as", "cap", "dry_run"]),
    ("delete", &["as", "cap", "grace"]),
    ("until", &["cap", "within"]),
    ("kubectl", &["as", "cap", "background", "stdin", "user"]),
    ("node", &["as", "cap", "pod"]),
    ("outside", &["cap", "command"]),
    ("release", &["cap", "pod", "container", "start"]),
    ("stop", &["cap"]),
    ("ended", &["cap"]),
    ("http", &["as", "cap", "through"]),
    ("get", &["as", "cap"]),
    ("pause", &["because"]),
];

/// The longest pause.
const PAUSE: Duration = Duration::from_secs(600);

/// What steps may name.
pub(super) struct Known<'a> {
    pub(super) manifests: &'a [(String, Option<Manifest>)],
    pub(super) moments: &'a BTreeMap<String, Moment>,
    pub(super) pods: &'a Pods,
}

pub(super) fn steps(
    lower: &mut Lower<'_>,
    raw: Vec<At<RawStep>>,
    known: &Known<'_>,
    referenced: &mut Referenced,
) -> Vec<Step> {
    let moments = known.moments;
    let mut steps: Vec<Step> = Vec::new();
    let mut names: BTreeMap<String, Place> = BTreeMap::new();
    for at in raw {
        let Some(raw) = at.value else { continue };
        if let Some(As { text, place }) = name(lower, raw.as_.as_ref(), known.pods) {
            if let Some(first) = names.get(&text) {
                lower.find(
                    &place,
                    format!("duplicate name `{text}`, first on line {}", first.line),
                );
            } else if moments
                .keys()
                .any(|moment| *moment == text || nested(moment, &text))
            {
                lower.find(&place, format!("`{text}` is a moment: choose another name"));
            }
            names.insert(text, place);
        }
        for raw in split(lower, raw) {
            if let Some(step) = step(lower, at.place.clone(), raw, known, referenced, &steps) {
                steps.push(step);
            }
        }
    }
    for (name, moment) in moments {
        let Matches::Line { output, .. } = &moment.matches else {
            continue;
        };
        if !names.contains_key(output) {
            lower.findings.push(
                Finding::new(
                    &moment.place,
                    format!("`{name}`: no step is named `{output}`"),
                )
                .with_near(output, names.keys().map(String::as_str)),
            );
        }
    }
    steps
}

struct As {
    text: String,
    place: Place,
}

/// A step with several objects or moments as one step for each.
fn split(lower: &mut Lower<'_>, mut raw: RawStep) -> Vec<RawStep> {
    let several = |field: &mut Option<At<RawSeveral>>| match field.take() {
        Some(At {
            value: Some(RawSeveral::Many(items)),
            place,
        }) => Ok((items, place)),
        other => Err(other),
    };
    let (items, place, deletes) = match several(&mut raw.delete) {
        Ok((items, place)) => (items, place, true),
        Err(delete) => {
            raw.delete = delete;
            match several(&mut raw.until) {
                Ok((items, place)) => (items, place, false),
                Err(until) => {
                    raw.until = until;
                    return vec![raw];
                }
            }
        }
    };
    if items.is_empty() {
        lower.find(&place, "the list is empty");
    }
    if let Some(name) = &raw.as_ {
        lower.find(
            &name.place,
            "`as` names one output: make a step of each object",
        );
    }
    let steps = items.into_iter().map(|item| {
        let one = Some(At {
            place: item.place,
            value: item.value.map(RawSeveral::One),
        });
        let mut step = raw.clone();
        if deletes {
            step.delete = one;
        } else {
            step.until = one;
        }
        step
    });
    steps.collect()
}

/// The single name of a field that `split` has been through.
fn single(field: At<RawSeveral>) -> Option<At<String>> {
    match field.value? {
        RawSeveral::One(text) => Some(At {
            place: field.place,
            value: Some(text),
        }),
        RawSeveral::Many(_) => None,
    }
}

fn name(lower: &mut Lower<'_>, field: Option<&At<String>>, pods: &Pods) -> Option<As> {
    let at = field?;
    let text = at.value.clone()?;
    if !is_identifier(&text) {
        lower.find(
            &at.place,
            format!("invalid name `{text}`: expected letters, digits, and `_`"),
        );
    } else if let Some(message) = taken(&text, pods) {
        lower.find(&at.place, message);
    }
    Some(As {
        text,
        place: at.place.clone(),
    })
}

/// The action of a step; `None` if there is none or more than one.
fn action_of(lower: &mut Lower<'_>, place: &Place, raw: &RawStep) -> Option<&'static str> {
    let given = [
        ("apply", raw.apply.is_some()),
        ("delete", raw.delete.is_some()),
        ("until", raw.until.is_some()),
        ("kubectl", raw.kubectl.is_some()),
        ("node", raw.node.is_some()),
        ("outside", raw.outside.is_some()),
        ("release", raw.release.is_some()),
        ("stop", raw.stop.is_some()),
        ("ended", raw.ended.is_some()),
        ("http", raw.http.is_some()),
        ("get", raw.get.is_some()),
        ("pause", raw.pause.is_some()),
    ];
    let given: Vec<&str> = given
        .into_iter()
        .filter(|(_, given)| *given)
        .map(|(name, _)| name)
        .collect();
    let action = match given.as_slice() {
        [one] => *one,
        [] => {
            let known: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
            lower.find(
                place,
                format!("missing action: expected one of {}", known.join(", ")),
            );
            return None;
        }
        several => {
            lower.find(
                place,
                format!(
                    "several actions, {}: make each a step",
                    several.join(" and ")
                ),
            );
            return None;
        }
    };
    let with = [
        ("as", raw.as_.is_some()),
        ("cap", raw.cap.is_some()),
        ("within", raw.within.is_some()),
        ("background", raw.background.is_some()),
        ("stdin", raw.stdin.is_some()),
        ("user", raw.user.is_some()),
        ("dry_run", raw.dry_run.is_some()),
        ("grace", raw.grace.is_some()),
        ("through", raw.through.is_some()),
        ("command", raw.command.is_some()),
        ("pod", raw.pod.is_some()),
        ("container", raw.container.is_some()),
        ("start", raw.start.is_some()),
        ("because", raw.because.is_some()),
    ];
    let allowed = ACTIONS
        .iter()
        .find(|(name, _)| *name == action)
        .map_or(&[][..], |(_, with)| with);
    for (field, _) in with
        .into_iter()
        .filter(|(field, given)| *given && !allowed.contains(field))
    {
        lower.find(place, format!("`{field}` does not go with `{action}`"));
    }
    Some(action)
}

fn step(
    lower: &mut Lower<'_>,
    place: Place,
    mut raw: RawStep,
    known: &Known<'_>,
    referenced: &mut Referenced,
    before: &[Step],
) -> Option<Step> {
    let action = action_of(lower, &place, &raw)?;
    if let (Some(_), Some(within)) = (&raw.cap, &raw.within) {
        lower.find(&within.place, "`within` and `cap`: keep one of them");
    }
    let cap = raw.within.clone().or(raw.cap.clone());
    let cap = lower.parsed(cap, parse::duration).unwrap_or(CAP);
    let name = raw.as_.take().and_then(|at| at.value);
    let action = match action {
        "apply" => apply(lower, &place, raw, known.manifests)?,
        "until" => until(lower, raw, known, referenced)?,
        "kubectl" => kubectl(lower, &place, raw, name.as_deref())?,
        "http" => http(lower, &place, raw, before)?,
        "pause" => pause(lower, &place, raw)?,
        "node" => {
            let pod = lower.must(
                raw.pod,
                &place,
                "missing `pod`: the pod whose node runs the command",
            );
            Action::Node {
                args: words(lower, raw.node?)?,
                pod: pod?.0,
            }
        }
        "outside" => {
            let command = lower.must(
                raw.command.clone(),
                &place,
                "missing `command`: what the container runs",
            );
            command?;
            Action::Outside {
                args: words(lower, raw.command?)?,
                container: raw.outside?.value?,
            }
        }
        "delete" => Action::Delete {
            object: object(lower, single(raw.delete?)?)?,
            grace: raw.grace.and_then(|at| at.value),
        },
        "release" => Action::Release {
            hold: raw.release?.value?,
            pod: raw.pod.and_then(|at| at.value),
            container: raw.container.and_then(|at| at.value),
            start: raw.start.and_then(|at| at.value),
        },
        "stop" => Action::Stop {
            name: background(lower, raw.stop?, before)?,
        },
        "ended" => Action::Ended {
            name: background(lower, raw.ended?, before)?,
        },
        _ => Action::Get {
            object: object(lower, raw.get?)?,
        },
    };
    // A pause is not limited by the cap.
    let cap = match &action {
        Action::Pause { time, .. } => time.saturating_add(CAP),
        _ => cap,
    };
    Some(Step {
        place,
        action,
        name,
        cap,
    })
}

fn yes(field: Option<At<bool>>) -> bool {
    field.and_then(|at| at.value).unwrap_or(false)
}

fn apply(
    lower: &mut Lower<'_>,
    place: &Place,
    raw: RawStep,
    manifests: &[(String, Option<Manifest>)],
) -> Option<Action> {
    let manifest = match raw.apply?.value? {
        None => 0,
        Some(path) => {
            let index = manifests.iter().position(|(known, _)| *known == path);
            if index.is_none() {
                let message = format!("`{path}` is not one of the scenario's `manifests`");
                let known = manifests.iter().map(|(path, _)| path.as_str());
                lower
                    .findings
                    .push(Finding::new(place, message).with_near(&path, known));
            }
            index?
        }
    };
    Some(Action::Apply {
        manifest,
        dry_run: yes(raw.dry_run),
    })
}

fn until(
    lower: &mut Lower<'_>,
    raw: RawStep,
    known: &Known<'_>,
    referenced: &mut Referenced,
) -> Option<Action> {
    let at = single(raw.until?)?;
    let moment = at.value?;
    if !known.moments.contains_key(&moment) {
        let names: Vec<&str> = moment.split('.').collect();
        known.pods.reference(&names, referenced);
        if !referenced.moments.contains_key(&moment) {
            let finding = Finding::new(&at.place, format!("no moment is named `{moment}`"));
            let declared = known.moments.keys().cloned();
            let standard = match known.pods.resolve(&names) {
                Some(Err(parts)) => parts
                    .into_iter()
                    .map(|part| format!("{}.{part}", names[0]))
                    .collect(),
                _ => Vec::new(),
            };
            let all: Vec<String> = declared.chain(standard).collect();
            lower
                .findings
                .push(finding.with_near(&moment, all.iter().map(String::as_str)));
            return None;
        }
    }
    Some(Action::Until {
        moment,
        optional: raw.within.is_some(),
    })
}

fn kubectl(
    lower: &mut Lower<'_>,
    place: &Place,
    raw: RawStep,
    name: Option<&str>,
) -> Option<Action> {
    let background = yes(raw.background);
    if background && name.is_none() {
        lower.find(place, "missing `as`: a background step needs a name");
    }
    let mut ordinary_user = false;
    if let Some(At {
        value: Some(user),
        place,
    }) = raw.user
    {
        ordinary_user = user == "ordinary";
        if !ordinary_user {
            lower.find(
                &place,
                format!("unknown user `{user}`: expected `ordinary`"),
            );
        }
    }
    Some(Action::Kubectl {
        args: words(lower, raw.kubectl?)?,
        stdin: raw.stdin.and_then(|at| at.value),
        background,
        ordinary_user,
    })
}

fn http(lower: &mut Lower<'_>, place: &Place, raw: RawStep, before: &[Step]) -> Option<Action> {
    let path = raw.http?;
    if path
        .value
        .as_ref()
        .is_some_and(|path| !path.starts_with('/'))
    {
        lower.find(&path.place, "expected a path that begins with `/`");
    }
    if raw.through.is_none() {
        lower.find(
            place,
            "missing `through`: the name of a background port-forward",
        );
    }
    Some(Action::Http {
        through: background(lower, raw.through?, before)?,
        path: path.value?,
    })
}

fn pause(lower: &mut Lower<'_>, place: &Place, raw: RawStep) -> Option<Action> {
    let missing = "missing `because`: why time must pass";
    let because = lower.must(raw.because, place, missing);
    let place = raw.pause.as_ref().map(|at| at.place.clone());
    let time = lower.parsed(raw.pause, parse::duration)?;
    if let Some(place) = place
        && time > PAUSE
    {
        let message = format!("a pause of more than {} s", PAUSE.as_secs());
        lower.find(&place, message);
    }
    Some(Action::Pause {
        time,
        because: because?.0,
    })
}

/// `KIND/NAME`.
fn object(lower: &mut Lower<'_>, at: At<String>) -> Option<String> {
    let object = at.value?;
    if object.split('/').filter(|part| !part.is_empty()).count() != 2 {
        lower.find(
            &at.place,
            format!("invalid object `{object}`: expected `KIND/NAME`, for example `pod/web`"),
        );
        return None;
    }
    Some(object)
}

/// Arguments, split as a shell splits them.
fn words(lower: &mut Lower<'_>, at: At<String>) -> Option<Vec<String>> {
    let Some(words) = shlex::split(&at.value?) else {
        lower.find(&at.place, "unclosed quote");
        return None;
    };
    if words.is_empty() {
        lower.find(&at.place, "no arguments");
        return None;
    }
    Some(words)
}

/// The name of an earlier background step.
fn background(lower: &mut Lower<'_>, at: At<String>, before: &[Step]) -> Option<String> {
    let name = at.value?;
    let known: Vec<&str> = before
        .iter()
        .filter(|step| {
            matches!(
                step.action,
                Action::Kubectl {
                    background: true,
                    ..
                }
            )
        })
        .filter_map(|step| step.name.as_deref())
        .collect();
    if !known.contains(&name.as_str()) {
        let finding = Finding::new(
            &at.place,
            format!("no earlier background step is named `{name}`"),
        );
        lower.findings.push(finding.with_near(&name, known));
        return None;
    }
    Some(name)
}
