//! A run on one cluster: namespace, lease, witness and watches, shared by all scenarios.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::access;
use super::api::ApiServer;
use super::command::Kubectl;
use super::forbidden::is_forbidden;
use super::outside::Outside;
use super::rbac::Rules;
use super::recorder::RunnerClock;
use super::scratch::Scratch;
use super::watch::{self, Router};
use super::witness::{Witness, WitnessError};
use super::workload::{AGENT_IMAGE, RUN_LABEL, SCENARIO_LABEL};
use crate::catalogue::capability::{CLUSTER_OBJECTS, PRIVILEGED_PODS};
use crate::catalogue::model::{Place, Scenario};
use crate::evidence::ClusterFacts;

const RENEW_INTERVAL: Duration = Duration::from_secs(10);
/// A run whose lease has not been renewed for this long has ended or was killed.
const LEASE_TIME: SignedDuration = SignedDuration::from_secs(45);
/// Timeout for the removal of namespaces.
const REMOVAL_TIME: Duration = Duration::from_secs(120);
/// Name of the lease in the run's namespace.
const LEASE: &str = "run";

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("failed to {doing}: {source}")]
    Api {
        doing: String,
        source: Box<kube::Error>,
    },
    #[error("{0}: cannot derive the permissions that this needs; use another command or object")]
    Unknown(Place),
    #[error(transparent)]
    Witness(#[from] WitnessError),
    #[error(
        "timed out after {} s: {count} namespaces of this run are still terminating; run \
         `kubectl get ns -l {RUN_LABEL}` to list them and `hookproof clean` to retry",
        REMOVAL_TIME.as_secs()
    )]
    Removal { count: usize },
}

impl SessionError {
    /// Whether the cluster forbids it.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Api { source, .. } if is_forbidden(source))
    }
}

fn api(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> SessionError {
    let doing = doing.into();
    |source| SessionError::Api {
        doing,
        source: Box::new(source),
    }
}

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

/// The namespace of a scenario, and the only account that its steps use.
pub(super) struct Tenant {
    pub(super) namespace: String,
    pub(super) api: ApiServer,
    pub(super) token: String,
}

/// A run on a cluster.
pub struct Session {
    pub run: String,
    pub target: Target,
    pub api: ApiServer,
    pub router: Router,
    pub witness: Witness,
    /// The token that agents send to the witness.
    pub token: String,
    pub clock: RunnerClock,
    /// The number of the last routed stamp.
    pub stamps_seen: tokio::sync::watch::Receiver<u64>,
    stop: CancellationToken,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
}

impl Session {
    /// Creates the run's namespace, lease, witness and watches.
    pub async fn start(run: &str, mut target: Target) -> Result<Arc<Self>, SessionError> {
        let client = target.client.clone();
        let namespace = format!("hookproof-{run}");
        create_namespace(&client, &namespace, run, None).await?;
        renew(&client, &namespace).await?;
        let token = crate::id::random_id(24);
        let image = target
            .images
            .get(AGENT_IMAGE)
            .map_or(AGENT_IMAGE, String::as_str);
        let witness = Witness::start(client.clone(), &namespace, run, image, &token).await?;
        let clock = witness.clock().await?;
        target.facts.clock_offset = clock.offset_seconds();

        let router = Router::default();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (seen, stamps_seen) = tokio::sync::watch::channel(0);
        tasks.spawn(witness.clone().follow(router.clone(), seen, stop.clone()));
        tasks.spawn(watch::pods(
            client.clone(),
            run.to_owned(),
            router.clone(),
            stop.clone(),
        ));
        tasks.spawn(watch::events(client.clone(), router.clone(), stop.clone()));
        tasks.spawn(keep_renewing(client.clone(), namespace, stop.clone()));
        Ok(Arc::new(Self {
            run: run.to_owned(),
            api: ApiServer::new(client),
            target,
            router,
            witness,
            token,
            clock,
            stamps_seen,
            stop,
            tasks: tokio::sync::Mutex::new(tasks),
        }))
    }

    /// Creates a namespace for a scenario with an account that may do what the scenario needs.
    pub(super) async fn scenario_namespace(
        &self,
        scenario: &Scenario,
        attempt: u32,
    ) -> Result<Tenant, SessionError> {
        let rules = Rules::of_scenario(scenario).map_err(SessionError::Unknown)?;
        let slug = slug(&scenario.id);
        let mut name = format!("hookproof-{}-{slug}", self.run);
        // Names of namespaces have at most 63 characters.
        name.truncate(60);
        if attempt > 1 {
            name = format!("{name}-{attempt}");
        }
        let may = |capability| scenario.may(capability, &self.target.allowed);
        let of = OfScenario {
            slug: &slug,
            pod_security: if may(PRIVILEGED_PODS) {
                "privileged"
            } else {
                "baseline"
            },
        };
        let client = &self.target.client;
        let uid = create_namespace(client, &name, &self.run, Some(of)).await?;
        let place = access::Place {
            namespace: &name,
            uid: &uid,
            run: &self.run,
        };
        let steps = scenario.steps.iter().map(|step| step.cap);
        let longest = steps.fold(REMOVAL_TIME, Duration::saturating_add);
        let in_cluster = may(CLUSTER_OBJECTS);
        let granted = async {
            let token = access::grant(client, &place, &rules, in_cluster, longest).await?;
            let client = self.target.kubectl.server.client(&token)?;
            access::applied(&client, &name, &rules, in_cluster).await?;
            Ok((self.api.with(client), token))
        };
        // Boxed, as futures of requests are large.
        let (api, token) = Box::pin(granted).await.map_err(self::api(format!(
            "restrict the scenario to namespace {name}"
        )))?;
        Ok(Tenant {
            namespace: name,
            api,
            token,
        })
    }

    /// Deletes a namespace without waiting for its removal.
    pub async fn remove_namespace(&self, name: &str) -> Result<(), SessionError> {
        remove_namespace(&self.target.client, name).await
    }

    /// Stops the watches and removes all objects of the run unless `keep` is set.
    pub async fn finish(&self, keep: bool) -> Result<(), SessionError> {
        let removed = if keep {
            Ok(())
        } else {
            remove_run(&self.target.client, &self.run).await
        };
        self.stop.cancel();
        self.tasks.lock().await.shutdown().await;
        removed
    }
}

/// Converts a scenario ID such as `poststart/slow-hook` to a part of a name or label.
pub fn slug(scenario: &str) -> String {
    let mut slug: String = scenario
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    slug.truncate(40);
    slug.trim_matches('-').to_owned()
}

/// What is special about the namespace of a scenario.
struct OfScenario<'a> {
    slug: &'a str,
    /// The Pod Security level that is enforced.
    pod_security: &'a str,
}

