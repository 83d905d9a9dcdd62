//! HTTP GET requests to a forwarded port.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::failure::Failure;

const TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes; a longer body is an error.
const BODY_LIMIT: usize = 64 * 1024;

/// Gets `http://127.0.0.1:PORT/PATH` and returns the status and the body. A failed request is evidence for claims
/// about port-forward, not a problem.
pub async fn get(port: u16, path: &str) -> Result<(u16, String), Failure> {
    let request = http::Request::get(format!("http://127.0.0.1:{port}{path}"))
        .body(Empty::<&[u8]>::new())
        .map_err(|e| format!("invalid path: {e}"))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = async {
        let response = client.request(request).await;
        let response = response.map_err(|e| format!("no response: {e}"))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_LIMIT).collect();
        let body = body.await;
        let body = body.map_err(|e| format!("failed to read the response body: {e}"))?;
        Ok((
            status,
            String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        ))
    };
    let answered = tokio::time::timeout(TIMEOUT, answer).await;
    answered.map_err(|_| format!("timed out after {} s", TIMEOUT.as_secs()))?
}
