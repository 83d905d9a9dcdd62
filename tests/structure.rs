//! Imports between modules point one way, and no files import each other.
#![allow(clippy::expect_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex::Regex;

/// The modules from the bottom to the top: each may import those before it.
const ORDER: [&str; 17] = [
    "file",
    "digest",
    "id",
    "version",
    "gates",
    "evidence",
    "expr",
    "document",
    "catalogue",
    "cluster",
    "project",
    "observe",
    "judge",
    "report",
    "run",
    "cli",
    "fixture",
];

/// A module's path below the crate, such as `["report", "html"]`.
type Module = Vec<String>;

/// The text of each file of the crate without its tests and comments.
fn sources() -> BTreeMap<Module, String> {
    fn add(folder: &Path, module: &Module, found: &mut BTreeMap<Module, String>) {
        for entry in fs::read_dir(folder).expect("src can be listed").flatten() {
            let path = entry.path();
            let stem = path.file_stem().expect("a file has a name");
            let mut inner = module.clone();
            inner.push(stem.to_string_lossy().into_owned());
            if path.is_dir() {
                add(&path, &inner, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                if stem == "mod" || (module.is_empty() && (stem == "lib" || stem == "main")) {
                    inner.pop();
                }
                if inner.is_empty() || stem == "tests" {
                    continue;
                }
                let text = fs::read_to_string(&path).expect("it is text");
                let text = text
                    .split("\n#[cfg(test)]\nmod ")
                    .next()
                    .unwrap_or_default();
                let lines = text.lines().filter(|line| !line.trim().starts_with("//"));
                found.insert(inner, lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    let mut found = BTreeMap::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    add(&root, &Vec::new(), &mut found);
    found
}

/// The paths in a `use` tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let Some((before, rest)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or_default().to_owned()];
    };
    let inside = rest.strip_suffix('}').unwrap_or(rest);
    let mut depth = 0;
    let branches = inside.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let branches = branches.map(str::trim).filter(|branch| !branch.is_empty());
    branches
        .flat_map(|branch| expand(&format!("{before}{branch}")))
        .collect()
}

/// The modules that each module's file imports.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let sources = sources();
    let statement = Regex::new(r"\buse\s+([^;]+);").expect("valid");
    let path = Regex::new(r"\b(?:crate|super)(?:::\w+)+").expect("valid");
    let mut all = BTreeMap::new();
    for (module, text) in &sources {
        let trees = statement
            .captures_iter(text)
            .flat_map(|found| expand(&found[1]));
        let rest = statement.replace_all(text, "");
        let paths = path.find_iter(&rest).map(|found| found.as_str().to_owned());
        let mut imported = BTreeSet::new();
        for used in trees.chain(paths) {
            let mut parts = used.split("::").map(str::trim).peekable();
            let mut goal = module.clone();
            match parts.peek() {
                Some(&"crate") => {
                    goal.clear();
                    parts.next();
                }
                Some(&"super") => {
                    while parts.next_if_eq(&"super").is_some() {
                        goal.pop();
                    }
                }
                // A path of another crate or of a module below.
                _ => {}
            }
            goal.extend(parts.map(str::to_owned));
            while !goal.is_empty() && !sources.contains_key(&goal) {
                goal.pop();
            }
            if !goal.is_empty() && goal != *module {
                imported.insert(goal);
            }
        }
        all.insert(module.clone(), imported);
    }
    all
}

#[test]
fn imports_point_one_way() {
    let position = |module: &Module| ORDER.iter().position(|known| *known == module[0]);
    let mut upward = Vec::new();
    for (module, imported) in imports() {
        assert!(
            position(&module).is_some(),
            "{module:?} is missing in ORDER"
        );
        let above = imported
            .iter()
            .filter(|used| position(used) > position(&module));
        upward.extend(above.map(|used| format!("{} imports {}", module.join("/"), used.join("/"))));
    }
    assert!(upward.is_empty(), "upward imports:\n{}", upward.join("\n"));
}

#[test]
fn no_files_import_each_other() {
    let imports = imports();
    // What each module reaches: grows until nothing is added.
    let mut reached = imports.clone();
    loop {
        let before: usize = reached.values().map(BTreeSet::len).sum();
        for module in imports.keys() {
            let further: BTreeSet<Module> = reached[module]
                .iter()
                .flat_map(|next| reached.get(next).into_iter().flatten().cloned())
                .collect();
            reached.entry(module.clone()).or_default().extend(further);
        }
        if reached.values().map(BTreeSet::len).sum::<usize>() == before {
            break;
        }
    }
    let cyclic = reached
        .iter()
        .filter(|(module, reached)| reached.contains(*module));
    let cyclic: Vec<String> = cyclic.map(|(module, _)| module.join("/")).collect();
    assert!(
        cyclic.is_empty(),
        "in cycles of imports:\n{}",
        cyclic.join("\n")
    );
}
