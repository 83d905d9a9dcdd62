//! The witness: collects and numbers the stamps of one run. Through it, processes wait for the runner and for
//! each other.

mod holds;
mod ledger;
mod meetings;
mod routes;

use std::{env, net::SocketAddr, sync::Arc};

use hookproof_protocol::env::TOKEN;
use tokio::net::TcpListener;

use crate::{BROKEN, USAGE, say, signals};
use holds::Holds;
use ledger::Ledger;
use meetings::Meetings;

/// State shared by the routes.
struct Witness {
    token: String,
    ledger: Ledger,
    holds: Holds,
    meetings: Meetings,
}

/// Serves until a signal arrives. Returns the exit code.
pub(crate) async fn run(options: &[String]) -> u8 {
    let address = match options {
        [flag, address] if flag == "--listen" => address.parse::<SocketAddr>().ok(),
        _ => None,
    };
    let Some(address) = address else {
        say(
            "hookproof-agent: usage: agent witness --listen ADDRESS:PORT, for example 0.0.0.0:8080",
        );
        return USAGE;
    };
    let token = env::var(TOKEN).unwrap_or_default();
    if token.is_empty() {
        say(&format!(
            "hookproof-agent: {TOKEN} is not set; the witness needs the run's token"
        ));
        return USAGE;
    }
    let mut signals = match signals::reap_orphans().and_then(|()| signals::catch()) {
        Ok(signals) => signals,
        Err(error) => {
            say(&format!(
                "hookproof-agent: failed to install signal handlers: {error}"
            ));
            return BROKEN;
        }
    };
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            say(&format!(
                "hookproof-agent: failed to listen on {address}: {error}"
            ));
            return BROKEN;
        }
    };
    let bound = listener.local_addr().unwrap_or(address);
    let witness = Arc::new(Witness {
        token,
        ledger: Ledger::default(),
        holds: Holds::default(),
        meetings: Meetings::default(),
    });
    say(&format!("hookproof-agent: witness listening on {bound}"));
    tokio::select! {
        served = axum::serve(listener, routes::router(witness)) => {
            say(&format!("hookproof-agent: the witness stopped serving: {served:?}"));
            BROKEN
        }
        _ = signals.recv() => 0,
    }
}
