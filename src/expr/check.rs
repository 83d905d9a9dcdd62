//! The type checker: findings about an expression before there is evidence.

use cel::common::ast::operators::{
    ADD, CONDITIONAL, DIVIDE, EQUALS, GREATER, GREATER_EQUALS, IN, INDEX, LESS, LESS_EQUALS,
    LOGICAL_AND, LOGICAL_NOT, LOGICAL_OR, MODULO, MULTIPLY, NEGATE, NOT_EQUALS, SUBSTRACT,
};
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue};
use itertools::Itertools as _;

use super::compile::{Compiled, Finding, compile, suggestion};
use super::functions::{A_POD, FUNCTIONS, Function, Parameter};
use super::syntax::THERE;
use super::types::Type;
use super::walk::{parts, string_literal};

/// Functions of CEL itself that suites may call, by what they return.
const CEL: [(Type, &str); 9] = [
    (Type::Number, "size int uint double"),
    (Type::Number, "getFullYear getMonth getDayOfMonth"),
    (Type::Number, "getDayOfWeek getDayOfYear getHours"),
    (Type::Number, "getMinutes getSeconds getMilliseconds"),
    (Type::Bool, "contains startsWith endsWith matches bool"),
    (Type::Time, "timestamp"),
    (Type::Duration, "duration"),
    (Type::Text, "string"),
    (Type::Unknown, "bytes dyn type"),
];

/// The names that an expression may use.
pub(crate) trait Scope {
    /// The type of the longest beginning of `names` that is known, and how many of them that takes.
    fn resolve(&self, names: &[&str]) -> Result<(usize, Type), (String, Option<String>)>;

    /// Whether `name` is a moment.
    fn moment(&self, name: &str) -> Result<(), Option<String>>;
}

pub(crate) struct Checker<'a> {
    compiled: &'a Compiled,
    scope: &'a dyn Scope,
    bound: Vec<(&'a str, Type)>,
    findings: Vec<Finding>,
}

impl<'a> Checker<'a> {
    /// The type of an expression and everything wrong with it.
    pub(crate) fn check(compiled: &'a Compiled, scope: &'a dyn Scope) -> (Type, Vec<Finding>) {
        let mut checker = Self {
            compiled,
            scope,
            bound: Vec::new(),
            findings: Vec::new(),
        };
        let found = checker.type_of(compiled.expression());
        (found, checker.findings)
    }

    fn find(&mut self, at: &IdedExpr, message: String, help: Option<String>) {
        // A selection is placed at its dot; the name before it is what a reader looks for.
        let mut part = at;
        while let Expr::Select(select) = &part.expr {
            part = &select.operand;
        }
        let offset = self.compiled.offset(part);
        self.findings.push(Finding {
            offset,
            message,
            help,
        });
    }

    /// Adds a finding. The type of the expression is then unknown.
    fn unknown(&mut self, at: &IdedExpr, message: String, help: Option<String>) -> Type {
        self.find(at, message, help);
        Type::Unknown
    }

