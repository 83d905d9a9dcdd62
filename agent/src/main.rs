//! The workload of hookproof's scenarios: entrypoint, hook command, server, init container.
//!
//! `agent ROLE ACTION...` runs the actions in order and reports stamps; `agent witness` collects the stamps of
//! a run. README.md describes the actions.

mod actions;
mod amounts;
mod client;
mod clock;
mod identity;
mod perform;
mod serve;
mod signals;
mod stamps;
mod tls;
mod waits;
mod who;
mod wire;
mod witness;
mod witness_client;

use std::{env, io::Write, process::ExitCode};

use hookproof_protocol::env::WITNESS;

use crate::{
    identity::Identity, perform::Performance, stamps::Stamper, witness_client::WitnessClient,
};

/// Wrong command line, as in sysexits.h.
const USAGE: u8 = 64;
/// The agent cannot run its actions.
const BROKEN: u8 = 1;

fn main() -> ExitCode {
    let mut words = Vec::new();
    for word in env::args_os().skip(1) {
        match word.into_string() {
            Ok(word) => words.push(word),
            Err(word) => return fail(USAGE, &format!("{} is not UTF-8", word.display())),
        }
    }
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(BROKEN, &format!("failed to start the runtime: {error}")),
    };
    let code = match words.split_first() {
        None => return fail(USAGE, &help()),
        Some((word, _)) if matches!(word.as_str(), "--help" | "-h" | "help") => {
            print_out(&help());
            0
        }
        Some((word, options)) if word == "witness" => runtime.block_on(witness::run(options)),
        Some((role, actions)) => runtime.block_on(play(role, actions)),
    };
    // Exits without waiting for threads of `cpu` or `allocate`.
    std::process::exit(code.into());
}

async fn play(role: &str, words: &[String]) -> u8 {
    let actions = match actions::parse_all(words.iter().map(String::as_str)) {
        Ok(actions) => actions,
        Err(error) => {
            say(&format!("hookproof-agent: {error}\n{}", help()));
            return USAGE;
        }
    };
    let witness = match WitnessClient::from_environment() {
        Ok(witness) => witness,
        Err(error) => {
            say(&format!("hookproof-agent: {WITNESS}: {error}"));
            return USAGE;
        }
    };
    let signals = match signals::reap_orphans().and_then(|()| signals::catch()) {
        Ok(signals) => signals,
        Err(error) => {
            say(&format!(
                "hookproof-agent: failed to install signal handlers: {error}"
            ));
            return BROKEN;
        }
    };
    let stamper = Stamper::new(Identity::discover(role), witness.clone());
    Performance::new(stamper, witness, signals)
        .run(&actions)
        .await
}

fn help() -> String {
    let mut text =
        "usage: agent ROLE ACTION...\n       agent witness --listen ADDRESS:PORT\n".to_owned();
    text.push_str("actions, run in order:\n");
    for (_, form) in actions::VERBS {
        text.push_str("  ");
        text.push_str(form);
        text.push('\n');
    }
    text.push_str(
        "durations: 1500ms, 2s, 1m, 1h; sizes: 4096, 64Mi, 1Gi; signals: TERM, INT, QUIT, HUP, USR1, USR2",
    );
    text
}

/// Prints a line to standard error. Errors are ignored: there is nowhere left to report them.
fn say(line: &str) {
    writeln!(std::io::stderr().lock(), "{line}").ok();
}

/// Prints a line to standard output and flushes it. A closed pipe does not stop the agent.
fn print_out(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).ok();
}

fn fail(code: u8, message: &str) -> ExitCode {
    say(&format!("hookproof-agent: {message}"));
    code.into()
}
