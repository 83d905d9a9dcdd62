//! The kinds of steps. Reading, lint, the JSON schema and the reference in docs/suites.md follow from [`KINDS`].

use std::collections::BTreeMap;
use std::time::Duration;

use itertools::Itertools as _;
use serde_saphyr::Location;

use super::super::finding::Place;
use super::super::form::{Argument, Field, Form, Given};
use super::super::manifest::Manifest;
use super::super::moment::Moment;
use super::super::parse::{self, Citation, VersionRange};
use super::super::placeholder::names_of;
use super::super::pods::{Part, Pods};
use super::super::yaml::{At, Reader, Several};
use super::kubectl;
use crate::expr::types::Type::{Bool, List, Map, Number, Records, Text, Time};
use crate::expr::types::{Fields, LINE};

#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) place: Place,
    pub(crate) kind: &'static Kind,
    pub(crate) action: Action,
    /// The name of its output in expressions.
    pub(crate) name: Option<String>,
    /// Its limit. A step that reaches it is an error of the run, unless the action says otherwise.
    pub(crate) cap: Duration,
    /// The versions on which it is done; all if absent.
    pub(crate) kubernetes: Option<VersionRange>,
}

/// The steps of a scenario while they are read, and what they may name.
pub(crate) struct Steps<'a, 'r> {
    pub(in crate::catalogue) reader: &'a mut Reader<'r>,
    pub(in crate::catalogue) manifests: &'a [Manifest],
    pub(in crate::catalogue) moments: &'a BTreeMap<String, Moment>,
    pub(in crate::catalogue) pods: &'a Pods,
    pub(in crate::catalogue) listings: &'a BTreeMap<String, Citation>,
    /// Those before the one that is being read.
    pub(in crate::catalogue) before: Vec<Step>,
}

/// The closed set of actions; [`KINDS`] says what each does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Validation is strict. With a name the response is kept (`accepted`, `code`, `message`).
    Apply {
        /// Index into the scenario's manifests.
        manifest: usize,
        dry_run: bool,
    },
    Delete {
        /// `pod/NAME`, `deployment/NAME`.
        object: String,
        /// `gracePeriodSeconds`; the object's own if absent.
        grace: Option<i64>,
    },
    Until {
        moment: String,
        /// Continues after the cap if the moment has not occurred.
        optional: bool,
    },
    Kubectl {
        /// Its arguments, split as a shell splits them, with placeholders (`observe::fill`).
        args: Vec<String>,
        stdin: Option<String>,
        /// Runs in the background until `stop` or the end of the scenario.
        background: bool,
        /// Runs as a user without privileges if the runner has some.
        ordinary_user: bool,
    },
    Outside {
        /// Its name in placeholders, and the pod's name in its stamps.
        container: String,
        /// Its command, split as a shell splits it, with placeholders.
        args: Vec<String>,
    },
    Node {
        pod: String,
        /// The command, split as a shell splits it; placeholders without a name mean this pod.
        args: Vec<String>,
    },
    Release {
        hold: String,
        pod: Option<String>,
        container: Option<String>,
        start: Option<u32>,
    },
    Stop {
        name: String,
    },
    Ended {
        name: String,
    },
    Http {
        through: String,
        path: String,
    },
    Get {
        /// `pod/NAME`, `node/NAME` …
        object: String,
    },
    Pause {
        time: Duration,
        because: String,
    },
}

/// The definition of a step kind, which reads what the form does not check. Problems become findings.
pub(crate) type Kind = Form<fn(&mut Steps<'_, '_>, &Given) -> Option<Action>>;

