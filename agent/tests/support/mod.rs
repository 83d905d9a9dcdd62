//! Starts a witness on a free port and agents that report to it, and reads their stamps.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used
)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;

pub const AGENT: &str = env!("CARGO_BIN_EXE_agent");
pub const TOKEN: &str = "the-token-of-this-run";

/// Longer than any test takes.
const TIMEOUT: Duration = Duration::from_secs(20);

pub struct Witness {
    child: Child,
    pub address: String,
}

impl Witness {
    pub fn start() -> Self {
        let mut child = Command::new(AGENT)
            .args(["witness", "--listen", "127.0.0.1:0"])
            .env("HOOKPROOF_TOKEN", TOKEN)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(line.contains("listening"), "{line}");
        Self { child, address }
    }

    pub fn agent(&self, role: &str, actions: &[&str]) -> Agent {
        let mut command = agent_command(role, actions);
        command.env("HOOKPROOF_WITNESS", format!("http://{}", self.address));
        Agent::spawn(command)
    }

    /// All stamps, past and future.
    pub fn stream(&self) -> Stream {
        self.stream_from(1)
    }

    pub fn stream_from(&self, n: u64) -> Stream {
        let socket = send(
            &self.address,
            "GET",
            &format!("/stamps?from={n}"),
            TOKEN,
            "",
        );
        let mut reader = BufReader::new(socket);
        let status = skip_head(&mut reader);
        assert_eq!(status, 200);
        Stream { reader }
    }

    pub fn release(&self, body: &str) {
        let (status, text) = self.post("/release", body);
        assert_eq!(status, 200, "{text}");
    }

    pub fn post(&self, path: &str, body: &str) -> (u16, String) {
        exchange(&self.address, "POST", path, TOKEN, body)
    }

    pub fn stop(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub struct Stream {
    reader: BufReader<TcpStream>,
}

impl Stream {
    /// The next line; a heartbeat is an empty line.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader
            .read_line(&mut line)
            .expect("timed out waiting for a stamp");
        assert!(!line.is_empty(), "the witness closed the stream");
        line
    }

    pub fn next(&mut self) -> Value {
        loop {
            let line = self.line();
            if line != "\n" {
                return serde_json::from_str(&line).unwrap();
            }
        }
    }

    /// Skips to the next stamp of this role and name.
    pub fn until(&mut self, role: &str, stamp: &str) -> Value {
        loop {
            let next = self.next();
            if next["role"] == role && next["stamp"] == stamp {
                return next;
            }
        }
    }

    /// Reads until the role's `ended` and returns the names of its stamps.
    pub fn names_of(&mut self, role: &str) -> Vec<String> {
        let mut names = Vec::new();
        while names.last().is_none_or(|name| name != "ended") {
            let next = self.next();
            if next["role"] == role {
                names.push(next["stamp"].as_str().unwrap().to_owned());
            }
        }
        names
    }
}

/// An agent process; killed on drop.
pub struct Agent(Option<Child>);

impl Agent {
    pub fn spawn(mut command: Command) -> Self {
        Self(Some(
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap(),
        ))
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.0.as_ref().unwrap().id()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal)
            .unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    pub fn kill(mut self) {
        let mut child = self.0.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn end(mut self) -> Ended {
        let Output {
            status,
            stdout,
            stderr,
        } = self.0.take().unwrap().wait_with_output().unwrap();
        Ended {
            code: status.code(),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The stamps that an agent without a witness printed to standard error.
    pub fn stamps(&self) -> Vec<Value> {
        self.stderr
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}

pub fn agent_command(role: &str, actions: &[&str]) -> Command {
    let mut command = Command::new(AGENT);
    command
        .arg(role)
        .args(actions)
        .env_remove("HOOKPROOF_WITNESS")
        .env("HOOKPROOF_TOKEN", TOKEN)
        .env("HOOKPROOF_NAMESPACE", "ns")
        .env("HOOKPROOF_POD", "web")
        .env("HOOKPROOF_POD_UID", "uid-1")
        .env("HOOKPROOF_CONTAINER", "app");
    command
}

pub fn alone(role: &str, actions: &[&str]) -> Agent {
    Agent::spawn(agent_command(role, actions))
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Sends an HTTP/1.0 request, whose response has no chunks and ends with the connection.
fn send(address: &str, method: &str, path: &str, token: &str, body: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    write!(
        socket,
        "{method} {path} HTTP/1.0\r\nHost: probe\r\nX-Hookproof-Token: {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    socket
}

fn skip_head(reader: &mut impl BufRead) -> u16 {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap().parse().unwrap();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
    }
    status
}

pub fn exchange(address: &str, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
    let mut reader = BufReader::new(send(address, method, path, token, body));
    let status = skip_head(&mut reader);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    (status, text)
}

pub fn get(port: u16, path: &str) -> (u16, String) {
    exchange(&format!("127.0.0.1:{port}"), "GET", path, "", "")
}

/// Gets the whole response including its head.
pub fn get_raw(port: u16, path: &str) -> String {
    let mut socket = send(&format!("127.0.0.1:{port}"), "GET", path, "", "");
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text
}
