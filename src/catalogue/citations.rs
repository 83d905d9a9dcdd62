//! Compares citations with the documents: whether the lines exist and their text is unchanged.

use std::collections::BTreeMap;

use camino::Utf8Path;
use sha2::{Digest, Sha256};

use super::finding::{self, Finding};
use super::load::Loaded;
use super::model::{Citation, Place};
use super::parse;
use crate::digest::hex;

/// The digest of lines of a document: first 12 hex digits of the SHA-256 of the lines joined by
/// line feeds, without carriage returns.
pub(crate) fn digest_of(document: &str, lines: &str) -> Result<String, String> {
    let all: Vec<&str> = document
        .split('\n')
        .map(|line| line.trim_end_matches('\r'))
        .collect();
    // A final line feed ends the last line; it does not begin another.
    let count = all.len() - usize::from(document.ends_with('\n') || document.is_empty());
    let mut cited = Vec::new();
    for (from, to) in parse::lines(lines)? {
        let (from, end) = (from as usize - 1, to as usize);
        if end > count {
            return Err(format!(
                "cites line {end}, but the document has {count} lines"
            ));
        }
        cited.extend_from_slice(&all[from..end]);
    }
    Ok(hex(&Sha256::digest(cited.join("\n")))[..12].to_owned())
}

/// A citation whose digest differs from the document's.
struct Difference<'a> {
    citation: &'a Citation,
    place: Place,
    /// The document's digest, or why there is none.
    found: Result<String, String>,
}

fn differences<'a>(loaded: &'a Loaded, documents: &Utf8Path) -> Vec<Difference<'a>> {
    let mut texts: BTreeMap<&str, Result<String, String>> = BTreeMap::new();
    let of_claims = loaded
        .catalogue
        .claims()
        .flat_map(|(claim, _)| claim.cites.iter().map(|citation| (&claim.place, citation)));
    let of_listings = loaded.catalogue.scenarios.values().flat_map(|scenario| {
        let listings = scenario.listings.values();
        listings.map(|citation| (&scenario.place, citation))
    });
    let accounts = loaded.catalogue.accounts.iter();
    let of_accounts = accounts.map(|(place, account)| (place, &account.cites));
    let mut differences = Vec::new();
    for (owner, citation) in of_claims.chain(of_listings).chain(of_accounts) {
        let text = texts.entry(&citation.document).or_insert_with(|| {
            std::fs::read(documents.join(&citation.document))
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .map_err(|error| {
                    format!(
                        "no document `{}` in {documents}: {error}",
                        citation.document
                    )
                })
        });
        let found = text
            .clone()
            .and_then(|text| digest_of(&text, &citation.lines));
        let same = matches!((&found, &citation.digest), (Ok(found), Some(known)) if found == known);
        if !same {
            let place = place(loaded, owner, citation);
            differences.push(Difference {
                citation,
                place,
                found,
            });
        }
    }
    differences
}

/// The line of the citation, searched from its claim or suite.
fn place(loaded: &Loaded, owner: &Place, citation: &Citation) -> Place {
    let lines = written(citation);
    let text = loaded.texts.get(&owner.file).map_or("", String::as_str);
    let after = usize::try_from(owner.line.saturating_sub(1)).unwrap_or(usize::MAX);
    let found = (owner.line..)
        .zip(text.lines().skip(after))
        .find_map(|(number, line)| {
            let column = line.find(&citation.document)?;
            line.contains(&lines).then(|| Place {
                file: owner.file.clone(),
                line: number,
                column: u32::try_from(line[..column].chars().count() + 1).unwrap_or(1),
            })
        });
    found.unwrap_or_else(|| owner.clone())
}

/// Checks every citation against the documents in a folder.
pub(crate) fn check(loaded: &Loaded, documents: &Utf8Path) -> Vec<Finding> {
    let finding = |Difference {
                       citation,
                       place,
                       found,
                   }| match (&citation.digest, found) {
        (_, Err(message)) => Finding::new(&place, message),
        (None, Ok(digest)) => {
            Finding::new(&place, "the citation has no digest").with_help(format!("append {digest}"))
        }
        (Some(_), Ok(digest)) => Finding::new(
            &place,
            format!(
                "the cited text changed: {} lines {}",
                citation.document, citation.lines
            ),
        )
        .with_help(format!(
            "read it again; if the claim still holds, replace the digest by {digest}"
        )),
    };
    let mut findings: Vec<Finding> = differences(loaded, documents)
        .into_iter()
        .map(finding)
        .collect();
    finding::sort(&mut findings);
    findings
}