    fn type_of(&mut self, expression: &'a IdedExpr) -> Type {
        match &expression.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(_) => Type::Bool,
                LiteralValue::String(_) => Type::Text,
                LiteralValue::Bytes(_) | LiteralValue::Null => Type::Unknown,
                _ => Type::Number,
            },
            Expr::List(list) => {
                for item in &list.elements {
                    self.type_of(item);
                }
                Type::List
            }
            Expr::Map(_) | Expr::Struct(_) => Type::Map,
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Ident(_) | Expr::Select(_) => self.chain(expression),
            Expr::Call(call) => self.call(expression, call),
            Expr::Unspecified => Type::Unknown,
        }
    }

    /// A name with the fields selected of it.
    fn chain(&mut self, expression: &'a IdedExpr) -> Type {
        let (mut part, mut names, mut tested) = (expression, Vec::<&'a str>::new(), false);
        while let Expr::Select(select) = &part.expr {
            tested |= select.test;
            names.push(&select.field);
            part = &select.operand;
        }
        names.reverse();
        let found = if let Expr::Ident(root) = &part.expr {
            self.named(expression, root, names)
        } else {
            let found = self.type_of(part);
            self.select(expression, found, "the value", &names)
        };
        if tested { Type::Bool } else { found }
    }

    /// A variable with the fields selected of it.
    fn named(&mut self, at: &'a IdedExpr, root: &'a str, mut names: Vec<&'a str>) -> Type {
        let mut bound = self.bound.iter().rev();
        if let Some((_, found)) = bound.find(|(name, _)| *name == root) {
            return self.select(at, *found, root, &names);
        }
        if root != THERE {
            names.insert(0, root);
        }
        match self.scope.resolve(&names) {
            Ok((taken, found)) => {
                let shown = names[..taken].join(".");
                self.select(at, found, &shown, &names[taken..])
            }
            Err((message, help)) => self.unknown(at, message, help),
        }
    }

    fn select(&mut self, at: &'a IdedExpr, mut found: Type, owner: &str, names: &[&str]) -> Type {
        for name in names {
            found = match found {
                Type::Unknown | Type::Map => Type::Unknown,
                Type::Record(fields) => {
                    let Some((_, field)) = fields.iter().find(|(known, _)| known == name) else {
                        let help = suggestion(name, fields.iter().map(|(known, _)| *known));
                        let message = format!("`{owner}` has no field `{name}`");
                        return self.unknown(at, message, help);
                    };
                    *field
                }
                other => {
                    let what = other.in_words();
                    let message = format!("`{owner}` is {what} and has no field `{name}`");
                    return self.unknown(at, message, None);
                }
            };
        }
        found
    }

    fn comprehension(&mut self, comprehension: &'a ComprehensionExpr) -> Type {
        let range = self.type_of(&comprehension.iter_range);
        let item = match range {
            Type::Records(fields) => Type::Record(fields),
            Type::Unknown | Type::List | Type::Map | Type::Record(_) => Type::Unknown,
            other => {
                let message = format!("{} has no items to search", other.in_words());
                self.unknown(&comprehension.iter_range, message, None)
            }
        };
        let before = self.bound.len();
        self.bound.push((&comprehension.iter_var, item));
        let others = [
            comprehension.iter_var2.as_ref(),
            Some(&comprehension.accu_var),
        ];
        let others = others.into_iter().flatten();
        self.bound
            .extend(others.map(|name| (name.as_str(), Type::Unknown)));
        self.type_of(&comprehension.loop_step);
        self.bound.truncate(before);
        match (&comprehension.accu_init.expr, &comprehension.loop_step.expr) {
            (Expr::Literal(LiteralValue::Boolean(_) | LiteralValue::Int(_)), _) => Type::Bool,
            // `filter` keeps the items, `map` makes others of them.
            (Expr::List(_), Expr::Call(step)) if step.func_name == CONDITIONAL => range,
            (Expr::List(_), _) => Type::List,
            _ => Type::Unknown,
        }
    }

    fn call(&mut self, at: &'a IdedExpr, call: &'a CallExpr) -> Type {
        let name = call.func_name.as_str();
        if let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) {
            return self.function(at, call, function);
        }
        let args = call.target.as_deref().into_iter().chain(&call.args);
        let args: Vec<(&'a IdedExpr, Type)> = args.map(|arg| (arg, self.type_of(arg))).collect();
        if name.chars().all(|c| c.is_ascii_alphanumeric()) {
            return self.standard(at, name, &args);
        }
        match (name, &*args) {
            (LOGICAL_AND | LOGICAL_OR | LOGICAL_NOT, args) => {
                self.expect(args, Type::Bool);
                Type::Bool
            }
            (IN, [(name, _), (of, _)]) => {
                self.moment_name(name, of);
                Type::Bool
            }
            (INDEX, &[(of, found), (name, _)]) => {
                self.moment_name(name, of);
                match found {
                    Type::Records(fields) => Type::Record(fields),
                    _ => Type::Unknown,
                }
            }
            (MULTIPLY | DIVIDE | MODULO, args) => {
                self.expect(args, Type::Number);
                Type::Number
            }
            (NEGATE, &[(_, found)]) => found,
            (CONDITIONAL, &[_, (_, a), (_, b)]) if a == b => a,
            (_, &[(left, a), (_, b)]) => {
                let (found, wrong) = binary(name, a, b);
                if let Some(message) = wrong {
                    let both = [(a, b), (b, a)].contains(&(Type::Duration, Type::Number));
                    let help = both.then(|| "a duration has a unit: `4s`, `500ms`".to_owned());
                    self.find(left, message, help);
                }
                found
            }
            _ => Type::Unknown,
        }
    }

    fn expect(&mut self, args: &[(&'a IdedExpr, Type)], wanted: Type) {
        for (arg, found) in args {
            if *found != wanted && *found != Type::Unknown {
                let message = format!("expected {}, found {}", wanted.in_words(), found.in_words());
                self.find(arg, message, None);
            }
        }
    }

    fn standard(&mut self, at: &'a IdedExpr, name: &str, args: &[(&'a IdedExpr, Type)]) -> Type {
        let of_cel = CEL.iter().flat_map(|(returns, names)| {
            let names = names.split(' ');
            names.map(move |name| (name, *returns))
        });
        let Some((_, returns)) = of_cel.clone().find(|(known, _)| *known == name) else {
            let own = FUNCTIONS.iter().map(|function| function.name);
            let help = suggestion(name, own.chain(of_cel.map(|(name, _)| name)));
            return self.unknown(at, format!("no function is named `{name}`"), help);
        };
        if ["contains", "startsWith", "endsWith", "matches"].contains(&name) {
            self.expect(args, Type::Text);
        }
        if name == "matches"
            && let Some((pattern, _)) = args.last()
            && let Some(text) = string_literal(pattern)
            && let Err(error) = regex::Regex::new(text)
        {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or(&error);
            let reason = reason.trim_start_matches("error: ");
            let message = format!("invalid regular expression: {reason}");
            self.find(pattern, message, None);
        }
        returns
    }

    fn function(&mut self, at: &'a IdedExpr, call: &'a CallExpr, function: &Function) -> Type {
        let allowed = function.required()..=function.parameters.len();
        if call.target.is_some() || !allowed.contains(&call.args.len()) {
            let parameters = function.parameters.iter().map(|p| p.in_words()).join(", ");
            let message = format!("`{0}` is called as `{0}({parameters})`", function.name);
            self.find(at, message, None);
        }
        let mut types = Vec::new();
        for (arg, wanted) in call.args.iter().zip(function.parameters) {
            let found = self.type_of(arg);
            types.push(found);
            let has = |field| matches!(found, Type::Record(fields) if fields.iter().any(|(name, _)| *name == field));
            let is_list = matches!(found, Type::List | Type::Records(_));
            let (fits, expected) = match wanted {
                Parameter::Pod => (found == Type::Pod, A_POD),
                Parameter::Process => (found == Type::Pod, "a process, such as `slow.hook`"),
                Parameter::Output => (has("begin"), "the output of a step"),
                Parameter::Object => (has("object"), "the output of a `get` step"),
                Parameter::List => (is_list, "a list"),
                Parameter::Text | Parameter::Optional => (found == Type::Text, "text"),
                Parameter::Duration => (found == Type::Duration, "a duration"),
            };
            if !fits && found != Type::Unknown {
                let message = format!("expected {expected}, found {}", found.in_words());
                self.find(arg, message, None);
            }
        }
        match (function.name, &*types) {
            ("first" | "last", [Type::Records(fields)]) => Type::Record(fields),
            _ => function.returns,
        }
    }

    fn moment_name(&mut self, name: &'a IdedExpr, of: &IdedExpr) {
        if !matches!(&of.expr, Expr::Ident(of) if of == "moments") {
            return;
        }
        if let Some(text) = string_literal(name)
            && let Err(help) = self.scope.moment(text)
        {
            self.find(name, format!("no moment is named `{text}`"), help);
        }
    }
}

