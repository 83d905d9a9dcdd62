//! Background servers: HTTP and HTTPS with configurable responses, and plain TCP.
//!
//! A request is stamped before it is answered, so that it is in the evidence even if its response never
//! arrives. Each connection serves one request, which pairs requests with connections.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HOST, HeaderValue, LOCATION},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    actions::{HOLD_CAP, Serve, http_status_code},
    amounts, say,
    stamps::Stamper,
    tls::{self, TlsError},
    waits::Waits,
};

const HANDSHAKE_CAP: Duration = Duration::from_secs(30);
/// Delay after a connection could not be accepted, for example for lack of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("failed to listen on port {0}: {1}")]
    Listen(u16, io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

struct Server {
    options: Serve,
    acceptor: Option<TlsAcceptor>,
    waits: Waits,
}

/// Starts a server. It listens when this returns, unless `after` is set.
///
/// # Errors
///
/// When the port is unavailable or the certificate cannot be created.
pub(crate) async fn start(options: Serve, waits: Waits) -> Result<(), ServeError> {
    let acceptor = if options.tls {
        Some(tls::acceptor()?)
    } else {
        None
    };
    let server = Arc::new(Server {
        options,
        acceptor,
        waits,
    });
    let Some(after) = server.options.after else {
        return server.listen().await;
    };
    tokio::spawn(async move {
        sleep(after).await;
        if let Err(error) = Arc::clone(&server).listen().await {
            say(&format!("hookproof-agent: {error}"));
            let data = json!({"action": "serve", "error": error.to_string()});
            server.waits.stamper.stamp("failed", data).await;
        }
    });
    Ok(())
}

/// Starts a listener that stamps and closes each connection.
///
/// # Errors
///
/// When the port is unavailable.
pub(crate) async fn start_tcp(port: u16, stamper: Stamper) -> Result<(), ServeError> {
    let listener = bind(port).await?;
    let listening = stamper.stamp("listening", json!({"port": port, "tls": false}));
    tokio::spawn(accept(listener, move |stream, source| {
        let stamper = stamper.clone();
        async move {
            let local = local(&stream);
            stamper
                .stamp(
                    "connection",
                    json!({"source": source, "local": local, "port": port}),
                )
                .await;
        }
    }));
    listening.await;
    Ok(())
}

/// Listens on IPv6 and IPv4 with one socket, or on IPv4 if the node has no IPv6.
async fn bind(port: u16) -> Result<TcpListener, ServeError> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(ServeError::Listen(port, error))
        }
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
            .await
            .map_err(|error| ServeError::Listen(port, error)),
    }
}

