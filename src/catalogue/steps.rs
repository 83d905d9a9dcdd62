//! Steps and moments of a scenario: one action each, with what belongs to it.

use std::collections::BTreeMap;

use super::decode::{At, Entries};
use super::finding::Finding;
use super::lint;
use super::lower::{CAP, Lower};
use super::model::{Action, Manifest, Matches, Moment, Place, Step};
use super::parse;
use super::raw::{RawMoment, RawStep};

/// The actions, and what may be said with each of them.
const ACTIONS: [(&str, &[&str]); 11] = [
    ("apply", &["as", "cap", "dry_run"]),
    ("delete", &["as", "cap", "grace"]),
    ("until", &["cap", "optional"]),
    ("kubectl", &["as", "cap", "background", "stdin", "user"]),
    ("node", &["as", "cap", "pod"]),
    ("release", &["cap", "pod", "container", "start"]),
    ("stop", &["cap"]),
    ("ended", &["cap"]),
    ("http", &["as", "cap", "through"]),
    ("get", &["as", "cap"]),
    ("pause", &["because"]),
];

/// Names that the expressions of checks have already: no step and no moment may take them.
pub(super) const RESERVED: [&str; 7] = [
    "stamps", "events", "pods", "outputs", "notes", "cluster", "moments",
];

pub(super) fn moments(lower: &mut Lower<'_>, raw: Entries<RawMoment>) -> BTreeMap<String, Moment> {
    let mut moments: BTreeMap<String, Moment> = BTreeMap::new();
    for (name, at) in raw.0 {
        let (Some(text), place) = (name.value, name.place) else {
            continue;
        };
        if !text.split('.').all(is_identifier) {
            lower.find(&place, format!("`{text}`: a moment's name is made of words joined by dots, each of letters, digits and `_`"));
        }
        let first = text.split('.').next().unwrap_or_default();
        if RESERVED.contains(&first) {
            lower.find(
                &place,
                format!("`{first}` already means something in expressions: choose another name"),
            );
        }
        if let Some(other) = moments.keys().find(|other| nested(other, &text)) {
            lower.find(
                &place,
                format!("`{text}` and `{other}`: one cannot be a part of the other"),
            );
        }
        let Some(raw) = at.value else { continue };
        if let Some(moment) = moment(lower, at.place, raw) {
            moments.insert(text, moment);
        }
    }
    moments
}

