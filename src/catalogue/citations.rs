//! Compares citations with the documents: whether the lines exist and their text is unchanged, and where quotations are.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use itertools::Itertools as _;
use sha2::{Digest, Sha256};

use super::finding::Finding;
use super::load::Loaded;
use super::model::{Catalogue, Citation, Place};
use super::parse;
use crate::document::Document;
use crate::file::{inside, limit, read as read_file, stays_inside};

/// The digest of lines of a document: first 12 hex digits of the SHA-256 of the lines joined by
/// line feeds, without carriage returns.
pub(crate) fn digest_of(document: &str, lines: &str) -> Result<String, String> {
    let all = document.lines().map(|line| line.trim_end_matches('\r'));
    let all: Vec<&str> = all.collect();
    let mut cited = Vec::new();
    for (from, to) in parse::lines(lines)? {
        let range = all.get(from as usize - 1..to as usize);
        let count = all.len();
        let missing = || format!("cites line {to}, but the document has {count} lines");
        cited.extend_from_slice(range.ok_or_else(missing)?);
    }
    Ok(format!("{:.12x}", Sha256::digest(cited.join("\n"))))
}

/// The cited documents of a folder.
pub(crate) struct Documents {
    folder: Utf8PathBuf,
    /// By the names in citations, or why they cannot be read.
    by_name: BTreeMap<String, Result<Document, String>>,
}

impl Documents {
    /// Reads every document that the suites cite.
    pub(crate) fn read(catalogue: &Catalogue, folder: &Utf8Path) -> Self {
        let names = citations(catalogue).map(|citation| citation.document.as_str());
        let names: BTreeSet<&str> = names.collect();
        let read = |name: &str| (name.to_owned(), read(folder, name));
        Self {
            folder: folder.to_owned(),
            by_name: names.into_iter().map(read).collect(),
        }
    }

    /// Those that could be read.
    pub(crate) fn found(&self) -> impl Iterator<Item = &Document> {
        self.by_name.values().filter_map(|read| read.as_ref().ok())
    }

    fn get(&self, name: &str) -> Option<&Document> {
        self.by_name.get(name)?.as_ref().ok()
    }

    /// One finding for each document that cannot be read, or one for all of them. `is_own` is whether a suite file
    /// belongs to this folder of documents; others may cite other documents.
    fn unread(&self, catalogue: &Catalogue, is_own: impl Fn(&Place) -> bool) -> Vec<Finding> {
        let own = citations(catalogue).filter(|citation| is_own(&citation.place));
        let own = own.map(|citation| (citation.document.as_str(), &citation.place));
        let cited = own.into_group_map();
        let folder = &self.folder;
        if cited.len() > 1 && !cited.keys().any(|name| self.get(name).is_some()) {
            let place = Place::new(folder.as_str(), 1, 1);
            let message = if folder.is_dir() {
                let count = cited.len();
                format!("none of the {count} cited documents is in this folder")
            } else {
                "no such folder of documents".to_owned()
            };
            let help = "name the folder of the cited documents: --documents DIR, or `documents` in hookproof.toml";
            return vec![Finding::new(&place, message).with_help(help)];
        }
        let unread = cited.into_iter().filter_map(|(name, places)| {
            let error = self.by_name.get(name)?.as_ref().err()?;
            let finding = Finding::new(places[0], error);
            Some(match places.len() {
                1 => finding,
                number => finding.with_help(format!("{number} citations name it")),
            })
        });
        unread.collect()
    }
}

/// Reads a document of a folder.
fn read(folder: &Utf8Path, name: &str) -> Result<Document, String> {
    if !stays_inside(Utf8Path::new(name)) {
        return Err(format!(
            "`{name}` is not a path within the folder of documents"
        ));
    }
    let path = folder.join(name);
    let bytes = inside(folder, &path)
        .and_then(|()| read_file(&path, limit::DOCUMENT))
        .map_err(|error| format!("no document `{name}` in {folder}: {error}"))?;
    Ok(Document::new(name, String::from_utf8_lossy(&bytes)))
}

fn citations(catalogue: &Catalogue) -> impl Iterator<Item = &Citation> {
    let of_claims = catalogue.claims().flat_map(|(claim, _)| &claim.cites);
    let scenarios = catalogue.scenarios.values();
    let of_listings = scenarios.flat_map(|scenario| scenario.listings.values());
    let of_accounts = catalogue.accounts.iter().map(|(_, account)| &account.cites);
    of_claims.chain(of_listings).chain(of_accounts)
}

/// The citations of lines whose digest differs from the document's, with that or why there is none.
fn differences<'a>(
    catalogue: &'a Catalogue,
    documents: &Documents,
) -> Vec<(&'a Citation, Result<String, String>)> {
    let of_lines = citations(catalogue).filter(|citation| citation.quote.is_none());
    let different = of_lines.filter_map(|citation| {
        let document = documents.get(&citation.document)?;
        let found = digest_of(document.text(), &citation.lines);
        let same = matches!((&found, &citation.digest), (Ok(found), Some(known)) if found == known);
        (!same).then_some((citation, found))
    });
    different.collect()
}

