//! Runs a scenario's steps on a cluster and returns the evidence.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use hookproof_protocol::{EVERY, Release};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::catalogue::capability::{NODE_SHELL, OUTSIDE};
use crate::catalogue::model::{Manifest, Scenario};
use crate::catalogue::moment::MomentMatcher;
use crate::catalogue::placeholder::mentions;
use crate::catalogue::step::{Action, Step, refused};

use super::api::{Answer, ApiServer};
use super::command::{Program, Running, Workplace};
use super::failure::Failure;
use super::fill::{Filler, Known};
use super::forbidden;
use super::listing;
use super::outside::Host;
use super::recorder::{LiveLine, Recorder};
use super::secrets::Secrets;
use super::session::{Session, remove_namespace, slug};
use super::timeline;
use super::workload::{Additions, objects, without_bookkeeping};
use crate::evidence::{Entry, Evidence, Problem, SCHEMA, Seen};

/// Timeout for the last stamps to arrive after the steps.
const LAST_STAMPS: Duration = Duration::from_secs(10);
/// Timeout for programs to exit once they are interrupted.
const PROGRAM_END: Duration = Duration::from_secs(10);

struct Runner<'a> {
    session: &'a Session,
    scenario: &'a Scenario,
    api: ApiServer,
    /// Where kubectl runs, once a step needs it.
    workplace: OnceLock<Workplace>,
    recorder: Recorder,
    additions: Additions,
    background: HashMap<String, Background>,
    outside: Vec<(String, Host)>,
}

/// A kubectl command that runs in the background.
struct Background {
    stop: CancellationToken,
    done: JoinHandle<()>,
}

/// Runs the scenario's steps in a new namespace and records everything. Failures are recorded in
/// [`Evidence::problems`]. The namespace is removed unless `keep` is set.
pub async fn observe(
    session: &Session,
    scenario: &Scenario,
    attempt: u32,
    keep: bool,
    stop: &CancellationToken,
    on_step: impl Fn(String),
) -> Evidence {
    let recorder = Recorder::new(session.clock);
    let began = session.clock.now();
    let problems = match session.scenario_namespace(scenario, attempt).await {
        Err(failure) => vec![problem("create the scenario's namespace", &failure)],
        Ok(api) => {
            let namespace = api.namespace.clone();
            session.router.add(&namespace, recorder.clone());
            let mut runner = Runner {
                session,
                scenario,
                api,
                workplace: OnceLock::new(),
                recorder: recorder.clone(),
                additions: Additions {
                    run: session.run.clone(),
                    scenario: slug(&scenario.id),
                    images: session.target.images.clone(),
                    witness: session.witness.address.clone(),
                    token: session.witness.token.clone(),
                },
                background: HashMap::new(),
                outside: Vec::new(),
            };
            let problems = runner.observe(stop, on_step).await;
            session.router.remove(&namespace);
            // A pod is not removed while one of its hooks is running.
            let every = Release {
                namespace: namespace.clone(),
                name: EVERY.to_owned(),
                ..Release::default()
            };
            if let Err(error) = session.witness.release(&every).await {
                tracing::warn!("{error}");
            }
            if !keep && let Err(error) = remove_namespace(&session.target.client, &namespace).await
            {
                // The end of the run retries and reports a failure.
                tracing::warn!("{error}");
            }
            problems
        }
    };
    let ended = session.clock.now();
    let mut entries = recorder.entries();
    // The run's token, which allows writing to the evidence, and credentials of any kind.
    let secrets = Secrets::new(&session.witness.token);
    for entry in &mut entries {
        if let Seen::Output(output) = &mut entry.seen {
            let values = output.data.values_mut();
            values.for_each(|value| secrets.redact(value));
        }
    }
    Evidence {
        schema: SCHEMA.to_owned(),
        scenario: scenario.id.clone(),
        scenario_digest: scenario.digest.clone(),
        run: session.run.clone(),
        cluster: scenario.facts(&session.target.facts, &session.target.allowed),
        began,
        ended,
        attempt,
        timeline: timeline::build(entries),
        problems,
    }
}

