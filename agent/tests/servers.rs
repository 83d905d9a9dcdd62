//! Background servers and requests to them.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rstest::rstest;
use rustix::process::Signal;
use support::{Agent, Stream, Witness, alone, free_port, get, get_raw};
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

fn serving(options: &str) -> (Witness, Agent, Stream, u16) {
    let witness = Witness::start();
    let port = free_port();
    let agent = witness.agent("server", &[&format!("serve={port}{options}")]);
    let mut stream = witness.stream();
    assert_eq!(stream.until("server", "listening")["data"]["port"], port);
    (witness, agent, stream, port)
}

#[test]
fn a_request_is_stamped_before_and_after_its_response() {
    let (_witness, agent, mut stream, port) = serving("");
    assert_eq!(get(port, "/healthz?a=b"), (200, "ok\n".to_owned()));
    let request = stream.next();
    assert_eq!(request["stamp"], "request");
    let data = &request["data"];
    for (field, value) in [
        ("method", "GET"),
        ("path", "/healthz"),
        ("query", "a=b"),
        ("host", "probe"),
    ] {
        assert_eq!(data[field], value);
    }
    assert_eq!((&data["tls"], &data["port"]), (&false.into(), &port.into()));
    assert_eq!(data["headers"]["host"], "probe");
    assert!(data["source"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(data["local"], format!("127.0.0.1:{port}"));
    let answered = stream.next();
    assert_eq!(answered["stamp"], "answered");
    assert_eq!(
        (&answered["data"]["status"], &answered["data"]["path"]),
        (&200.into(), &"/healthz".into())
    );
    agent.signal(Signal::TERM);
    assert_eq!(agent.end().code, Some(143), "it serves until a signal");
}

#[rstest]
#[case("", "/status/404", 404)]
#[case(",status=500", "/", 500)]
#[case(",status=500", "/status/204", 204)]
#[case("", "/redirect/0", 200)]
#[case("", "/redirect/3", 302)]
#[case(",location=http://elsewhere/", "/", 302)]
#[case(",status=307,location=/x", "/", 307)]
fn options_and_paths_choose_the_status(
    #[case] options: &str,
    #[case] path: &str,
    #[case] status: u16,
) {
    let (_witness, _agent, _stream, port) = serving(options);
    assert_eq!(get(port, path).0, status);
}

#[test]
fn redirects_have_a_location() {
    let (_witness, _agent, _stream, port) = serving(",location=http://elsewhere/x");
    assert!(get_raw(port, "/").contains("location: http://elsewhere/x\r\n"));
    assert!(get_raw(port, "/redirect/2").contains("location: /redirect/1\r\n"));
}

#[test]
fn a_response_can_be_delayed_and_held() {
    let (witness, _agent, mut stream, port) =
        serving(",delay=200ms,hold=answer,body=late, but here");
    let begun = std::time::Instant::now();
    let asking = std::thread::spawn(move || get(port, "/slow"));
    stream.until("server", "request");
    assert_eq!(stream.until("server", "held")["data"]["path"], "/slow");
    assert!(begun.elapsed().as_millis() >= 200);
    witness.release(r#"{"namespace": "ns", "name": "answer"}"#);
    stream.until("server", "released");
    assert_eq!(asking.join().unwrap(), (200, "late, but here\n".to_owned()));
    stream.until("server", "answered");
}

#[test]
fn a_client_that_disconnects_is_stamped() {
    let (witness, _agent, mut stream, port) = serving(",hold=never");
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket
        .write_all(b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    stream.until("server", "held");
    drop(socket);
    assert_eq!(
        stream.until("server", "unanswered")["data"]["path"],
        "/gone"
    );
    drop(witness);
}

#[test]
fn connections_without_http_are_stamped() {
    let (_witness, _agent, mut stream, port) = serving("");
    drop(TcpStream::connect(("127.0.0.1", port)).unwrap());
    stream.until("server", "connection");
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.write_all(b"\x16\x03\x01 not HTTP\r\n\r\n").unwrap();
    stream.until("server", "bad-request");
}

#[test]
fn a_server_can_start_later() {
    let witness = Witness::start();
    let port = free_port();
    let _agent = witness.agent(
        "server",
        &[&format!("serve={port},after=200ms"), "stamp=on"],
    );
    let mut stream = witness.stream();
    stream.until("server", "on");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    stream.until("server", "listening");
    assert_eq!(get(port, "/").0, 200);
}

#[test]
fn servers_keep_running_after_a_wait() {
    let witness = Witness::start();
    let port = free_port();
    let agent = witness.agent(
        "server",
        &[&format!("serve={port}"), "wait", "hold=end", "exit=0"],
    );
    let mut stream = witness.stream();
    stream.until("server", "listening");
    agent.signal(Signal::TERM);
    stream.until("server", "held");
    assert_eq!(get(port, "/").0, 200);
    witness.release(r#"{"namespace": "ns", "name": "end"}"#);
    assert_eq!(agent.end().code, Some(0));
}

#[test]
fn a_port_in_use_ends_the_sequence() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ended = alone("server", &[&format!("serve={port}"), "print=never"]).end();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(
        ended.stderr.contains("failed to listen on port"),
        "{}",
        ended.stderr
    );
}

#[test]
fn plain_tcp_stamps_connections() {
    let witness = Witness::start();
    let port = free_port();
    let _agent = witness.agent("server", &[&format!("tcp={port}")]);
    let mut stream = witness.stream();
    stream.until("server", "listening");
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let local = socket.local_addr().unwrap().to_string();
    assert_eq!(socket.read(&mut [0]).unwrap(), 0);
    assert_eq!(
        stream.until("server", "connection")["data"]["source"],
        local
    );
}

#[test]
fn one_agent_sends_requests_to_another() {
    let (witness, _agent, mut stream, port) = serving(",status=418,body=teapot");
    let refused = free_port();
    let actions = [
        format!("get=http://127.0.0.1:{port}/x?y=z"),
        format!("get=http://127.0.0.1:{refused}/,cap=1s"),
    ];
    witness.agent("client", &[&actions[0], &actions[1]]).end();
    assert_eq!(stream.until("server", "request")["data"]["query"], "y=z");
    let response = stream.until("client", "response");
    assert_eq!(
        (&response["data"]["status"], &response["data"]["body"]),
        (&418.into(), &"teapot\n".into())
    );
    let error = stream.until("client", "no-response")["data"]["error"].to_string();
    assert!(error.contains("failed to connect"), "{error}");
}

#[test]
fn tls_is_served_and_plain_http_rejected() {
    let (_witness, _agent, mut stream, port) = serving(",tls,body=secret");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAnyone))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut tls = StreamOwned::new(connection, socket);
    tls.write_all(b"GET /safe HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    tls.read_to_string(&mut text).unwrap();
    assert!(
        text.starts_with("HTTP/1.0 200") && text.ends_with("secret\n"),
        "{text}"
    );
    let request = stream.until("server", "request");
    assert_eq!(
        (&request["data"]["tls"], &request["data"]["path"]),
        (&true.into(), &"/safe".into())
    );
    stream.until("server", "answered");

    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket
        .write_all(b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).ok();
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    stream.until("server", "bad-handshake");
}

#[derive(Debug)]
struct TrustAnyone;

impl ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