const AS: Field = Field::text("as", "name of the output in expressions");
const CAP: Field = Field::text("cap", "limit of the step");
const KUBERNETES: Field = Field::text("kubernetes", "versions on which the step is done");
const BACKGROUND: Field = Field::flag("background", "does not wait until it exits (requires `as`)");
const BECAUSE: Field = Field::text("because", "why time must pass").required();
const CONTAINER: Field = Field::text("container", "only in this container");
const DRY_RUN: Field = Field::flag("dry_run", "server-side dry run");
const GRACE: Field = Field::number("grace", "grace period in seconds");
const IN_POD: Field = Field::text("pod", "only in this pod");
const ITS_COMMAND: Field = Field::text("command", "what the container runs").required();
const ON_NODE_OF: Field = Field::text("pod", "the pod whose node runs the command").required();
const START: Field = Field::number("start", "only in this start of the container, from 1");
const STDIN: Field = Field::text("stdin", "standard input");
const THROUGH: Field = Field::text("through", "name of the port-forward step").required();
const USER: Field = Field::text("user", "`ordinary` is a user without privileges");
const WITHIN: Field = Field::text("within", "continues after this time without it");

/// The fields of every output, and more.
macro_rules! output {
    ($($name:ident: $type:expr),*) => {
        &[("name", Text), ("step", Text), ("begin", Time), ("end", Time), $((stringify!($name), $type)),*]
    };
}

pub(super) const COMMON: Fields = output! {};
const ANSWER: Fields = output! { accepted: Bool, code: Number, reason: Text, message: Text };
const COMMAND: Fields = output! {
    argv: List, exit_code: Number, stdout: Text, stderr: Text, lines: Records(LINE)
};
const RESPONSE: Fields = output! { status: Number, body: Text, error: Text };
const OBJECT: Fields = output! { object: Map };

pub(in crate::catalogue) const OUTSIDE: &str = "outside";

const LONGEST_PAUSE: Duration = Duration::from_secs(600);

