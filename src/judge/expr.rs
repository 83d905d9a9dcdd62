//! Expressions: compiling them, walking them, and the functions that suites have beyond CEL's own.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::extractors::Arguments;
use cel::objects::Key;
use cel::{Context, Env, ExecutionError, Program, Value};

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// Functions that suites may call, beside operators and macros.
pub const FUNCTIONS: [&str; 34] = [
    "first",
    "last",
    "seconds",
    "status",
    "ip",
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "timestamp",
    "duration",
    "int",
    "uint",
    "double",
    "string",
    "bool",
    "bytes",
    "dyn",
    "type",
    "getFullYear",
    "getMonth",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "exists",
    "all",
    "filter",
    "map",
    "has",
];

/// Why an expression does not compile, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Characters from the beginning of the text.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
}

/// Compiles an expression.
///
/// # Errors
/// Everything that is wrong with its syntax.
pub fn compile(text: &str) -> Result<Program, Vec<SyntaxError>> {
    ENV.compile(text).map_err(|errors| {
        errors
            .errors
            .into_iter()
            .map(|error| {
                let (line, column) = error.pos;
                let before: usize = text
                    .split_inclusive('\n')
                    .take(usize::try_from(line - 1).unwrap_or(0))
                    .map(|line| line.chars().count())
                    .sum();
                let column = usize::try_from(column - 1).unwrap_or(0);
                SyntaxError {
                    offset: before + column,
                    message: plain(&error.msg),
                }
            })
            .collect()
    })
}

/// The parser's message without its list of all that could have stood there instead.
fn plain(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let message = message.split(" expecting {").next().unwrap_or(message);
    message
        .replace("mismatched input '<EOF>'", "it ends too early")
        .replace("'<EOF>'", "the end")
}

/// A context with the functions and without any variable.
#[must_use]
pub fn context() -> Context<'static, 'static> {
    let mut context = Context::with_env(Arc::clone(&ENV));
    // The names are ours alone: adding them cannot be refused.
    let _ = context.add_function("first", first);
    let _ = context.add_function("last", last);
    let _ = context.add_function("seconds", seconds);
    let _ = context.add_function("status", status);
    let _ = context.add_function("ip", ip);
    context
}

type Answer = Result<Value, ExecutionError>;

fn first(Arguments(args): Arguments) -> Answer {
    item("first", &args, <[Value]>::first)
}

fn last(Arguments(args): Arguments) -> Answer {
    item("last", &args, <[Value]>::last)
}

fn item(name: &str, args: &[Value], pick: impl Fn(&[Value]) -> Option<&Value>) -> Answer {
    match args {
        [Value::List(list)] => pick(list)
            .cloned()
            .ok_or_else(|| ExecutionError::function_error(name, "the list is empty")),
        _ => Err(ExecutionError::function_error(name, "takes a list")),
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "seconds of a scenario are far below 2^52"
)]
fn seconds(Arguments(args): Arguments) -> Answer {
    match args.as_slice() {
        [Value::Duration(duration)] => {
            let whole = duration.num_seconds() as f64;
            Ok(Value::Float(
                whole + f64::from(duration.subsec_nanos()) / 1e9,
            ))
        }
        _ => Err(ExecutionError::function_error(
            "seconds",
            "takes a duration",
        )),
    }
}

fn status(Arguments(args): Arguments) -> Answer {
    let [Value::Map(pod), Value::String(container)] = args.as_slice() else {
        return Err(ExecutionError::function_error(
            "status",
            "takes a pod and a container's name",
        ));
    };
    let key = |name: &str| Key::String(Arc::new(name.to_owned()));
    let wanted = Value::String(Arc::clone(container));
    if let Some(Value::Map(status)) = pod.map.get(&key("status")) {
        for list in [
            "containerStatuses",
            "initContainerStatuses",
            "ephemeralContainerStatuses",
        ] {
            let Some(Value::List(list)) = status.map.get(&key(list)) else {
                continue;
            };
            let found = list.iter().find(
                |one| matches!(one, Value::Map(one) if one.map.get(&key("name")) == Some(&wanted)),
            );
            if let Some(found) = found {
                return Ok(found.clone());
            }
        }
    }
    Err(ExecutionError::function_error(
        "status",
        format!("no status of container {container}"),
    ))
}

/// The address of `IP:PORT`, and of `[IP]:PORT`.
fn ip(Arguments(args): Arguments) -> Answer {
    let [Value::String(text)] = args.as_slice() else {
        return Err(ExecutionError::function_error("ip", "takes text such as 10.0.0.1:80"));
    };
    let address: Option<IpAddr> = text
        .parse::<SocketAddr>()
        .map(|address| address.ip())
        .or_else(|_| text.trim_matches(['[', ']']).parse())
        .ok();
    let address = address
        .ok_or_else(|| ExecutionError::function_error("ip", format!("`{text}` is no address")))?;
    Ok(Value::String(Arc::new(address.to_canonical().to_string())))
}

/// A value that an expression reads: a variable and what is selected of it.
#[derive(Debug, Clone)]
pub struct Read<'a> {
    /// The variable and the fields selected of it; fields end at the first index.
    pub names: Vec<&'a str>,
    /// As a person would write it.
    pub text: String,
    /// The expression itself, for evaluating it.
    pub expr: &'a IdedExpr,
    /// It is only asked whether it is there.
    pub tested: bool,
}

