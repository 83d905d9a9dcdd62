//! Servers that run in the background: HTTP and HTTPS with chosen answers, and bare TCP.
//!
//! A request is stamped before it is answered, so that even an answer which never arrives leaves
//! its request in the evidence. One request per connection keeps the two together.

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
/// After a connection could not be accepted, for want of file descriptors, say.
const RESPITE: Duration = Duration::from_millis(100);

/// A server that did not come up, as a fragment of a sentence.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("cannot listen on port {0}: {1}")]
    Listen(u16, io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

struct Server {
    options: Serve,
    acceptor: Option<TlsAcceptor>,
    waits: Waits,
}

/// Starts a server; it listens when this returns, unless it is to begin later.
///
/// # Errors
///
/// The port or the certificate is not to be had.
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

/// Starts a listener that stamps each connection and closes it.
///
/// # Errors
///
/// The port is not to be had.
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

/// Both families on one socket, or IPv4 alone where the node has no IPv6.
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
                    "hookproof-agent: a connection could not be accepted: {error}"
                ));
                sleep(RESPITE).await;
            }
        }
    }
}

/// An IPv4 address stays one on a socket of both families.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn local(stream: &TcpStream) -> Option<SocketAddr> {
    stream.local_addr().ok().map(plain)
}

/// Both ends of a connection.
#[derive(Clone, Copy)]
struct Ends {
    source: SocketAddr,
    local: Option<SocketAddr>,
}

/// How far the one exchange of a connection has come.
#[derive(Clone, Default)]
struct Progress {
    path: Option<String>,
    status: Option<u16>,
}

impl Server {
    async fn listen(self: Arc<Self>) -> Result<(), ServeError> {
        let Serve { port, tls, .. } = self.options;
        let listener = bind(port).await?;
        // Serving begins before the stamp has arrived: a signal that cuts the waiting short must not
        // take the server away.
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
            Err(_) => "the handshake took too long".to_owned(),
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
                    .map_or("the client left".to_owned(), |e| e.to_string());
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
        // The location was read as a header's value before.
        if let Some(Ok(location)) = location.map(|text| HeaderValue::from_str(&text)) {
            headers.insert(LOCATION, location);
        }
        answer
    }
}

/// What a request's path asks for, whatever the server's own answer is.
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
    fn paths_choose(#[case] path: &str, #[case] expected: Option<Choice>) {
        assert_eq!(chosen_by(path), expected);
    }
}
