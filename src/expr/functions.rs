//! The functions that suites have beyond CEL's own: one table that registration, the type checker and the reference
//! are derived from.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use cel::extractors::Arguments;
use cel::{Context, ExecutionError, Value};
use chrono::{DateTime, FixedOffset};
use jiff::Timestamp;
use serde_json::Value as Json;

use super::selector::{Selector, field};
use super::types::{EVENT, POD, STAMP, STATE, Type};
use super::values;
use crate::evidence::{Entry, EventSeen, PodSeen, Seen, Stamp};

#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) returns: Type,
    /// One sentence for the reference.
    pub(crate) doc: &'static str,
    run: fn(&Call) -> Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameter {
    /// A pod, or a container, a start or a process of it.
    Pod,
    /// A process: `POD.ROLE`.
    Process,
    Output,
    /// The output of a `get` step.
    Object,
    List,
    Text,
    /// Text that may be left out.
    Optional,
    Duration,
}

impl Function {
    /// How many of the parameters must be given.
    pub(crate) fn required(&self) -> usize {
        let given = self.parameters.iter();
        given.filter(|p| **p != Parameter::Optional).count()
    }
}

impl Parameter {
    /// For messages and the reference.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Pod => "POD",
            Self::Process => "PROCESS",
            Self::Output => "OUTPUT",
            Self::Object => "OBJECT",
            Self::List => "LIST",
            Self::Text | Self::Optional => "TEXT",
            Self::Duration => "DURATION",
        }
    }
}

type Answer = Result<Value, String>;
type Time = DateTime<FixedOffset>;

/// The table of functions: how each is called, what it returns, its sentence in the reference, and what it does.
macro_rules! functions {
    ($($name:ident($($parameter:ident),+) -> $returns:expr, $doc:literal, $run:expr;)+) => {
        [$(Function {
            name: stringify!($name),
            parameters: &[$(Parameter::$parameter),+],
            returns: $returns,
            doc: $doc,
            run: $run,
        }),+]
    };
}

/// All functions, in the order of the reference.
pub(crate) static FUNCTIONS: [Function; 18] = functions! {
    runs(Pod) -> Type::Number, "How many processes began, by their `begun` stamps.",
        |call| Ok(number(call.stamps().filter(|(_, stamp)| stamp.stamp == "begun").count()));
    took(Process) -> Type::Duration, "From `begun` to `ended` of the first such process.",
        |call| call.span().map(|(begun, ended)| Value::Duration(ended - begun));
    during(Output, Process) -> Type::Bool,
        "Whether the step began after the process's `begun` and ended before its `ended`.", during;
    starts(Pod) -> Type::Number, "The number of the latest start that stamped anything; 0 if none did.",
        |call| Ok(number(call.stamps().map(|(_, stamp)| stamp.start).max().unwrap_or(0)));
    restarts(Pod) -> Type::Number, "The highest `restartCount` that the API reported.", restarts;
    exit_code(Pod) -> Type::Number, "The exit code of the last termination that the API reported.",
        |call| terminated(call, "exitCode");
    started(Pod) -> Type::Time, "The container runtime's `startedAt` of the last termination, in whole seconds.",
        |call| terminated(call, "startedAt");
    finished(Pod) -> Type::Time, "The container runtime's `finishedAt` of the last termination, in whole seconds.",
        |call| terminated(call, "finishedAt");
    state(Object, Optional) -> Type::Record(STATE),
        "A container's state in a fetched pod; the container's name is needed only if the pod has several.", state;
    states(Pod) -> Type::Records(STATE), "Every state of its containers that the API reported.",
        |call| Ok(states(call));
    stamps(Pod, Optional) -> Type::Records(STAMP), "The stamps of its processes, or those of that name.", stamps;
    requests(Pod, Optional) -> Type::Records(STAMP),
        "The HTTP requests that its servers received, or those for that path.", requests;
    events(Pod, Optional) -> Type::Records(EVENT), "Its Events, or those with that reason.", events;
    pods(Pod) -> Type::Records(POD), "Its states as the watch showed them.", |call| Ok(list(call.pods()));
    first(List) -> Type::Unknown, "The first item; an error if there is none.", |call| item(call, <[Value]>::first);
    last(List) -> Type::Unknown, "The last item; an error if there is none.", |call| item(call, <[Value]>::last);
    seconds(Duration) -> Type::Number, "A duration as a number of seconds.", seconds;
    ip(Text) -> Type::Text, "The address in text such as `10.0.0.1:80`.", ip;
};