/// Everything that an expression reads of its surroundings. Variables of comprehensions are left out.
#[must_use]
pub fn reads(expr: &IdedExpr) -> Vec<Read<'_>> {
    let mut found = Vec::new();
    walk(expr, &mut Vec::new(), &mut |part, bound| {
        let Some(mut read) = chain(part) else {
            return true;
        };
        let root = read.names[0];
        if !bound.contains(&root) {
            read.expr = part;
            found.push(read);
        }
        // An index may read something of its own.
        let mut inner = part;
        loop {
            match &inner.expr {
                Expr::Select(select) => inner = &select.operand,
                Expr::Call(call) if call.func_name == operators::INDEX => {
                    found.extend(
                        reads(&call.args[1])
                            .into_iter()
                            .filter(|read| !bound.contains(&read.names[0])),
                    );
                    inner = &call.args[0];
                }
                _ => break,
            }
        }
        false
    });
    found
}

/// Calls of functions by name, outside operators.
#[must_use]
pub fn calls(expr: &IdedExpr) -> Vec<(&str, &IdedExpr)> {
    let mut found = Vec::new();
    walk(expr, &mut Vec::new(), &mut |part, _| {
        if let Expr::Call(call) = &part.expr
            && call.func_name.chars().all(|c| c.is_ascii_alphanumeric())
        {
            found.push((call.func_name.as_str(), part));
        }
        true
    });
    found
}

/// Visits all parts from the outside in, with the variables that comprehensions have bound there;
/// `visit` says whether to go on inside.
pub fn walk<'a>(
    expr: &'a IdedExpr,
    bound: &mut Vec<&'a str>,
    visit: &mut impl FnMut(&'a IdedExpr, &[&'a str]) -> bool,
) {
    if !visit(expr, bound) {
        return;
    }
    match &expr.expr {
        Expr::Call(call) => {
            for part in call.target.as_deref().into_iter().chain(&call.args) {
                walk(part, bound, visit);
            }
        }
        Expr::Comprehension(comprehension) => {
            walk(&comprehension.iter_range, bound, visit);
            walk(&comprehension.accu_init, bound, visit);
            let before = bound.len();
            bound.push(&comprehension.iter_var);
            bound.push(&comprehension.accu_var);
            bound.extend(comprehension.iter_var2.as_deref());
            walk(&comprehension.loop_cond, bound, visit);
            walk(&comprehension.loop_step, bound, visit);
            walk(&comprehension.result, bound, visit);
            bound.truncate(before);
        }
        Expr::List(list) => list
            .elements
            .iter()
            .for_each(|part| walk(part, bound, visit)),
        Expr::Select(select) => walk(&select.operand, bound, visit),
        Expr::Map(map) => map.entries.iter().for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => {
                walk(&entry.key, bound, visit);
                walk(&entry.value, bound, visit);
            }
            EntryExpr::StructField(field) => walk(&field.value, bound, visit),
        }),
        Expr::Struct(map) => map.entries.iter().for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => walk(&entry.value, bound, visit),
            EntryExpr::StructField(field) => walk(&field.value, bound, visit),
        }),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

/// A variable with what is selected of it, where `expr` is nothing else.
fn chain(expr: &IdedExpr) -> Option<Read<'_>> {
    match &expr.expr {
        Expr::Ident(name) => Some(Read {
            names: vec![name],
            text: name.clone(),
            expr,
            tested: false,
        }),
        Expr::Select(select) => {
            let mut read = chain(&select.operand)?;
            if !read.text.contains('[') {
                read.names.push(&select.field);
            }
            read.text = format!("{}.{}", read.text, select.field);
            read.tested = select.test;
            Some(read)
        }
        Expr::Call(call) if call.func_name == operators::INDEX => {
            let [operand, index] = call.args.as_slice() else {
                return None;
            };
            let mut read = chain(operand)?;
            read.text = match literal(index) {
                Some(index) => format!("{}[{index}]", read.text),
                None => format!("{}[…]", read.text),
            };
            Some(read)
        }
        _ => None,
    }
}

/// A literal as it is written.
#[must_use]
pub fn literal(expr: &IdedExpr) -> Option<String> {
    let Expr::Literal(literal) = &expr.expr else {
        return None;
    };
    Some(match literal {
        LiteralValue::Boolean(value) => value.inner().to_string(),
        LiteralValue::Int(value) => value.inner().to_string(),
        LiteralValue::String(value) => format!("'{}'", value.inner()),
        LiteralValue::Double(value) => value.inner().to_string(),
        LiteralValue::Null => "null".to_owned(),
        LiteralValue::UInt(_) | LiteralValue::Bytes(_) => return None,
    })
}

/// The text of a string literal.
#[must_use]
pub fn string_literal(expr: &IdedExpr) -> Option<&str> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(value)) => Some(value.inner()),
        _ => None,
    }
}

/// The parts of an expression that `&&` joins at the top; the whole where `||` or `?` stands there.
#[must_use]
pub fn conjuncts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0_i32, 0);
    let mut quote: Option<char> = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, '?' | '|') if depth == 0 => return vec![text.trim()],
            (None, '&') if depth == 0 && chars.peek().is_some_and(|(_, next)| *next == '&') => {
                parts.push(text[from..at].trim());
                from = at + 2;
                chars.next();
            }
            _ => {}
        }
    }
    parts.push(text[from..].trim());
    // Raw or triple-quoted strings may have led astray: then the whole is one part.
    if parts.iter().any(|part| compile(part).is_err()) {
        vec![text.trim()]
    } else {
        parts
    }
}
