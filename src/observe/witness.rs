//! The witness: a pod in which the agent collects the stamps of all scenarios' agents. The runner reads
//! stamps and releases holds through the API server's proxy, so a kubeconfig is all it needs.

use std::time::Duration;

use backon::{ConstantBuilder, Retryable};
use futures::{AsyncBufReadExt, TryStreamExt};
use hookproof_protocol::{FULL, KeptStamp, Release, TOKEN_HEADER, Time, env, path};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::forbidden::is_forbidden;
use super::recorder::RunnerClock;
use super::watch::Router;
use super::workload::RUN_LABEL;

const PORT: u16 = 8080;

const READY_TIME: Duration = Duration::from_secs(90);
/// The connection is considered lost after this long without a line. The witness sends an empty line more
/// often than this.
const SILENCE: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    #[error("failed to create the witness pod: {0}")]
    Create(String),
    #[error(
        "the witness pod was not running after {} s: {state}; run \
         `kubectl -n {namespace} describe pod witness`, or `hookproof doctor` to check this machine",
        READY_TIME.as_secs()
    )]
    NotReady {
        namespace: String,
        /// The pod's container statuses as JSON.
        state: String,
    },
    #[error("the witness did not answer through the API server: {0}")]
    Silent(#[source] Box<kube::Error>),
    #[error("failed to build a request to the witness: {0}")]
    Request(#[source] http::Error),
    #[error("the witness sent an invalid time: {0}")]
    Time(#[from] jiff::Error),
}

/// The witness of a run on one cluster.
#[derive(Clone)]
pub struct Witness {
    client: Client,
    namespace: String,
    token: String,
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
    ) -> Result<Self, WitnessError> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "witness", "labels": {RUN_LABEL: run}},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 0,
                // As the Pod Security level `restricted` demands.
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 1000,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                // Scenarios that evict or preempt pods must not remove the witness.
                "priorityClassName": "system-cluster-critical",
                "tolerations": [{"operator": "Exists"}],
                "containers": [{
                    "name": "witness", "image": image, "imagePullPolicy": "IfNotPresent",
                    "command": ["agent", "witness", "--listen", format!("0.0.0.0:{PORT}")],
                    "env": [{"name": env::TOKEN, "value": token}],
                    "ports": [{"containerPort": PORT}],
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                    },
                    "readinessProbe": {
                        "httpGet": {"path": path::HEALTH, "port": PORT},
                        "periodSeconds": 1
                    },
                }],
            },
        });
        create(&pods, pod).await?;
        let running = await_condition(pods.clone(), "witness", conditions::is_pod_running());
        if tokio::time::timeout(READY_TIME, running).await.is_err() {
            return Err(not_ready(&pods, namespace).await);
        }
        let ip = pods
            .get("witness")
            .await
            .ok()
            .and_then(|pod| pod.status?.pod_ip)
            .ok_or_else(|| {
                WitnessError::Create("the pod is running but has no IP address".into())
            })?;
        let host = if ip.contains(':') {
            format!("[{ip}]")
        } else {
            ip
        };
        let witness = Self {
            client,
            namespace: namespace.to_owned(),
            token: token.to_owned(),
            address: format!("http://{host}:{PORT}"),
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
    pub async fn clock(&self) -> Result<RunnerClock, WitnessError> {
        let mut best: Option<(SignedDuration, SignedDuration)> = None;
        for _ in 0..5 {
            let sent = Timestamp::now();
            let time = self.time().await?;
            let trip = Timestamp::now().duration_since(sent);
            let theirs: Timestamp = time.now.parse()?;
            let offset = theirs.duration_since(sent) - trip / 2;
            if best.is_none_or(|(shortest, _)| trip < shortest) {
                best = Some((trip, offset));
            }
        }
        Ok(match best {
            Some((trip, offset)) if offset.abs() > trip / 2 => RunnerClock::new(offset),
            _ => RunnerClock::default(),
        })
    }

    async fn time(&self) -> Result<Time, WitnessError> {
        let request = self.request(http::Method::GET, path::TIME, Vec::new())?;
        self.client.request(request).await.map_err(silent)
    }

    /// The number of stamps that the witness has received.
    pub async fn count(&self) -> Result<u64, WitnessError> {
        Ok(self.time().await?.stamps)
    }

    /// Releases present and future holds.
    pub async fn release(&self, wanted: &Release) -> Result<(), WitnessError> {
        let body = serde_json::to_vec(wanted).unwrap_or_default();
        let request = self.request(http::Method::POST, path::RELEASE, body)?;
        self.client
            .request_text(request)
            .await
            .map_err(silent)
            .map(drop)
    }

    /// Routes stamps to their scenarios until cancelled. After a broken connection it resumes with the next
    /// stamp; the witness keeps all stamps, so none is lost.
    pub async fn follow(
        self,
        router: Router,
        seen: tokio::sync::watch::Sender<u64>,
        stop: CancellationToken,
    ) {
        let mut next = 1;
        while !stop.is_cancelled() {
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.read_from(&mut next, &router, &seen) => ended,
            };
            if let Err(error) = ended {
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
        seen: &tokio::sync::watch::Sender<u64>,
    ) -> Result<(), std::io::Error> {
        let path = format!("{}?from={next}", path::STAMPS);
        let request = self
            .request(http::Method::GET, &path, Vec::new())
            .map_err(std::io::Error::other)?;
        let stream = self
            .client
            .request_stream(request)
            .await
            .map_err(std::io::Error::other)?;
        let mut lines = std::pin::pin!(stream.lines());
        loop {
            let line = tokio::time::timeout(SILENCE, lines.try_next())
                .await
                .map_err(|_| std::io::Error::other("connection timed out"))??;
            let Some(line) = line else { return Ok(()) };
            if line.trim().is_empty() {
                continue;
            }
            let kept: KeptStamp = serde_json::from_str(&line).map_err(std::io::Error::other)?;
            let KeptStamp {
                n, start, stamp, ..
            } = kept;
            if n < *next {
                continue;
            }
            *next = n + 1;
            if stamp.name == FULL {
                router.note_all("gap", "the witness is full; later stamps are lost");
            }
            if let Some(recorder) = router.find(&stamp.namespace) {
                recorder
                    .stamp(stamp, start)
                    .map_err(std::io::Error::other)?;
            }
            seen.send_replace(n);
        }
    }

    fn request(
        &self,
        method: http::Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<http::Request<Vec<u8>>, WitnessError> {
        let uri = format!(
            "/api/v1/namespaces/{}/pods/witness:{PORT}/proxy{path}",
            self.namespace
        );
        http::Request::builder()
            .method(method)
            .uri(uri)
            .header(TOKEN_HEADER, &self.token)
            .header(http::header::ACCEPT_ENCODING, "identity")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(WitnessError::Request)
    }
}

/// Creates the witness pod; without a priority class if a quota reserves the class for other namespaces.
async fn create(pods: &Api<Pod>, mut pod: Value) -> Result<(), WitnessError> {
    let refused = |e: &dyn std::fmt::Display| WitnessError::Create(e.to_string());
    let given = serde_json::from_value(pod.clone()).map_err(|e| refused(&e))?;
    match pods.create(&PostParams::default(), &given).await {
        Err(error) if is_forbidden(&error) && error.to_string().contains("quota") => {
            if let Some(spec) = pod["spec"].as_object_mut() {
                spec.remove("priorityClassName");
            }
            let plain = serde_json::from_value(pod).map_err(|e| refused(&e))?;
            let created = pods.create(&PostParams::default(), &plain).await;
            created.map_err(|e| refused(&e))?;
        }
        created => drop(created.map_err(|e| refused(&e))?),
    }
    Ok(())
}

fn silent(error: kube::Error) -> WitnessError {
    WitnessError::Silent(Box::new(error))
}

async fn not_ready(pods: &Api<Pod>, namespace: &str) -> WitnessError {
    let state = match pods.get("witness").await {
        Ok(pod) => pod
            .status
            .and_then(|status| serde_json::to_string(&status.container_statuses).ok())
            .unwrap_or_default(),
        Err(error) => error.to_string(),
    };
    WitnessError::NotReady {
        namespace: namespace.to_owned(),
        state,
    }
}
