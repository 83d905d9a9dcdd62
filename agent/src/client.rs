//! A minimal HTTP client: one request per connection.

use std::{io, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Uri,
    body::Bytes,
    header::{CONNECTION, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{error::Elapsed, timeout},
};

const CONNECT_CAP: Duration = Duration::from_secs(2);
/// Longer than any response that the agent needs.
const BODY_LIMIT: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("invalid address `{0}`: expected http://HOST:PORT")]
    Address(String),
    #[error("failed to connect to {0}: {1}")]
    Connect(String, io::Error),
    #[error("timed out connecting to {0} after {CONNECT_CAP:?}")]
    ConnectTimeout(String),
    #[error("connection failed: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("failed to read the response: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("failed to build the request: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("timed out waiting for the response")]
    Timeout(#[from] Elapsed),
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// Sends a request to the host in its URL and reads the whole response.
///
/// # Errors
///
/// When there is no complete response within `cap`.
pub(crate) async fn send(request: Request<Bytes>, cap: Duration) -> Result<Reply, ClientError> {
    timeout(cap, exchange(request)).await?
}

async fn exchange(request: Request<Bytes>) -> Result<Reply, ClientError> {
    let (mut head, body) = request.into_parts();
    let (authority, stream) = connect(&head.uri).await?;
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    head.uri = target.parse().map_err(hyper::http::Error::from)?;
    head.headers
        .insert(HOST, authority.parse().map_err(hyper::http::Error::from)?);
    head.headers
        .insert(CONNECTION, hyper::header::HeaderValue::from_static("close"));

    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let answer = sender
        .send_request(Request::from_parts(head, Full::new(body)))
        .await?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), BODY_LIMIT)
        .collect()
        .await
        .map_err(ClientError::Body)?
        .to_bytes();
    driver.abort();
    Ok(Reply { status, body })
}

/// Returns the value of the `Host` header and a connection.
async fn connect(url: &Uri) -> Result<(String, TcpStream), ClientError> {
    let host = url
        .host()
        .ok_or_else(|| ClientError::Address(url.to_string()))?;
    let port = url.port_u16().unwrap_or(80);
    let authority = if port == 80 {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    };
    // In URLs, IPv6 addresses are in brackets.
    let address = (host.trim_start_matches('[').trim_end_matches(']'), port);
    match timeout(CONNECT_CAP, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => {
            // Delayed small packets would distort times in the evidence. Failing to disable them is not an error.
            stream.set_nodelay(true).ok();
            Ok((authority, stream))
        }
        Ok(Err(error)) => Err(ClientError::Connect(authority, error)),
        Err(_) => Err(ClientError::ConnectTimeout(authority)),
    }
}
