//! A Kubernetes API server in memory, with a kubelet that plays the agent's actions, a witness, and faults on demand.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Query, Request, State as Shown};
use axum::http::request::Parts;
use axum::response::Response;
use camino::Utf8Path;
use hookproof_protocol::{EVERY, Release, TOKEN_HEADER, Time, env, path};
use itertools::Itertools as _;
use jiff::Timestamp;
use kube::core::ApiResource;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::api::kinds;
use super::command::{Kubectl, Server};
use super::rbac::resource_of;
use super::scratch::{Scratch, utf8};
use super::session::{Session, Target};
use super::workload::AGENT_IMAGE;
use crate::catalogue::capability::OUTSIDE;
use crate::catalogue::load::{Source, load};
use crate::catalogue::model::{Catalogue, Scenario};
use crate::evidence::ClusterFacts;
use crate::file::write_atomic;

const SCENARIO_TOKEN: &str = "Bearer of-scenario";

/// Where an object is: API group, plural name, namespace, name.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    group: String,
    plural: String,
    namespace: String,
    name: String,
}

impl Place {
    /// Reads a path; a collection has no name, and all namespaces are none.
    fn of(path: &str) -> Option<Self> {
        let (group, plural, name) = resource_of(path)?;
        let (_, inside) = path.split_once("/namespaces/").unwrap_or_default();
        let (namespace, _) = inside.split_once('/').unwrap_or_default();
        Some(Self {
            group,
            plural,
            namespace: namespace.to_owned(),
            name,
        })
    }

    /// Whether this object is in the collection.
    fn is_in(&self, collection: &Self) -> bool {
        self.group == collection.group
            && self.plural == collection.plural
            && (collection.namespace.is_empty() || collection.namespace == self.namespace)
    }
}

/// How open watches end.
#[derive(Debug, Clone, Copy)]
enum End {
    Closed,
    /// 410 Gone: the resource version is too old.
    Expired,
}

/// Status code, reason and message.
type Refusal = (u16, &'static str, &'static str);

pub(crate) fn refusal(code: u16, reason: &'static str) -> Refusal {
    (code, reason, "refused by the test")
}

const NOT_FOUND: Refusal = (404, "NotFound", "not found");

#[derive(Default)]
struct State {
    version: u64,
    objects: BTreeMap<Place, Value>,
    changes: Vec<(u64, &'static str, Place, Value)>,
    ends: Vec<End>,
    /// Whether by a scenario, and method and path with query.
    requests: Vec<(bool, String)>,
    /// Answers other than the usual one to the next request with a method and a part of the path: a refusal, or else
    /// the connection is closed within the answer.
    faults: Vec<(&'static str, &'static str, Option<Refusal>)>,
    /// As the witness sends them.
    stamps: Vec<Value>,
    releases: Vec<Release>,
    exit_codes: VecDeque<u8>,
}

impl State {
    fn change(&mut self, kind: &'static str, place: &Place, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if kind == "DELETED" {
            self.objects.remove(place);
        } else {
            self.objects.insert(place.clone(), object.clone());
        }
        self.changes
            .push((self.version, kind, place.clone(), object.clone()));
        object
    }

    fn create(&mut self, place: &Place, mut object: Value) -> Value {
        let metadata = &mut object["metadata"];
        metadata["name"] = json!(place.name);
        if !place.namespace.is_empty() {
            metadata["namespace"] = json!(place.namespace);
        }
        metadata["uid"] = json!(format!("uid-{}", self.version));
        if !metadata["managedFields"].is_array() {
            metadata["managedFields"] = json!([{"manager": "hookproof"}]);
        }
        self.change("ADDED", place, object)
    }

    fn update(&mut self, place: &Place, with: impl FnOnce(&mut Value)) -> Option<Value> {
        let mut object = self.objects.get(place)?.clone();
        with(&mut object);
        Some(self.change("MODIFIED", place, object))
    }

    /// Creates an object, or replaces all but its metadata.
    fn put(&mut self, place: &Place, mut object: Value) -> Value {
        let Some(old) = self.objects.get(place) else {
            return self.create(place, object);
        };
        object["metadata"] = old["metadata"].clone();
        self.change("MODIFIED", place, object)
    }

