//! HTTP GET requests to a forwarded port.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

const TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes; a longer body is an error.
const BODY_LIMIT: usize = 64 * 1024;

/// A failed request. This is evidence for claims about port-forward, not a problem.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("invalid path: {0}")]
    Path(#[from] http::Error),
    #[error("no response: {0}")]
    Connection(#[from] hyper_util::client::legacy::Error),
    #[error("failed to read the response body: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("timed out after {} s", TIMEOUT.as_secs())]
    Timeout,
}

/// Gets `http://127.0.0.1:PORT/PATH` and returns the status and the body.
pub async fn get(port: u16, path: &str) -> Result<(u16, String), HttpError> {
    let request =
        http::Request::get(format!("http://127.0.0.1:{port}{path}")).body(Empty::<&[u8]>::new())?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = async {
        let response = client.request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_LIMIT)
            .collect()
            .await
            .map_err(HttpError::Body)?
            .to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::time::timeout(TIMEOUT, answer)
        .await
        .map_err(|_| HttpError::Timeout)?
}