const POD_SECURITY: &str = "pod-security.kubernetes.io/enforce";
/// Version 1.34 of `baseline` also forbids hooks and probes with a `host`, which scenarios are about.
const POD_SECURITY_VERSION: &str = "v1.33";

/// Creates a namespace of a run with its default service account, without which no pod can be created.
/// Creating the account avoids waiting for it. It mounts no token, as no scenario needs one. Returns the UID.
async fn create_namespace(
    client: &Client,
    name: &str,
    run: &str,
    scenario: Option<OfScenario<'_>>,
) -> Result<String, SessionError> {
    let mut labels = json!({RUN_LABEL: run});
    if let Some(scenario) = scenario {
        labels[SCENARIO_LABEL] = json!(scenario.slug);
        labels[POD_SECURITY] = json!(scenario.pod_security);
        labels[format!("{POD_SECURITY}-version")] = json!(POD_SECURITY_VERSION);
    }
    let namespace: Namespace =
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}}))
            .map_err(|e| api(format!("build namespace {name}"))(kube::Error::SerdeError(e)))?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let created = namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .map_err(api(format!("create namespace {name}")))?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    accounts
        .patch(
            "default",
            &PatchParams::apply("hookproof").force(),
            &Patch::Apply(json!({"apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": "default"}, "automountServiceAccountToken": false})),
        )
        .await
        .map_err(api(format!(
            "create the service account of namespace {name}"
        )))?;
    Ok(created.uid().unwrap_or_default())
}

async fn remove_namespace(client: &Client, name: &str) -> Result<(), SessionError> {
    // Long grace periods would delay the removal.
    let pods: Api<Pod> = Api::namespaced(client.clone(), name);
    let soon = DeleteParams::default().grace_period(1);
    pods.delete_collection(&soon, &ListParams::default())
        .await
        .map_err(api(format!("delete the pods of namespace {name}")))?;
    delete_namespace(client, name).await
}

async fn delete_namespace(client: &Client, name: &str) -> Result<(), SessionError> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    match namespaces.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(e) => Err(api(format!("delete namespace {name}"))(e)),
    }
}

async fn renew(client: &Client, namespace: &str) -> Result<(), SessionError> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    // The API requires exactly six fractional digits in a MicroTime.
    let now = Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        .to_string();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": LEASE},
        "spec": {"holderIdentity": "hookproof", "renewTime": now},
    });
    leases
        .patch(
            LEASE,
            &PatchParams::apply("hookproof").force(),
            &Patch::Apply(lease),
        )
        .await
        .map_err(api("renew the run's lease"))
        .map(drop)
}

