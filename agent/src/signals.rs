//! Signal handling. Every signal that may stop a container is caught at all times.
//!
//! The kernel applies no default action to signals sent to PID 1 of a container, so a signal without a
//! handler would leave no trace.

use std::{fmt, io, str::FromStr};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

/// A caught signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Term,
    Int,
    Quit,
    Hup,
    Usr1,
    Usr2,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown signal `{0}`: expected TERM, INT, QUIT, HUP, USR1 or USR2")]
pub(crate) struct UnknownSignal(String);

impl Signal {
    pub(crate) const ALL: [Self; 6] = [
        Self::Term,
        Self::Int,
        Self::Quit,
        Self::Hup,
        Self::Usr1,
        Self::Usr2,
    ];

    fn kind(self) -> SignalKind {
        match self {
            Self::Term => SignalKind::terminate(),
            Self::Int => SignalKind::interrupt(),
            Self::Quit => SignalKind::quit(),
            Self::Hup => SignalKind::hangup(),
            Self::Usr1 => SignalKind::user_defined1(),
            Self::Usr2 => SignalKind::user_defined2(),
        }
    }

    pub(crate) fn number(self) -> i32 {
        self.kind().as_raw_value()
    }

    /// The exit code that a shell reports for a process killed by this signal.
    pub(crate) fn exit_code(self) -> u8 {
        128 + u8::try_from(self.number()).unwrap_or_default()
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Hup => "HUP",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
        })
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        let plain = text.strip_prefix("SIG").unwrap_or(text);
        Self::ALL
            .into_iter()
            .find(|signal| signal.to_string() == plain)
            .ok_or_else(|| UnknownSignal(text.to_owned()))
    }
}

/// Installs handlers for every [`Signal`]. The receiver yields signals in order of arrival.
///
/// # Errors
///
/// When a handler cannot be installed.
pub(crate) fn catch() -> io::Result<mpsc::UnboundedReceiver<Signal>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    for caught in Signal::ALL {
        let mut stream = signal(caught.kind())?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() && sender.send(caught).is_ok() {}
        });
    }
    Ok(receiver)
}

/// As PID 1, reaps orphans, so that a hook that leaves a child behind does not leave a zombie. Does nothing in
/// any other process.
///
/// # Errors
///
/// When the handler cannot be installed.
pub(crate) fn reap_orphans() -> io::Result<()> {
    if std::process::id() != 1 {
        return Ok(());
    }
    let mut ended = signal(SignalKind::child())?;
    tokio::spawn(async move {
        loop {
            while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
            if ended.recv().await.is_none() {
                break;
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_round_trip() {
        for signal in Signal::ALL {
            assert_eq!(signal.to_string().parse(), Ok(signal));
            assert_eq!(format!("SIG{signal}").parse(), Ok(signal));
        }
        assert!("KILL".parse::<Signal>().is_err());
        assert_eq!(Signal::Term.exit_code(), 143);
    }
}
