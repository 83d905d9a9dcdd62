//! The matrix on a terminal, 80 columns wide, and answers about single claims.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use itertools::Itertools as _;
use serde_json::{Value, json};

use super::view::{Profile, View};
use crate::report::results::ClaimInfo;
use crate::report::terminal::{Layout, code};
use crate::report::text::{count, one_line, wrap};
use crate::report::view::State;
use crate::version::version;

/// Columns of a mark.
const MARK: usize = 3;
/// The narrowest column for ids.
const ID: usize = 20;

/// A row per claim, a column per profile. Claims whose verdicts differ have a line with their history, and so do
/// all if there are only a few. The oldest profiles are left out if there are too many for the width.
pub(crate) fn table(view: &View<'_>, claims: &[&ClaimInfo], layout: Layout) -> String {
    let fit = layout.width.saturating_sub(ID) / MARK;
    let left_out = view.profiles.len().saturating_sub(fit);
    let shown = &view.profiles[left_out..];
    let heads = heads(shown);
    let width = layout.width - MARK * shown.len();
    let longest = claims.iter().map(|claim| claim.id.chars().count()).max();
    let width = width.min(longest.unwrap_or_default().max(ID));
    let marks = heads.iter().map(|head| format!("{head:>MARK$}")).join("");
    let mut out = format!("{:<width$}{marks}\n", "Kubernetes 1.…");
    for claim in claims {
        let id = one_line(&claim.id);
        if id.chars().count() > width {
            let _ = write!(out, "{id}\n{:width$}", "");
        } else {
            let _ = write!(out, "{id:<width$}");
        }
        for (_, found) in view.all(&claim.id).skip(left_out) {
            let colour = found.state().map_or("35", code);
            let _ = write!(out, "  {}", layout.paint(colour, found.mark()));
        }
        out.push('\n');
        if claims.len() <= 5 || view.differs(&claim.id) || view.is_flaky(&claim.id) {
            out += &paragraph(&view.history(&claim.id), layout);
        }
    }
    let legend = wrap(&legend(view, claims), layout.width, "").join("\n");
    let _ = writeln!(out, "\n{legend}");
    for (profile, head) in shown.iter().zip(&heads) {
        if head.starts_with(|c: char| !c.is_ascii_digit()) {
            let _ = writeln!(out, "{head}  {}", profile.label);
        }
    }
    if left_out > 0 {
        let left_out = count(left_out, "older profile");
        let _ = writeln!(out, "{left_out} left out; --format markdown shows all");
    }
    let dates = view.matrix.columns.iter().map(|column| column.began);
    let dates = dates.map(|began| began.strftime("%Y-%m-%d").to_string());
    let dates = match dates.sorted().dedup().collect_vec().as_slice() {
        [] => String::new(),
        [day] => format!(", tested on {day}"),
        [first, .., last] => format!(", tested from {first} to {last}"),
    };
    let claims = count(claims.len(), "claim");
    let _ = writeln!(out, "{claims}, {}{dates}", count(view.tested(), "profile"));
    out
}

/// Headings of two characters: the minor version of a default profile, a letter for others.
fn heads(profiles: &[Profile<'_>]) -> Vec<String> {
    let mut letters = ('a'..='z').chain('A'..='Z');
    let head = |profile: &Profile<'_>| match version(&profile.column.kubernetes) {
        Some((1, minor)) if profile.label == format!("1.{minor}") && minor < 100 => {
            minor.to_string()
        }
        _ => letters.next().unwrap_or('?').to_string(),
    };
    profiles.iter().map(head).collect()
}

/// The marks that occur.
fn legend(view: &View<'_>, claims: &[&ClaimInfo]) -> String {
    let found = claims.iter().flat_map(|claim| view.all(&claim.id));
    let found = found.map(|(_, found)| found.state()).collect_vec();
    let states = State::ALL.into_iter().map(Some).chain([None]);
    let states = states.filter(|state| found.contains(state));
    let words = states.map(|state| match state {
        Some(State::NotRun) => format!("{} untested", State::NotRun.mark()),
        Some(state) => format!("{} {}", state.mark(), state.word()),
        None => "≈ flaky".to_owned(),
    });
    words.collect_vec().join(", ")
}

fn paragraph(text: &str, layout: Layout) -> String {
    let lines = wrap(text, layout.width.saturating_sub(2), "  ");
    let mut lines = lines.iter().map(|line| layout.paint("2", line));
    format!("  {}\n", lines.join("\n  "))
}