/// The suite files that change when the documents' digests are written into them, by path.
pub(crate) fn with_digests(loaded: &Loaded, documents: &Utf8Path) -> BTreeMap<String, String> {
    let mut changed: BTreeMap<String, String> = BTreeMap::new();
    for Difference {
        citation,
        place,
        found,
    } in differences(loaded, documents)
    {
        let (Ok(digest), Some(original)) = (found, loaded.texts.get(&place.file)) else {
            continue;
        };
        let text = changed.get(&place.file).unwrap_or(original);
        if let Some(text) = with_digest(text, citation, &digest) {
            changed.insert(place.file, text);
        }
    }
    changed
}

/// The text with the digest behind every occurrence of a citation.
fn with_digest(text: &str, citation: &Citation, digest: &str) -> Option<String> {
    let cited = format!("{}:{}", citation.document, written(citation));
    let mut changed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&cited) {
        let (before, after) = rest.split_at(at + cited.len());
        changed.push_str(before);
        rest = after;
        // The end of the citation, perhaps with an old digest: not the beginning of other lines.
        let old = rest.strip_prefix(' ').map_or(0, |rest| {
            let word = rest.find(|c: char| !c.is_ascii_hexdigit());
            word.unwrap_or(rest.len())
        });
        if old == 12 || rest.is_empty() || rest.starts_with(['\n', '\r', '"', '\'', ']', '}']) {
            changed.push(' ');
            changed.push_str(digest);
            rest = &rest[if old == 12 { 13 } else { 0 }..];
        }
    }
    changed.push_str(rest);
    (changed != text).then_some(changed)
}

/// The line ranges as suites write them.
fn written(citation: &Citation) -> String {
    citation.lines.replace(", ", ",")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::load::{Source, load};

    const DOCUMENT: &str = "one\ntwo\r\nthree\nfour\nfive\n";

    #[test]
    fn digests_know_lines_and_no_line_ends() {
        let digest = digest_of(DOCUMENT, "1-2, 5").unwrap();
        assert_eq!(digest, digest_of("one\ntwo\nx\ny\nfive", "1-2,5").unwrap());
        assert_eq!(digest, hex(&Sha256::digest("one\ntwo\nfive"))[..12]);
        assert_eq!(
            digest_of(DOCUMENT, "5-6").unwrap_err(),
            "cites line 6, but the document has 5 lines"
        );
        assert!(digest_of("", "1").is_err());
    }

    #[test]
    fn citations_are_checked_and_their_digests_written() {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sample");
        let dir = tempfile::tempdir().unwrap();
        let documents = Utf8Path::from_path(dir.path()).unwrap();
        let mut loaded = load(&[Source::Folder(root.clone())]);
        let missing = check(&loaded, documents);
        assert_eq!(missing.len(), 4);
        assert!(missing[0].message.starts_with("no document `sample.txt`"));
        std::fs::write(documents.join("sample.txt"), DOCUMENT).unwrap();
        let told: Vec<String> = check(&loaded, documents)
            .iter()
            .map(|finding| finding.to_string().replace(root.as_str(), ""))
            .collect();
        insta::assert_snapshot!(told.join("\n"));
        let changed = with_digests(&loaded, documents);
        assert_eq!(changed.len(), 2);
        let suite = changed
            .iter()
            .find(|(path, _)| path.ends_with("slow-hook.yaml"))
            .unwrap()
            .1;
        insta::assert_snapshot!(
            suite
                .lines()
                .filter(|line| line.contains("cites"))
                .collect::<Vec<_>>()
                .join("\n")
        );
        // A later change of the document is noticed.
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in &changed {
            let name = Utf8Path::new(path).file_name().unwrap();
            let text = text.replace("manifest: manifests/poststart", "manifest: manifests");
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        std::fs::create_dir(folder.path().join("manifests")).unwrap();
        std::fs::copy(
            root.join("manifests/poststart/slow-hook.yaml"),
            folder.path().join("manifests/slow-hook.yaml"),
        )
        .unwrap();
        loaded = load(&[Source::Folder(
            Utf8Path::from_path(folder.path()).unwrap().to_owned(),
        )]);
        assert_eq!(loaded.findings, []);
        assert_eq!(check(&loaded, documents), []);
        std::fs::write(
            documents.join("sample.txt"),
            DOCUMENT.replace("four", "fore"),
        )
        .unwrap();
        let told = check(&loaded, documents);
        assert_eq!(told.len(), 1);
        assert_eq!(
            told[0].message,
            "the cited text changed: sample.txt lines 4"
        );
    }

    proptest! {
        #[test]
        fn any_document_and_lines_do(document in "[a\\r\\n]{0,12}", from in 0u32..9, to in 0u32..9) {
            let _ = digest_of(&document, &format!("{from}-{to}"));
        }
    }
}
