//! The witness's HTTP API.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Query, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hookproof_protocol::{Release, Stamp, TOKEN_HEADER, Time, path};
use http_body_util::channel::{Channel, Sender};
use hyper::body::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::timeout;

use super::{Witness, ledger::Full, meetings::Broken};
use crate::{
    clock,
    wire::{Hold, Meet},
};

/// Interval of empty lines on an idle stream, so that neither end considers the connection lost.
const HEARTBEAT: Duration = Duration::from_secs(5);
const BODY_LIMIT: usize = 256 << 10;
/// Lines buffered for one reader.
const AHEAD: usize = 16;

pub(super) fn router(witness: Arc<Witness>) -> Router {
    Router::new()
        .route(path::STAMPS, post(add_stamp).get(read_stamps))
        .route(path::RELEASE, post(release))
        .route(path::HOLD, post(hold))
        .route(path::MEET, post(meet))
        .route(path::TIME, get(time))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&witness),
            check_token,
        ))
        // Without a token, for the kubelet's probes; it reveals nothing.
        .route(path::HEALTH, get(|| async { "ok\n" }))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(witness)
}

async fn check_token(
    State(witness): State<Arc<Witness>>,
    request: Request,
    next: Next,
) -> Response {
    let given = request
        .headers()
        .get(TOKEN_HEADER)
        .map(axum::http::HeaderValue::as_bytes);
    if given == Some(witness.token.as_bytes()) {
        next.run(request).await
    } else {
        (
            StatusCode::FORBIDDEN,
            format!("invalid {TOKEN_HEADER}: not the token of this run\n"),
        )
            .into_response()
    }
}

async fn add_stamp(
    State(witness): State<Arc<Witness>>,
    body: Bytes,
) -> Result<Response, Unreadable> {
    let stamp: Stamp = read(&body)?;
    match witness.ledger.add(stamp) {
        Ok(receipt) => Ok(json_line(&receipt)),
        Err(Full) => Ok((StatusCode::INSUFFICIENT_STORAGE, format!("{Full}\n")).into_response()),
    }
}

#[derive(Deserialize)]
struct From {
    #[serde(default)]
    from: usize,
}

async fn read_stamps(State(witness): State<Arc<Witness>>, Query(from): Query<From>) -> Response {
    let (sender, body) = Channel::<Bytes>::new(AHEAD);
    tokio::spawn(follow(witness, from.from.max(1), sender));
    (
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::new(body),
    )
        .into_response()
}

/// Sends every line from `next` on until the reader disconnects.
async fn follow(witness: Arc<Witness>, mut next: usize, mut reader: Sender<Bytes>) {
    let mut changes = witness.ledger.changes();
    // The first empty line makes proxies forward the response head immediately.
    let mut lines = vec![Bytes::from_static(b"\n")];
    let mut counted = 0;
    loop {
        for line in lines {
            if reader.send_data(line).await.is_err() {
                return;
            }
        }
        next += counted;
        changes.mark_unchanged();
        lines = witness.ledger.read(next);
        counted = lines.len();
        if counted == 0 {
            match timeout(HEARTBEAT, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => lines = vec![Bytes::from_static(b"\n")],
            }
        }
    }
}

/// The witness's clock and the number of stamps, from which the runner knows whether it has read all of them.
async fn time(State(witness): State<Arc<Witness>>) -> Response {
    json_line(&Time {
        now: clock::now(),
        stamps: witness.ledger.count() as u64,
    })
}

async fn release(State(witness): State<Arc<Witness>>, body: Bytes) -> Result<Response, Unreadable> {
    let release: Release = read(&body)?;
    witness.holds.release(release);
    Ok(json_line(&json!({})))
}

async fn hold(State(witness): State<Arc<Witness>>, body: Bytes) -> Result<Response, Unreadable> {
    let hold: Hold = read(&body)?;
    let cap = Duration::from_millis(hold.cap_ms);
    match timeout(cap, witness.holds.released(&hold)).await {
        Ok(()) => Ok(json_line(&json!({}))),
        Err(_) => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

async fn meet(State(witness): State<Arc<Witness>>, body: Bytes) -> Result<Response, Unreadable> {
    let meet: Meet = read(&body)?;
    let cap = Duration::from_millis(meet.cap_ms);
    match timeout(cap, witness.meetings.meet(&meet)).await {
        Ok(Ok(peer)) => Ok(json_line(&peer)),
        Ok(Err(Broken)) => Ok(StatusCode::GONE.into_response()),
        Err(_) => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// An invalid request body.
struct Unreadable(serde_json::Error);

impl IntoResponse for Unreadable {
    fn into_response(self) -> Response {
        let text = format!("invalid body: {}\n", self.0);
        (StatusCode::BAD_REQUEST, text).into_response()
    }
}

/// Parses JSON without checking the content type, which proxies may change.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(body).map_err(Unreadable)
}

fn json_line<T: Serialize>(value: &T) -> Response {
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
