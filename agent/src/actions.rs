//! Parses the actions on the command line.
//!
//! A word is `verb` or `verb=value`. All words are parsed before the first action runs, so a mistake never
//! leaves a scenario half done.

use std::{fmt, iter, path::PathBuf, str::FromStr, time::Duration};

use hyper::Uri;

use crate::{
    amounts::{self, AmountError},
    signals::Signal,
};

/// Default caps.
pub(crate) const HOLD_CAP: Duration = Duration::from_secs(60);
pub(crate) const MEET_CAP: Duration = Duration::from_secs(15);
pub(crate) const FILE_CAP: Duration = Duration::from_secs(60);
pub(crate) const GET_CAP: Duration = Duration::from_secs(10);

const SLEEP_FORM: &str = "sleep=DURATION[*N]";

/// Every verb with its syntax, as shown in the help text and in errors.
pub(crate) const VERBS: &[(&str, &str)] = &[
    ("print", "print=TEXT"),
    ("error", "error=TEXT"),
    ("stamp", "stamp=NAME"),
    ("hold", "hold=NAME[,CAP]"),
    ("sleep", SLEEP_FORM),
    ("meet", "meet=NAME[,CAP]"),
    ("write", "write=PATH:TEXT"),
    ("append", "append=PATH:TEXT"),
    ("await-file", "await-file=PATH[,CAP]"),
    (
        "serve",
        "serve=PORT[,tls][,status=N][,delay=DURATION][,location=URL][,hold=NAME][,after=DURATION][,body=TEXT]",
    ),
    ("tcp", "tcp=PORT"),
    ("get", "get=URL[,cap=DURATION]"),
    ("allocate", "allocate=BYTES"),
    ("cpu", "cpu=DURATION"),
    ("who", "who"),
    ("wait", "wait"),
    ("ignore", "ignore=SIGNAL"),
    ("exit", "exit=CODE"),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Print(String),
    Error(String),
    Stamp(String),
    Hold { name: String, cap: Duration },
    Sleep(Duration),
    Meet { name: String, cap: Duration },
    Write { path: PathBuf, text: String },
    Append { path: PathBuf, text: String },
    AwaitFile { path: PathBuf, cap: Duration },
    Serve(Serve),
    Tcp { port: u16 },
    Get { url: Uri, cap: Duration },
    Allocate { bytes: usize },
    Cpu(Duration),
    Who,
    Wait,
    Ignore(Signal),
    Exit(u8),
}

/// Options of `serve`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Serve {
    pub(crate) port: u16,
    pub(crate) tls: bool,
    pub(crate) status: u16,
    pub(crate) delay: Option<Duration>,
    pub(crate) location: Option<String>,
    pub(crate) hold: Option<String>,
    pub(crate) after: Option<Duration>,
    pub(crate) body: String,
}

impl Serve {
    pub(crate) fn plain(port: u16) -> Self {
        Self {
            port,
            tls: false,
            status: 200,
            delay: None,
            location: None,
            hold: None,
            after: None,
            body: "ok".to_owned(),
        }
    }
}

/// An invalid word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ActionError {
    #[error("unknown action `{0}`")]
    UnknownVerb(String),
    #[error("`{word}` has no value: expected {form}")]
    NoValue { word: String, form: &'static str },
    #[error("`{word}` takes no value")]
    UnwantedValue { word: String },
    #[error("`{word}`: {problem}; expected {form}")]
    BadValue {
        word: String,
        problem: String,
        form: &'static str,
    },
}

/// Parses every word. `sleep=DURATION*N` becomes N actions.
///
/// # Errors
///
/// The first word that is not an action.
pub(crate) fn parse_all<'a>(
    words: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<Action>, ActionError> {
    let mut actions = Vec::new();
    for word in words {
        match repeated_sleep(word)? {
            Some((sleep, times)) => actions.extend(iter::repeat_n(sleep, times)),
            None => actions.push(word.parse()?),
        }
    }
    Ok(actions)
}

/// The action and the repeat count of `sleep=DURATION*N`; `None` for every other word.
fn repeated_sleep(word: &str) -> Result<Option<(Action, usize)>, ActionError> {
    let value = word.strip_prefix("sleep=");
    let Some((duration, count)) = value.and_then(|value| value.split_once('*')) else {
        return Ok(None);
    };
    let read = || {
        Ok((
            Action::Sleep(amounts::duration(duration)?),
            amounts::count(count)?,
        ))
    };
    read()
        .map(Some)
        .map_err(|error: AmountError| ActionError::BadValue {
            word: word.to_owned(),
            problem: error.to_string(),
            form: SLEEP_FORM,
        })
}