    fn remove(&mut self, place: &Place) {
        let Some(object) = self.objects.get(place).cloned() else {
            return;
        };
        if place.plural == "namespaces" {
            let all = self.objects.keys().cloned().collect_vec();
            let inside = all.iter().filter(|other| other.namespace == place.name);
            inside.for_each(|other| self.remove(other));
        }
        self.change("DELETED", place, object);
    }

    /// Deletes as a client does: a pod whose process runs ends first.
    fn delete(&mut self, place: &Place) {
        let runs = |pod: &Value| pod["status"]["phase"] == "Running" && !processes(pod).is_empty();
        if place.plural == "pods" && self.objects.get(place).is_some_and(runs) {
            self.update(place, |pod| {
                pod["metadata"]["deletionTimestamp"] = json!(Timestamp::now().to_string());
            });
        } else {
            self.remove(place);
        }
    }

    fn list(&self, collection: &Place, query: &HashMap<String, String>) -> Vec<(Place, Value)> {
        let all = self.objects.clone().into_iter();
        all.filter(|(place, object)| place.is_in(collection) && selected(object, query))
            .collect()
    }
}

/// Whether an object matches the label and field selectors.
fn selected(object: &Value, query: &HashMap<String, String>) -> bool {
    let metadata = &object["metadata"];
    let labels = query.get("labelSelector").is_none_or(|selector| {
        let (label, value) = selector.split_once('=').unwrap_or((selector, ""));
        let found = &metadata["labels"][label];
        found.is_string() && (value.is_empty() || found == value)
    });
    let name = query.get("fieldSelector");
    let name = name.and_then(|selector| selector.strip_prefix("metadata.name="));
    labels && name.is_none_or(|name| metadata["name"] == name)
}

/// The agent's containers with their commands, except the witness.
fn processes(pod: &Value) -> Vec<(String, Vec<String>)> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let all = containers.filter_map(|container| {
        let words: Vec<String> = serde_json::from_value(container["command"].clone()).ok()?;
        Some((container["name"].as_str()?.to_owned(), words))
    });
    let is_agent = |words: &[String]| matches!(words, [agent, role, ..] if agent == "agent" && role != "witness");
    all.filter(|(_, words)| is_agent(words)).collect()
}

/// The state, with notice of its changes.
#[derive(Clone)]
struct Shared(watch::Sender<State>);

