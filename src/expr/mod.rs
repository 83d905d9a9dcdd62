//! The expression language of suites: CEL with durations as people write them, domain functions over a scenario's
//! timeline, and a type checker.

mod budget;
mod channels;
mod check;
mod compile;
mod functions;
mod selector;
mod syntax;
pub(crate) mod types;
pub(crate) mod values;
mod walk;

use std::sync::Arc;

use cel::{Context, Value};

use crate::evidence::Entry;
use compile::ENV;

pub(crate) use budget::{bounded, evaluate};
pub use channels::Channel;
pub(crate) use channels::{CHANNELS, variables};
pub(crate) use check::{Checker, Scope, negates};
pub(crate) use compile::{Compiled, compile, compiled, nearest, suggestion};
pub(crate) use functions::{FUNCTIONS, containers, restart_count, statuses};
pub(crate) use selector::{Selector, field, name_matches};
pub(crate) use syntax::THERE;
pub(crate) use walk::{
    Read, absences, beginnings, calls, conjuncts, literal, names_read, reads, string_literal, walk,
};

/// A context with the functions of suites over a timeline, and no variables.
pub(crate) fn context(timeline: &Arc<[Entry]>) -> Context<'static, 'static> {
    let mut context = Context::with_env(Arc::clone(&ENV));
    functions::register(&mut context, timeline);
    budget::register(&mut context);
    context
}

/// Evaluates the condition of a moment over `variables`; one that cannot be evaluated is not met.
pub(crate) fn condition(
    program: &Compiled,
    variables: impl IntoIterator<Item = (&'static str, Value)>,
) -> bool {
    thread_local! {
        static BASE: Context<'static, 'static> = context(&Arc::from([]));
    }
    BASE.with(|base| {
        let mut context = base.new_inner_scope();
        for (name, value) in variables {
            context.add_variable_from_value(name, value);
        }
        matches!(program.execute(&context), Ok(Value::Bool(true)))
    })
}
