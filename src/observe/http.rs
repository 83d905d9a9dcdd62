//! One HTTP GET to a forwarded port.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// How long the answer may take.
const TIME: Duration = Duration::from_secs(15);
/// How much of a body is kept.
const BODY_LIMIT: usize = 64 * 1024;

/// Why there was no answer. For a claim about port-forward this is evidence, not a problem.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not a request.
    #[error("no request can be made of that path: {0}")]
    Path(#[from] http::Error),
    /// No connection, or it broke.
    #[error("no answer: {0}")]
    Connection(#[from] hyper_util::client::legacy::Error),
    /// The body broke off or was too long.
    #[error("the answer's body could not be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// Too late.
    #[error("no answer within {} s", TIME.as_secs())]
    Time,
}

/// Status and body of `http://127.0.0.1:PORT/PATH`.
///
/// # Errors
/// When there was no answer.
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
    tokio::time::timeout(TIME, answer).await.map_err(|_| HttpError::Time)?
}
