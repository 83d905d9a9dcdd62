//! Sequences of actions, signals and exit codes, with and without a witness.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use rstest::rstest;
use rustix::process::Signal;
use serde_json::json;
use support::{Agent, Witness, agent_command, alone, free_port};

#[test]
fn stamps_arrive_in_order_with_identity_and_start() {
    let witness = Witness::start();
    let agent = witness.agent(
        "init",
        &[
            "print=out",
            "error=err",
            "stamp=half",
            "sleep=10ms",
            "exit=7",
        ],
    );
    let pid = agent.pid();
    let mut stream = witness.stream();
    for (n, (name, data)) in [
        ("begun", json!({})),
        ("half", json!({})),
        ("slept", json!({"ms": 10})),
        ("ended", json!({"code": 7})),
    ]
    .into_iter()
    .enumerate()
    {
        let stamp = stream.next();
        assert_eq!(stamp["stamp"], name);
        assert_eq!(stamp["data"], data);
        assert_eq!(stamp["n"], n + 1);
        assert_eq!(stamp["seq"], n + 1);
        assert_eq!(stamp["start"], 1);
        assert_eq!(stamp["pid"], pid);
        for (field, value) in [
            ("namespace", "ns"),
            ("pod", "web"),
            ("pod_uid", "uid-1"),
            ("container", "app"),
        ] {
            assert_eq!(stamp[field], value);
        }
        assert!(
            stamp["at"].as_str() <= stamp["received"].as_str(),
            "{stamp}"
        );
    }
    let ended = agent.end();
    assert_eq!(ended.code, Some(7));
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        ("out\n", "err\n")
    );
}

#[rstest]
#[case::end_of_actions(&["print=a"], 0)]
#[case::chosen(&["exit=3", "print=never"], 3)]
#[case::wrong_action(&["print=never", "dance"], 64)]
fn exits_with_the_right_code(#[case] actions: &[&str], #[case] code: i32) {
    let ended = alone("hook", actions).end();
    assert_eq!(ended.code, Some(code));
    assert!(!ended.stdout.contains("never"));
}

#[test]
fn an_unknown_action_is_reported_with_the_known_ones() {
    let ended = alone("hook", &["dance"]).end();
    assert!(
        ended.stderr.contains("unknown action `dance`"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("await-file=PATH[,CAP]"),
        "{}",
        ended.stderr
    );
}

#[test]
fn missing_arguments_and_an_invalid_witness_address_are_usage_errors() {
    let bare = std::process::Command::new(support::AGENT).output().unwrap();
    assert_eq!(bare.status.code(), Some(64));
    let mut command = agent_command("hook", &["print=a"]);
    command.env("HOOKPROOF_WITNESS", "10.0.0.1:8080");
    let ended = Agent::spawn(command).end();
    assert_eq!(ended.code, Some(64));
    assert!(
        ended.stderr.contains("HOOKPROOF_WITNESS"),
        "{}",
        ended.stderr
    );
}

#[test]
fn without_a_witness_stamps_go_to_standard_error() {
    let ended = alone("hook", &["stamp=one", "meet=m,1s"]).end();
    let names: Vec<_> = ended.stamps().iter().map(|s| s["stamp"].clone()).collect();
    assert_eq!(names, ["begun", "one", "alone", "ended"]);
    assert_eq!(ended.code, Some(0));
}

#[test]
fn without_a_witness_a_file_releases_a_hold() {
    let name = format!("test-{}", std::process::id());
    let file = format!("/tmp/hookproof-release-{name}");
    let agent = alone("hook", &[&format!("hold={name},20s")]);
    std::fs::write(&file, "").unwrap();
    let ended = agent.end();
    std::fs::remove_file(&file).unwrap();
    let released = ended
        .stamps()
        .into_iter()
        .find(|s| s["stamp"] == "released")
        .unwrap();
    assert_eq!(released["data"], json!({"name": name, "by": "runner"}));
}

#[test]
fn a_signal_interrupts_any_action_and_continues_after_the_wait() {
    for interrupted in [
        "wait",
        "hold=h",
        "sleep=1m",
        "cpu=1m",
        "await-file=/nowhere",
    ] {
        let witness = Witness::start();
        let actions: &[&str] = &["stamp=ready", interrupted, "wait", "print=bye", "exit=5"];
        let actions = if interrupted == "wait" {
            &actions[..2]
        } else {
            &actions[..3]
        };
        let actions: Vec<&str> = actions
            .iter()
            .copied()
            .chain(["print=bye", "exit=5"])
            .collect();
        let agent = witness.agent("entrypoint", &actions);
        let mut stream = witness.stream();
        stream.until("entrypoint", "ready");
        agent.signal(Signal::TERM);
        let signal = stream.until("entrypoint", "signal");
        assert_eq!(
            signal["data"],
            json!({"signal": "TERM", "number": 15, "ignored": false})
        );
        let ended = agent.end();
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(5), "bye\n"),
            "{interrupted}"
        );
    }
}