pub(in crate::catalogue) static KINDS: [Kind; 12] = [
    Form {
        name: "apply",
        argument: Argument::Maybe("PATH"),
        does: "applies every document of the first or of that manifest; with `as`, a rejection is not an error",
        options: &[AS, CAP, KUBERNETES, DRY_RUN],
        output: ANSWER,
        read: |steps, given| {
            let manifest = steps.manifest(given)?;
            let dry_run = given.flag(steps.reader, "dry_run");
            Some(Action::Apply { manifest, dry_run })
        },
    },
    Form {
        name: "delete",
        argument: Argument::Several("pod/NAME"),
        does: "deletes through the API; with `as`, a rejection is not an error",
        options: &[AS, CAP, KUBERNETES, GRACE],
        output: ANSWER,
        read: |steps, given| {
            let object = steps.object(given)?;
            let grace = given.number(steps.reader, "grace");
            Some(Action::Delete { object, grace })
        },
    },
    Form {
        name: "until",
        argument: Argument::Several("MOMENT"),
        does: "waits for the moment",
        options: &[CAP, KUBERNETES, WITHIN],
        output: COMMON,
        read: |steps, given| {
            let moment = steps.moment(given)?;
            let optional = given.option("within").is_some();
            Some(Action::Until { moment, optional })
        },
    },
    Form {
        name: "kubectl",
        argument: Argument::One("ARGS"),
        does: "runs kubectl in the scenario's namespace",
        options: &[AS, CAP, KUBERNETES, BACKGROUND, STDIN, USER],
        output: COMMAND,
        read: |steps, given| {
            let background = given.flag(steps.reader, "background");
            if background && given.option("as").is_none() {
                steps
                    .reader
                    .find(given.at, "missing `as`: a background step needs a name");
            }
            let args = steps.arguments(given)?;
            steps.files_in(&args, given.at);
            if let Some(message) = kubectl::refused(&args, None) {
                steps.reader.find(given.argument.at, message);
            }
            Some(Action::Kubectl {
                ordinary_user: steps.ordinary_user(given),
                args,
                stdin: given.text("stdin"),
                background,
            })
        },
    },
    Form {
        name: "stop",
        argument: Argument::One("NAME"),
        does: "ends a background step",
        options: &[CAP, KUBERNETES],
        output: COMMON,
        read: |steps, given| {
            let name = given.argument(steps.reader)?;
            let name = steps.background(&name)?;
            Some(Action::Stop { name })
        },
    },
    Form {
        name: "ended",
        argument: Argument::One("NAME"),
        does: "waits until a background step has ended by itself",
        options: &[CAP, KUBERNETES],
        output: COMMON,
        read: |steps, given| {
            let name = given.argument(steps.reader)?;
            let name = steps.background(&name)?;
            Some(Action::Ended { name })
        },
    },
    Form {
        name: "http",
        argument: Argument::One("/PATH"),
        does: "sends a GET request through a background `kubectl port-forward`",
        options: &[THROUGH, AS, CAP, KUBERNETES],
        output: RESPONSE,
        read: |steps, given| {
            let path = given.argument(steps.reader)?;
            if !path.value.starts_with('/') {
                steps
                    .reader
                    .find(path.at, "expected a path that begins with `/`");
            }
            let through = given.option("through")?;
            let name = steps.background(through)?;
            if !steps.forwards(&name) {
                let message = format!("`{name}` is not a `kubectl port-forward` step");
                steps.reader.find(through.at, message);
            }
            Some(Action::Http {
                through: name,
                path: path.value,
            })
        },
    },
    Form {
        name: OUTSIDE,
        argument: Argument::One("NAME"),
        does: "starts a container of the agent's image on the nodes' network, outside the cluster; its stamps have NAME \
               as `pod` (capability `outside`)",
        options: &[ITS_COMMAND, CAP, KUBERNETES],
        output: COMMON,
        read: |steps, given| {
            let command = given.option("command")?;
            Some(Action::Outside {
                container: given.argument(steps.reader)?.value,
                args: steps.words(command)?,
            })
        },
    },
    Form {
        name: "release",
        argument: Argument::One("NAME"),
        does: "releases what holds, or will hold, under that name",
        options: &[IN_POD, CONTAINER, START, CAP, KUBERNETES],
        output: COMMON,
        read: |steps, given| {
            Some(Action::Release {
                hold: given.argument(steps.reader)?.value,
                pod: given.text("pod"),
                container: given.text("container"),
                start: given.number(steps.reader, "start"),
            })
        },
    },
    Form {
        name: "get",
        argument: Argument::One("pod/NAME"),
        does: "reads an object through the API; without `object` if it does not exist",
        options: &[AS, CAP, KUBERNETES],
        output: OBJECT,
        read: |steps, given| {
            let object = steps.object(given)?;
            Some(Action::Get { object })
        },
    },
    Form {
        name: "node",
        argument: Argument::One("COMMAND"),
        does: "runs a command on a pod's node (capability `node-shell`)",
        options: &[ON_NODE_OF, AS, CAP, KUBERNETES],
        output: COMMAND,
        read: |steps, given| {
            let pod = given.text("pod")?;
            let args = steps.arguments(given)?;
            Some(Action::Node { pod, args })
        },
    },
    Form {
        name: "pause",
        argument: Argument::One("2s"),
        does: "lets time pass that a claim is about",
        options: &[BECAUSE, KUBERNETES],
        output: COMMON,
        read: |steps, given| {
            let time = steps.time(given)?;
            let because = given.text("because")?;
            Some(Action::Pause { time, because })
        },
    },
];

impl Steps<'_, '_> {
    /// The index of a manifest; the first if none is named.
    fn manifest(&mut self, given: &Given) -> Option<usize> {
        if let Several::Nothing = given.argument.value {
            return Some(0);
        }
        let At { value: path, at } = given.argument(self.reader)?;
        let paths = self.manifests.iter().map(|known| known.path.as_str());
        let index = paths.clone().position(|known| known == path);
        if index.is_none() {
            let message = format!("`{path}` is not one of the scenario's `manifests`");
            self.reader.find_near(at, message, &path, paths);
        }
        index
    }

