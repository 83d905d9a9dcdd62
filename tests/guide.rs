//! Follows the guide in CONTRIBUTING.md from an empty folder: writes its files, runs its commands and compares their output.
//! A command that needs a cluster is replaced by recorded results, except with `--features e2e`.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};

const MARKER: &str = "<!-- guide: ";

/// A fenced block of the guide, by the comment before it.
#[derive(Debug)]
enum Block {
    /// `file PATH`: the content of a file.
    File(String, String),
    /// `append PATH`: lines to add to a file.
    Append(String, String),
    /// `run`: commands.
    Run(String),
    /// `output`: what the last command prints.
    Output(String),
}

#[test]
fn the_guide_works_from_an_empty_folder() -> Result<()> {
    let guide = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("CONTRIBUTING.md");
    let blocks = blocks(&fs::read_to_string(guide)?)?;
    let folder = tempfile::tempdir()?;
    let folder = Utf8Path::from_path(folder.path()).context("not UTF-8")?;
    let mut commands = BTreeSet::new();
    let mut printed = String::new();
    for block in blocks {
        match block {
            Block::File(path, text) => {
                ensure!(
                    folder.join(&path).exists(),
                    "{path} is not a file of `hookproof new`"
                );
                fs::write(folder.join(path), text)?;
            }
            Block::Append(path, text) => {
                let path = folder.join(path);
                fs::write(&path, fs::read_to_string(&path)? + &text)?;
            }
            Block::Run(lines) => {
                for line in lines.lines() {
                    let words = shlex::split(line).with_context(|| line.to_owned())?;
                    let [program, arguments @ ..] = words.as_slice() else {
                        bail!("empty command");
                    };
                    ensure!(program == "hookproof", "not a command of hookproof: {line}");
                    commands.extend(arguments.first().cloned());
                    printed = run(folder, arguments)?;
                }
            }
            Block::Output(expected) => assert_eq!(printed, expected),
        }
    }
    let expected = ["check", "explain", "lint", "new", "record", "run"];
    assert_eq!(commands, BTreeSet::from(expected.map(str::to_owned)));
    Ok(())
}

fn blocks(text: &str) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(marker) = line.strip_prefix(MARKER) else {
            continue;
        };
        let fence = lines.next().unwrap_or_default();
        ensure!(fence.starts_with("```"), "no fenced block after {line}");
        let content: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let content = content.join("\n") + "\n";
        let words: Vec<&str> = marker.trim_end_matches("-->").split_whitespace().collect();
        blocks.push(match words.as_slice() {
            ["file", path] => Block::File((*path).to_owned(), content),
            ["append", path] => Block::Append((*path).to_owned(), content),
            ["run"] => Block::Run(content),
            ["output"] => Block::Output(content),
            _ => bail!("unknown marker: {line}"),
        });
    }
    Ok(blocks)
}

/// Runs hookproof and returns its standard output.
fn run(folder: &Utf8Path, arguments: &[String]) -> Result<String> {
    if arguments.first().is_some_and(|command| command == "run") && !cfg!(feature = "e2e") {
        let recorded =
            Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/guide/results");
        copy(&recorded, &folder.join("results"))?;
        return Ok(String::new());
    }
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_hookproof"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("HOOKPROOF_DOCUMENTS")
        .output()?;
    let (stdout, stderr) = (String::from_utf8(stdout)?, String::from_utf8(stderr)?);
    let command = arguments.join(" ");
    ensure!(
        status.success(),
        "hookproof {command}: {status}\n{stdout}{stderr}"
    );
    Ok(stdout)
}

fn copy(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in from.read_dir_utf8()? {
        let path: Utf8PathBuf = entry?.into_path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, target)?;
        }
    }
    Ok(())
}
