//! The witness: tokens, stream, holds and meetings.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Instant;

use rstest::rstest;
use serde_json::{Value, json};
use support::{Agent, TOKEN, Witness, agent_command, exchange};

#[rstest]
#[case("POST", "/stamps")]
#[case("GET", "/stamps?from=1")]
#[case("POST", "/release")]
#[case("POST", "/hold")]
#[case("POST", "/meet")]
#[case("GET", "/time")]
fn a_wrong_token_is_refused(#[case] method: &str, #[case] path: &str) {
    let witness = Witness::start();
    let (status, text) = exchange(&witness.address, method, path, "another-token", "");
    assert_eq!(status, 403, "{text}");
}

#[test]
fn an_agent_reports_a_wrong_token() {
    let witness = Witness::start();
    let mut command = agent_command("hook", &["exit=2"]);
    command.env("HOOKPROOF_WITNESS", format!("http://{}", witness.address));
    command.env("HOOKPROOF_TOKEN", "another-token");
    let ended = Agent::spawn(command).end();
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("refused the token"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_witness_without_token_or_address_does_not_start() {
    for (arguments, token) in [
        (["--listen", "127.0.0.1:0"], ""),
        (["--listen", "nowhere"], TOKEN),
    ] {
        let output = std::process::Command::new(support::AGENT)
            .arg("witness")
            .args(arguments)
            .env("HOOKPROOF_TOKEN", token)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(64));
    }
}

#[test]
fn time_and_health_are_served() {
    let witness = Witness::start();
    let (status, text) = exchange(&witness.address, "GET", "/time", TOKEN, "");
    let time: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(time["stamps"], 0);
    assert_eq!((status, time["now"].as_str().unwrap().len()), (200, 30));
    assert_eq!(exchange(&witness.address, "GET", "/healthz", "", "").0, 200);
}

#[rstest]
#[case("/stamps", "{}")]
#[case("/stamps", "not json")]
#[case(
    "/release",
    r#"{"namespace": "ns", "name": "h", "pods": "typing error"}"#
)]
#[case("/hold", "[]")]
fn invalid_bodies_are_rejected_with_the_reason(#[case] path: &str, #[case] body: &str) {
    let (status, text) = Witness::start().post(path, body);
    assert_eq!(status, 400);
    assert!(text.contains("invalid body"), "{text}");
}

#[test]
fn the_stream_starts_at_the_requested_stamp_and_continues() {
    let witness = Witness::start();
    assert_eq!(witness.agent("first", &["stamp=one"]).end().code, Some(0));
    let mut stream = witness.stream_from(2);
    assert_eq!(
        stream.line(),
        "\n",
        "the response head does not wait for a stamp"
    );
    assert_eq!(stream.next()["n"], 2);
    assert_eq!(stream.next()["n"], 3);
    assert_eq!(stream.line(), "\n", "a heartbeat");
    witness.agent("second", &[]).end();
    let live = stream.next();
    assert_eq!((&live["n"], &live["role"]), (&json!(4), &json!("second")));
}

#[test]
fn long_streams_are_complete() {
    let witness = Witness::start();
    let actions = vec!["stamp=x"; 700];
    assert_eq!(witness.agent("busy", &actions).end().code, Some(0));
    let mut stream = witness.stream();
    for n in 1..=702 {
        assert_eq!(stream.next()["n"], n);
    }
}

#[test]
fn a_hold_ends_by_a_present_or_an_earlier_release() {
    let witness = Witness::start();
    let mut stream = witness.stream();
    let agent = witness.agent("hook", &["hold=h"]);
    assert_eq!(stream.until("hook", "held")["data"], json!({"name": "h"}));
    witness.release(r#"{"namespace": "other", "name": "h"}"#);
    witness.release(r#"{"namespace": "ns", "name": "h"}"#);
    let released = stream.until("hook", "released");
    assert_eq!(released["data"], json!({"name": "h", "by": "runner"}));
    agent.end();
    witness.agent("later", &["hold=h"]).end();
    assert_eq!(stream.until("later", "released")["data"]["by"], "runner");
}

#[test]
fn a_release_can_be_limited_to_one_container_start() {
    let witness = Witness::start();
    witness.release(r#"{"namespace": "ns", "name": "h", "container": "app", "start": 2}"#);
    let mut stream = witness.stream();
    witness.agent("hook", &["hold=h,100ms"]).end();
    assert_eq!(stream.until("hook", "released")["data"]["by"], "cap");
    witness.release(r#"{"namespace": "ns", "name": "h", "container": "app", "start": 1}"#);
    witness.agent("again", &["hold=h,10s"]).end();
    assert_eq!(stream.until("again", "released")["data"]["by"], "runner");
}

#[test]
fn a_hold_ends_at_its_cap_without_a_witness() {
    let witness = Witness::start();
    let mut stream = witness.stream();
    let agent = witness.agent("hook", &["hold=h,300ms", "print=on"]);
    stream.until("hook", "held");
    witness.stop();
    let ended = agent.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "on\n"));
    assert!(
        ended.stderr.contains("lost stamp released"),
        "{}",
        ended.stderr
    );
}

#[test]
fn concurrent_processes_meet() {
    let witness = Witness::start();
    let mut stream = witness.stream();
    let hook = witness.agent("hook", &["meet=m"]);
    let entrypoint = witness.agent("entrypoint", &["meet=m"]);
    let (hook_pid, entrypoint_pid) = (hook.pid(), entrypoint.pid());
    assert_eq!((hook.end().code, entrypoint.end().code), (Some(0), Some(0)));
    for _ in 0..6 {
        let stamp = stream.next();
        if stamp["stamp"] == "met" {
            let (role, pid) = if stamp["role"] == "hook" {
                ("entrypoint", entrypoint_pid)
            } else {
                ("hook", hook_pid)
            };
            assert_eq!(stamp["data"]["peer_role"], role);
            assert_eq!(stamp["data"]["peer_pid"], pid);
        }
        assert_ne!(stamp["stamp"], "alone");
    }
}

#[test]
fn consecutive_processes_do_not_meet() {
    let witness = Witness::start();
    let mut stream = witness.stream();
    for role in ["hook", "entrypoint"] {
        witness.agent(role, &["meet=m,200ms"]).end();
        assert_eq!(stream.until(role, "alone")["data"], json!({"name": "m"}));
    }
}

#[test]
fn a_process_killed_while_waiting_is_not_met() {
    let witness = Witness::start();
    let mut stream = witness.stream();
    let hook = witness.agent("hook", &["meet=m"]);
    stream.until("hook", "begun");
    hook.kill();
    witness.agent("entrypoint", &["meet=m,300ms"]).end();
    stream.until("entrypoint", "alone");
}

#[test]
fn processes_of_different_containers_do_not_meet() {
    let witness = Witness::start();
    let mut stream = witness.stream();
    let here = witness.agent("hook", &["meet=m,300ms"]);
    let mut command = agent_command("other", &["meet=m,300ms"]);
    command.env("HOOKPROOF_WITNESS", format!("http://{}", witness.address));
    command.env("HOOKPROOF_CONTAINER", "side");
    Agent::spawn(command).end();
    here.end();
    for _ in 0..6 {
        assert_ne!(stream.next()["stamp"], "met");
    }
}

#[test]
fn an_agent_starts_and_stamps_quickly() {
    let witness = Witness::start();
    let begun = Instant::now();
    for _ in 0..10 {
        witness.agent("hook", &[]).end();
    }
    // Two acknowledged stamps each. The limit is generous enough for a debug build on a busy machine.
    assert!(begun.elapsed().as_millis() < 3000, "{:?}", begun.elapsed());
}