impl Shared {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut done = None;
        self.0.send_modify(|state| done = Some(work(state)));
        done.unwrap()
    }

    fn read(&self) -> watch::Ref<'_, State> {
        self.0.borrow()
    }

    /// Completes when `done` is true.
    async fn until(&self, done: impl Fn(&State) -> bool) {
        let mut changes = self.0.subscribe();
        drop(changes.wait_for(|state| done(state)).await.unwrap());
    }

    /// What the kubelet does with a new pod.
    async fn kubelet(self, place: Place, pod: Value) {
        self.with(|state| {
            state.update(&place, |pod| {
                pod["spec"]["nodeName"] = json!("node-1");
                pod["status"] = json!({"phase": "Running", "podIP": "10.0.0.7", "hostIP": "10.0.0.1",
                    "conditions": [{"type": "Ready", "status": "True"}]});
            });
            let event = json!({"involvedObject": {"kind": "Pod", "name": place.name, "namespace": place.namespace},
                "type": "Normal", "reason": "Started", "message": "Started container", "count": 1});
            let at = Place {
                plural: "events".to_owned(),
                name: format!("{}.started", place.name),
                ..place.clone()
            };
            state.create(&at, event);
        });
        let mut ended = None;
        for (container, words) in processes(&pod) {
            ended = Some(self.process(&place, &container, &words).await);
        }
        let Some(code) = ended else { return };
        self.with(|state| {
            let phase = if code == 0 { "Succeeded" } else { "Failed" };
            let ended = state.update(&place, |pod| {
                pod["status"]["phase"] = json!(phase);
                pod["status"]["conditions"] = json!([]);
                pod["status"]["containerStatuses"] =
                    json!([{"name": "main", "state": {"terminated": {"exitCode": code}}}]);
            });
            if ended.is_some_and(|pod| pod["metadata"].get("deletionTimestamp").is_some()) {
                state.remove(&place);
            }
        });
    }

    async fn process(&self, place: &Place, container: &str, words: &[String]) -> u8 {
        let (namespace, name) = (&place.namespace, &place.name);
        let mut seq = 0;
        let mut stamp = |stamp: &str, data: Value| {
            seq += 1;
            let now = Timestamp::now().to_string();
            self.with(|state| {
                let n = state.stamps.len() + 1;
                state.stamps.push(json!({"n": n, "start": 1, "received": now, "at": now,
                    "namespace": namespace, "pod": name, "pod_uid": "uid", "container": container, "instance": "1",
                    "role": words[1], "process": format!("{name}-{container}"), "pid": 1, "seq": seq,
                    "stamp": stamp, "data": data}));
            });
        };
        let mut code = self.with(|state| state.exit_codes.pop_front()).unwrap_or(0);
        stamp("begun", json!({}));
        for word in &words[2..] {
            match word.split_once('=').unwrap_or((word, "")) {
                ("hold", name) => {
                    stamp("held", json!({"name": name}));
                    let released = |release: &Release| {
                        release.namespace == *namespace && [name, EVERY].contains(&&*release.name)
                    };
                    self.until(|state| state.releases.iter().any(released))
                        .await;
                    stamp("released", json!({"name": name}));
                }
                ("wait", _) => {
                    let deleted = |pod: &Value| pod["metadata"].get("deletionTimestamp").is_some();
                    self.until(|state| state.objects.get(place).is_none_or(deleted))
                        .await;
                    stamp("signal", json!({"signal": "TERM"}));
                }
                ("exit", number) => code = number.parse().unwrap(),
                ("stamp", name) => stamp(name, json!({})),
                (other, _) => panic!("the fake kubelet does not know `{other}`"),
            }
        }
        stamp("ended", json!({"code": code}));
        code
    }
}

async fn answer(Shown(shared): Shown<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let answered = answered(&shared, &parts, &body);
    answered.unwrap_or_else(|(code, reason, message)| {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": reason, "message": message});
        let mut response = success(&status);
        *response.status_mut() = code.try_into().unwrap();
        response
    })
}

fn answered(shared: &Shared, parts: &Parts, body: &Bytes) -> Result<Response, Refusal> {
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let query: Query<HashMap<String, String>> = Query::try_from_uri(&parts.uri).unwrap();
    let header = |name: &str| {
        let value = parts.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    };
    let fault = shared.with(|state| {
        let by_scenario = header("Authorization") == SCENARIO_TOKEN;
        let request = format!("{method} {}", parts.uri);
        state.requests.push((by_scenario, request));
        let mut all = state.faults.iter();
        let at = all.position(|(of, part, _)| *of == method && path.contains(part));
        at.map(|at| state.faults.remove(at).2)
    });
    match fault {
        Some(Some(refusal)) => return Err(refusal),
        Some(None) => {
            let broken = Err::<String, _>(std::io::Error::other("broken"));
            let broken = Body::from_stream(futures::stream::iter([broken]));
            return Ok(Response::new(broken));
        }
        None => {}
    }
    if path == "/version" {
        let version = json!({"major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": ""});
        return Ok(success(&version));
    }
    if let Some((_, path)) = path.split_once("/pods/witness:8080/proxy") {
        return witness(shared, path, &query, header(TOKEN_HEADER), body);
    }
    let version = path.strip_prefix("/apis/").or(path.strip_prefix("/api/"));
    let kinds = kinds().map(|(_, kind)| ApiResource::from_gvk(&kind));
    let kinds = kinds.filter(|kind| version == Some(&kind.api_version));
    let kinds = kinds.map(|kind| {
        let namespaced = !["Node", "PriorityClass"].contains(&&*kind.kind);
        json!({"name": kind.plural, "singularName": "", "namespaced": namespaced, "kind": kind.kind, "verbs": ["get"]})
    });
    let kinds = kinds.collect_vec();
    if !kinds.is_empty() {
        let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": kinds});
        return Ok(success(&list));
    }
    objects(
        shared,
        method,
        Place::of(path).ok_or(NOT_FOUND)?,
        query.0,
        body,
    )
}