/// The type of a comparison, a sum or a difference, and what is wrong with its operands.
fn binary(operator: &str, a: Type, b: Type) -> (Type, Option<String>) {
    use Type::{Bool, Duration, List, Number, Records, Text, Time, Unknown};
    let (first, second) = (a.in_words(), b.in_words());
    let is_unknown = a == Unknown || b == Unknown;
    match (operator, a, b) {
        (EQUALS | NOT_EQUALS, ..) => {
            let wrong = format!("compares {first} with {second}: never equal");
            (Bool, (!a.may_equal(b)).then_some(wrong))
        }
        (LESS | LESS_EQUALS | GREATER | GREATER_EQUALS, ..) => {
            let wrong = format!("cannot order {first} and {second}");
            (Bool, (a != b && !is_unknown).then_some(wrong))
        }
        (SUBSTRACT, Time, Time) => (Duration, None),
        (ADD | SUBSTRACT, Time, Duration) | (ADD | SUBSTRACT, Duration, Time) => (Time, None),
        (ADD | SUBSTRACT, Duration, Duration) | (ADD | SUBSTRACT, Number, Number) => (a, None),
        (ADD, Text, Text) => (Text, None),
        (ADD, List | Records(_), List | Records(_)) => (List, None),
        (ADD | SUBSTRACT, ..) if !is_unknown => {
            let wrong = format!("cannot add or subtract {first} and {second}");
            (Unknown, Some(wrong))
        }
        _ => (Unknown, None),
    }
}

