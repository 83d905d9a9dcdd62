//! Runs the actions in order and handles signals at any point.

use std::{
    fs,
    io::Write,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::{Request, body::Bytes};
use serde_json::{Map, Value, json};
use tokio::{sync::mpsc, task::spawn_blocking, time::sleep};

use crate::{
    BROKEN,
    actions::Action,
    client, print_out, say, serve,
    signals::Signal,
    stamps::Stamper,
    waits::{self, Waits},
    who,
    witness_client::WitnessClient,
};

/// Bytes of a response body kept in a stamp.
const SHOWN_BODY: usize = 1024;

/// The execution of a sequence of actions.
pub(crate) struct Performance {
    waits: Waits,
    signals: mpsc::UnboundedReceiver<Signal>,
    ignored: Vec<Signal>,
}

/// The outcome of an action.
enum Then {
    Next,
    End(u8),
    Signalled(Signal),
}

impl Performance {
    pub(crate) fn new(
        stamper: Stamper,
        witness: Option<WitnessClient>,
        signals: mpsc::UnboundedReceiver<Signal>,
    ) -> Self {
        Self {
            waits: Waits { stamper, witness },
            signals,
            ignored: Vec::new(),
        }
    }

    /// Runs all actions. Returns the exit code after the last stamp has been delivered.
    pub(crate) async fn run(mut self, actions: &[Action]) -> u8 {
        self.stamp("begun", json!({})).await;
        let code = self.go_through(actions).await;
        self.stamp("ended", json!({"code": code})).await;
        code
    }

    async fn go_through(&mut self, actions: &[Action]) -> u8 {
        // Keeps the memory of `allocate` until the process ends.
        let mut memory = Vec::new();
        let mut at = 0;
        while let Some(action) = actions.get(at) {
            let then = if let Action::Ignore(signal) = action {
                self.ignored.push(*signal);
                Then::Next
            } else {
                let waits = self.waits.clone();
                self.heed_signals(perform(action, &waits, &mut memory))
                    .await
            };
            match then {
                Then::Next => at += 1,
                Then::End(code) => return code,
                // Continues after the next `wait`; without one the signal ends the process.
                Then::Signalled(signal) => {
                    match actions[at..]
                        .iter()
                        .position(|action| *action == Action::Wait)
                    {
                        Some(ahead) => at += ahead + 1,
                        None => return signal.exit_code(),
                    }
                }
            }
        }
        let serves = |action: &Action| matches!(action, Action::Serve(_) | Action::Tcp { .. });
        if actions.iter().any(serves) && !actions.contains(&Action::Wait) {
            match self.heed_signals(std::future::pending()).await {
                Then::Signalled(signal) => return signal.exit_code(),
                Then::End(code) => return code,
                Then::Next => {}
            }
        }
        0
    }

    /// Runs the step until it is done or a signal arrives that is not ignored.
    async fn heed_signals(&mut self, step: impl Future<Output = Then>) -> Then {
        tokio::pin!(step);
        loop {
            let signal = tokio::select! {
                biased;
                Some(signal) = self.signals.recv() => signal,
                then = &mut step => return then,
            };
            let ignored = self.ignored.contains(&signal);
            let data = json!({
                "signal": signal.to_string(), "number": signal.number(), "ignored": ignored,
            });
            self.stamp("signal", data).await;
            if !ignored {
                return Then::Signalled(signal);
            }
        }
    }

    fn stamp(&self, name: &str, data: Value) -> impl Future<Output = ()> + use<> {
        self.waits.stamper.stamp(name, data)
    }
}

async fn perform(action: &Action, waits: &Waits, memory: &mut Vec<Vec<u8>>) -> Then {
    let stamper = &waits.stamper;
    match action {
        Action::Print(text) => print_out(text),
        Action::Error(text) => say(text),
        Action::Stamp(name) => stamper.stamp(name, json!({})).await,
        Action::Hold { name, cap } => waits.hold(name, *cap, Map::new()).await,
        Action::Sleep(duration) => {
            sleep(*duration).await;
            stamper
                .stamp("slept", json!({"ms": millis(*duration)}))
                .await;
        }
        Action::Meet { name, cap } => waits.meet(name, *cap).await,
        Action::Write { path, text } => {
            put(
                stamper,
                path,
                text,
                fs::OpenOptions::new()
                    .create(true)
                    .write(true)
                    .truncate(true),
            )
            .await;
        }
        Action::Append { path, text } => {
            put(
                stamper,
                path,
                text,
                fs::OpenOptions::new().create(true).append(true),
            )
            .await;
        }
        Action::AwaitFile { path, cap } => {
            let seen = waits::appears(path, *cap).await;
            let name = if seen { "file-seen" } else { "file-missing" };
            stamper.stamp(name, json!({"path": path})).await;
        }
        Action::Serve(options) => {
            let begun = serve::start(options.clone(), waits.clone()).await;
            return failing(stamper, action, begun).await;
        }
        Action::Tcp { port } => {
            let begun = serve::start_tcp(*port, stamper.clone()).await;
            return failing(stamper, action, begun).await;
        }
        Action::Get { url, cap } => get(stamper, url, *cap).await,
        Action::Allocate { bytes } => match allocate(*bytes).await {
            Ok(block) => {
                memory.push(block);
                stamper.stamp("allocated", json!({"bytes": bytes})).await;
            }
            Err(error) => return failing(stamper, action, Err(error)).await,
        },
        Action::Cpu(duration) => {
            burn(*duration).await;
            stamper
                .stamp("burnt", json!({"ms": millis(*duration)}))
                .await;
        }
        Action::Who => stamper.stamp("who", who::describe()).await,
        Action::Wait => std::future::pending().await,
        // Handled in `go_through`.
        Action::Ignore(_) => {}
        Action::Exit(code) => return Then::End(*code),
    }
    Then::Next
}

/// Reports a fatal error on standard error and in a stamp, and ends the process.
async fn failing<E: std::fmt::Display>(
    stamper: &Stamper,
    action: &Action,
    outcome: Result<(), E>,
) -> Then {
    let Err(error) = outcome else {
        return Then::Next;
    };
    say(&format!("hookproof-agent: `{action}` failed: {error}"));
    let data = json!({"action": action.to_string(), "error": error.to_string()});
    stamper.stamp("failed", data).await;
    Then::End(BROKEN)
}

/// Writes to a file. A failure is a valid observation, for example of a read-only volume, so the sequence
/// continues.
async fn put(stamper: &Stamper, path: &Path, text: &str, options: &fs::OpenOptions) {
    let written = options
        .open(path)
        .and_then(|mut file| writeln!(file, "{text}"));
    match written {
        Ok(()) => stamper.stamp("wrote", json!({"path": path})).await,
        Err(error) => {
            say(&format!(
                "hookproof-agent: failed to write {}: {error}",
                path.display()
            ));
            let data = json!({"path": path, "error": error.to_string()});
            stamper.stamp("not-written", data).await;
        }
    }
}

async fn get(stamper: &Stamper, url: &hyper::Uri, cap: Duration) {
    let sent = match Request::get(url).body(Bytes::new()) {
        Ok(request) => client::send(request, cap).await,
        Err(error) => Err(error.into()),
    };
    match sent {
        Ok(reply) => {
            let shown = &reply.body[..reply.body.len().min(SHOWN_BODY)];
            let data = json!({
                "url": url.to_string(),
                "status": reply.status,
                "body": String::from_utf8_lossy(shown),
            });
            stamper.stamp("response", data).await;
        }
        Err(error) => {
            let data = json!({"url": url.to_string(), "error": error.to_string()});
            stamper.stamp("no-response", data).await;
        }
    }
}

/// Allocates memory and touches every page.
async fn allocate(bytes: usize) -> Result<Vec<u8>, String> {
    let taken = spawn_blocking(move || {
        let mut block = Vec::new();
        block.try_reserve_exact(bytes)?;
        // Not zero, because zeroed memory may not be backed by pages.
        block.resize(bytes, 1);
        Ok(block)
    });
    match taken.await {
        Ok(Ok(block)) => Ok(block),
        Ok(Err(error)) => Err(std::collections::TryReserveError::to_string(&error)),
        Err(error) => Err(error.to_string()),
    }
}

/// Keeps one CPU busy until the duration elapses or the future is dropped.
async fn burn(duration: Duration) {
    let wanted = Arc::new(());
    let still = Arc::downgrade(&wanted);
    let burning = spawn_blocking(move || {
        let begun = Instant::now();
        while begun.elapsed() < duration && still.strong_count() > 0 {
            std::hint::spin_loop();
        }
    });
    burning.await.ok();
    drop(wanted);
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