/// Requests for an object or a collection.
fn objects(
    shared: &Shared,
    method: &str,
    mut place: Place,
    query: HashMap<String, String>,
    body: &Bytes,
) -> Result<Response, Refusal> {
    let sent = || serde_json::from_slice::<Value>(body).unwrap();
    let answer = match (method, place.name.is_empty()) {
        ("GET", true) if query.get("watch").is_some_and(|watch| watch == "true") => {
            return Ok(changes(shared, place, query));
        }
        ("GET", true) => {
            let state = shared.read();
            let items = state.list(&place, &query);
            let items = items.into_iter().map(|(_, object)| object).collect_vec();
            json!({"kind": "List", "apiVersion": "v1", "items": items,
                "metadata": {"resourceVersion": state.version.to_string()}})
        }
        ("GET", false) => shared
            .read()
            .objects
            .get(&place)
            .cloned()
            .ok_or(NOT_FOUND)?,
        ("POST", false) if place.plural == "serviceaccounts/token" => {
            json!({"metadata": {}, "spec": sent()["spec"], "status": {"token": "of-scenario",
                "expirationTimestamp": Timestamp::now().to_string()}})
        }
        ("POST", true) if place.plural == "selfsubjectaccessreviews" => {
            json!({"metadata": {}, "spec": sent()["spec"], "status": {"allowed": true}})
        }
        ("POST", true) if query.contains_key("dryRun") => sent(),
        ("POST", true) => {
            let object = sent();
            place.name = object["metadata"]["name"].as_str().unwrap().to_owned();
            create(shared, &place, object)?
        }
        ("PATCH", false) => shared.with(|state| state.put(&place, sent())),
        ("DELETE", true) => shared.with(|state| {
            for (place, _) in state.list(&place, &query) {
                state.delete(&place);
            }
            json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})
        }),
        ("DELETE", false) => shared.with(|state| {
            let object = state.objects.get(&place).cloned().ok_or(NOT_FOUND)?;
            state.delete(&place);
            Ok(object)
        })?,
        _ => {
            return Err((
                405,
                "MethodNotAllowed",
                "the fake server does not know this method",
            ));
        }
    };
    Ok(success(&answer))
}

fn create(shared: &Shared, place: &Place, mut object: Value) -> Result<Value, Refusal> {
    let is_pod = place.plural == "pods";
    if is_pod {
        object["status"] = json!({"phase": "Pending"});
    }
    let created = shared.with(|state| {
        let is_new = !state.objects.contains_key(place);
        is_new.then(|| state.create(place, object))
    });
    let created = created.ok_or((409, "AlreadyExists", "already exists"))?;
    if is_pod {
        tokio::spawn(shared.clone().kubelet(place.clone(), created.clone()));
    }
    Ok(created)
}

fn witness(
    shared: &Shared,
    path: &str,
    query: &HashMap<String, String>,
    token: &str,
    body: &Bytes,
) -> Result<Response, Refusal> {
    let is_token = |pod: &Value| {
        let variable = &pod["spec"]["containers"][0]["env"][0];
        variable["name"] == env::TOKEN && variable["value"] == token
    };
    let known = |(place, pod): (&Place, &Value)| place.name == "witness" && is_token(pod);
    if !shared.read().objects.iter().any(known) {
        return Err((503, "ServiceUnavailable", "no witness with this token"));
    }
    match path {
        path::TIME => Ok(success(&json!(Time {
            now: Timestamp::now().to_string(),
            stamps: shared.read().stamps.len() as u64,
        }))),
        path::RELEASE => {
            let release = serde_json::from_slice(body).unwrap();
            shared.with(|state| state.releases.push(release));
            Ok(success(&json!({})))
        }
        path::STAMPS => {
            let next: usize = query["from"].parse().unwrap();
            Ok(stream(shared, next - 1, |state, next| {
                let new = state.stamps.iter().skip(*next).cloned().collect();
                *next = state.stamps.len();
                new
            }))
        }
        _ => Err(NOT_FOUND),
    }
}

