//! The matrix as Markdown.

use itertools::Itertools as _;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Value, escape_formatter};
use serde_json::{Value as Json, json};

use super::causes::{Cause, explained};
use super::text::profiles;
use super::view::{Difference, View};
use crate::report::markdown::{code, plain};
use crate::report::results::ClaimInfo;
use crate::report::text::count;
use crate::report::view::State;

/// Profiles, a table per family of claims, and the differences between profiles with their causes.
pub fn page(
    view: &View<'_>,
    claims: &[ClaimInfo],
    causes: &[Cause],
) -> Result<String, minijinja::Error> {
    let differences = view.differences(claims);
    let groups = explained(view, causes, &differences).into_iter();
    let groups = groups.filter(|(_, differences)| !differences.is_empty());
    let groups = groups.map(|(cause, differences)| {
        let claims = differences.chunk_by(|one, next| one.claim.id == next.claim.id);
        json!({
            "cause": cause.map(|cause| (cause.kind.word(), &cause.what, &cause.upstream)),
            "rows": claims.map(|same| difference(view, same)).collect_vec(),
        })
    });
    let flaky = claims.iter().flat_map(|claim| {
        let flaky = view.all(&claim.id).filter(|(_, found)| found.is_flaky());
        flaky.map(|(profile, found)| json!([claim.id, profile.label, found.in_words()]))
    });
    let families = claims.iter().map(ClaimInfo::family).unique();
    let families = families.map(|name| {
        let claims = claims.iter().filter(|claim| claim.family() == name);
        let rows = claims.map(|claim| {
            let marks = view.all(&claim.id).map(|(_, found)| found.mark());
            json!([claim.id, claim.says, marks.collect_vec()])
        });
        json!([name, rows.collect_vec()])
    });
    let context = json!({
        "states": State::ALL.map(|state| (state.mark(), state.word())),
        "profiles": profiles(view),
        "base": view.base.map(|base| &view.profiles[base].label),
        "differences": count(differences.len(), "difference"),
        "groups": groups.collect_vec(),
        "flaky": flaky.collect_vec(),
        "families": families.collect_vec(),
    });
    environment()?.render_str(include_str!("page.md"), Value::from(Serde(&context)))
}

/// Escapes all text that is not marked as safe.
fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut syntax = SyntaxConfig::builder();
    let syntax = syntax.trim_blocks(true).lstrip_blocks(true);
    let mut environment = Environment::new();
    environment.set_syntax(syntax.keep_trailing_newline(true).build()?);
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => Ok(out.write_str(&plain(text))?),
        _ => escape_formatter(out, state, value),
    });
    environment.add_filter("code", |text: &str| Value::from_safe_string(code(text)));
    Ok(environment)
}

/// A claim with the profiles that differ.
fn difference(view: &View<'_>, same: &[Difference<'_>]) -> Json {
    let (id, base) = (&same[0].claim.id, same[0].base.word());
    let states = same.iter().sorted_by_key(|one| one.state);
    let states = states.chunk_by(|one| one.state);
    let states = states.into_iter().map(|(state, same)| {
        let labels = same.map(|one| &view.profiles[one.profile].label);
        (state.word(), labels.collect_vec())
    });
    json!({"id": id, "base": base, "states": states.collect_vec(), "history": view.history(id)})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

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
        insta::assert_snapshot!(page(&view, &results.claims, &[]).unwrap());
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
        #[test]
        fn untrusted_text_is_escaped(text in fixture::nasty_text()) {
            let results = fixture::poisoned(&text);
            let matrix = Matrix::of(&results);
            let out = page(&View::new(&matrix), &results.claims, &[]).unwrap();
            proptest::prop_assert!(!out.contains("<script") && !out.replace("\\]", "").contains("](javascript"));
            proptest::prop_assert!(!out.lines().any(|line| line.starts_with("# heading")));
        }
    }
}
