//! Kubernetes versions.

/// Major and minor of `v1.36.3`, `1.36`, `v1.30+` or `v1.36.0-alpha.1`.
#[must_use]
pub fn version(text: &str) -> Option<(u32, u32)> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (major, rest) = text.split_once('.')?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    Some((number(major)?, number(&rest[..digits])?))
}

/// Digits only: no sign, no spaces.
pub(crate) fn number(text: &str) -> Option<u32> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}