/// A watch of a collection.
fn changes(shared: &Shared, collection: Place, query: HashMap<String, String>) -> Response {
    let from: u64 = query["resourceVersion"].parse().unwrap();
    stream(shared, from, move |state, from| {
        let new = state.changes.iter().filter(|(version, _, place, object)| {
            version > from && place.is_in(&collection) && selected(object, &query)
        });
        let new = new.map(|(_, kind, _, object)| json!({"type": kind, "object": object}));
        let lines = new.collect();
        *from = state.version;
        lines
    })
}

/// A body with the new lines after every change, until watches end.
fn stream<T: Send + 'static>(
    shared: &Shared,
    mut position: T,
    new: impl Fn(&State, &mut T) -> Vec<Value> + Send + 'static,
) -> Response {
    let opened = shared.read().ends.len();
    let mut changes = shared.0.subscribe();
    let (sender, body) = futures::channel::mpsc::unbounded();
    tokio::spawn(async move {
        loop {
            let (lines, end) = {
                let state = changes.borrow_and_update();
                (new(&state, &mut position), state.ends.get(opened).copied())
            };
            let lines = match end {
                Some(End::Closed) => return,
                Some(End::Expired) => {
                    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410,
                        "reason": "Expired", "message": "too old resource version"});
                    vec![json!({"type": "ERROR", "object": status})]
                }
                None => lines,
            };
            if !lines.is_empty() {
                let text = lines.iter().join("\n") + "\n";
                // Fails if the client has closed the connection.
                let _ = sender.unbounded_send(Ok::<_, std::io::Error>(text));
            }
            if end.is_some() || changes.changed().await.is_err() {
                return;
            }
        }
    });
    Response::new(Body::from_stream(body))
}

fn success(object: &Value) -> Response {
    Response::new(Body::from(object.to_string()))
}