async fn keep_renewing(client: Client, namespace: String, stop: CancellationToken) {
    let mut every = tokio::time::interval(RENEW_INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        if let Err(error) = renew(&client, &namespace).await {
            tracing::warn!("{error}");
        }
    }
}

/// Removes all objects of runs whose lease has expired or is missing, or of every run if `all` is set.
/// Returns the IDs of the removed runs.
pub async fn clean(client: &Client, all: bool) -> Result<Vec<String>, SessionError> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let found = namespaces
        .list(&ListParams::default().labels(RUN_LABEL))
        .await
        .map_err(api("list the namespaces of earlier runs"))?;
    let mut runs: Vec<String> = found
        .iter()
        .filter_map(|ns| ns.labels().get(RUN_LABEL).cloned())
        .collect();
    runs.sort();
    runs.dedup();
    let now = server_time(client).await?;
    let mut removed = Vec::new();
    for run in runs {
        if all || !is_alive(client, &run, &found.items, now).await? {
            remove_run(client, &run).await?;
            removed.push(run);
        }
    }
    Ok(removed)
}

/// The API server's time. Runs of several machines compare their leases by it, as their clocks may differ.
async fn server_time(client: &Client) -> Result<Timestamp, SessionError> {
    let request = http::Request::get("/version")
        .body(kube::client::Body::empty())
        .map_err(|e| api("read the time of the API server")(kube::Error::HttpError(e)))?;
    let answer = client
        .send(request)
        .await
        .map_err(api("read the time of the API server"))?;
    let date = answer.headers().get(http::header::DATE);
    let date = date
        .and_then(|date| date.to_str().ok())
        .and_then(|date| rfc2822::parse(date).ok());
    Ok(date.map_or_else(Timestamp::now, |date| date.timestamp()))
}

/// Whether a run renewed its lease recently, or has just created its namespace and not yet its lease.
async fn is_alive(
    client: &Client,
    run: &str,
    namespaces: &[Namespace],
    now: Timestamp,
) -> Result<bool, SessionError> {
    let own = format!("hookproof-{run}");
    let leases: Api<Lease> = Api::namespaced(client.clone(), &own);
    let lease = leases
        .get_opt(LEASE)
        .await
        .map_err(api("read a run's lease"))?;
    let last = if let Some(lease) = lease {
        // The time of the change by the server's clock; `renewTime` is by the runner's.
        let fields = lease.metadata.managed_fields.into_iter().flatten();
        let written = fields
            .filter_map(|field| field.time)
            .map(|time| time.0)
            .max();
        written.or_else(|| Some(lease.spec?.renew_time?.0))
    } else {
        let mut own = namespaces
            .iter()
            .filter(|namespace| namespace.name_any() == own);
        own.next().and_then(|own| Some(own.creation_timestamp()?.0))
    };
    Ok(last.is_some_and(|last| now.duration_since(last) < LEASE_TIME))
}

/// Removes all objects with the label of a run and waits until they are gone.
pub async fn remove_run(client: &Client, run: &str) -> Result<(), SessionError> {
    let selector = format!("{RUN_LABEL}={run}");
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let listed = ListParams::default().labels(&selector);
    let found = namespaces
        .list(&listed)
        .await
        .map_err(api("list the run's namespaces"))?;
    let classes: Api<k8s_openapi::api::scheduling::v1::PriorityClass> = Api::all(client.clone());
    let deleted = classes
        .delete_collection(&DeleteParams::default(), &listed)
        .await;
    // Whoever may not delete them created none.
    if let Err(error) = deleted
        && !is_forbidden(&error)
    {
        return Err(api("delete the run's priority classes")(error));
    }
    for namespace in &found {
        remove_namespace(client, &namespace.name_any()).await?;
    }
    let gone = async {
        for namespace in &found {
            let uid = namespace.uid().unwrap_or_default();
            let deleted = kube::runtime::conditions::is_deleted(&uid);
            // Errors of the watch are ignored; the namespaces that remain are counted below.
            let _ = await_condition(namespaces.clone(), &namespace.name_any(), deleted).await;
        }
    };
    if tokio::time::timeout(REMOVAL_TIME, gone).await.is_err() {
        let left = namespaces
            .list(&listed)
            .await
            .map(|l| l.items.len())
            .unwrap_or_default();
        if left > 0 {
            return Err(SessionError::Removal { count: left });
        }
    }
    Ok(())
}