pub(super) fn register(context: &mut Context<'static, 'static>, timeline: &Arc<[Entry]>) {
    for function in &FUNCTIONS {
        let timeline = Arc::clone(timeline);
        let mut parameters = function.parameters.iter();
        let of_pod = parameters.any(|p| matches!(p, Parameter::Pod | Parameter::Process));
        // None of these names is one of CEL's own, so that adding them cannot fail.
        let _ = context.add_function(function.name, move |Arguments(args): Arguments| {
            let answer = match args.iter().find_map(Selector::of) {
                None if of_pod => Err(format!("expected {A_POD}")),
                selector => (function.run)(&Call {
                    timeline: &timeline,
                    selector: selector.unwrap_or_default(),
                    args: &args,
                }),
            };
            answer.map_err(|message| ExecutionError::function_error(function.name, message))
        });
    }
}

pub(super) const A_POD: &str = "a pod of the scenario, such as `slow` or `slow.hook`";

struct Call<'a> {
    timeline: &'a [Entry],
    /// What the argument for a pod or a process selects.
    selector: Selector,
    args: &'a [Value],
}

impl Call<'_> {
    fn text(&self, index: usize) -> Result<Option<&str>, String> {
        match self.args.get(index) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err("expected text".to_owned()),
        }
    }

    /// A field of the first argument.
    fn field(&self, name: &str) -> Option<&Value> {
        field(self.args.first()?, name)
    }

    /// The stamps of the selected processes.
    fn stamps(&self) -> impl Iterator<Item = (&Entry, &Stamp)> {
        self.timeline.iter().filter_map(|entry| match &entry.seen {
            Seen::Agent(stamp) if self.selector.stamp(stamp) => Some((entry, stamp)),
            _ => None,
        })
    }

    /// The states of the selected pods.
    fn pods(&self) -> impl Iterator<Item = (&Entry, &PodSeen)> {
        self.timeline.iter().filter_map(|entry| match &entry.seen {
            Seen::Pod(pod) if self.selector.pod(&pod.pod) => Some((entry, pod)),
            _ => None,
        })
    }

    /// The statuses of the selected containers and starts in a pod object.
    fn selected<'a>(&'a self, object: &'a Json) -> impl Iterator<Item = &'a Json> {
        statuses(object).filter(|status| {
            self.selector.status(status) && self.selector.start(restart_count(status) + 1)
        })
    }

    /// When the first selected process began and ended.
    fn span(&self) -> Result<(Time, Time), String> {
        let (begun, process) = self
            .stamps()
            .find(|(_, stamp)| stamp.stamp == "begun")
            .ok_or("no such process began")?;
        let (ended, _) = self
            .stamps()
            .find(|(_, stamp)| stamp.stamp == "ended" && stamp.process == process.process)
            .ok_or("the process did not end by itself")?;
        Ok((values::chrono(begun.at), values::chrono(ended.at)))
    }
}

fn list<'a, T>(found: impl Iterator<Item = (&'a Entry, T)>) -> Value {
    values::list(found.map(|(entry, _)| values::entry(entry)))
}

fn number(number: impl Into<Json>) -> Value {
    values::from_json(&number.into())
}

fn during(call: &Call) -> Answer {
    let (begun, ended) = call.span()?;
    match (call.field("begin"), call.field("end")) {
        (Some(Value::Timestamp(from)), Some(Value::Timestamp(to))) => {
            Ok(Value::Bool(begun < *from && *to < ended))
        }
        _ => Err("expected the output of a step".to_owned()),
    }
}

/// The container statuses of a pod object.
pub(crate) fn statuses(object: &Json) -> impl Iterator<Item = &Json> {
    [
        "initContainerStatuses",
        "containerStatuses",
        "ephemeralContainerStatuses",
    ]
    .into_iter()
    .filter_map(|list| object.pointer(&format!("/status/{list}"))?.as_array())
    .flatten()
}

pub(crate) fn restart_count(status: &Json) -> u64 {
    status["restartCount"].as_u64().unwrap_or(0)
}

