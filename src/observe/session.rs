//! A run on one cluster: namespace, lease, witness and watches, shared by all scenarios.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::conditions::is_deleted;
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::task::JoinSet;

use super::access::Access;
use super::api::{ApiServer, Kinds};
use super::command::Kubectl;
use super::failure::Failure;
use super::forbidden::is_forbidden;
use super::outside::Outside;
use super::rbac::Rules;
use super::recorder::RunnerClock;
use super::scratch::Scratch;
use super::watch::{self, Router};
use super::witness::Witness;
use super::workload::{AGENT_IMAGE, RUN_LABEL, SCENARIO_LABEL};
use crate::catalogue::capability::{CLUSTER_OBJECTS, PRIVILEGED_PODS};
use crate::catalogue::model::Scenario;
use crate::evidence::ClusterFacts;

const RENEW_INTERVAL: Duration = Duration::from_secs(10);
/// A run whose lease has not been renewed for this long has ended or was killed.
const LEASE_TIME: SignedDuration = SignedDuration::from_secs(45);
/// Timeout for the removal of namespaces.
const REMOVAL_TIME: Duration = Duration::from_secs(120);
/// Name of the lease in the run's namespace.
const LEASE: &str = "run";

/// Runs commands on nodes: the capability `node-shell`.
#[derive(Debug, Clone)]
pub struct NodeShell {
    /// Program and first arguments, followed by the node's name and the command.
    pub prefix: Vec<String>,
    /// The cluster's nodes.
    pub nodes: Vec<String>,
}

/// A cluster for a run.
pub struct Target {
    pub client: Client,
    pub kubectl: Kubectl,
    /// Facts known before the run.
    pub facts: ClusterFacts,
    /// Images with tags, by the names that manifests use.
    pub images: BTreeMap<String, String>,
    pub node_shell: Option<NodeShell>,
    pub outside: Option<Outside>,
    /// The directory of the documents, if given.
    pub documents: Option<Utf8PathBuf>,
    /// Capabilities that the user allows suites to use.
    pub allowed: Vec<String>,
    /// Temporary files of the run, removed on drop.
    pub _scratch: Scratch,
}

/// A run on a cluster.
pub struct Session {
    pub run: String,
    pub target: Target,
    kinds: Kinds,
    pub router: Router,
    pub witness: Witness,
    pub clock: RunnerClock,
    /// The number of the last routed stamp.
    pub stamps_seen: tokio::sync::watch::Receiver<u64>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
}

impl Session {
    /// Creates the run's namespace, lease, witness and watches.
    pub async fn start(run: &str, mut target: Target) -> Result<Arc<Self>, Failure> {
        let client = target.client.clone();
        let namespace = format!("hookproof-{run}");
        create_namespace(&client, &namespace, &[(RUN_LABEL, run)]).await?;
        renew(&client, &namespace).await?;
        let token = crate::id::random_id(24);
        let image = target.images.get(AGENT_IMAGE);
        let image = image.map_or(AGENT_IMAGE, String::as_str);
        let witness = Witness::start(client.clone(), &namespace, run, image, &token).await?;
        let clock = witness.clock().await?;
        target.facts.clock_offset = clock.offset.as_secs_f64();

        let router = Router::default();
        let mut tasks = JoinSet::new();
        let (seen, stamps_seen) = tokio::sync::watch::channel(0);
        tasks.spawn(witness.clone().follow(router.clone(), seen));
        tasks.spawn(watch::pods(client.clone(), run.to_owned(), router.clone()));
        tasks.spawn(watch::events(client.clone(), router.clone()));
        tasks.spawn(keep_renewing(client, namespace));
        Ok(Arc::new(Self {
            run: run.to_owned(),
            kinds: Kinds::default(),
            target,
            router,
            witness,
            clock,
            stamps_seen,
            tasks: tokio::sync::Mutex::new(tasks),
        }))
    }

