//! Steps in plain English, for progress, problems and `hookproof explain`.

use std::borrow::Cow;
use std::time::Duration;

use itertools::Itertools as _;

use super::super::manifest::Manifest;
use super::kinds::{Action, Step};

impl Step {
    pub(crate) fn in_words(&self, manifests: &[Manifest]) -> String {
        match &self.action {
            Action::Apply { manifest, dry_run } => {
                let path = manifests.get(*manifest).map_or("", |found| &found.path);
                let dry_run = if *dry_run { " as a dry run" } else { "" };
                format!("apply {path}{dry_run}")
            }
            Action::Delete { object, grace } => match grace {
                None => format!("delete {object}"),
                Some(seconds) => format!("delete {object} with a grace period of {seconds} s"),
            },
            Action::Until { moment, optional } if *optional => {
                format!("wait at most {} for {moment}", duration(self.cap))
            }
            Action::Until { moment, .. } => format!("wait until {moment}"),
            Action::Kubectl {
                args,
                stdin,
                background,
                ordinary_user,
            } => {
                let how = [
                    (*ordinary_user, "as an unprivileged user"),
                    (*background, "in the background"),
                    (stdin.is_some(), "with input"),
                ];
                let mut how = how
                    .into_iter()
                    .filter_map(|(given, how)| given.then_some(how));
                match how.join(", ").as_str() {
                    "" => format!("run kubectl {}", command(args)),
                    how => format!("run {how}: kubectl {}", command(args)),
                }
            }
            Action::Outside { container, args } => {
                let args = command(args);
                format!("run in the container {container} outside the cluster: {args}")
            }
            Action::Node { pod, args } => {
                format!("run on the node of pod {pod}: {}", command(args))
            }
            Action::Release {
                hold,
                pod,
                container,
                start,
            } => {
                let pod = pod.as_ref().map(|pod| format!("in pod {pod}"));
                let container = container.as_ref().map(|name| format!("container {name}"));
                let start = start.map(|start| format!("start {start}"));
                let place = [pod, container, start].into_iter().flatten().join(", ");
                let text = format!("release the hold {hold} {place}");
                text.trim_end().to_owned()
            }
            Action::Stop { name } => format!("stop {name}"),
            Action::Ended { name } => format!("wait until {name} exits"),
            Action::Http { through, path } => format!("send GET {path} through {through}"),
            Action::Get { object } => format!("read {object} through the API"),
            Action::Pause { time, because } => format!("let {} pass: {because}", duration(*time)),
        }
    }
}

/// A command as a shell would read it.
pub(crate) fn command(words: &[String]) -> String {
    let mut quoted = words.iter().map(|word| {
        // Braces and the like are quoted by shlex, but placeholders read better without.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+*{}[]~^!#".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            return word.clone();
        }
        shlex::try_quote(word).map_or_else(|_| word.clone(), Cow::into_owned)
    });
    quoted.join(" ")
}

/// `8 s`, `500 ms`, `2.5 s`.
pub(crate) fn duration(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        _ => format!("{} s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&["logs", "slow"], "logs slow")]
    #[case(&["-n", "{namespace}", "a b", ""], "-n {namespace} 'a b' ''")]
    fn commands_are_quoted(#[case] words: &[&str], #[case] expected: &str) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(command(&words), expected);
    }

    #[rstest]
    #[case(8000, "8 s")]
    #[case(2500, "2.5 s")]
    #[case(500, "500 ms")]
    fn durations(#[case] millis: u64, #[case] expected: &str) {
        assert_eq!(duration(Duration::from_millis(millis)), expected);
    }
}
