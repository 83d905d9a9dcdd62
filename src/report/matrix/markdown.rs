//! The matrix as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::causes::{Cause, explained};
use super::view::View;
use crate::report::markdown::{code, plain};
use crate::report::results::ClaimInfo;
use crate::report::text::count;
use crate::report::view::State;

/// Labels of profiles by state.
type States = BTreeMap<State, Vec<String>>;

/// Profiles, a table per family of claims, and the differences between profiles with their causes.
pub fn page(view: &View<'_>, claims: &[ClaimInfo], causes: &[Cause]) -> String {
    let mut out = String::new();
    profiles(&mut out, view);
    differences(&mut out, view, claims, causes);
    flakes(&mut out, view, claims);
    out.push_str("\n## Claims\n");
    let mut families: Vec<(&str, Vec<&ClaimInfo>)> = Vec::new();
    for claim in claims {
        let family = claim.id.split('.').next().unwrap_or_default();
        match families.iter_mut().find(|(name, _)| *name == family) {
            Some((_, claims)) => claims.push(claim),
            None => families.push((family, vec![claim])),
        }
    }
    for (family, claims) in families {
        let _ = writeln!(out, "\n### {}\n\n{}", plain(family), head(view));
        for claim in claims {
            let _ = write!(out, "| {} {} |", code(&claim.id), plain(&claim.says));
            for (_, found) in view.all(&claim.id) {
                let _ = write!(out, " {} |", found.mark());
            }
            out.push('\n');
        }
    }
    out
}

fn head(view: &View<'_>) -> String {
    let labels: Vec<String> = view
        .profiles
        .iter()
        .map(|profile| plain(&profile.label))
        .collect();
    format!(
        "| claim | {} |\n|---|{}",
        labels.join(" | "),
        ":-:|".repeat(labels.len())
    )
}

fn profiles(out: &mut String, view: &View<'_>) {
    let marks = State::ALL
        .into_iter()
        .filter(|state| *state != State::NotRun);
    let marks: Vec<String> = marks
        .map(|state| format!("{} {}", state.mark(), state.word()))
        .collect();
    let _ = writeln!(
        out,
        "{}, ≈ flaky (runs on the same node image differ), {} untested.\n\n\
         | profile | Kubernetes | gates set | runtime | node image | tested | runs |\n|---|---|---|---|---|---|--:|",
        marks.join(", "),
        State::NotRun.mark(),
    );
    for profile in &view.profiles {
        let column = profile.column;
        let gates = column.gates.iter().map(|(gate, on)| format!("{gate}={on}"));
        let gates: Vec<String> = gates.collect();
        let image = column.node_image.as_deref().unwrap_or("unknown");
        // As much of the digest as identifies the image.
        let image: String = match image.split_once("sha256:") {
            Some((source, digest)) => format!("{source}{}", digest.get(..12).unwrap_or(digest)),
            None => image.to_owned(),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} |",
            plain(&profile.label),
            plain(column.kubernetes.trim_start_matches('v')),
            plain(&gates.join(", ")),
            plain(&column.runtimes.join(", ").replace("://", " ")),
            plain(&image),
            column.began.strftime("%Y-%m-%d"),
            profile.runs.len(),
        );
    }
}

fn differences(out: &mut String, view: &View<'_>, claims: &[ClaimInfo], causes: &[Cause]) {
    let Some(base) = view.base else {
        return;
    };
    let differences = view.differences(claims);
    let _ = writeln!(
        out,
        "\n## Differences\n\n{} between {} and the other profiles.",
        count(differences.len(), "difference"),
        plain(&view.profiles[base].label),
    );
    for (cause, differences) in explained(view, causes, &differences) {
        if differences.is_empty() {
            continue;
        }
        match cause {
            Some(cause) => {
                let _ = writeln!(
                    out,
                    "\n**{}**: {} ({})\n",
                    cause.kind.word(),
                    plain(&cause.what),
                    plain(&cause.upstream)
                );
            }
            None => out.push_str("\n**Unexplained**\n\n"),
        }
        let _ = writeln!(
            out,
            "| claim | {} | differs | versions |\n|---|---|---|---|",
            plain(&view.profiles[base].label)
        );
        let mut by_claim: Vec<(&ClaimInfo, State, States)> = Vec::new();
        for one in differences {
            let label = plain(&view.profiles[one.profile].label);
            if by_claim
                .last()
                .is_none_or(|(claim, ..)| claim.id != one.claim.id)
            {
                by_claim.push((one.claim, one.base, BTreeMap::new()));
            }
            if let Some((_, _, states)) = by_claim.last_mut() {
                states.entry(one.state).or_default().push(label);
            }
        }
        for (claim, base, states) in by_claim {
            let states = states
                .iter()
                .map(|(state, labels)| format!("{} on {}", state.word(), labels.join(", ")));
            let states: Vec<String> = states.collect();
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} |",
                code(&claim.id),
                base.word(),
                states.join("; "),
                plain(&view.history(&claim.id))
            );
        }
    }
}

fn flakes(out: &mut String, view: &View<'_>, claims: &[ClaimInfo]) {
    let mut rows = String::new();
    for claim in claims {
        for (profile, found) in view.all(&claim.id) {
            if found.is_flaky() {
                let (id, label) = (code(&claim.id), plain(&profile.label));
                let _ = writeln!(rows, "- {id} on {label}: {}", found.in_words());
            }
        }
    }
    if !rows.is_empty() {
        let _ = write!(out, "\n## Flaky\n\n{rows}");
    }
}

/// Differences without a cause and causes without a difference, as sentences.
pub fn unexplained(view: &View<'_>, claims: &[ClaimInfo], causes: &[Cause]) -> Vec<String> {
    let mut found = Vec::new();
    for (cause, differences) in explained(view, causes, &view.differences(claims)) {
        match cause {
            Some(cause) if differences.is_empty() => {
                found.push(format!("the cause `{}` explains no difference", cause.what));
            }
            Some(_) => {}
            None => found.extend(differences.iter().map(|one| {
                format!(
                    "{} is {} on {} and {} on the default profile, without a cause",
                    one.claim.id,
                    one.state.word(),
                    view.profiles[one.profile].label,
                    one.base.word(),
                )
            })),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::report::matrix::data::Matrix;
    use crate::report::matrix::view::tests::results;

    #[test]
    fn a_page() {
        let results = results(&[
            "1.29 c",
            "1.30 r",
            "1.30/X-off c",
            "1.31 r",
            "1.31 r",
            "1.28 r",
            "1.28 c",
        ]);
        let matrix = Matrix::of(&results);
        let view = View::new(&matrix);
        insta::assert_snapshot!(page(&view, &results.claims, &[]));
        insta::assert_snapshot!(unexplained(&view, &results.claims, &[]).join("\n"));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
        #[test]
        fn untrusted_text_is_escaped(text in fixture::nasty_text()) {
            let results = fixture::poisoned(&text);
            let matrix = Matrix::of(&results);
            let out = page(&View::new(&matrix), &results.claims, &[]);
            proptest::prop_assert!(!out.contains("<script") && !out.replace("\\]", "").contains("](javascript"));
            proptest::prop_assert!(!out.lines().any(|line| line.starts_with("# heading")));
        }
    }
}
