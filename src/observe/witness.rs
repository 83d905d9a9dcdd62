//! The witness: a pod in which the agent collects the stamps of all scenarios' agents. The runner reads
//! stamps and releases holds through the API server's proxy, so a kubeconfig is all it needs.

use std::net::SocketAddr;
use std::time::Duration;

use backon::{ConstantBuilder, Retryable};
use futures::{AsyncBufReadExt, TryStreamExt};
use hookproof_protocol::{FULL, KeptStamp, Release, TOKEN_HEADER, Time, env, path};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::failure::Failure;
use super::forbidden::is_forbidden;
use super::recorder::RunnerClock;
use super::watch::Router;
use super::workload::RUN_LABEL;

const PORT: u16 = 8080;

const READY_TIME: Duration = Duration::from_secs(90);
/// The connection is considered lost after this long without a line. The witness sends an empty line more
/// often than this.
const SILENCE: Duration = Duration::from_secs(15);

/// The witness of a run on one cluster.
#[derive(Clone)]
pub struct Witness {
    client: Client,
    namespace: String,
    /// The token that agents send.
    pub token: String,
    /// Base URL at which pods reach the witness.
    pub address: String,
}

impl Witness {
    /// Creates the witness pod and waits until it answers.
    pub async fn start(
        client: Client,
        namespace: &str,
        run: &str,
        image: &str,
        token: &str,
    ) -> Result<Self, Failure> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "witness", "labels": {RUN_LABEL: run}},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 0,
                // As the Pod Security level `restricted` demands.
                "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
                // Scenarios that evict or preempt pods must not remove the witness.
                "priorityClassName": "system-cluster-critical",
                "tolerations": [{"operator": "Exists"}],
                "containers": [{
                    "name": "witness", "image": image, "imagePullPolicy": "IfNotPresent",
                    "command": ["agent", "witness", "--listen", format!("0.0.0.0:{PORT}")],
                    "env": [{"name": env::TOKEN, "value": token}],
                    "ports": [{"containerPort": PORT}],
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                    "readinessProbe": {"httpGet": {"path": path::HEALTH, "port": PORT}, "periodSeconds": 1},
                }],
            },
        });
        create(&pods, pod)
            .await
            .map_err(|e| format!("failed to create the witness pod: {e}"))?;
        let running = await_condition(pods.clone(), "witness", conditions::is_pod_running());
        if tokio::time::timeout(READY_TIME, running).await.is_err() {
            return Err(not_ready(&pods, namespace).await.into());
        }
        let found = pods.get("witness").await.ok();
        let ip = found.and_then(|pod| pod.status?.pod_ip?.parse().ok());
        let ip =
            ip.ok_or("failed to create the witness pod: the pod is running but has no IP address")?;
        let witness = Self {
            client,
            namespace: namespace.to_owned(),
            token: token.to_owned(),
            address: format!("http://{}", SocketAddr::new(ip, PORT)),
        };
        // The pod is running slightly before its process listens.
        let every = ConstantBuilder::default()
            .with_delay(Duration::from_millis(50))
            .with_max_times(100);
        (|| witness.time()).retry(every).await?;
        Ok(witness)
    }

    /// Measures how far the nodes' clock is ahead of this machine's. A difference below half the round trip
    /// counts as zero.
    pub async fn clock(&self) -> Result<RunnerClock, Failure> {
        let mut measured = Vec::new();
        for _ in 0..5 {
            let sent = Timestamp::now();
            let time = self.time().await?;
            let trip = Timestamp::now().duration_since(sent);
            let theirs = time.now.parse::<Timestamp>();
            let theirs = theirs.map_err(|e| format!("the witness sent an invalid time: {e}"))?;
            measured.push((trip, theirs.duration_since(sent) - trip / 2));
        }
        Ok(match measured.into_iter().min_by_key(|(trip, _)| *trip) {
            Some((trip, offset)) if offset.abs() > trip / 2 => RunnerClock { offset },
            _ => RunnerClock::default(),
        })
    }

    /// The witness's clock and its number of stamps.
    pub async fn time(&self) -> Result<Time, Failure> {
        let request = self.request(http::Method::GET, path::TIME, Vec::new())?;
        self.client.request(request).await.map_err(|e| silent(&e))
    }

    /// Releases present and future holds.
    pub async fn release(&self, wanted: &Release) -> Result<(), Failure> {
        let body = serde_json::to_vec(wanted).unwrap_or_default();
        let request = self.request(http::Method::POST, path::RELEASE, body)?;
        let released = self.client.request_text(request).await;
        released.map_err(|e| silent(&e)).map(drop)
    }

    /// Routes stamps to their scenarios. After a broken connection it resumes with the next stamp; the witness keeps
    /// all stamps, so none is lost.
    pub async fn follow(self, router: Router, seen: watch::Sender<u64>) {
        let mut next = 1;
        loop {
            if let Err(error) = self.read_from(&mut next, &router, &seen).await {
                tracing::warn!("failed to read stamps: {error}; resuming at stamp {next}");
            }
            // Limits the rate of retries while the server refuses.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn read_from(
        &self,
        next: &mut u64,
        router: &Router,
        seen: &watch::Sender<u64>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let path = format!("{}?from={next}", path::STAMPS);
        let request = self.request(http::Method::GET, &path, Vec::new())?;
        let stream = self.client.request_stream(request).await?;
        let mut lines = std::pin::pin!(stream.lines());
        loop {
            let line = tokio::time::timeout(SILENCE, lines.try_next())
                .await
                .map_err(|_| "connection timed out")??;
            let Some(line) = line else { return Ok(()) };
            if line.trim().is_empty() {
                continue;
            }
            let KeptStamp {
                n, start, stamp, ..
            } = serde_json::from_str(&line)?;
            if n < *next {
                continue;
            }
            *next = n + 1;
            if stamp.name == FULL {
                router.note_all("gap", "the witness is full; later stamps are lost");
            }
            if let Some(recorder) = router.find(&stamp.namespace) {
                recorder.stamp(stamp, start)?;
            }
            seen.send_replace(n);
        }
    }

    fn request(
        &self,
        method: http::Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<http::Request<Vec<u8>>, Failure> {
        let namespace = &self.namespace;
        http::Request::builder()
            .method(method)
            .uri(format!(
                "/api/v1/namespaces/{namespace}/pods/witness:{PORT}/proxy{path}"
            ))
            .header(TOKEN_HEADER, &self.token)
            .header(http::header::ACCEPT_ENCODING, "identity")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|e| format!("failed to build a request to the witness: {e}").into())
    }
}

/// Creates the witness pod; without a priority class if a quota reserves the class for other namespaces.
async fn create(pods: &Api<Pod>, pod: Value) -> Result<(), kube::Error> {
    let mut pod: Pod = serde_json::from_value(pod).map_err(kube::Error::SerdeError)?;
    let mut created = pods.create(&PostParams::default(), &pod).await;
    if let Err(error) = &created
        && is_forbidden(error)
        && error.to_string().contains("quota")
    {
        pod.spec.get_or_insert_default().priority_class_name = None;
        created = pods.create(&PostParams::default(), &pod).await;
    }
    created.map(drop)
}

fn silent(error: &kube::Error) -> Failure {
    format!("the witness did not answer through the API server: {error}").into()
}

async fn not_ready(pods: &Api<Pod>, namespace: &str) -> String {
    let state = match pods.get("witness").await {
        Ok(pod) => json!(pod.status.and_then(|status| status.container_statuses)).to_string(),
        Err(error) => error.to_string(),
    };
    format!(
        "the witness pod was not running after {} s: {state}; run \
         `kubectl -n {namespace} describe pod witness`, or `hookproof doctor` to check this machine",
        READY_TIME.as_secs()
    )
}
