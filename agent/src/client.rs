//! The least HTTP client that serves: one request, one connection.

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
/// No answer that the agent needs is longer.
const BODY_LIMIT: usize = 1 << 20;

/// An exchange that did not come to an end, as a fragment of a sentence.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("`{0}` is no http://HOST:PORT")]
    Address(String),
    #[error("cannot connect to {0}: {1}")]
    Connect(String, io::Error),
    #[error("no connection to {0} within {CONNECT_CAP:?}")]
    ConnectTimeout(String),
    #[error("the exchange broke off: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("the answer could not be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("the request could not be put together: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("no answer in time")]
    Timeout(#[from] Elapsed),
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// Sends a request to the host that its URL names and reads the whole answer.
///
/// # Errors
///
/// No whole answer within `cap`.
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

/// The `Host` header's value and a connection.
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
    // The brackets of an IPv6 address belong to the URL, not to the address.
    let address = (host.trim_start_matches('[').trim_end_matches(']'), port);
    match timeout(CONNECT_CAP, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => {
            // A delay of small packets would show in the evidence; its absence is not worth an error.
            stream.set_nodelay(true).ok();
            Ok((authority, stream))
        }
        Ok(Err(error)) => Err(ClientError::Connect(authority, error)),
        Err(_) => Err(ClientError::ConnectTimeout(authority)),
    }
}