impl FromStr for Action {
    type Err = ActionError;

    fn from_str(word: &str) -> Result<Self, ActionError> {
        let (verb, value) = match word.split_once('=') {
            Some((verb, value)) => (verb, Some(value)),
            None => (word, None),
        };
        let Some((_, form)) = VERBS.iter().find(|(known, _)| *known == verb) else {
            return Err(ActionError::UnknownVerb(word.to_owned()));
        };
        let (Some(value), false) = (value, matches!(verb, "who" | "wait")) else {
            return match (verb, value) {
                ("who", None) => Ok(Self::Who),
                ("wait", None) => Ok(Self::Wait),
                (_, Some(_)) => Err(ActionError::UnwantedValue {
                    word: word.to_owned(),
                }),
                (_, None) => Err(ActionError::NoValue {
                    word: word.to_owned(),
                    form,
                }),
            };
        };
        parse_value(verb, value).map_err(|Problem(problem)| ActionError::BadValue {
            word: word.to_owned(),
            problem,
            form,
        })
    }
}

/// The reason why a value is invalid.
struct Problem(String);

impl From<AmountError> for Problem {
    fn from(error: AmountError) -> Self {
        Self(error.to_string())
    }
}

fn parse_value(verb: &str, value: &str) -> Result<Action, Problem> {
    Ok(match verb {
        "print" => Action::Print(value.to_owned()),
        "error" => Action::Error(value.to_owned()),
        "stamp" => Action::Stamp(name(value)?),
        "hold" => {
            let (name, cap) = capped_name(value, HOLD_CAP)?;
            Action::Hold { name, cap }
        }
        "sleep" => Action::Sleep(amounts::duration(value)?),
        "meet" => {
            let (name, cap) = capped_name(value, MEET_CAP)?;
            Action::Meet { name, cap }
        }
        "write" => {
            let (path, text) = path_and_text(value)?;
            Action::Write { path, text }
        }
        "append" => {
            let (path, text) = path_and_text(value)?;
            Action::Append { path, text }
        }
        "await-file" => {
            let (path, cap) = match value.rsplit_once(',') {
                Some((path, cap)) => (path, amounts::duration(cap)?),
                None => (value, FILE_CAP),
            };
            Action::AwaitFile {
                path: some_path(path)?,
                cap,
            }
        }
        "serve" => Action::Serve(serve(value)?),
        "tcp" => Action::Tcp { port: port(value)? },
        "get" => {
            let (url, cap) = match value.rsplit_once(",cap=") {
                Some((url, cap)) => (url, amounts::duration(cap)?),
                None => (value, GET_CAP),
            };
            Action::Get {
                url: http_url(url)?,
                cap,
            }
        }
        "allocate" => Action::Allocate {
            bytes: amounts::bytes(value)?,
        },
        "cpu" => Action::Cpu(amounts::duration(value)?),
        "ignore" => Action::Ignore(value.parse().map_err(|error| Problem(format!("{error}")))?),
        "exit" => Action::Exit(
            value
                .parse()
                .map_err(|_| Problem(format!("invalid exit code `{value}`: expected 0 to 255")))?,
        ),
        _ => return Err(Problem("unknown action".to_owned())),
    })
}

/// A name. Names occur in queries, keys and file names, hence the restricted characters.
fn name(text: &str) -> Result<String, Problem> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || !text.chars().all(plain) {
        return Err(Problem(format!(
            "invalid name `{text}`: use letters, digits, `-`, `_` and `.`"
        )));
    }
    Ok(text.to_owned())
}

fn capped_name(value: &str, default: Duration) -> Result<(String, Duration), Problem> {
    match value.split_once(',') {
        Some((text, cap)) => Ok((name(text)?, amounts::duration(cap)?)),
        None => Ok((name(value)?, default)),
    }
}

fn some_path(path: &str) -> Result<PathBuf, Problem> {
    if path.is_empty() {
        return Err(Problem("empty path".to_owned()));
    }
    Ok(PathBuf::from(path))
}

fn path_and_text(value: &str) -> Result<(PathBuf, String), Problem> {
    let (path, text) = value
        .split_once(':')
        .ok_or_else(|| Problem("missing `:` after the path".to_owned()))?;
    Ok((some_path(path)?, text.to_owned()))
}