async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    attend: impl Fn(TcpStream, SocketAddr) -> F,
) {
    loop {
        match listener.accept().await {
            Ok((stream, source)) => {
                tokio::spawn(attend(stream, plain(source)));
            }
            Err(error) => {
                say(&format!(
                    "hookproof-agent: failed to accept a connection: {error}"
                ));
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Converts an IPv4-mapped IPv6 address to IPv4.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn local(stream: &TcpStream) -> Option<SocketAddr> {
    stream.local_addr().ok().map(plain)
}

#[derive(Clone, Copy)]
struct Ends {
    source: SocketAddr,
    local: Option<SocketAddr>,
}

/// The progress of a connection's single exchange.
#[derive(Clone, Default)]
struct Progress {
    path: Option<String>,
    status: Option<u16>,
}

impl Server {
    async fn listen(self: Arc<Self>) -> Result<(), ServeError> {
        let Serve { port, tls, .. } = self.options;
        let listener = bind(port).await?;
        // Serving starts before the stamp has arrived: a signal that interrupts the wait for the stamp must not
        // stop the server.
        let listening = self
            .waits
            .stamper
            .stamp("listening", json!({"port": port, "tls": tls}));
        tokio::spawn(accept(listener, move |stream, source| {
            let server = Arc::clone(&self);
            async move { server.attend(stream, source).await }
        }));
        listening.await;
        Ok(())
    }

    async fn attend(&self, stream: TcpStream, source: SocketAddr) {
        stream.set_nodelay(true).ok();
        let ends = Ends {
            source,
            local: local(&stream),
        };
        let Some(acceptor) = &self.acceptor else {
            return self.converse(stream, ends).await;
        };
        let error = match timeout(HANDSHAKE_CAP, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => return self.converse(stream, ends).await,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "handshake timed out".to_owned(),
        };
        self.stamp_connection("bad-handshake", ends, json!({"error": error}))
            .await;
    }

    async fn converse(&self, stream: impl AsyncRead + AsyncWrite + Unpin, ends: Ends) {
        let progress = Mutex::new(Progress::default());
        let note = |change: &dyn Fn(&mut Progress)| {
            change(&mut progress.lock().unwrap_or_else(PoisonError::into_inner));
        };
        let service = service_fn(|request: Request<Incoming>| {
            let path = request.uri().path().to_owned();
            note(&|progress| progress.path = Some(path.clone()));
            let seen = self
                .waits
                .stamper
                .stamp("request", self.describe(&request, ends));
            async move {
                seen.await;
                let answer = self.answer(&path).await;
                note(&|progress| progress.status = Some(answer.status().as_u16()));
                Ok::<_, Infallible>(answer)
            }
        });
        let outcome = hyper::server::conn::http1::Builder::new()
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        let Progress { path, status } = progress
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let (name, data) = match (path, status, outcome) {
            (Some(path), Some(status), Ok(())) => {
                ("answered", json!({"path": path, "status": status}))
            }
            (Some(path), _, outcome) => {
                let error = outcome
                    .err()
                    .map_or("client disconnected".to_owned(), |e| e.to_string());
                ("unanswered", json!({"path": path, "error": error}))
            }
            (None, _, Err(error)) if error.is_parse() => {
                ("bad-request", json!({"error": error.to_string()}))
            }
            (None, ..) => ("connection", json!({})),
        };
        self.stamp_connection(name, ends, data).await;
    }

    async fn stamp_connection(&self, name: &str, ends: Ends, mut data: Value) {
        data["port"] = json!(self.options.port);
        data["source"] = json!(ends.source);
        data["local"] = json!(ends.local);
        self.waits.stamper.stamp(name, data).await;
    }

    fn describe(&self, request: &Request<Incoming>, ends: Ends) -> Value {
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in request.headers() {
            let value = String::from_utf8_lossy(value.as_bytes());
            headers
                .entry(name.as_str().to_owned())
                .and_modify(|all| {
                    all.push_str(", ");
                    all.push_str(&value);
                })
                .or_insert_with(|| value.into_owned());
        }
        json!({
            "method": request.method().as_str(),
            "path": request.uri().path(),
            "query": request.uri().query(),
            "version": format!("{:?}", request.version()),
            "host": headers.get(HOST.as_str()),
            "headers": headers,
            "source": ends.source,
            "local": ends.local,
            "tls": self.options.tls,
            "port": self.options.port,
        })
    }

    async fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        let options = &self.options;
        if let Some(delay) = options.delay {
            sleep(delay).await;
        }
        if let Some(name) = &options.hold {
            let about = Map::from_iter([("path".to_owned(), json!(path))]);
            self.waits.hold(name, HOLD_CAP, about).await;
        }
        let (status, location) = match chosen_by(path) {
            Some(Choice::Status(status)) => (status, None),
            Some(Choice::Redirect(location)) => (302, Some(location)),
            Some(Choice::Delay(delay)) => {
                sleep(delay).await;
                (options.status, options.location.clone())
            }
            None => (options.status, options.location.clone()),
        };
        let mut answer = Response::new(Full::new(Bytes::from(format!("{}\n", options.body))));
        if let Ok(status) = hyper::StatusCode::from_u16(status) {
            *answer.status_mut() = status;
        }
        let headers = answer.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        // The location was validated when the action was parsed.
        if let Some(Ok(location)) = location.map(|text| HeaderValue::from_str(&text)) {
            headers.insert(LOCATION, location);
        }
        answer
    }
}

/// A response chosen by the request's path, which overrides the server's options.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Status(u16),
    Redirect(String),
    Delay(Duration),
}

fn chosen_by(path: &str) -> Option<Choice> {
    if let Some(status) = path.strip_prefix("/status/") {
        return http_status_code(status).map(Choice::Status);
    }
    if let Some(delay) = path.strip_prefix("/delay/") {
        return amounts::duration(delay).ok().map(Choice::Delay);
    }
    match path.strip_prefix("/redirect/")?.parse::<u32>().ok()? {
        0 => Some(Choice::Status(200)),
        left => Some(Choice::Redirect(format!("/redirect/{}", left - 1))),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/", None)]
    #[case("/status/404", Some(Choice::Status(404)))]
    #[case("/status/99", None)]
    #[case("/redirect/2", Some(Choice::Redirect("/redirect/1".to_owned())))]
    #[case("/redirect/0", Some(Choice::Status(200)))]
    #[case("/redirect/x", None)]
    #[case("/delay/2s", Some(Choice::Delay(Duration::from_secs(2))))]
    fn paths_choose_responses(#[case] path: &str, #[case] expected: Option<Choice>) {
        assert_eq!(chosen_by(path), expected);
    }
}
