//! Kubernetes versions of node images.

use std::fmt;

use crate::cluster::error::{ClusterError, Result};
use crate::version::full_version;

/// A Kubernetes version that can be built from packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    pub version: Version,
    /// The version of controller-manager and scheduler, which may differ.
    pub controllers: Version,
    /// Modules that are not published in the release's version, with the version to use instead.
    pub substitutes: &'static [(&'static str, &'static str)],
    /// Go build tags.
    pub tags: &'static str,
}

impl Release {
    const fn plain(minor: u32, patch: u32) -> Self {
        let version = Version::new(minor, patch);
        Self {
            version,
            controllers: version,
            substitutes: &[],
            tags: "",
        }
    }

    /// A deviation from the version, for users.
    pub(crate) fn note(&self) -> Option<String> {
        (self.controllers != self.version)
            .then(|| format!("controller-manager and scheduler of {}", self.controllers))
    }
}

/// All releases that can be built, oldest first. The last one is the default.
pub(crate) const RELEASES: [Release; 6] = [
    Release {
        version: Version::new(29, 6),
        controllers: Version::new(30, 4),
        substitutes: &[("k8s.io/legacy-cloud-providers", "v0.30.14")],
        tags: "providerless",
    },
    Release {
        tags: "providerless",
        ..Release::plain(30, 4)
    },
    Release::plain(33, 13),
    Release::plain(34, 4),
    Release::plain(35, 4),
    Release::plain(36, 3),
];

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
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}.{}", self.minor, self.patch)
    }
}

/// A requested version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub version: Version,
    /// The release to build from packages, or why it cannot be built.
    pub release: std::result::Result<&'static Release, String>,
}

impl From<&'static Release> for Wanted {
    fn from(release: &'static Release) -> Self {
        Self {
            version: release.version,
            release: Ok(release),
        }
    }
}

impl Wanted {
    pub(crate) fn release(&self) -> Result<&'static Release> {
        self.release.clone().map_err(ClusterError::Refused)
    }
}

pub(crate) fn newest() -> &'static Release {
    &RELEASES[RELEASES.len() - 1]
}

/// Parses `1.36`, `v1.36.3` or `newest`. A minor version selects the patch version that can be built.
/// A minor version that cannot be built needs a patch version, since only published images have it.
pub(crate) fn resolve(text: &str) -> Result<Wanted> {
    if text == "newest" {
        return Ok(newest().into());
    }
    let version = full_version(text).filter(|_| !text.contains(['-', '+']));
    let Some((1, minor, patch)) = version else {
        return Err(ClusterError::Refused(format!(
            "invalid Kubernetes version `{text}`: expected a value such as `{}` or `1.{}`",
            newest().version,
            newest().version.minor
        )));
    };
    let built = RELEASES
        .iter()
        .find(|release| release.version.minor == minor);
    match (built, patch) {
        (Some(release), None) => Ok(release.into()),
        (Some(release), Some(patch)) if release.version.patch == patch => Ok(release.into()),
        (Some(release), Some(patch)) => Ok(Wanted {
            version: Version { minor, patch },
            release: Err(format!(
                "Kubernetes 1.{minor}.{patch} cannot be built from packages, only {} of that minor \
                 version; use 1.{minor} or pass --source published",
                release.version
            )),
        }),
        (None, Some(patch)) => Ok(Wanted {
            version: Version { minor, patch },
            release: Err(why_not(minor)),
        }),
        (None, None) => Err(ClusterError::Refused(format!(
            "{}; for a published image give the patch version, such as 1.{minor}.1",
            why_not(minor)
        ))),
    }
}

/// The reason why a minor version cannot be built from packages.
fn why_not(minor: u32) -> String {
    let (oldest, newest) = (RELEASES[0].version.minor, newest().version.minor);
    let because = match minor {
        31 | 32 => {
            "its kubelet needs the module k8s.io/cri-client, which is not published for this version"
        }
        37 => "its module is listed but cannot be downloaded",
        _ if minor > newest => "it is newer than the tested versions",
        _ if minor < oldest => "it is older than the tested versions",
        _ => "it is not tested",
    };
    let known: Vec<_> = RELEASES
        .iter()
        .map(|release| release.version.to_string())
        .collect();
    format!(
        "Kubernetes 1.{minor} cannot be built from packages: {because} (supported: {})",
        known.join(", ")
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("1.36", "1.36.3")]
    #[case("v1.36", "1.36.3")]
    #[case("1.34.4", "1.34.4")]
    #[case("v1.33.13", "1.33.13")]
    #[case("1.29", "1.29.6")]
    #[case("newest", "1.36.3")]
    fn resolves_buildable_versions(#[case] text: &str, #[case] version: &str) {
        let wanted = resolve(text).unwrap();
        assert_eq!(wanted.version.to_string(), version);
        assert!(wanted.release.is_ok());
    }

    #[rstest]
    #[case("1.31.4", "k8s.io/cri-client")]
    #[case("1.32.0", "k8s.io/cri-client")]
    #[case("1.37.0", "cannot be downloaded")]
    #[case("1.36.1", "only 1.36.3 of that minor")]
    #[case("1.12.1", "older")]
    #[case("1.40.1", "newer")]
    fn unbuildable_versions_give_the_reason(#[case] text: &str, #[case] reason: &str) {
        let text = resolve(text).unwrap().release().unwrap_err().to_string();
        assert!(text.contains(reason), "{text}");
    }

    #[rstest]
    #[case("1.31", "k8s.io/cri-client")]
    #[case("1.31", "patch version")]
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
    fn mixed_release_has_a_note() {
        assert_eq!(
            RELEASES[0].note().unwrap(),
            "controller-manager and scheduler of 1.30.4"
        );
        assert_eq!(newest().note(), None);
    }

    proptest! {
        #[test]
        fn resolve_never_panics(text in "\\PC*") {
            let _ = resolve(&text);
        }

        #[test]
        fn full_versions_are_unchanged(minor in 0_u32..200, patch in 0_u32..200) {
            let wanted = resolve(&format!("1.{minor}.{patch}")).unwrap();
            prop_assert_eq!(wanted.version, Version { minor, patch });
        }
    }
}
