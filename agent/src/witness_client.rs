//! Client of the witness's HTTP API.

use std::{env, time::Duration};

use hookproof_protocol::{
    TOKEN_HEADER,
    env::{TOKEN, WITNESS},
    path,
};
use hyper::{Method, Request, body::Bytes};
use serde::Serialize;

use crate::{
    client::{self, ClientError, Reply},
    wire::{Hold, Meet, Peer, Receipt},
};

/// Time added to a wait's cap for the response.
const SLACK: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub(crate) struct WitnessClient {
    base: String,
    token: String,
}

/// A failed request to the witness.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("the witness refused the token; set {TOKEN} to the run's token")]
    Token,
    #[error("the witness is full and accepts no more stamps in this run")]
    Full,
    #[error("the witness answered {0}: {1}")]
    Status(u16, String),
}

impl Refusal {
    /// Whether a retry would fail the same way.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Client(_) => false,
            Self::Token | Self::Full => true,
            Self::Status(status, _) => *status < 500,
        }
    }
}

/// Result of a wait at the witness.
pub(crate) enum Waited<T> {
    Done(T),
    /// The cap elapsed.
    Cap,
    /// The peer left; start again.
    Broken,
}

impl WitnessClient {
    /// Reads the witness's address from the environment. `None` if it is unset or empty.
    ///
    /// # Errors
    ///
    /// When the address is not an HTTP URL.
    pub(crate) fn from_environment() -> Result<Option<Self>, ClientError> {
        let Ok(base) = env::var(WITNESS) else {
            return Ok(None);
        };
        let base = base.trim_end_matches('/').to_owned();
        if base.is_empty() {
            return Ok(None);
        }
        let url = base.parse::<hyper::Uri>().ok();
        if !url.is_some_and(|url| url.scheme_str() == Some("http") && url.host().is_some()) {
            return Err(ClientError::Address(base));
        }
        Ok(Some(Self {
            base,
            token: env::var(TOKEN).unwrap_or_default(),
        }))
    }

    /// Delivers one stamp.
    ///
    /// # Errors
    ///
    /// When the stamp does not arrive or is refused.
    pub(crate) async fn stamp(&self, line: &str, cap: Duration) -> Result<Receipt, Refusal> {
        let reply = self.post(path::STAMPS, line.to_owned().into(), cap).await?;
        match reply.status {
            200 => serde_json::from_slice(&reply.body)
                .map_err(|error| Refusal::Status(200, error.to_string())),
            _ => Err(refusal(&reply)),
        }
    }

    /// Waits for a release.
    ///
    /// # Errors
    ///
    /// When the request fails.
    pub(crate) async fn hold(&self, hold: &Hold) -> Result<Waited<()>, Refusal> {
        let reply = self.wait(path::HOLD, hold, hold.cap_ms).await?;
        match reply.status {
            200 => Ok(Waited::Done(())),
            204 => Ok(Waited::Cap),
            _ => Err(refusal(&reply)),
        }
    }

    /// Waits until another process reaches the same round.
    ///
    /// # Errors
    ///
    /// When the request fails.
    pub(crate) async fn meet(&self, meet: &Meet) -> Result<Waited<Peer>, Refusal> {
        let reply = self.wait(path::MEET, meet, meet.cap_ms).await?;
        match reply.status {
            200 => serde_json::from_slice(&reply.body)
                .map(Waited::Done)
                .map_err(|error| Refusal::Status(200, error.to_string())),
            204 => Ok(Waited::Cap),
            410 => Ok(Waited::Broken),
            _ => Err(refusal(&reply)),
        }
    }

    async fn wait<T: Serialize>(&self, path: &str, body: &T, ms: u64) -> Result<Reply, Refusal> {
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.post(path, body.into(), Duration::from_millis(ms) + SLACK)
            .await
    }

    async fn post(&self, path: &str, body: Bytes, cap: Duration) -> Result<Reply, Refusal> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.base))
            .header(TOKEN_HEADER, &self.token)
            .header("content-type", "application/json")
            .body(body)
            .map_err(ClientError::Request)?;
        Ok(client::send(request, cap).await?)
    }
}

fn refusal(reply: &Reply) -> Refusal {
    match reply.status {
        403 => Refusal::Token,
        507 => Refusal::Full,
        status => Refusal::Status(
            status,
            String::from_utf8_lossy(&reply.body).trim().to_owned(),
        ),
    }
}
