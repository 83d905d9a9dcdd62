//! Imports between modules point one way.
#![allow(clippy::expect_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules from the bottom to the top: each may import those before it.
const ORDER: [&str; 13] = [
    "file",
    "digest",
    "id",
    "version",
    "evidence",
    "expr",
    "catalogue",
    "cluster",
    "observe",
    "judge",
    "report",
    "run",
    "cli",
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src can be listed").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn imports_point_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, &mut found);
    let position = |module: &str| ORDER.iter().position(|known| *known == module);
    let mut upward = Vec::new();
    for path in &found {
        let relative = path.strip_prefix(&root).expect("it is below src");
        let module = relative.components().next().expect("a file has a name");
        let module = module.as_os_str().to_string_lossy().replace(".rs", "");
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let own = position(&module).unwrap_or_else(|| panic!("{module} is missing in ORDER"));
        let text = fs::read_to_string(path).expect("it is text");
        for (number, line) in (1..).zip(text.lines()) {
            for used in line.split("crate::").skip(1) {
                let used: String = used
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                if position(&used).is_some_and(|used| used > own) {
                    upward.push(format!("{}:{number}: {}", relative.display(), line.trim()));
                }
            }
        }
    }
    assert!(upward.is_empty(), "upward imports:\n{}", upward.join("\n"));
}

/// The names after `prefix` in a text.
fn names_after<'a>(text: &'a str, prefix: &str) -> Vec<&'a str> {
    let after = text.split(prefix).skip(1);
    after
        .filter_map(|rest| {
            rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .next()
        })
        .collect()
}

#[test]
fn files_of_a_module_import_each_other_one_way() {
    for module in ["judge", "observe"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src")
            .join(module);
        let own = format!("crate::{module}::");
        let mut left = BTreeMap::new();
        for entry in fs::read_dir(folder).expect("it can be listed").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(name) = name.strip_suffix(".rs").filter(|name| *name != "mod") else {
                continue;
            };
            let text = fs::read_to_string(entry.path()).expect("it is text");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let names = [names_after(code, "super::"), names_after(code, &own)].concat();
            let names = names
                .into_iter()
                .filter(|used| *used != name)
                .map(str::to_owned);
            left.insert(name.to_owned(), names.collect::<BTreeSet<_>>());
        }
        // Files that import none of the others are removed until nothing or a cycle is left.
        while let Some(free) = left
            .iter()
            .find(|(_, used)| used.iter().all(|used| !left.contains_key(used)))
            .map(|(name, _)| name.clone())
        {
            left.remove(&free);
        }
        let cycle: Vec<&String> = left.keys().collect();
        assert!(
            cycle.is_empty(),
            "files of {module} import each other: {cycle:?}"
        );
    }
}
