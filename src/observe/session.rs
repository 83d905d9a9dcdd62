//! A run on one cluster: its namespace, lease, witness and watches, shared by all scenarios.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::api::ApiServer;
use super::command::Kubectl;
use super::evidence::ClusterFacts;
use super::outside::Outside;
use super::recorder::RunnerClock;
use super::scratch::Scratch;
use super::watch::{self, Router};
use super::witness::{Witness, WitnessError};
use super::workload::{AGENT_IMAGE, RUN_LABEL, SCENARIO_LABEL};

/// How often the run's lease is renewed.
const RENEW: Duration = Duration::from_secs(10);
/// A run whose lease is older than this is over, however it ended.
const LEASE_TIME: SignedDuration = SignedDuration::from_secs(45);
/// How long namespaces may take to go away.
const REMOVAL_TIME: Duration = Duration::from_secs(120);
/// Name of the lease in the run's namespace.
const LEASE: &str = "run";

/// What keeps a run from using a cluster.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The API server refused or was not reached.
    #[error("{doing}: {source}")]
    Api {
        /// What was asked.
        doing: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// The witness could not be used.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// Namespaces did not go away.
    #[error(
        "{count} namespaces of this run are still being removed after {}s; `hookproof clean` \
         tries again, `kubectl get ns -l {RUN_LABEL}` shows them",
        REMOVAL_TIME.as_secs()
    )]
    Removal {
        /// How many.
        count: usize,
    },
}

fn api(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> SessionError {
    let doing = doing.into();
    |source| SessionError::Api {
        doing,
        source: Box::new(source),
    }
}

/// Runs a command on a node, given by name: the capability `node-shell`.
#[derive(Debug, Clone)]
pub struct NodeShell {
    /// Program and first arguments; node name and command follow.
    pub prefix: Vec<String>,
}

/// A cluster as a run is given it.
pub struct Target {
    /// The client.
    pub client: Client,
    /// kubectl for it.
    pub kubectl: Kubectl,
    /// What is known about it before the run.
    pub facts: ClusterFacts,
    /// The images of pods as the nodes have them, by the names that manifests use.
    pub images: BTreeMap<String, String>,
    /// How to run a command on its nodes, where that's possible.
    pub node_shell: Option<NodeShell>,
    /// How containers beside the nodes are made, where that's possible.
    pub outside: Option<Outside>,
    /// The folder with the documents, where the run was given one.
    pub documents: Option<Utf8PathBuf>,
    /// Temporary files of the run; they go away with this value.
    pub scratch: Scratch,
}

/// A run on a cluster.
pub struct Session {
    /// The run's id.
    pub run: String,
    /// The cluster.
    pub target: Target,
    /// Its API.
    pub api: ApiServer,
    /// Which namespace is whose.
    pub router: Router,
    /// The witness.
    pub witness: Witness,
    /// The token that agents show to the witness.
    pub token: String,
    /// The clock.
    pub clock: RunnerClock,
    /// How many stamps have been passed on.
    pub stamps_seen: tokio::sync::watch::Receiver<u64>,
    namespace: String,
    stop: CancellationToken,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
}

impl Session {
    /// Makes the cluster ready for scenarios.
    ///
    /// # Errors
    /// When the run's namespace, lease or witness cannot be made.
    pub async fn start(run: &str, mut target: Target) -> Result<Arc<Self>, SessionError> {
        let client = target.client.clone();
        let namespace = format!("hookproof-{run}");
        create_namespace(&client, &namespace, run, None).await?;
        renew(&client, &namespace).await?;
        let token = crate::run::random_id(24);
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
        tasks.spawn(keep_renewing(
            client.clone(),
            namespace.clone(),
            stop.clone(),
        ));
        Ok(Arc::new(Self {
            run: run.to_owned(),
            api: ApiServer::new(client),
            target,
            router,
            witness,
            token,
            clock,
            stamps_seen,
            namespace,
            stop,
            tasks: tokio::sync::Mutex::new(tasks),
        }))
    }

    /// Makes a scenario's namespace.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn scenario_namespace(
        &self,
        scenario: &str,
        attempt: u32,
    ) -> Result<String, SessionError> {
        let slug = slug(scenario);
        let mut name = format!("hookproof-{}-{slug}", self.run);
        // A namespace's name has at most 63 characters.
        name.truncate(60);
        if attempt > 1 {
            name = format!("{name}-{attempt}");
        }
        create_namespace(&self.target.client, &name, &self.run, Some(&slug)).await?;
        Ok(name)
    }

    /// Begins to remove a namespace, without waiting for it.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn remove_namespace(&self, name: &str) -> Result<(), SessionError> {
        remove_namespace(&self.target.client, name).await
    }

    /// Ends the watches and removes everything of the run, unless it is to be kept.
    ///
    /// # Errors
    /// When something could not be removed in time.
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

    /// The run's own namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// `poststart/slow-hook` as part of a name or a label.
