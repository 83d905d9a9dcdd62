//! The steps of an experiment in plain English.

use std::time::Duration;

use crate::catalogue::model::{Action, Scenario, Step};

/// One text per step; steps that wait for moments one after the other become one.
pub(super) fn in_words(scenario: &Scenario) -> Vec<String> {
    let mut texts = Vec::new();
    let mut awaited: Vec<&str> = Vec::new();
    for step in &scenario.steps {
        if let Action::Until {
            moment,
            optional: false,
        } = &step.action
        {
            awaited.push(moment);
            continue;
        }
        texts.extend(waiting(&mut awaited));
        texts.push(step_in_words(scenario, step));
    }
    texts.extend(waiting(&mut awaited));
    texts
}

fn waiting(awaited: &mut Vec<&str>) -> Option<String> {
    let last = awaited.pop()?;
    let before = std::mem::take(awaited);
    Some(if before.is_empty() {
        format!("wait until {last}")
    } else {
        format!("wait until {} and {last}", before.join(", "))
    })
}

fn step_in_words(scenario: &Scenario, step: &Step) -> String {
    let text = match &step.action {
        Action::Apply { manifest, dry_run } => {
            let path = scenario.manifests.get(*manifest).map_or("", |m| &m.path);
            let dry_run = if *dry_run { " as a dry run" } else { "" };
            format!("apply {path}{dry_run}")
        }
        Action::Delete { object, grace } => match grace {
            Some(seconds) => format!("delete {object} with a grace period of {seconds} s"),
            None => format!("delete {object}"),
        },
        Action::Until { moment, .. } => {
            format!("wait at most {} for {moment}", duration(step.cap))
        }
        Action::Kubectl {
            args,
            stdin,
            background,
            ordinary_user,
        } => {
            let mut how = Vec::new();
            if *ordinary_user {
                how.push("as an unprivileged user");
            }
            if *background {
                how.push("in the background");
            }
            if stdin.is_some() {
                how.push("with input");
            }
            run(&how.join(", "), "kubectl ", args)
        }
        Action::Outside { container, args } => run(
            &format!("in the container {container} outside the cluster"),
            "",
            args,
        ),
        Action::Node { pod, args } => run(&format!("on the node of pod {pod}"), "", args),
        Action::Release {
            hold,
            pod,
            container,
            start,
        } => {
            let mut text = format!("release the hold {hold}");
            let pod = pod.as_ref().map(|pod| format!("in pod {pod}"));
            let container = container.as_ref().map(|name| format!("container {name}"));
            let start = start.map(|start| format!("start {start}"));
            let place: Vec<String> = [pod, container, start].into_iter().flatten().collect();
            if !place.is_empty() {
                text = format!("{text} {}", place.join(", "));
            }
            text
        }
        Action::Stop { name } => format!("stop {name}"),
        Action::Ended { name } => format!("wait until {name} exits"),
        Action::Http { through, path } => format!("send GET {path} through {through}"),
        Action::Get { object } => format!("read {object} through the API"),
        Action::Pause { time, because } => format!("let {} pass: {because}", duration(*time)),
    };
    match &step.name {
        Some(name) => format!("{text} → {name}"),
        None => text,
    }
}

fn run(how: &str, program: &str, args: &[String]) -> String {
    let command = command(args);
    match how {
        "" => format!("run {program}{command}"),
        how => format!("run {how}: {program}{command}"),
    }
}

/// A command as a shell would read it.
pub(super) fn command(words: &[String]) -> String {
    let quoted = words.iter().map(|word| {
        // Braces and the like are quoted by shlex, but placeholders read better without.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+*{}[]~^!#".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            return word.clone();
        }
        shlex::try_quote(word).map_or_else(|_| word.clone(), std::borrow::Cow::into_owned)
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// `8 s`, `500 ms`, `2.5 s`.
pub(super) fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        format!("{millis} ms")
    } else {
        format!("{} s", duration.as_secs_f64())
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