    /// Creates a namespace for a scenario with an account that may do what the scenario needs.
    pub(super) async fn scenario_namespace(
        &self,
        scenario: &Scenario,
        attempt: u32,
    ) -> Result<ApiServer, Failure> {
        let rules = Rules::of_scenario(scenario).map_err(|place| {
            format!(
                "{place}: cannot derive the permissions that this needs; use another command or object"
            )
        })?;
        let slug = slug(&scenario.id);
        let mut name = format!("hookproof-{}-{slug}", self.run);
        // Names of namespaces have at most 63 characters.
        name.truncate(60);
        if attempt > 1 {
            name = format!("{name}-{attempt}");
        }
        let may = |capability| scenario.may(capability, &self.target.allowed);
        let level = if may(PRIVILEGED_PODS) {
            "privileged"
        } else {
            "baseline"
        };
        let labels = [
            (RUN_LABEL, self.run.as_str()),
            (SCENARIO_LABEL, &slug),
            ("pod-security.kubernetes.io/enforce", level),
            POD_SECURITY_VERSION,
        ];
        let client = &self.target.client;
        let uid = create_namespace(client, &name, &labels).await?;
        let (in_namespace, mut in_cluster) = rules.by_scope();
        if !may(CLUSTER_OBJECTS) {
            in_cluster.clear();
        }
        let access = Access {
            namespace: &name,
            uid: &uid,
            run: &self.run,
            in_namespace,
            in_cluster,
        };
        let steps = scenario.steps.iter().map(|step| step.cap);
        let longest = steps.fold(REMOVAL_TIME, Duration::saturating_add);
        // Boxed, as futures of requests are large.
        let granted = Box::pin(access.grant(client, &self.target.kubectl.server, longest)).await;
        let doing = format!("restrict the scenario to namespace {name}");
        let (client, token) = granted.map_err(Failure::to(doing))?;
        Ok(ApiServer {
            namespace: name,
            client,
            token,
            kinds: self.kinds.clone(),
        })
    }

    /// Stops the watches and removes all objects of the run unless `keep` is set.
    pub async fn finish(&self, keep: bool) -> Result<(), Failure> {
        let removed = if keep {
            Ok(())
        } else {
            remove_run(&self.target.client, &self.run).await
        };
        self.tasks.lock().await.shutdown().await;
        removed
    }
}

/// Converts a scenario ID such as `poststart/slow-hook` to a part of a name or label.
pub fn slug(scenario: &str) -> String {
    let other = |c: char| !c.is_ascii_alphanumeric();
    let mut slug = scenario.to_ascii_lowercase().replace(other, "-");
    slug.truncate(40);
    slug.trim_matches('-').to_owned()
}

/// Version 1.34 of `baseline` also forbids hooks and probes with a `host`, which scenarios are about.
const POD_SECURITY_VERSION: (&str, &str) = ("pod-security.kubernetes.io/enforce-version", "v1.33");

/// Creates a namespace of a run with its default service account, without which no pod can be created.
/// Creating the account avoids waiting for it. It mounts no token, as no scenario needs one. Returns the UID.
async fn create_namespace(
    client: &Client,
    name: &str,
    labels: &[(&str, &str)],
) -> Result<String, Failure> {
    let labels = labels.iter();
    let labels = labels.map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.to_owned());
    namespace.metadata.labels = Some(labels.collect());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let created = namespaces.create(&PostParams::default(), &namespace).await;
    let created = created.map_err(Failure::to(format!("create namespace {name}")))?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "default"}, "automountServiceAccountToken": false});
    let account = Patch::Apply(account);
    let params = PatchParams::apply("hookproof").force();
    let applied = accounts.patch("default", &params, &account).await;
    applied.map_err(Failure::to(format!(
        "create the service account of namespace {name}"
    )))?;
    Ok(created.uid().unwrap_or_default())
}

/// Deletes a namespace without waiting for its removal.
pub(super) async fn remove_namespace(client: &Client, name: &str) -> Result<(), Failure> {
    // Long grace periods would delay the removal.
    let pods: Api<Pod> = Api::namespaced(client.clone(), name);
    let soon = DeleteParams::default().grace_period(1);
    let deleted = pods.delete_collection(&soon, &ListParams::default()).await;
    deleted.map_err(Failure::to(format!("delete the pods of namespace {name}")))?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    match namespaces.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        deleted => deleted
            .map(drop)
            .map_err(Failure::to(format!("delete namespace {name}"))),
    }
}

async fn renew(client: &Client, namespace: &str) -> Result<(), Failure> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    // The API requires exactly six fractional digits in a MicroTime.
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
    let lease = Patch::Apply(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": LEASE},
        "spec": {"holderIdentity": "hookproof", "renewTime": now.to_string()},
    }));
    let params = PatchParams::apply("hookproof").force();
    let renewed = leases.patch(LEASE, &params, &lease).await;
    renewed
        .map_err(Failure::to("renew the run's lease"))
        .map(drop)
}

