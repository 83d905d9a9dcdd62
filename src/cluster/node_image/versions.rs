//! Kubernetes versions of node images.

use std::fmt;

use crate::cluster::error::{ClusterError, Result};
use crate::version::full_version;

/// The versions that CI tests, oldest first: of each minor version a patch version of which every module that a
/// node needs is published. Other patch versions can be tried.
pub(crate) const PINNED: [Version; 10] = [
    Version::new(28, 15),
    Version::new(29, 15),
    Version::new(30, 4),
    Version::new(31, 4),
    Version::new(32, 5),
    Version::new(33, 13),
    Version::new(34, 4),
    Version::new(35, 8),
    Version::new(36, 4),
    Version::new(37, 2),
];

pub(crate) const NEWEST: Version = PINNED[PINNED.len() - 1];

/// A Kubernetes version 1.minor.patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub minor: u32,
    pub patch: u32,
}

impl Version {
    const fn new(minor: u32, patch: u32) -> Self {
        Self { minor, patch }
    }

    /// Go build tags. Before 1.31 the kubelet contains cloud providers, whose modules are not published.
    pub(super) fn tags(self) -> &'static str {
        if self.minor <= 30 { "providerless" } else { "" }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}.{}", self.minor, self.patch)
    }
}

/// The versions that a list such as `1.34,1.36.1`, `1.28..1.37` or `all` selects: both ends of a range are included.
pub(crate) fn select(list: &[String]) -> Result<Vec<Version>> {
    let mut selected = Vec::new();
    for text in list {
        if text == "all" {
            selected.extend(PINNED);
        } else if let Some((from, to)) = text.split_once("..") {
            let (from, to) = (resolve(from)?, resolve(to)?);
            let within = |version: &Version| (from.minor..=to.minor).contains(&version.minor);
            let of_range: Vec<_> = PINNED.into_iter().filter(within).collect();
            if of_range.is_empty() {
                let message = format!("`{text}` contains no pinned Kubernetes version");
                return Err(ClusterError::Refused(message));
            }
            selected.extend(of_range);
        } else {
            selected.push(resolve(text)?);
        }
    }
    Ok(selected)
}

/// Parses `1.36`, `v1.36.3` or `newest`. A minor version selects its pinned patch version.
pub(crate) fn resolve(text: &str) -> Result<Version> {
    if text == "newest" {
        return Ok(NEWEST);
    }
    let version = full_version(text).filter(|_| !text.contains(['-', '+']));
    let Some((1, minor, patch)) = version else {
        return Err(ClusterError::Refused(format!(
            "invalid Kubernetes version `{text}`: expected a value such as `{NEWEST}` or `1.{}`",
            NEWEST.minor
        )));
    };
    if let Some(patch) = patch {
        return Ok(Version { minor, patch });
    }
    let pinned = PINNED.into_iter().find(|pinned| pinned.minor == minor);
    pinned.ok_or_else(|| {
        ClusterError::Refused(format!(
            "no pinned patch version of Kubernetes 1.{minor}: give one, such as 1.{minor}.1 (pinned: 1.{} to 1.{})",
            PINNED[0].minor, NEWEST.minor
        ))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("1.34", "1.34.4")]
    #[case("v1.34", "1.34.4")]
    #[case("1.36.1", "1.36.1")]
    #[case("v1.33.13", "1.33.13")]
    #[case("1.99.1", "1.99.1")]
    #[case("newest", &NEWEST.to_string())]
    fn versions_are_resolved(#[case] text: &str, #[case] version: &str) {
        assert_eq!(resolve(text).unwrap().to_string(), version);
    }

    #[rstest]
    #[case("1.33..1.34", &["1.33.13", "1.34.4"])]
    #[case("1.36.1,1.34", &["1.36.1", "1.34.4"])]
    fn lists_are_selected(#[case] list: &str, #[case] versions: &[&str]) {
        let list: Vec<String> = list.split(',').map(str::to_owned).collect();
        let selected: Vec<String> = select(&list)
            .unwrap()
            .iter()
            .map(Version::to_string)
            .collect();
        assert_eq!(selected, versions);
    }

    #[rstest]
    #[case("1.36..1.35", "no pinned")]
    #[case("1.36..", "invalid Kubernetes version")]
    fn invalid_ranges_are_rejected(#[case] range: &str, #[case] reason: &str) {
        let error = select(&[range.to_owned()]).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }

    #[rstest]
    #[case("1.12", "give one, such as 1.12.1")]
    #[case("1.99", "pinned: 1.28 to 1.")]
    #[case("", "invalid Kubernetes version")]
    #[case("2.1", "invalid Kubernetes version")]
    #[case("1.36.x", "invalid Kubernetes version")]
    #[case("1.36.3.1", "invalid Kubernetes version")]
    fn invalid_versions_are_rejected(#[case] text: &str, #[case] reason: &str) {
        let error = resolve(text).unwrap_err();
        assert!(error.is_usage());
        assert!(error.to_string().contains(reason), "{error}");
    }

    #[test]
    fn all_versions_are_the_pinned_ones() {
        assert_eq!(select(&["all".to_owned()]).unwrap(), PINNED);
    }

    #[test]
    fn one_version_of_each_minor_is_pinned() {
        let minors = PINNED.iter().map(|version| version.minor);
        assert!(minors.eq(PINNED[0].minor..=NEWEST.minor));
    }

    proptest! {
        #[test]
        fn resolve_never_panics(text in "\\PC*") {
            let _ = resolve(&text);
        }
    }
}