#[must_use]
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

/// Makes a namespace of a run. Its service account is made here rather than waited for: a pod
/// cannot be created before it is there. It mounts no token, which no scenario needs.
async fn create_namespace(
    client: &Client,
    name: &str,
    run: &str,
    scenario: Option<&str>,
) -> Result<(), SessionError> {
    let mut labels = json!({RUN_LABEL: run});
    if let Some(scenario) = scenario {
        labels[SCENARIO_LABEL] = json!(scenario);
    }
    let namespace: Namespace =
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}}))
            .map_err(|e| api(format!("make namespace {name}"))(kube::Error::SerdeError(e)))?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .map_err(api(format!("create namespace {name}")))?;
    let account: ServiceAccount = serde_json::from_value(
        json!({"metadata": {"name": "default"}, "automountServiceAccountToken": false}),
    )
    .map_err(|e| api("make a service account")(kube::Error::SerdeError(e)))?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    accounts
        .patch(
            "default",
            &PatchParams::apply("hookproof").force(),
            &Patch::Apply(json!({"apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": "default"},
                "automountServiceAccountToken": account.automount_service_account_token})),
        )
        .await
        .map_err(api(format!(
            "create the service account of namespace {name}"
        )))?;
    Ok(())
}

async fn remove_namespace(client: &Client, name: &str) -> Result<(), SessionError> {
    // Pods that hold on to their grace would only hold up the removal.
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
    // MicroTime: the API wants exactly six digits.
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
    let mut every = tokio::time::interval(RENEW);
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

/// Removes everything on the cluster that carries the label of runs that are over: their lease
/// is old or gone. With `all`, of every run. Returns the runs removed.
///
/// # Errors
/// When the API server refuses, or something did not go away in time.
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
    let mut removed = Vec::new();
    for run in runs {
        if all || !is_alive(client, &run).await? {
            remove_run(client, &run).await?;
            removed.push(run);
        }
    }
    Ok(removed)
}

async fn is_alive(client: &Client, run: &str) -> Result<bool, SessionError> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), &format!("hookproof-{run}"));
    let lease = leases
        .get_opt(LEASE)
        .await
        .map_err(api("read a run's lease"))?;
    let renewed = lease.and_then(|lease| lease.spec?.renew_time);
    Ok(renewed.is_some_and(|time| Timestamp::now().duration_since(time.0) < LEASE_TIME))
}

/// Removes everything on the cluster that carries the label of a run, and waits until it is gone.
///
/// # Errors
/// When the API server refuses, or something did not go away in time.
pub async fn remove_run(client: &Client, run: &str) -> Result<(), SessionError> {
    let selector = format!("{RUN_LABEL}={run}");
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let listed = ListParams::default().labels(&selector);
    let found = namespaces
        .list(&listed)
        .await
        .map_err(api("list the run's namespaces"))?;
    let classes: Api<k8s_openapi::api::scheduling::v1::PriorityClass> = Api::all(client.clone());
    classes
        .delete_collection(&DeleteParams::default(), &listed)
        .await
        .map_err(api("delete the run's priority classes"))?;
    for namespace in &found {
        remove_namespace(client, &namespace.name_any()).await?;
    }
    let gone = async {
        for namespace in &found {
            let uid = namespace.uid().unwrap_or_default();
            let deleted = kube::runtime::conditions::is_deleted(&uid);
            // An error of the watch is no reason to stop waiting: it begins anew.
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