#[rstest]
#[case(Signal::TERM, 143)]
#[case(Signal::INT, 130)]
#[case(Signal::QUIT, 131)]
#[case(Signal::HUP, 129)]
#[case(Signal::USR1, 138)]
#[case(Signal::USR2, 140)]
fn a_signal_without_a_wait_ends_the_process(#[case] signal: Signal, #[case] code: i32) {
    let witness = Witness::start();
    let agent = witness.agent("entrypoint", &["stamp=ready", "sleep=1m", "print=never"]);
    let mut stream = witness.stream();
    stream.until("entrypoint", "ready");
    agent.signal(signal);
    assert_eq!(
        stream.until("entrypoint", "ended")["data"],
        json!({"code": code})
    );
    let ended = agent.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""));
}

#[test]
fn an_ignored_signal_is_stamped_and_the_action_continues() {
    let witness = Witness::start();
    let agent = witness.agent(
        "entrypoint",
        &["ignore=TERM", "stamp=ready", "hold=h", "exit=0"],
    );
    let mut stream = witness.stream();
    stream.until("entrypoint", "held");
    agent.signal(Signal::TERM);
    assert_eq!(
        stream.until("entrypoint", "signal")["data"]["ignored"],
        true
    );
    witness.release(r#"{"namespace": "ns", "name": "h"}"#);
    assert_eq!(
        stream.until("entrypoint", "released")["data"]["by"],
        "runner"
    );
    assert_eq!(agent.end().code, Some(0));
}

#[test]
fn a_second_signal_after_the_only_wait_ends_the_process() {
    let witness = Witness::start();
    let agent = witness.agent(
        "entrypoint",
        &["stamp=ready", "wait", "stamp=after", "sleep=1m"],
    );
    let mut stream = witness.stream();
    stream.until("entrypoint", "ready");
    agent.signal(Signal::TERM);
    stream.until("entrypoint", "after");
    agent.signal(Signal::TERM);
    assert_eq!(agent.end().code, Some(143));
}

#[test]
fn files_are_written_and_awaited() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let shown = path.display();
    let witness = Witness::start();
    let mut stream = witness.stream();
    let waiter = witness.agent("waiter", &[&format!("await-file={shown}")]);
    stream.until("waiter", "begun");
    let writer = witness.agent(
        "writer",
        &[
            &format!("write={shown}:one"),
            &format!("append={shown}:two"),
            "write=/nowhere/f:x",
        ],
    );
    assert_eq!(
        stream.until("writer", "not-written")["data"]["path"],
        "/nowhere/f"
    );
    assert_eq!(writer.end().code, Some(0));
    assert_eq!(waiter.end().code, Some(0));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    witness.agent("late", &["await-file=/nowhere/f,50ms"]).end();
    assert_eq!(stream.names_of("late"), ["begun", "file-missing", "ended"]);
}

#[test]
fn memory_and_cpu_are_used() {
    let ended = alone("entrypoint", &["allocate=8Mi", "cpu=20ms"]).end();
    let stamps = ended.stamps();
    assert_eq!(stamps[1]["data"]["bytes"], 8 << 20);
    assert_eq!(stamps[2]["data"]["ms"], 20);
    assert_eq!(ended.code, Some(0));
}

#[test]
fn who_reports_no_secrets() {
    let mut command = agent_command("hook", &["who"]);
    command.env("PROBE_A", "shown").env("SECRET_B", "hidden");
    let ended = Agent::spawn(command).end();
    let who = ended
        .stamps()
        .into_iter()
        .find(|s| s["stamp"] == "who")
        .unwrap()["data"]
        .clone();
    assert_eq!(who["env"]["values"]["PROBE_A"], "shown");
    assert!(
        who["env"]["names"]
            .as_array()
            .unwrap()
            .contains(&json!("SECRET_B"))
    );
    assert!(!who.to_string().contains("hidden"));
    assert!(
        who["namespaces"]["pid"]
            .as_str()
            .unwrap()
            .starts_with("pid:[")
    );
    assert_eq!(who["args"][1], "hook");
    assert_eq!(who["ppid"], std::process::id());
    assert!(who["uid"].is_number());
}

#[test]
fn a_missing_witness_is_reported_and_the_actions_continue() {
    let mut command = agent_command("hook", &["stamp=one", "print=on", "exit=4"]);
    command.env(
        "HOOKPROOF_WITNESS",
        format!("http://127.0.0.1:{}", free_port()),
    );
    let begun = std::time::Instant::now();
    let ended = Agent::spawn(command).end();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(4), "on\n"));
    for stamp in ["begun (seq 1)", "one (seq 2)", "ended (seq 3)"] {
        assert!(
            ended.stderr.contains(&format!("lost stamp {stamp}")),
            "{}",
            ended.stderr
        );
    }
    // The tries for the first stamp take 1.5 s; the other stamps are tried once.
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[test]
fn a_witness_that_starts_late_receives_all_stamps() {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut command = agent_command("hook", &["stamp=one"]);
    command.env("HOOKPROOF_WITNESS", format!("http://{address}"));
    let agent = Agent::spawn(command);
    let mut witness = std::process::Command::new(support::AGENT)
        .args(["witness", "--listen", &address])
        .env("HOOKPROOF_TOKEN", support::TOKEN)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let ended = agent.end();
    witness.kill().unwrap();
    witness.wait().unwrap();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}