/// The server; stops when dropped.
pub(crate) struct Fake {
    shared: Shared,
    _server: AbortOnDropHandle<()>,
    config: Config,
    pub(crate) client: Client,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let shared = Shared(watch::Sender::new(State {
            version: 1,
            ..State::default()
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().fallback(answer).with_state(shared.clone());
        let server = async move { axum::serve(listener, routes).await.unwrap() };
        let config = Config::new(format!("http://{address}").parse().unwrap());
        Self {
            shared,
            _server: AbortOnDropHandle::new(tokio::spawn(server)),
            client: Client::try_from(config.clone()).unwrap(),
            config,
        }
    }

    /// A cluster for a run, with `tests/fixtures/kubectl`, which forwards ports to this server.
    pub(crate) fn target(&self) -> Target {
        let scratch = Scratch::new().unwrap();
        Target {
            client: self.client.clone(),
            kubectl: Kubectl {
                program: Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kubectl"),
                server: Server::of(&self.config),
                folder: scratch.path.clone(),
                ordinary: false,
                sandbox: None,
            },
            facts: ClusterFacts {
                name: "fake".to_owned(),
                kubernetes: "v1.36.3".to_owned(),
                // Scenarios that do not declare it must not use it, and evidence does not state it.
                capabilities: vec![OUTSIDE.to_owned()],
                ..ClusterFacts::default()
            },
            images: [(AGENT_IMAGE.to_owned(), "hookproof/agent:test".to_owned())].into(),
            node_shell: None,
            outside: None,
            documents: None,
            allowed: Vec::new(),
            _scratch: scratch,
        }
    }

    pub(crate) async fn session(&self) -> Arc<Session> {
        Session::start("run1", self.target()).await.unwrap()
    }

    /// Answers the next such request with a refusal, or closes its connection.
    pub(crate) fn fault(&self, method: &'static str, path: &'static str, answer: Option<Refusal>) {
        let fault = (method, path, answer);
        self.shared.with(|state| state.faults.push(fault));
    }

    /// Closes all watches and streams.
    pub(crate) fn close(&self) {
        self.shared.with(|state| state.ends.push(End::Closed));
    }

    /// Ends all watches because their resource versions are too old.
    pub(crate) fn expire(&self) {
        self.shared.with(|state| state.ends.push(End::Expired));
    }

    /// Creates or replaces an object, without a kubelet.
    pub(crate) fn put(&self, path: &str, object: Value) {
        let place = Place::of(path).unwrap();
        self.shared.with(|state| state.put(&place, object));
    }

    pub(crate) fn remove(&self, path: &str) {
        self.shared
            .with(|state| state.remove(&Place::of(path).unwrap()));
    }

    /// The exit codes of the next processes.
    pub(crate) fn exit_with(&self, codes: impl IntoIterator<Item = u8>) {
        self.shared.with(|state| state.exit_codes.extend(codes));
    }

    /// The names of all namespaces.
    pub(crate) fn namespaces(&self) -> Vec<String> {
        let state = self.shared.read();
        let all = state.objects.keys();
        all.filter(|place| place.plural == "namespaces")
            .map(|place| place.name.clone())
            .collect()
    }

    /// Method and path with query of every request that contains `text`.
    pub(crate) fn requests(&self, text: &str) -> Vec<String> {
        let all = self.shared.read();
        let all = all.requests.iter().map(|(_, request)| request);
        all.filter(|request| request.contains(text))
            .cloned()
            .collect()
    }

    /// The number of requests with this beginning and the token of a scenario.
    pub(crate) fn by_scenario(&self, beginning: &str) -> usize {
        let all = self.shared.read();
        let is_one = |(by_scenario, request): &&(bool, String)| {
            *by_scenario && request.starts_with(beginning)
        };
        all.requests.iter().filter(is_one).count()
    }

    /// An object that exists or existed.
    pub(crate) fn last(&self, path: &str) -> Option<Value> {
        let place = Place::of(path)?;
        let state = self.shared.read();
        let mut changes = state.changes.iter().rev();
        let found = changes.find(|(_, _, known, _)| *known == place);
        found.map(|(.., object)| object.clone())
    }

    /// Waits until this collection is watched.
    pub(crate) async fn watched(&self, path: &str) {
        let start = format!("GET {path}?");
        let is_watch = |(_, request): &(bool, String)| {
            request.starts_with(&start) && request.contains("watch=true")
        };
        let watched = self
            .shared
            .until(|state| state.requests.iter().any(is_watch));
        let limit = Duration::from_secs(30);
        tokio::time::timeout(limit, watched).await.unwrap();
    }
}

/// The catalogue of a suite `test/one`, with further fields and a claim about the entrypoint of the pod `web`.
pub(crate) fn catalogue(manifest: &str, fields: &str, steps: &str) -> Catalogue {
    let suite = format!(
        "scenario: a test\nmanifest: manifests/test/one.yaml\ntakes: 5s\n{fields}steps:\n{steps}\nclaims:\n  - id: test.claim\n    \
         says: The process exits with code 0.\n    control: runs(web.entrypoint) == 1\n    \
         holds: first(stamps(web.entrypoint, 'ended')).data.code == 0\n    \
         fails: first(stamps(web.entrypoint, 'ended')).data.code == 1\n    expect: confirmed\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = utf8(folder.path()).unwrap();
    for (part, text) in [("manifests", manifest), ("suites", &suite)] {
        let file = path.join(format!("{part}/test/one.yaml"));
        write_atomic(&file, text.as_bytes()).unwrap();
    }
    load(&[Source::Folder(path)]).checked().unwrap()
}

pub(crate) fn scenario(manifest: &str, fields: &str, steps: &str) -> Scenario {
    let mut scenarios = catalogue(manifest, fields, steps).scenarios;
    scenarios.pop_first().unwrap().1
}

/// A pod `web` whose entrypoint runs the agent's actions.
pub(crate) fn pod(actions: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n  containers:\n    - name: main\n      \
         image: hookproof/agent\n      command: [agent, entrypoint, {actions}]\n"
    )
}
