//! Compiles expressions, and says where an error or a part of one is in its text.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use cel::{Context, Env, ExecutionError, IdedExpr, Program, Value};
use itertools::Itertools as _;

use super::budget;
use super::syntax::{self, Translated};

pub(super) static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

#[derive(Debug)]
pub(crate) struct Compiled {
    program: Program,
    /// The tree that is evaluated: the program's, with calls that limit its work.
    bounded: IdedExpr,
    origin: Vec<usize>,
}

type Compilation = Result<Arc<Compiled>, Vec<Finding>>;

/// Something wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Characters from the beginning of the text.
    pub(crate) offset: usize,
    pub(crate) message: String,
    /// What to do.
    pub(crate) help: Option<String>,
}

/// Compiles an expression. The results are kept: lint, the judge and every alteration compile the same ones.
pub(crate) fn compile(text: &str) -> Compilation {
    static KNOWN: LazyLock<Mutex<HashMap<String, Compilation>>> = LazyLock::new(Mutex::default);
    const MOST_KNOWN: usize = 10_000;
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(compiled) = known().get(text) {
        return compiled.clone();
    }
    // The lock is not held meanwhile.
    let compiled = uncached(text);
    let mut known = known();
    if known.len() >= MOST_KNOWN {
        known.clear();
    }
    known.insert(text.to_owned(), compiled.clone());
    compiled
}

fn uncached(text: &str) -> Compilation {
    let finding = |offset, message| Finding {
        offset,
        message,
        help: None,
    };
    // The parser and everything that walks the tree recurse.
    if let Some(message) = syntax::too_complex(text) {
        return Err(vec![finding(0, message)]);
    }
    let Translated { text, origin, .. } = syntax::translate(text);
    let offset = |(line, column): (isize, isize)| {
        let [line, column] = [line, column].map(|n| usize::try_from(n - 1).unwrap_or(0));
        let before = text.split_inclusive('\n').take(line);
        before.flat_map(str::chars).count() + column
    };
    let program = ENV.compile(&text).map_err(|errors| {
        let errors = errors.errors.into_iter();
        let findings = errors.map(|error| {
            let at = original(&origin, offset(error.pos));
            finding(at, plain(&error.msg))
        });
        findings.collect_vec()
    })?;
    Ok(Arc::new(Compiled {
        bounded: budget::bounded(program.expression()),
        program,
        origin,
    }))
}

/// Compiles an expression; the syntax errors are one message.
pub(crate) fn compiled(text: &str) -> Result<Arc<Compiled>, String> {
    compile(text).map_err(|errors| errors.iter().map(|error| &error.message).join("; "))
}

fn original(origin: &[usize], offset: usize) -> usize {
    origin.get(offset).or(origin.last()).copied().unwrap_or(0)
}

impl Compiled {
    pub(crate) fn expression(&self) -> &IdedExpr {
        self.program.expression()
    }

    /// Where a part of the tree begins: characters from the beginning of the text.
    pub(crate) fn offset(&self, part: &IdedExpr) -> usize {
        let start = self.program.source_info().offset_for(part.id);
        let start = start.map_or(0, |(start, _)| usize::try_from(start).unwrap_or(0));
        original(&self.origin, start)
    }

    /// Evaluates the expression, within limits.
    pub(crate) fn execute(&self, context: &Context<'_, '_>) -> Result<Value, ExecutionError> {
        budget::start();
        Value::resolve(&self.bounded, context)
    }
}

/// The parser's message without its list of everything it would have accepted.
fn plain(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let message = message.split(" expecting {").next().unwrap_or(message);
    message
        .replace("mismatched input '<EOF>'", "unexpected end")
        .replace("'<EOF>'", "the end")
}

/// The known word that `word` was likely meant to be.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.82)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// `did you mean …?` for the most similar of `known`; `None` if none is similar.
pub(crate) fn suggestion<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(word, known).map(|near| format!("did you mean `{near}`?"))
}