fn restarts(call: &Call) -> Answer {
    let pods = call.pods();
    let counts = pods.flat_map(|(_, pod)| call.selected(&pod.object).map(restart_count));
    let highest = counts.max();
    let highest = highest.ok_or("the API reported no status of such a container")?;
    Ok(number(highest))
}

/// A field of the last termination that the API reported, in `state` or `lastState`.
fn terminated(call: &Call, name: &str) -> Answer {
    let (_, terminated) = call
        .pods()
        .flat_map(|(_, pod)| statuses(&pod.object))
        .filter(|status| call.selector.status(status))
        .flat_map(|status| {
            let restarts = restart_count(status);
            // `lastState` belongs to the start before this one.
            let states = [("lastState", restarts), ("state", restarts + 1)];
            states.map(|(state, start)| Some((start, status[state].get("terminated")?)))
        })
        .flatten()
        .filter(|(start, _)| call.selector.start(*start))
        .max_by_key(|(start, _)| *start)
        .ok_or("the API reported no termination")?;
    match terminated.get(name) {
        Some(Json::String(text)) => {
            let at: Timestamp = text.parse().map_err(|error| format!("{name}: {error}"))?;
            Ok(values::timestamp(at))
        }
        Some(value) => Ok(values::from_json(value)),
        None => Err(format!("the termination has no {name}")),
    }
}

/// A container's status as a record of [`STATE`].
fn state_of(pod: &str, object: &Json, status: &Json, at: Option<Timestamp>) -> Value {
    let state = status["state"]
        .as_object()
        .and_then(|state| state.iter().next());
    let (state, detail) = state.map_or(("", &Json::Null), |(state, detail)| (state, detail));
    let text = |value: &Json| Value::from(value.as_str().unwrap_or_default());
    let fields = [
        ("pod", pod.into()),
        ("phase", text(&object["status"]["phase"])),
        ("container", text(&status["name"])),
        ("state", state.into()),
        ("reason", text(&detail["reason"])),
        ("message", text(&detail["message"])),
        ("restarts", number(restart_count(status))),
        ("ready", Value::Bool(status["ready"] == true)),
    ];
    let code = detail.get("exitCode");
    let code = code.map(|code| ("exit_code", values::from_json(code)));
    let at = at.map(|at| ("at", values::timestamp(at)));
    values::map(fields.into_iter().chain(code).chain(at))
}

/// The states of a pod's containers, for the conditions of moments.
pub(crate) fn containers(pod: &str, object: &Json) -> Value {
    values::list(statuses(object).map(|status| state_of(pod, object, status, None)))
}

fn states(call: &Call) -> Value {
    let states = call.pods().flat_map(|(entry, seen)| {
        call.selected(&seen.object)
            .map(|status| state_of(&seen.pod, &seen.object, status, Some(entry.at)))
    });
    values::list(states)
}

fn state(call: &Call) -> Answer {
    let object = call.field("object");
    let object = object.ok_or("expected the output of a `get` step")?;
    let object = object.json().map_err(|error| error.to_string())?;
    let wanted = call.text(1)?;
    let mut found =
        statuses(&object).filter(|status| wanted.is_none_or(|name| status["name"] == name));
    let status = found.next().ok_or_else(|| match wanted {
        Some(name) => format!("no status of container {name}"),
        None => "no container status".to_owned(),
    })?;
    if found.next().is_some() {
        return Err("the pod has several containers; name one".to_owned());
    }
    let pod = object["metadata"]["name"].as_str().unwrap_or_default();
    Ok(state_of(pod, &object, status, None))
}

fn stamps(call: &Call) -> Answer {
    let name = call.text(1)?;
    let stamps = call.stamps();
    let named = stamps.filter(|(_, stamp)| name.is_none_or(|name| stamp.stamp == name));
    Ok(list(named))
}

fn requests(call: &Call) -> Answer {
    let path = call.text(1)?;
    let requests = call.stamps().filter(|(_, stamp)| stamp.stamp == "request");
    let for_path = |stamp: &Stamp| path.is_none_or(|path| stamp.data["path"] == path);
    Ok(list(requests.filter(|(_, stamp)| for_path(stamp))))
}