fn port(text: &str) -> Result<u16, Problem> {
    match text.parse() {
        Ok(0) | Err(_) => Err(Problem(format!("invalid port `{text}`"))),
        Ok(port) => Ok(port),
    }
}

fn http_url(text: &str) -> Result<Uri, Problem> {
    let url: Uri = text
        .parse()
        .map_err(|error| Problem(format!("invalid URL `{text}`: {error}")))?;
    if url.scheme_str() != Some("http") || url.host().is_none_or(str::is_empty) {
        return Err(Problem(format!(
            "invalid URL `{text}`: must start with http://HOST"
        )));
    }
    Ok(url)
}

fn serve(value: &str) -> Result<Serve, Problem> {
    // The body may contain commas, so it comes last and takes the rest of the word.
    let (options, body) = match value.split_once(",body=") {
        Some((options, body)) => (options, Some(body)),
        None => (value, None),
    };
    let mut options = options.split(',');
    let mut serve = Serve::plain(port(options.next().unwrap_or_default())?);
    let mut status = None;
    if let Some(body) = body {
        body.clone_into(&mut serve.body);
    }
    for option in options {
        match option.split_once('=') {
            None if option == "tls" => serve.tls = true,
            Some(("status", code)) => status = Some(http_status(code)?),
            Some(("delay", delay)) => serve.delay = Some(amounts::duration(delay)?),
            Some(("after", after)) => serve.after = Some(amounts::duration(after)?),
            Some(("hold", held)) => serve.hold = Some(name(held)?),
            Some(("location", url)) => serve.location = Some(location(url)?),
            _ => return Err(Problem(format!("unknown option `{option}`"))),
        }
    }
    serve.status = status.unwrap_or(if serve.location.is_some() { 302 } else { 200 });
    Ok(serve)
}

/// A status of a final response, which excludes 1xx.
pub(crate) fn http_status_code(text: &str) -> Option<u16> {
    text.parse().ok().filter(|code| (200..=599).contains(code))
}

fn http_status(text: &str) -> Result<u16, Problem> {
    http_status_code(text)
        .ok_or_else(|| Problem(format!("invalid status `{text}`: expected 200 to 599")))
}

fn location(text: &str) -> Result<String, Problem> {
    match hyper::header::HeaderValue::from_str(text) {
        Ok(_) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Problem(format!("invalid header value `{text}`"))),
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Print(text) => write!(f, "print={text}"),
            Self::Error(text) => write!(f, "error={text}"),
            Self::Stamp(name) => write!(f, "stamp={name}"),
            Self::Hold { name, cap } => write!(f, "hold={name},{}", amounts::show(*cap)),
            Self::Sleep(duration) => write!(f, "sleep={}", amounts::show(*duration)),
            Self::Meet { name, cap } => write!(f, "meet={name},{}", amounts::show(*cap)),
            Self::Write { path, text } => write!(f, "write={}:{text}", path.display()),
            Self::Append { path, text } => write!(f, "append={}:{text}", path.display()),
            Self::AwaitFile { path, cap } => {
                write!(f, "await-file={},{}", path.display(), amounts::show(*cap))
            }
            Self::Serve(serve) => write!(f, "serve={serve}"),
            Self::Tcp { port } => write!(f, "tcp={port}"),
            Self::Get { url, cap } => write!(f, "get={url},cap={}", amounts::show(*cap)),
            Self::Allocate { bytes } => write!(f, "allocate={bytes}"),
            Self::Cpu(duration) => write!(f, "cpu={}", amounts::show(*duration)),
            Self::Who => f.write_str("who"),
            Self::Wait => f.write_str("wait"),
            Self::Ignore(signal) => write!(f, "ignore={signal}"),
            Self::Exit(code) => write!(f, "exit={code}"),
        }
    }
}

impl fmt::Display for Serve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            port,
            tls,
            status,
            delay,
            location,
            hold,
            after,
            body,
        } = self;
        write!(f, "{port}")?;
        if *tls {
            f.write_str(",tls")?;
        }
        write!(f, ",status={status}")?;
        if let Some(delay) = delay {
            write!(f, ",delay={}", amounts::show(*delay))?;
        }
        if let Some(location) = location {
            write!(f, ",location={location}")?;
        }
        if let Some(hold) = hold {
            write!(f, ",hold={hold}")?;
        }
        if let Some(after) = after {
            write!(f, ",after={}", amounts::show(*after))?;
        }
        write!(f, ",body={body}")
    }
}

#[cfg(test)]
mod tests;
