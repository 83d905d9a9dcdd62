//! Messages and documents name only options that exist.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use regex::Regex;

/// Adds the options of a command and its subcommands, from their `--help`.
fn options(command: &[&str], known: &mut BTreeSet<String>) -> anyhow::Result<()> {
    let mut call = Command::new(env!("CARGO_BIN_EXE_hookproof"));
    let output = call.args(command).arg("--help").output()?;
    let help = String::from_utf8(output.stdout)?;
    let option = Regex::new(r"(?m)^ +(?:-\w, )?--([a-z-]+)")?;
    known.extend(option.captures_iter(&help).map(|found| found[1].to_owned()));
    let commands = help.split_once("Commands:\n").map_or("", |(_, rest)| rest);
    for line in commands.lines().take_while(|line| !line.is_empty()) {
        match line
            .strip_prefix("  ")
            .and_then(|line| line.split(' ').next())
        {
            Some("" | "help") | None => {}
            Some(name) => options(&[command, &[name]].concat(), known)?,
        }
    }
    Ok(())
}

/// Files with this extension in a folder and its subfolders.
fn files(folder: &str, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir()? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

#[test]
fn messages_and_documents_name_only_options_that_exist() -> anyhow::Result<()> {
    let mut known = BTreeSet::new();
    options(&[], &mut known)?;
    assert!(
        known.contains("kubernetes") && known.contains("save"),
        "{known:?}"
    );
    // An option in a call of hookproof, in advice such as `pass --out DIR`, or in a table of options.
    let advice = Regex::new(
        r"(?:hookproof (?:[\w./*…\[\]=,]+ |--?[\w-]+ )*|(?:[Pp]ass|with|with its|another with) `?|^\| `(?:\w+ )?)--([a-z-]+)",
    )?;
    let mut unknown = Vec::new();
    for path in [files("src", "rs")?, files("docs", "md")?].concat() {
        for (at, line) in std::fs::read_to_string(&path)?.lines().enumerate() {
            for found in advice.captures_iter(line) {
                if !known.contains(&found[1]) {
                    unknown.push(format!("{}:{}: --{}", path.display(), at + 1, &found[1]));
                }
            }
        }
    }
    assert_eq!(unknown, [""; 0]);
    Ok(())
}