/// What is known of a claim on the profiles of a minor version.
pub(crate) fn answer(
    view: &View<'_>,
    claim: &ClaimInfo,
    minor: (u32, u32),
    layout: Layout,
) -> String {
    let mut out = format!("{}\n", layout.paint("1", &one_line(&claim.id)));
    let mut add = |indent: usize, text: &str| {
        for line in wrap(text, layout.width.saturating_sub(indent), "  ") {
            let _ = writeln!(out, "{:indent$}{line}", "");
        }
    };
    add(2, &claim.says);
    let on = |profile: &Profile<'_>| version(&profile.column.kubernetes) == Some(minor);
    if !view.profiles.iter().any(on) {
        let mut tested = view.profiles.iter().map(|profile| &profile.label);
        add(0, &format!("Kubernetes {}.{}: untested", minor.0, minor.1));
        add(2, &format!("tested with {}", tested.join(", ")));
    }
    let mut is_wrong = false;
    for (profile, found) in view.all(&claim.id).filter(|(profile, _)| on(profile)) {
        is_wrong |= found.states().into_iter().any(State::is_wrong);
        let (label, words) = (&profile.label, found.in_words());
        add(0, &format!("Kubernetes {label}: {words}"));
        for entry in &found.0 {
            if found.is_flaky() {
                add(2, &format!("{}:", entry.state.word()));
            }
            let mut has_values = false;
            for (name, value) in entry.values() {
                has_values = true;
                add(2, &format!("{name} = {value}"));
            }
            if let Some(reason) = entry.reason().filter(|_| !has_values) {
                add(2, reason);
            }
        }
        let runs = match profile.runs.len() {
            1 => String::new(),
            runs => format!(", {}", count(runs, "run")),
        };
        add(2, &format!("evidence: {}{runs}", profile.column.observed()));
    }
    if let Some(instead) = claim.instead.as_ref().filter(|_| is_wrong) {
        add(0, &format!("actually: {instead}"));
    }
    add(0, &format!("versions: {}", view.history(&claim.id)));
    out
}

/// A claim's history as a section of its page.
pub(crate) fn section(view: &View<'_>, claim: &str, layout: Layout) -> String {
    let title = layout.paint("1", "Versions");
    let mut plain = layout;
    plain.colour = false;
    format!("\n{title}\n{}", paragraph(&view.history(claim), plain))
}

/// The rows as JSON: per profile the verdicts of its runs, with the values that decided them.
pub(crate) fn json(view: &View<'_>, claims: &[&ClaimInfo]) -> Value {
    let row = |claim: &&ClaimInfo| {
        let tested = view.all(&claim.id).filter(|(_, found)| !found.0.is_empty());
        let cells = tested.map(|(profile, found)| {
            let entries = found.0.iter().map(|entry| {
                let values: BTreeMap<_, _> = entry.values().collect();
                json!({"verdict": entry.state.key(), "values": values, "reason": entry.reason()})
            });
            (profile.label.clone(), entries.collect())
        });
        json!({
            "id": claim.id, "says": claim.says, "versions": view.history(&claim.id),
            "differs": view.differs(&claim.id), "flaky": view.is_flaky(&claim.id),
            "profiles": cells.collect::<serde_json::Map<_, _>>(),
        })
    };
    json!({"profiles": profiles(view), "claims": claims.iter().map(row).collect_vec()})
}

/// The columns of the profiles' newest runs, with labels and numbers of runs.
pub(super) fn profiles(view: &View<'_>) -> Vec<Value> {
    let profiles = view.profiles.iter().map(|profile| {
        let mut column = serde_json::to_value(profile.column).unwrap_or_default();
        column["label"] = profile.label.as_str().into();
        column["runs"] = profile.runs.len().into();
        column
    });
    profiles.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::PLAIN;
    use crate::report::matrix::data::Matrix;
    use crate::report::matrix::view::tests::results;

    const RUNS: [&str; 8] = [
        "1.28 r",
        "1.29 c",
        "1.30 c",
        "1.30 r",
        "1.30/X-off r",
        "1.31 !",
        "1.32 c",
        "1.33 .",
    ];

    #[test]
    fn a_row_per_claim() {
        let mut results = results(&RUNS);
        let mut other = results.claims[0].clone();
        other.id = "a.claim-whose-id-is-too-long-for-the-table-next-to-so-many-profiles".to_owned();
        results.claims.push(other);
        let matrix = Matrix::of(&results);
        let claims: Vec<_> = results.claims.iter().collect();
        insta::assert_snapshot!(table(&View::new(&matrix), &claims, PLAIN));
    }

    #[test]
    fn a_wide_matrix_fits() {
        let runs: Vec<String> = (0..30).map(|minor| format!("1.{minor} c")).collect();
        let runs: Vec<&str> = runs.iter().map(String::as_str).collect();
        let results = results(&runs);
        let matrix = Matrix::of(&results);
        let claims: Vec<_> = results.claims.iter().collect();
        let text = table(&View::new(&matrix), &claims, PLAIN);
        assert!(text.contains("10 older profiles left out"), "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn answers() {
        let results = results(&RUNS);
        let matrix = Matrix::of(&results);
        let view = View::new(&matrix);
        let answers =
            [30, 31, 40].map(|minor| answer(&view, &results.claims[0], (1, minor), PLAIN));
        insta::assert_snapshot!(answers.join("\n"));
    }
}