/// Whether `fails` is nothing but the negation of `holds`.
pub(crate) fn negates(holds: &str, fails: &str) -> bool {
    let (Ok(holds), Ok(fails)) = (compile(holds), compile(fails)) else {
        return false;
    };
    canonical(holds.expression(), true) == canonical(fails.expression(), false)
}

/// An expression, or its negation, in a form in which the order of operands does not matter.
fn canonical(expression: &IdedExpr, negated: bool) -> String {
    let text = |part: &IdedExpr| format!("{:?}", shape(part));
    let sign = |negated: bool| if negated { "!" } else { "" };
    let parts = match &expression.expr {
        Expr::Call(call) => (call.func_name.as_str(), call.args.as_slice()),
        _ => ("", &[][..]),
    };
    match parts {
        (LOGICAL_NOT, [inner]) => canonical(inner, !negated),
        (name @ (LOGICAL_AND | LOGICAL_OR), args) => {
            let is_and = (name == LOGICAL_AND) != negated;
            let args = args.iter().map(|arg| canonical(arg, negated));
            let args = args.sorted().join(",");
            format!("{}({args})", if is_and { "&&" } else { "||" })
        }
        // `a > b` is `b < a`, and `a >= b` is `!(a < b)`.
        (LESS, [a, b]) | (GREATER, [b, a]) => {
            format!("{}{} < {}", sign(negated), text(a), text(b))
        }
        (GREATER_EQUALS, [a, b]) | (LESS_EQUALS, [b, a]) => {
            format!("{}{} < {}", sign(!negated), text(a), text(b))
        }
        (name @ (EQUALS | NOT_EQUALS), [a, b]) => {
            let negated = negated != (name == NOT_EQUALS);
            let mut sides = [text(a), text(b)].into_iter().sorted();
            format!("{}{}", sign(negated), sides.join(" == "))
        }
        _ => format!("{}{}", sign(negated), text(expression)),
    }
}