    /// A declared or standard moment.
    fn moment(&mut self, given: &Given) -> Option<String> {
        let At { value: moment, at } = given.argument(self.reader)?;
        let parts = match self.pods.resolve(&moment) {
            _ if self.moments.contains_key(&moment) => return Some(moment),
            Some(Ok(Part::Moment(..))) => return Some(moment),
            Some(Err(parts)) => parts,
            _ => Vec::new(),
        };
        let pod = moment.split('.').next().unwrap_or_default();
        let standard = parts.iter().map(|part| format!("{pod}.{part}"));
        let all: Vec<String> = self.moments.keys().cloned().chain(standard).collect();
        let message = format!("no moment is named `{moment}`");
        let all = all.iter().map(String::as_str);
        self.reader.find_near(at, message, &moment, all);
        None
    }

    /// `KIND/NAME`.
    fn object(&mut self, given: &Given) -> Option<String> {
        let parse = |object: &str| match object.split('/').filter(|part| !part.is_empty()).count() {
            2 => Ok(object.to_owned()),
            _ => Err(format!(
                "invalid object `{object}`: expected `KIND/NAME`, for example `pod/web`"
            )),
        };
        let object = given.argument(self.reader)?;
        self.reader.parsed(Some(&object), parse)
    }

    fn arguments(&mut self, given: &Given) -> Option<Vec<String>> {
        let argument = given.argument(self.reader)?;
        self.words(&argument)
    }

    /// Words, split as a shell splits them.
    fn words(&mut self, text: &At<String>) -> Option<Vec<String>> {
        let split = |text: &str| match shlex::split(text) {
            None => Err("unclosed quote".to_owned()),
            Some(words) if words.is_empty() => Err("no arguments".to_owned()),
            Some(words) => Ok(words),
        };
        self.reader.parsed(Some(text), split)
    }

    /// Checks that `{manifest:PATH}` and `{listing:NAME}` in kubectl's arguments exist.
    fn files_in(&mut self, args: &[String], at: Location) {
        let manifests = self.manifests.iter().map(|known| known.path.as_str());
        let listings = self.listings.keys().map(String::as_str);
        for (word, known) in [
            ("manifest", manifests.collect_vec()),
            ("listing", listings.collect()),
        ] {
            let given = args.iter().flat_map(|arg| names_of(arg, word)).flatten();
            for name in given.filter(|name| !known.contains(name)) {
                let message = format!("`{{{word}:{name}}}`: the suite has no such {word}");
                self.reader
                    .find_near(at, message, name, known.iter().copied());
            }
        }
    }

    fn ordinary_user(&mut self, given: &Given) -> bool {
        let parse = |user: &str| match user {
            "ordinary" => Ok(true),
            _ => Err(format!("unknown user `{user}`: expected `ordinary`")),
        };
        let user = self.reader.parsed(given.option("user"), parse);
        user.unwrap_or(false)
    }

    fn time(&mut self, given: &Given) -> Option<Duration> {
        let text = given.argument(self.reader)?;
        let time = self.reader.parsed(Some(&text), parse::duration)?;
        if time > LONGEST_PAUSE {
            let message = format!("a pause of more than {} s", LONGEST_PAUSE.as_secs());
            self.reader.find(text.at, message);
        }
        Some(time)
    }

    /// Whether an earlier step forwards ports: of other steps, the output could name any port of this machine.
    fn forwards(&self, name: &str) -> bool {
        let mut steps = self.before.iter();
        steps.any(|step| {
            step.name.as_deref() == Some(name)
                && matches!(&step.action, Action::Kubectl { args, .. } if args.first().is_some_and(|arg| arg == "port-forward"))
        })
    }

    /// The name of an earlier background step.
    fn background(&mut self, At { value: name, at }: &At<String>) -> Option<String> {
        let is_background = |step: &&Step| match step.action {
            Action::Kubectl { background, .. } => background,
            _ => false,
        };
        let steps = self.before.iter().filter(is_background);
        let known: Vec<&str> = steps.filter_map(|step| step.name.as_deref()).collect();
        if known.contains(&name.as_str()) {
            return Some(name.clone());
        }
        let message = format!("no earlier background step is named `{name}`");
        self.reader.find_near(*at, message, name, known);
        None
    }
}
