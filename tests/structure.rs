//! Imports between modules point one way.
#![allow(clippy::expect_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

/// The modules from the bottom to the top: each may import those before it.
const ORDER: [&str; 12] = [
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