fn nested(a: &str, b: &str) -> bool {
    let within = |short: &str, long: &str| {
        long.strip_prefix(short)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    within(a, b) || within(b, a)
}

/// A word that CEL takes as a name.
pub(super) fn is_identifier(word: &str) -> bool {
    const TAKEN: [&str; 4] = ["in", "true", "false", "null"];
    let mut chars = word.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !TAKEN.contains(&word)
}

fn moment(lower: &mut Lower<'_>, place: Place, raw: RawMoment) -> Option<Moment> {
    let kind = match (&raw.agent, &raw.event) {
        (Some(_), _) => "agent",
        (_, Some(_)) => "event",
        _ => "pod",
    };
    if let Some(At {
        value: Some(text),
        place,
    }) = &raw.when
    {
        let names = lint::Names::of_condition(kind);
        lint::condition(&names, place, text, lower.source, lower.findings);
    }
    let when = raw.when.and_then(|at| at.value);
    let pod = raw.pod.and_then(|at| at.value);
    let nth = raw.nth.map_or(Some(1), |at| at.value);
    let kinds = [raw.agent.is_some(), raw.event.is_some(), raw.line.is_some()];
    if kinds.iter().filter(|given| **given).count() > 1 {
        lower.find(
            &place,
            "a moment is one of `agent`, `event`, `line` or `pod`",
        );
        return None;
    }
    let (needless, kind): (Vec<(&str, bool)>, _) = if let Some(agent) = raw.agent {
        let stamp = lower.must(raw.stamp, &place, "a moment of the agent needs the `stamp`");
        let matches = agent
            .value
            .zip(stamp)
            .map(|(role, (stamp, _))| Matches::Agent {
                role,
                stamp,
                pod,
                container: raw.container.and_then(|at| at.value),
                start: raw.start.and_then(|at| at.value),
                when,
            });
        (vec![("contains", raw.contains.is_some())], matches)
    } else {
        let mut needless = vec![
            ("stamp", raw.stamp.is_some()),
            ("container", raw.container.is_some()),
            ("start", raw.start.is_some()),
        ];
        if let Some(event) = raw.event {
            needless.push(("contains", raw.contains.is_some()));
            (
                needless,
                event
                    .value
                    .map(|reason| Matches::Event { reason, pod, when }),
            )
        } else if let Some(line) = raw.line {
            needless.extend([("pod", pod.is_some()), ("when", when.is_some())]);
            let contains = lower.must(raw.contains, &place, "a moment of a line needs `contains`");
            let matches = line
                .value
                .zip(contains)
                .map(|(output, (contains, _))| Matches::Line { output, contains });
            (needless, matches)
        } else {
            needless.push(("contains", raw.contains.is_some()));
            let Some(pod) = pod else {
                lower.find(&place, "a moment needs `agent` with `stamp`, `pod` with `when`, `event`, or `line` with `contains`");
                return None;
            };
            let matches = when.map(|when| Matches::Pod { pod, when });
            if matches.is_none() {
                lower.find(&place, "a moment of a pod needs `when`: a condition over `pod`, `status` and `deleted`");
            }
            (needless, matches)
        }
    };
    for (field, _) in needless.into_iter().filter(|(_, given)| *given) {
        lower.find(
            &place,
            format!("`{field}` says nothing for this kind of moment"),
        );
    }
    Some(Moment {
        place,
        matches: kind?,
        nth: nth?,
    })
}

pub(super) fn steps(
    lower: &mut Lower<'_>,
    raw: Vec<At<RawStep>>,
    manifests: &[(String, Option<Manifest>)],
    moments: &BTreeMap<String, Moment>,
) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut names: BTreeMap<String, Place> = BTreeMap::new();
    for at in raw {
        let Some(raw) = at.value else { continue };
        if let Some(As { text, place }) = name(lower, raw.as_.as_ref()) {
            if let Some(first) = names.get(&text) {
                lower.find(
                    &place,
                    format!(
                        "two steps are named `{text}`, the first on line {}",
                        first.line
                    ),
                );
            } else if moments
                .keys()
                .any(|moment| *moment == text || nested(moment, &text))
            {
                lower.find(
                    &place,
                    format!("`{text}` is a moment already: choose another name"),
                );
            }
            names.insert(text, place);
        }
        if let Some(step) = step(lower, at.place, raw, manifests, moments, &steps) {
            steps.push(step);
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
                    format!("`{name}` waits for lines of `{output}`, but no step has that name"),
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

fn name(lower: &mut Lower<'_>, field: Option<&At<String>>) -> Option<As> {
    let at = field?;
    let text = at.value.clone()?;
    if !is_identifier(&text) {
        lower.find(
            &at.place,
            format!("`{text}`: a name is made of letters, digits and `_`"),
        );
    } else if RESERVED.contains(&text.as_str()) {
        lower.find(
            &at.place,
            format!("`{text}` already means something in expressions: choose another name"),
        );
    }
    Some(As {
        text,
        place: at.place.clone(),
    })
}

/// The one action of a step; `None` where there is none or more than one.
fn action_of(lower: &mut Lower<'_>, place: &Place, raw: &RawStep) -> Option<&'static str> {
    let given = [
        ("apply", raw.apply.is_some()),
        ("delete", raw.delete.is_some()),
        ("until", raw.until.is_some()),
        ("kubectl", raw.kubectl.is_some()),
        ("node", raw.node.is_some()),
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
                format!("a step needs an action: one of {}", known.join(", ")),
            );
            return None;
        }
        several => {
            lower.find(
                place,
                format!(
                    "a step has one action, here are {}: make them steps of their own",
                    several.join(" and ")
                ),
            );
            return None;
        }
    };
    let with = [
        ("as", raw.as_.is_some()),
        ("cap", raw.cap.is_some()),
        ("optional", raw.optional.is_some()),
        ("background", raw.background.is_some()),
        ("stdin", raw.stdin.is_some()),
        ("user", raw.user.is_some()),
        ("dry_run", raw.dry_run.is_some()),
        ("grace", raw.grace.is_some()),
        ("through", raw.through.is_some()),
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
    raw: RawStep,
    manifests: &[(String, Option<Manifest>)],
    moments: &BTreeMap<String, Moment>,
    before: &[Step],
) -> Option<Step> {
    let action = action_of(lower, &place, &raw)?;
    let capped = raw.cap.is_some();
    let cap = lower.parsed(raw.cap, parse::duration).unwrap_or(CAP);
    let name = raw.as_.and_then(|at| at.value);
    let yes = |field: Option<At<bool>>| field.and_then(|at| at.value).unwrap_or(false);
    let text = |field: Option<At<String>>| field.and_then(|at| at.value);
    let action = match action {
        "apply" => {
            let manifest = match raw.apply?.value? {
                None => 0,
                Some(path) => {
                    let Some(index) = manifests.iter().position(|(known, _)| *known == path) else {
                        let finding = Finding::new(
                            &place,
                            format!("`{path}` is not among the scenario's `manifests`"),
                        );
                        lower.findings.push(
                            finding.with_near(&path, manifests.iter().map(|(p, _)| p.as_str())),
                        );
                        return None;
                    };
                    index
                }
            };
            Action::Apply {
                manifest,
                dry_run: yes(raw.dry_run),
            }
        }
        "delete" => Action::Delete {
            object: object(lower, raw.delete?)?,
            grace: raw.grace.and_then(|at| at.value),
        },
        "until" => {
            let at = raw.until?;
            let moment = at.value?;
            if !moments.contains_key(&moment) {
                let finding = Finding::new(&at.place, format!("no moment is named `{moment}`"));
                lower
                    .findings
                    .push(finding.with_near(&moment, moments.keys().map(String::as_str)));
                return None;
            }
            let optional = yes(raw.optional);
            if optional && !capped {
                lower.find(
                    &place,
                    "an optional `until` needs a `cap`: how long the moment is waited for",
                );
            }
            Action::Until { moment, optional }
        }
        "kubectl" => {
            let background = yes(raw.background);
            if background && name.is_none() {
                lower.find(&place, "a background step needs a name: add `as`");
            }
            let ordinary_user = match raw.user {
                Some(At {
                    value: Some(user), ..
                }) if user == "ordinary" => true,
                Some(At {
                    value: Some(user),
                    place,
                }) => {
                    lower.find(
                        &place,
                        format!("`{user}` is no known user: `ordinary` is the only one"),
                    );
                    false
                }
                _ => false,
            };
            Action::Kubectl {
                args: words(lower, raw.kubectl?)?,
                stdin: text(raw.stdin),
                background,
                ordinary_user,
            }
        }
        "node" => {
            let pod = lower.must(raw.pod, &place, "`node` needs `pod`: whose node is meant");
            Action::Node {
                args: words(lower, raw.node?)?,
                pod: pod?.0,
            }
        }
        "release" => Action::Release {
            hold: raw.release?.value?,
            pod: text(raw.pod),
            container: text(raw.container),
            start: raw.start.and_then(|at| at.value),
        },
        "stop" => Action::Stop {
            name: background(lower, raw.stop?, before)?,
        },
        "ended" => Action::Ended {
            name: background(lower, raw.ended?, before)?,
        },
        "http" => {
            let path = raw.http?;
            if path
                .value
                .as_ref()
                .is_some_and(|path| !path.starts_with('/'))
            {
                lower.find(&path.place, "an HTTP path begins with `/`");
            }
            let Some(through) = raw.through else {
                lower.find(
                    &place,
                    "`http` needs `through`: the name of a background port-forward",
                );
                return None;
            };
            Action::Http {
                through: background(lower, through, before)?,
                path: path.value?,
            }
        }
        "get" => Action::Get {
            object: object(lower, raw.get?)?,
        },
        _ => {
            let because = lower.must(
                raw.because,
                &place,
                "`pause` needs `because`: why time itself is needed",
            );
            let time = lower.parsed(raw.pause, parse::duration);
            Action::Pause {
                time: time?,
                because: because?.0,
            }
        }
    };
    Some(Step {
        place,
        action,
        name,
        cap,
    })
}

/// `KIND/NAME`.
fn object(lower: &mut Lower<'_>, at: At<String>) -> Option<String> {
    let object = at.value?;
    if object.split('/').filter(|part| !part.is_empty()).count() != 2 {
        lower.find(
            &at.place,
            format!("`{object}`: an object is named like `pod/NAME`"),
        );
        return None;
    }
    Some(object)
}

/// Arguments, split as a shell splits them.
fn words(lower: &mut Lower<'_>, at: At<String>) -> Option<Vec<String>> {
    let Some(words) = shlex::split(&at.value?) else {
        lower.find(&at.place, "a quote is not closed");
        return None;
    };
    if words.is_empty() {
        lower.find(&at.place, "no arguments");
        return None;
    }
    Some(words)
}

/// The name of a background step that stands before this one.
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
            format!("no background step before this one is named `{name}`"),
        );
        lower.findings.push(finding.with_near(&name, known));
        return None;
    }
    Some(name)
}