async fn keep_renewing(client: Client, namespace: String) {
    let mut every = tokio::time::interval(RENEW_INTERVAL);
    loop {
        every.tick().await;
        if let Err(error) = renew(&client, &namespace).await {
            tracing::warn!("{error}");
        }
    }
}

/// Removes all objects of runs whose lease has expired or is missing, or of every run if `all` is set.
/// Returns the IDs of the removed runs.
pub async fn clean(client: &Client, all: bool) -> Result<Vec<String>, Failure> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let ours = ListParams::default().labels(RUN_LABEL);
    let found = namespaces.list(&ours).await;
    let found = found.map_err(Failure::to("list the namespaces of earlier runs"))?;
    let runs = found.iter().filter_map(|ns| ns.labels().get(RUN_LABEL));
    let runs: BTreeSet<&String> = runs.collect();
    let now = server_time(client).await?;
    let mut removed = Vec::new();
    for run in runs {
        if all || !is_alive(client, run, &found.items, now).await? {
            remove_run(client, run).await?;
            removed.push(run.clone());
        }
    }
    Ok(removed)
}

/// The API server's time. Runs of several machines compare their leases by it, as their clocks may differ.
async fn server_time(client: &Client) -> Result<Timestamp, Failure> {
    let mut request = http::Request::new(kube::client::Body::empty());
    *request.uri_mut() = http::Uri::from_static("/version");
    let answer = client.send(request).await;
    let answer = answer.map_err(Failure::to("read the time of the API server"))?;
    let date = answer.headers().get(http::header::DATE);
    let date = date.and_then(|date| rfc2822::parse(date.to_str().ok()?).ok());
    Ok(date.map_or_else(Timestamp::now, |date| date.timestamp()))
}

/// Whether a run renewed its lease recently, or has just created its namespace and not yet its lease.
async fn is_alive(
    client: &Client,
    run: &str,
    namespaces: &[Namespace],
    now: Timestamp,
) -> Result<bool, Failure> {
    let own = format!("hookproof-{run}");
    let leases: Api<Lease> = Api::namespaced(client.clone(), &own);
    let lease = leases.get_opt(LEASE).await;
    let last = if let Some(lease) = lease.map_err(Failure::to("read a run's lease"))? {
        // The time of the change by the server's clock; `renewTime` is by the runner's.
        let fields = lease.metadata.managed_fields.into_iter().flatten();
        let written = fields.filter_map(|field| Some(field.time?.0)).max();
        written.or_else(|| Some(lease.spec?.renew_time?.0))
    } else {
        let own = namespaces.iter().find(|known| known.name_any() == own);
        own.and_then(|own| Some(own.creation_timestamp()?.0))
    };
    Ok(last.is_some_and(|last| now.duration_since(last) < LEASE_TIME))
}

/// Removes all objects with the label of a run and waits until they are gone.
pub async fn remove_run(client: &Client, run: &str) -> Result<(), Failure> {
    let ours = ListParams::default().labels(&format!("{RUN_LABEL}={run}"));
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let found = namespaces.list(&ours).await;
    let found = found.map_err(Failure::to("list the run's namespaces"))?;
    let classes: Api<PriorityClass> = Api::all(client.clone());
    let params = DeleteParams::default();
    match classes.delete_collection(&params, &ours).await {
        // Whoever may not delete them created none.
        Err(error) if !is_forbidden(&error) => {
            return Err(Failure::to("delete the run's priority classes")(error));
        }
        _ => {}
    }
    for namespace in &found {
        remove_namespace(client, &namespace.name_any()).await?;
    }
    let gone = async {
        for namespace in &found {
            let uid = namespace.uid().unwrap_or_default();
            let deleted = is_deleted(&uid);
            // Errors of the watch are ignored; the namespaces that remain are counted below.
            let _ = await_condition(namespaces.clone(), &namespace.name_any(), deleted).await;
        }
    };
    if tokio::time::timeout(REMOVAL_TIME, gone).await.is_err() {
        let left = namespaces.list(&ours).await;
        let count = left.map(|left| left.items.len()).unwrap_or_default();
        if count > 0 {
            return Err(Failure::from(format!(
                "timed out after {} s: {count} namespaces of this run are still terminating; run \
                 `kubectl get ns -l {RUN_LABEL}` to list them and `hookproof clean` to retry",
                REMOVAL_TIME.as_secs()
            )));
        }
    }
    Ok(())
}