/// The structure of an expression without the ids of its nodes.
fn shape(expression: &IdedExpr) -> Vec<String> {
    let shape = |part: &IdedExpr| match &part.expr {
        Expr::Call(call) => format!("{}/{}", call.func_name, call.args.len()),
        Expr::Ident(name) => name.clone(),
        Expr::Select(select) => format!(".{}{}", select.field, if select.test { "?" } else { "" }),
        Expr::Literal(literal) => format!("{literal:?}"),
        Expr::List(list) => format!("[{}]", list.elements.len()),
        Expr::Comprehension(comprehension) => format!("{{{}}}", comprehension.iter_var),
        _ => "?".to_owned(),
    };
    parts(expression).into_iter().map(shape).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::super::types::STAMP;
    use super::*;

    struct Names;

    impl Scope for Names {
        fn resolve(&self, names: &[&str]) -> Result<(usize, Type), (String, Option<String>)> {
            let found = match names[0] {
                "stamps" => Type::Records(STAMP),
                "took_long" => Type::Duration,
                "count" => Type::Number,
                "moments" => Type::Map,
                "slow" if names.get(1) == Some(&"running") => return Ok((2, Type::Time)),
                "slow" => return Ok((names.len().min(2), Type::Pod)),
                "out" => Type::Record(&[("stdout", Type::Text), ("begin", Type::Time)]),
                name => return Err((format!("nothing is named `{name}`"), None)),
            };
            Ok((1, found))
        }

        fn moment(&self, name: &str) -> Result<(), Option<String>> {
            (name == "slow.running").then_some(()).ok_or(None)
        }
    }

    #[rstest]
    #[case("stamps.exists(s, s.pid == 1 && s.data.code == 'x')", "")]
    #[case("stamps.exists(s, s.pd == 1)", "17: `s` has no field `pd`")]
    #[case("stamps.filter(s, s.pod == 'a').size() == 1", "")]
    #[case("first(stamps).sorce == 'x'", "has no field `sorce`")]
    #[case("stamps(slow, 'begun').all(s, s.at < slow.running)", "")]
    #[case("took_long < 4", "0: cannot order a duration and a number")]
    #[case("took_long < 4s && slow.running > slow.running + 3s", "")]
    #[case("took_long + 4 > 3s", "cannot add or subtract a duration and a number")]
    #[case("out.stdout.matches('[')", "19: invalid regular expression")]
    #[case("out.stdot == 'x'", "0: `out` has no field `stdot`")]
    #[case("count == 'one'", "compares a number with text")]
    #[case("runs(slow.hook) == 1", "")]
    #[case("runs('slow') == 1", "5: expected a pod")]
    #[case("runs(slow, 1) == 1", "`runs` is called as `runs(POD)`")]
    #[case("took(slow.hook) == 1", "compares a duration with a number")]
    #[case("rums(slow.hook) == 1", "no function is named `rums`")]
    #[case("max(count, 2) == 2", "no function is named `max`")]
    #[case("has(slow.running) && 'slow.running' in moments", "")]
    #[case("'slow.runing' in moments", "no moment is named `slow.runing`")]
    #[case(
        "slow.running.phase == 'x'",
        "`slow.running` is a time and has no field `phase`"
    )]
    #[case("count && true", "expected a boolean, found a number")]
    #[case("count.exists(x, x == 1)", "a number has no items to search")]
    #[case("nothing == 1", "nothing is named `nothing`")]
    fn findings(#[case] text: &str, #[case] wanted: &str) {
        let compiled = compile(text).unwrap();
        let (_, found) = Checker::check(&compiled, &Names);
        let shown = found
            .iter()
            .map(|f| format!("{}: {}", f.offset, f.message))
            .join("; ");
        assert_eq!(shown.is_empty(), wanted.is_empty(), "{shown}");
        assert!(shown.contains(wanted), "{shown}");
    }

    #[rstest]
    #[case("a == 1", "a != 1", true)]
    #[case("a == 1", "!(1 == a)", true)]
    #[case("a < b && c", "!c || b <= a", true)]
    #[case("l.exists(x, x.y == 1)", "!l.exists(x, x.y == 1)", true)]
    #[case("a - b < 4s", "a - b > 5s", false)]
    #[case("a == 1", "a == 2", false)]
    #[case("a < b", "a > b", false)]
    fn negations(#[case] holds: &str, #[case] fails: &str, #[case] negated: bool) {
        assert_eq!(negates(holds, fails), negated);
    }
}