fn events(call: &Call) -> Answer {
    let reason = call.text(1)?;
    let fits = |event: &EventSeen| {
        call.selector.pod(&event.pod)
            && call.selector.container(&event.container)
            && reason.is_none_or(|reason| event.reason == reason)
    };
    let events = call.timeline.iter().filter_map(|entry| match &entry.seen {
        Seen::Event(event) if fits(event) => Some((entry, event)),
        _ => None,
    });
    Ok(list(events))
}

fn item(call: &Call, pick: fn(&[Value]) -> Option<&Value>) -> Answer {
    match call.args {
        [Value::List(list)] => pick(list)
            .cloned()
            .ok_or_else(|| "the list is empty".to_owned()),
        _ => Err("expected a list".to_owned()),
    }
}

fn seconds(call: &Call) -> Answer {
    let [Value::Duration(duration)] = call.args else {
        return Err("expected a duration".to_owned());
    };
    // -0.1 s is stored as -1 s and 0.9 s, whose sum as a float is not exactly -0.1.
    let seconds = duration.abs().as_seconds_f64();
    let is_negative = *duration < chrono::Duration::zero();
    Ok(Value::Float(if is_negative { -seconds } else { seconds }))
}

/// The address of `IP:PORT`, and of `[IP]:PORT`.
fn ip(call: &Call) -> Answer {
    let text = call.text(0)?.ok_or("expected text such as 10.0.0.1:80")?;
    let with_port = text.parse().map(|address: SocketAddr| address.ip());
    let address: Result<IpAddr, _> = with_port.or_else(|_| text.trim_matches(['[', ']']).parse());
    let address = address.map_err(|_| format!("invalid address `{text}`"))?;
    Ok(address.to_canonical().to_string().into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;
    use serde_json::json;

    use super::super::{compiled, context};
    use super::*;
    use crate::evidence::{Clock, PodChange};

    fn entry(seconds: i64, seen: Seen) -> Entry {
        Entry {
            n: 0,
            at: Timestamp::from_second(seconds).unwrap(),
            clock: Clock::Node,
            seen,
        }
    }

    fn stamp(at: i64, start: u32, role: &str, name: &str, data: Json) -> Entry {
        let stamp = Stamp {
            pod: "slow".into(),
            container: "main".into(),
            start,
            role: role.into(),
            process: format!("{role}{start}"),
            pid: 1,
            seq: 1,
            stamp: name.into(),
            data,
        };
        entry(at, Seen::Agent(stamp))
    }

    fn pod(at: i64, status: &Json) -> Entry {
        let seen = PodSeen {
            pod: "slow".into(),
            change: PodChange::Applied,
            object: json!({"metadata": {"name": "slow"}, "status": status}),
        };
        entry(at, Seen::Pod(seen))
    }

    /// A container with a hook that fails, is restarted, and receives a request.
    fn timeline() -> Arc<[Entry]> {
        let waiting = json!({"phase": "Pending", "containerStatuses": [{"name": "main", "restartCount": 0,
            "state": {"waiting": {"reason": "PostStartHookError", "message": "exited with 3"}}}]});
        let again = json!({"phase": "Running", "containerStatuses": [{"name": "main", "restartCount": 1, "ready": true,
            "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 143,
            "startedAt": "1970-01-01T00:00:01Z", "finishedAt": "1970-01-01T00:00:05Z"}}}]});
        let killing = EventSeen {
            name: "e".into(),
            kind: "Pod".into(),
            pod: "slow".into(),
            container: "main".into(),
            type_: "Normal".into(),
            reason: "Killing".into(),
            message: "FailedPostStartHook".into(),
            count: 1,
            component: "kubelet".into(),
            first: None,
            last: None,
        };
        Arc::from(vec![
            stamp(1, 1, "entrypoint", "begun", Json::Null),
            stamp(2, 1, "hook", "begun", Json::Null),
            stamp(4, 1, "hook", "ended", json!({"code": 3})),
            pod(5, &waiting),
            entry(5, Seen::Event(killing)),
            stamp(7, 2, "entrypoint", "begun", Json::Null),
            stamp(8, 2, "entrypoint", "request", json!({"path": "/ready"})),
            pod(9, &again),
        ])
    }

    /// Evaluates with `slow`, `slow.hook`, `slow.start1` and an output `got` as variables.
    fn evaluate(text: &str) -> Result<Value, String> {
        let mut context = context(&timeline());
        let selector = |start, role: Option<&str>| Selector {
            pod: "slow".into(),
            container: None,
            start,
            role: role.map(Into::into),
        };
        let nested = |selector: Selector| values::map([selector.hidden()]);
        let slow = values::map([
            selector(None, None).hidden(),
            ("hook", nested(selector(None, Some("hook")))),
            ("start1", nested(selector(Some(1), None))),
        ]);
        context.add_variable_from_value("slow", slow);
        let object = json!({"status": {"phase": "Pending", "containerStatuses": [
            {"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}}]}});
        let at = values::timestamp(Timestamp::from_second(3).unwrap());
        let object = ("object", values::from_json(&object));
        let got = values::map([object, ("begin", at.clone()), ("end", at)]);
        context.add_variable_from_value("got", got);
        let compiled = compiled(text)?;
        compiled
            .execute(&context)
            .map_err(|error| error.to_string())
    }

    #[rstest]
    #[case("runs(slow) == 3 && runs(slow.hook) == 1 && runs(slow.start1) == 2")]
    #[case("took(slow.hook) == 2s")]
    #[case("during(got, slow.hook)")]
    #[case("starts(slow) == 2 && starts(slow.start1) == 1")]
    #[case("restarts(slow) == 1")]
    #[case("exit_code(slow) == 143 && exit_code(slow.start1) == 143")]
    #[case("finished(slow) - started(slow) == 4s")]
    #[case("state(got).state == 'waiting' && state(got, 'main').reason == 'ContainerCreating'")]
    #[case("states(slow).exists(s, s.reason == 'PostStartHookError' && s.message.contains('3'))")]
    #[case("states(slow.start1).size() == 1 && last(states(slow)).ready")]
    #[case("stamps(slow).size() == 5 && first(stamps(slow.hook, 'ended')).data.code == 3")]
    #[case(
        "requests(slow).size() == 1 && requests(slow, '/ready').size() == 1 && requests(slow, '/').size() == 0"
    )]
    #[case(
        "events(slow).size() == 1 && events(slow, 'Killing').all(e, e.message == 'FailedPostStartHook')"
    )]
    #[case("pods(slow).map(p, p.phase) == ['Pending', 'Running']")]
    #[case("seconds(1500ms) == 1.5")]
    #[case(
        "ip('10.0.0.1:80') == '10.0.0.1' && ip('[::1]:80') == '::1' && ip('::ffff:10.0.0.1') == '10.0.0.1'"
    )]
    fn values_of_functions(#[case] text: &str) {
        assert_eq!(evaluate(text), Ok(Value::Bool(true)));
    }

    #[rstest]
    #[case("first([])", "empty")]
    #[case("last(3)", "expected a list")]
    #[case("ip('nowhere')", "invalid address")]
    #[case("seconds(1)", "expected a duration")]
    #[case("runs('slow')", "expected a pod")]
    #[case("took(slow.start1)", "did not end")]
    #[case("state(got, 'side')", "no status of container side")]
    fn refusals(#[case] text: &str, #[case] wanted: &str) {
        let error = evaluate(text).unwrap_err();
        assert!(error.contains(wanted), "{error}");
    }

    #[test]
    fn the_reference_lists_every_function() {
        for function in &FUNCTIONS {
            let parameters = function.parameters.iter().enumerate();
            let parameters = parameters.map(|(index, parameter)| {
                let separator = if index == 0 { "" } else { ", " };
                let word = format!("{separator}{}", parameter.in_words());
                let is_required = index < function.required();
                if is_required {
                    word
                } else {
                    format!("[{word}]")
                }
            });
            let parameters: String = parameters.collect();
            let row = format!("| `{}({parameters})` | {} |", function.name, function.doc);
            crate::fixture::in_reference(&row);
        }
    }

    #[test]
    fn every_function_has_a_test() {
        let cases: Vec<&str> = include_str!("functions.rs")
            .lines()
            .filter(|line| line.trim_start().starts_with(['#', '"']))
            .collect();
        for function in &FUNCTIONS {
            let called = format!("{}(", function.name);
            assert!(cases.iter().any(|case| case.contains(&called)), "{called}");
        }
    }
}