/// Checks every citation against the documents, and notes the lines of quotations. `is_own` is whether a suite file belongs
/// to these documents: others may cite documents that are missing.
pub(crate) fn check(
    loaded: &mut Loaded,
    documents: &Documents,
    is_own: impl Fn(&Place) -> bool,
) -> Vec<Finding> {
    let mut findings = documents.unread(&loaded.catalogue, is_own);
    let catalogue = &mut loaded.catalogue;
    let of_claims = catalogue.claims_mut().flat_map(|claim| &mut claim.cites);
    findings.extend(of_claims.filter_map(|citation| find(citation, documents)));
    let of_accounts = catalogue.accounts.iter_mut();
    findings.extend(of_accounts.filter_map(|(_, account)| find(&mut account.cites, documents)));
    for (citation, found) in differences(catalogue, documents) {
        let (message, help) = match (&citation.digest, found) {
            (_, Err(message)) => (message, None),
            (None, Ok(digest)) => {
                let message = "the citation has no digest".to_owned();
                (message, Some(format!("append {digest}")))
            }
            (Some(_), Ok(digest)) => {
                let (document, lines) = (&citation.document, &citation.lines);
                let message = format!("the cited text changed: {document} lines {lines}");
                let help = "read it again; if the claim still holds, replace the digest by";
                (message, Some(format!("{help} {digest}")))
            }
        };
        let finding = Finding::new(&citation.place, message);
        findings.push(Finding { help, ..finding });
    }
    findings.sort();
    findings.dedup();
    findings
}

/// Notes the lines of a quotation.
fn find(citation: &mut Citation, documents: &Documents) -> Option<Finding> {
    let document = documents.get(&citation.document)?;
    match document.quoted(citation.quote.as_ref()?, citation.occurrence) {
        Ok(lines) if lines.start() == lines.end() => citation.lines = lines.start().to_string(),
        Ok(lines) => citation.lines = format!("{}-{}", lines.start(), lines.end()),
        Err(error) => {
            let finding = Finding::new(&citation.place, error.to_string());
            return Some(finding.with_help(error.help()));
        }
    }
    None
}

/// The suite files that change when the documents' digests are written into them, by path.
pub(crate) fn with_digests(loaded: &Loaded, documents: &Documents) -> BTreeMap<String, String> {
    let mut changed: BTreeMap<String, String> = BTreeMap::new();
    for (citation, found) in differences(&loaded.catalogue, documents) {
        let file = &citation.place.file;
        let (Ok(digest), Some(original)) = (found, loaded.texts.get(file)) else {
            continue;
        };
        let text = changed.get(file).unwrap_or(original);
        if let Some(text) = with_digest(text, citation, &digest) {
            changed.insert(file.clone(), text);
        }
    }
    changed
}

/// The text with the digest behind every occurrence of a citation.
fn with_digest(text: &str, citation: &Citation, digest: &str) -> Option<String> {
    let ranges = citation.lines.replace(", ", ",");
    let cited = format!("{}:{ranges}", citation.document);
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
        let expected = format!("{:.12x}", Sha256::digest("one\ntwo\nfive"));
        assert_eq!(digest, expected);
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
        let check = |loaded: &mut Loaded, folder: &Utf8Path| {
            let documents = Documents::read(&loaded.catalogue, folder);
            super::check(loaded, &documents, |_| true)
        };
        let missing = check(&mut loaded, documents);
        assert_eq!(missing.len(), 1, "{missing:?}");
        assert!(missing[0].message.starts_with("no document `sample.txt`"));
        std::fs::write(documents.join("sample.txt"), DOCUMENT).unwrap();
        let told: Vec<String> = check(&mut loaded, documents)
            .iter()
            .map(|finding| finding.to_string().replace(root.as_str(), ""))
            .collect();
        insta::assert_snapshot!(told.join("\n"));
        let read = Documents::read(&loaded.catalogue, documents);
        let changed = with_digests(&loaded, &read);
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
        assert_eq!(check(&mut loaded, documents), []);
        std::fs::write(
            documents.join("sample.txt"),
            DOCUMENT.replace("four", "fore"),
        )
        .unwrap();
        let told = check(&mut loaded, documents);
        assert_eq!(told.len(), 1);
        assert_eq!(
            told[0].message,
            "the cited text changed: sample.txt lines 4"
        );
    }

    #[test]
    fn quotations_get_their_lines() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        std::fs::write(
            folder.join("d.md"),
            "# One\n\nIt is\nso. Twice.\n\nTwice.\n",
        )
        .unwrap();
        let suite = r#"claims:
  - {id: a.b, says: It is., not_testable: opinion, cites: [{document: d.md, quote: It is so.}, "d.md:1"]}
  - {id: a.c, says: It is., not_testable: opinion, cites: {document: d.md, quote: It was so.}}
no_claim:
  - {cites: {document: d.md, quote: Twice.}, because: advice}
  - {cites: {document: d.md, quote: Twice., occurrence: 2}, because: advice}
cites:
  - {claim: a.c, document: d.md, quote: One}
  - {claim: a.d, document: d.md, quote: One}
  - {claim: a.c, document: ../d.md, quote: One}
"#;
        std::fs::write(folder.join("suite.yaml"), suite).unwrap();
        let mut loaded = load(&[Source::Folder(folder.to_owned())]);
        let documents = Documents::read(&loaded.catalogue, folder);
        let mut findings = check(&mut loaded, &documents, |_| true);
        findings.extend(loaded.findings);
        let found: Vec<String> = findings
            .iter()
            .map(|finding| finding.to_string().replace(folder.as_str(), "DIR"))
            .collect();
        insta::assert_snapshot!(found.join("\n"));
        let lines = |citation: &Citation| citation.lines.clone();
        let lines: Vec<String> = citations(&loaded.catalogue).map(lines).collect();
        assert_eq!(lines, ["3-4", "1", "", "1", "", "", "6"]);
    }

    proptest! {
        #[test]
        fn any_document_and_lines_do(document in "[a\\r\\n]{0,12}", from in 0u32..9, to in 0u32..9) {
            let _ = digest_of(&document, &format!("{from}-{to}"));
        }
    }
}
