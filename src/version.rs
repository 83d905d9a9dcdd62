//! Versions of Kubernetes and its tools.

/// Major and minor of `v1.36.3`, `1.36`, `v1.30+` or `v1.36.0-alpha.1`.
pub fn version(text: &str) -> Option<(u32, u32)> {
    full_version(text).map(|(major, minor, _)| (major, minor))
}

/// Major, minor and, if there is one, patch.
pub(crate) fn full_version(text: &str) -> Option<(u32, u32, Option<u32>)> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let numbers = text.split(['-', '+']).next()?;
    let mut numbers = numbers.split('.').map(number);
    let (major, minor, patch) = (numbers.next()??, numbers.next()??, numbers.next());
    match (patch, numbers.next()) {
        (Some(None), _) | (_, Some(_)) => None,
        (patch, None) => Some((major, minor, patch.flatten())),
    }
}

/// Digits only: no sign, no spaces.
pub(crate) fn number(text: &str) -> Option<u32> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("v1.36.3", Some((1, 36, Some(3))))]
    #[case("1.36", Some((1, 36, None)))]
    #[case("v1.30+", Some((1, 30, None)))]
    #[case("v1.36.0-alpha.1", Some((1, 36, Some(0))))]
    #[case("v1.30.4-eks-36c5293", Some((1, 30, Some(4))))]
    #[case("v1.27.3+k3s1", Some((1, 27, Some(3))))]
    #[case("0.33.0", Some((0, 33, Some(0))))]
    #[case("1.36.x", None)]
    #[case("1.36.3.1", None)]
    #[case("1.-36", None)]
    #[case("1", None)]
    #[case("", None)]
    fn versions(#[case] text: &str, #[case] parsed: Option<(u32, u32, Option<u32>)>) {
        assert_eq!(full_version(text), parsed);
    }
}