fn problem(doing: &str, failure: &Failure) -> Problem {
    Problem {
        doing: doing.to_owned(),
        what: failure.to_string(),
        forbidden: failure.is_forbidden(),
    }
}

impl Runner<'_> {
    /// Runs the steps, and waits for everything that they caused. The most important problem comes first.
    async fn observe(
        &mut self,
        stop: &CancellationToken,
        on_step: impl Fn(String),
    ) -> Vec<Problem> {
        let mut problems = Vec::from_iter(self.steps(stop, on_step).await);
        self.end_background().await;
        if let Some((name, why)) = forbidden::by_kubectl(&self.recorder.entries()) {
            let doing = format!("kubectl step `{name}`");
            problems.insert(0, problem(&doing, &Failure::refused(403, why)));
        }
        if let Err(what) = self.last_stamps().await {
            problems.push(problem("collect the last stamps", &what));
        }
        if !problems.is_empty() {
            self.describe_pods().await;
        }
        problems
    }

    async fn steps(
        &mut self,
        stop: &CancellationToken,
        on_step: impl Fn(String),
    ) -> Option<Problem> {
        for step in &self.scenario.steps {
            let words = step.in_words(&self.scenario.manifests);
            let version = &self.session.target.facts.kubernetes;
            if let Some(range) = &step.kubernetes
                && !range.contains(version)
            {
                let text = format!("{words}: only on Kubernetes {}", range.text);
                self.recorder.note("skipped", text);
                continue;
            }
            on_step(words.clone());
            self.recorder.note("step", words.clone());
            let cap = step.cap;
            // A program is interrupted at its cap; then its output is kept.
            let limit = match step.action {
                Action::Kubectl { .. } | Action::Node { .. } => cap.saturating_add(PROGRAM_END),
                _ => cap,
            };
            let done = tokio::select! {
                () = stop.cancelled() => Err("the run was interrupted".into()),
                done = tokio::time::timeout(limit, self.step(step)) => match done {
                    Ok(done) => done,
                    Err(_) if matches!(step.action, Action::Until { optional: true, .. }) => {
                        self.recorder.note("optional", format!("{words}: timed out"));
                        Ok(())
                    }
                    Err(_) => Err(match forbidden::behind_a_timeout(&self.recorder.entries()) {
                        Some(why) => Failure::refused(403, why),
                        None => format!("timed out after {} s", cap.as_secs_f64()).into(),
                    }),
                },
            };
            if let Err(failure) = done {
                return Some(problem(&format!("{words} ({})", step.place), &failure));
            }
        }
        None
    }

    async fn step(&mut self, step: &Step) -> Result<(), Failure> {
        let name = step.name.as_deref();
        match &step.action {
            Action::Apply { manifest, dry_run } => self.apply(*manifest, *dry_run, name).await,
            Action::Delete { object, grace } => {
                let begin = self.recorder.now();
                let answer = self.api.delete(object, *grace).await?;
                self.answered(name, "delete", begin, &answer)
            }
            Action::Until { moment, .. } => self.until(moment).await,
            Action::Kubectl {
                args,
                stdin,
                background,
                ordinary_user,
            } => {
                let (_folder, files) = self.files(args).await?;
                let mut filler = self.filler(None);
                filler.known.extend(files);
                let args = filler.fill_all(args).await?;
                let stdin = match stdin {
                    Some(text) => Some(filler.fill(text).await?),
                    None => None,
                };
                // Placeholders may have changed what was checked when the suite was read.
                if let Some(message) = refused(&args, Some(&self.workplace()?.path)) {
                    return Err(message.into());
                }
                let program = self.kubectl(args, stdin, *ordinary_user)?;
                self.run(program, name.unwrap_or("kubectl"), *background, step.cap)
                    .await
            }
            Action::Outside { container, args } => self.outside(container, args).await,
            Action::Node { pod, args } => self.on_node(pod, args, name, step.cap).await,
            Action::Release {
                hold,
                pod,
                container,
                start,
            } => {
                let wanted = Release {
                    namespace: self.api.namespace.clone(),
                    name: hold.clone(),
                    pod: pod.clone(),
                    container: container.clone(),
                    start: start.map(u64::from),
                    role: None,
                };
                Ok(self.session.witness.release(&wanted).await?)
            }
            Action::Stop { name } | Action::Ended { name } => match self.background.remove(name) {
                Some(Background { stop, done }) => {
                    if matches!(step.action, Action::Stop { .. }) {
                        stop.cancel();
                    }
                    Ok(done.await.map_err(|e| e.to_string())?)
                }
                None => Err(format!("no background step named `{name}` is running").into()),
            },
            Action::Http { through, path } => self.http(through, path, name).await,
            Action::Get { object } => {
                let begin = self.recorder.now();
                // An object that is gone is an answer too: the output then has no `object`.
                let data = match self.api.get_opt(object).await? {
                    Some(mut object) => {
                        without_bookkeeping(&mut object);
                        json!({"object": object})
                    }
                    None => json!({}),
                };
                self.keep(name, "get", begin, data);
                Ok(())
            }
            Action::Pause { time, .. } => {
                tokio::time::sleep(*time).await;
                Ok(())
            }
        }
    }

    async fn apply(
        &self,
        manifest: usize,
        dry_run: bool,
        name: Option<&str>,
    ) -> Result<(), Failure> {
        let manifest = self.scenario.manifests.get(manifest);
        let manifest = manifest.ok_or("the scenario has no such manifest")?;
        let begin = self.recorder.now();
        for object in self.prepared(manifest).await? {
            let answer = self.api.create(&object, dry_run).await?;
            if !answer.accepted {
                return self.answered(name, "apply", begin, &answer);
            }
        }
        self.answered(name, "apply", begin, &Answer::accepted(201))
    }

    /// The manifest's objects with placeholders resolved and additions made.
    async fn prepared(&self, manifest: &Manifest) -> Result<Vec<Value>, Failure> {
        let text = self.filler(None).fill(&manifest.text).await?;
        let mut objects = objects(&manifest.path, &text)?;
        for object in &mut objects {
            self.additions.add_to(object);
        }
        Ok(objects)
    }

    /// The folder for kubectl, with its kubeconfig.
    fn workplace(&self) -> Result<&Workplace, Failure> {
        if let Some(made) = self.workplace.get() {
            return Ok(made);
        }
        let kubectl = &self.session.target.kubectl;
        let made = kubectl.workplace(&self.api.namespace, &self.api.token);
        let made = made.map_err(|e| format!("failed to create kubectl's folder: {e}"))?;
        Ok(self.workplace.get_or_init(|| made))
    }

    /// A kubectl command of the scenario.
    fn kubectl(
        &self,
        args: Vec<String>,
        stdin: Option<String>,
        ordinary_user: bool,
    ) -> Result<Program, Failure> {
        let kubectl = &self.session.target.kubectl;
        Ok(Program {
            command: kubectl.command(self.workplace()?, &args, ordinary_user),
            step: "kubectl",
            shown: std::iter::once("kubectl".to_owned()).chain(args).collect(),
            stdin,
        })
    }

    /// Writes the files for the placeholders `{manifest}` and `{listing:NAME}` in `args`. They are removed with their
    /// folder.
    async fn files(&self, args: &[String]) -> Result<(Option<TempDir>, Vec<Known>), Failure> {
        let mut files = Vec::new();
        let mentioned = |word: &str| args.iter().any(|arg| mentions(arg, word));
        if !mentioned("manifest") && !mentioned("listing") {
            return Ok((None, files));
        }
        let folder = tempfile::tempdir_in(&self.workplace()?.path)
            .map_err(|e| format!("failed to create a temporary directory: {e}"))?;
        let mut write = |word, name: &str, file: String, text: &str| {
            let path = folder.path().join(file);
            let value = path.display().to_string();
            std::fs::write(path, text).map_err(|e| format!("failed to write {value}: {e}"))?;
            let name = name.to_owned();
            files.push(Known { word, name, value });
            Ok::<_, String>(())
        };
        if mentioned("manifest") {
            for (index, manifest) in self.scenario.manifests.iter().enumerate() {
                let objects = self.prepared(manifest).await?;
                let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
                let file = format!("{index}.json");
                write("manifest", &manifest.path, file, &list.to_string())?;
            }
        }
        if mentioned("listing") {
            let documents = self.session.target.documents.as_deref();
            let documents = documents.ok_or("the run has no documents; pass --documents")?;
            for (name, citation) in &self.scenario.listings {
                let text = listing::read(documents, citation)?;
                write("listing", name, format!("{name}.yaml"), &text)?;
            }
        }
        Ok((Some(folder), files))
    }

    /// Starts a container outside the cluster.
    async fn outside(&mut self, name: &str, args: &[String]) -> Result<(), Failure> {
        let target = &self.session.target;
        let outside = target.outside.as_ref();
        let outside = outside.filter(|_| self.scenario.may(OUTSIDE, &target.allowed));
        let outside = outside.ok_or("the cluster has no capability `outside`")?;
        let args = self.filler(None).fill_all(args).await?;
        let host = outside.start(name, &args, &self.recorder).await?;
        self.outside.push((name.to_owned(), host));
        Ok(())
    }

    fn filler<'b>(&'b self, pod: Option<&'b str>) -> Filler<'b> {
        let addresses = self.outside.iter().map(|(name, host)| {
            let (word, value) = ("outside_ip", host.address.to_string());
            let name = name.clone();
            Known { word, name, value }
        });
        Filler {
            api: &self.api,
            pod,
            known: addresses.collect(),
        }
    }

    /// Records the answer of the API server. A refusal is an error unless the step keeps it with `as`.
    fn answered(
        &self,
        name: Option<&str>,
        step: &str,
        begin: Timestamp,
        answer: &Answer,
    ) -> Result<(), Failure> {
        // Admission control forbids; only validation answers the question of a step.
        if !answer.accepted && (name.is_none() || answer.is_forbidden()) {
            let what = format!(
                "the API server rejected the request ({} {}): {}",
                answer.code, answer.reason, answer.message
            );
            return Err(Failure::refused(answer.code, what));
        }
        self.keep(name, step, begin, json!(answer));
        Ok(())
    }

    fn keep(&self, name: Option<&str>, step: &str, begin: Timestamp, data: Value) {
        let end = self.recorder.now();
        self.recorder
            .output(name.unwrap_or(step), step, begin, end, data);
    }

    async fn until(&self, moment: &str) -> Result<(), Failure> {
        let wanted = self.scenario.moments.get(moment);
        let wanted = wanted.ok_or("the scenario declares no such moment")?;
        let matcher = MomentMatcher::new(wanted)?;
        let of_entry = |entry: &Entry| matcher.matches(entry);
        let of_line = |line: &LiveLine| matcher.matches_line(&line.output, &line.text);
        let nth = wanted.nth.max(1);
        self.recorder.wait(nth, of_entry, of_line).await;
        Ok(())
    }

    async fn run(
        &mut self,
        program: Program,
        name: &str,
        background: bool,
        cap: Duration,
    ) -> Result<(), Failure> {
        let called = program.shown.first().cloned().unwrap_or_default();
        let running = Running::start(program, name, &self.recorder)
            .map_err(|e| format!("failed to start {called}: {e}"))?;
        let stop = CancellationToken::new();
        if background {
            let token = stop.clone();
            // Without a cap: it runs until it exits, until a `stop` step or until the end of the scenario.
            let done = tokio::spawn(async move { running.finish(Duration::MAX, &token).await });
            self.background
                .insert(name.to_owned(), Background { stop, done });
        } else {
            running.finish(cap, &stop).await;
        }
        Ok(())
    }

    async fn on_node(
        &mut self,
        pod: &str,
        args: &[String],
        name: Option<&str>,
        cap: Duration,
    ) -> Result<(), Failure> {
        let target = &self.session.target;
        let shell = target.node_shell.as_ref();
        let Some(shell) = shell.filter(|_| self.scenario.may(NODE_SHELL, &target.allowed)) else {
            // Claims that read the output require the capability and are reported as not applicable.
            self.recorder.note(
                "skipped",
                format!("node {}: the cluster has no {NODE_SHELL}", args.join(" ")),
            );
            return Ok(());
        };
        let object = self.api.get(&format!("pod/{pod}")).await?;
        let node = object["spec"]["nodeName"].as_str().unwrap_or_default();
        if node.is_empty() {
            let text =
                format!("pod {pod} is not scheduled yet; add an `until` step before this one");
            return Err(text.into());
        }
        // The name leads to a container of this machine, and a manifest can set it.
        if !shell.nodes.iter().any(|known| known == node) {
            let text = format!("pod {pod} is on `{node}`, which is not a node of this cluster");
            return Err(text.into());
        }
        let args = self.filler(Some(pod)).fill_all(args).await?;
        let mut command = Command::new(&shell.prefix[0]);
        command.args(&shell.prefix[1..]).arg(node).args(&args);
        let program = Program {
            command,
            step: "node",
            shown: args,
            stdin: None,
        };
        self.run(program, name.unwrap_or("node"), false, cap).await
    }

    async fn http(&self, through: &str, path: &str, name: Option<&str>) -> Result<(), Failure> {
        let begin = self.recorder.now();
        let port = self.forwarded_port(through).await?;
        let data = match super::http::get(port, path).await {
            Ok((status, body)) => json!({"status": status, "body": body, "error": null}),
            Err(error) => json!({"status": null, "body": null, "error": error.to_string()}),
        };
        self.keep(name, "http", begin, data);
        Ok(())
    }

    /// Waits until a port-forward prints its local port.
    async fn forwarded_port(&self, through: &str) -> Result<u16, Failure> {
        let mut port = None;
        let shows_port = |line: &LiveLine| {
            if line.output == through && port.is_none() {
                let rest = line.text.strip_prefix("Forwarding from 127.0.0.1:");
                port = rest.and_then(|rest| rest.split(' ').next()?.parse().ok());
            }
            port.is_some()
        };
        self.recorder.wait(1, |_| false, shows_port).await;
        Ok(port.ok_or_else(|| format!("`{through}` printed no local port"))?)
    }

    async fn end_background(&mut self) {
        for (name, Background { stop, done }) in self.background.drain() {
            stop.cancel();
            if tokio::time::timeout(PROGRAM_END, done).await.is_err() {
                let text = format!("`{name}` did not exit within {} s", PROGRAM_END.as_secs());
                self.recorder.note("background", text);
            }
        }
    }

    /// Waits for every stamp that the witness received before the steps ended.
    async fn last_stamps(&self) -> Result<(), Failure> {
        let wanted = self.session.witness.time().await?.stamps;
        let mut seen = self.session.stamps_seen.clone();
        match tokio::time::timeout(LAST_STAMPS, seen.wait_for(|n| *n >= wanted)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Failure::from(format!(
                "the witness has {wanted} stamps; fewer arrived within {} s",
                LAST_STAMPS.as_secs()
            ))),
        }
    }

    /// Records `kubectl describe pods` for diagnosis before the namespace is removed.
    async fn describe_pods(&self) {
        let args = ["describe", "pods"].map(str::to_owned).to_vec();
        if let Ok(program) = self.kubectl(args, None, false)
            && let Ok(running) = Running::start(program, "at_problem", &self.recorder)
        {
            let cap = Duration::from_secs(10);
            running.finish(cap, &CancellationToken::new()).await;
        }
    }
}

#[cfg(test)]
mod tests;
