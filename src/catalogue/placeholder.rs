//! Placeholders in manifests and arguments, `{word}` or `{word:name}`, for what is known only while a scenario runs.

/// The words of placeholders, separated by spaces.
const WORDS: &str = "namespace manifest listing pod_ip pod_uid host_ip node_name container_id cluster_ip outside_ip";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placeholder<'a> {
    /// One of [`WORDS`].
    pub(crate) word: &'a str,
    pub(crate) name: Option<&'a str>,
}

/// Splits a text into plain parts and placeholders. Braces around other words are plain text.
pub(crate) fn split(text: &str) -> Vec<Result<Placeholder<'_>, &str>> {
    let (mut parts, mut plain_from, mut at) = (Vec::new(), 0, 0);
    while let Some(open) = text[at..].find('{').map(|i| at + i) {
        let Some(close) = text[open..].find('}').map(|i| open + i) else {
            break;
        };
        let inside = &text[open + 1..close];
        let (word, name) = inside.split_once(':').unzip();
        let word = word.unwrap_or(inside);
        if WORDS.split(' ').any(|known| known == word) {
            parts.push(Err(&text[plain_from..open]));
            parts.push(Ok(Placeholder { word, name }));
            plain_from = close + 1;
            at = close + 1;
        } else {
            at = open + 1;
        }
    }
    parts.push(Err(&text[plain_from..]));
    parts
}

pub(crate) fn mentions(text: &str, word: &str) -> bool {
    !names_of(text, word).is_empty()
}

/// The names in a text's placeholders with this word.
pub(crate) fn names_of<'a>(text: &'a str, word: &str) -> Vec<Option<&'a str>> {
    let placeholders = split(text).into_iter().filter_map(Result::ok);
    placeholders
        .filter(|p| p.word == word)
        .map(|p| p.name)
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("plain", 0)]
    #[case("a {namespace} b {pod_ip:web}", 2)]
    #[case("awk '{print $1}' {pod_uid}", 1)]
    #[case("{json} {\"a\": 1} {unclosed", 0)]
    #[case("jsonpath={.status.podIP}{namespace}", 1)]
    fn only_known_words_are_placeholders(#[case] text: &str, #[case] count: usize) {
        assert_eq!(split(text).into_iter().flatten().count(), count);
    }

    proptest::proptest! {
        #[test]
        fn splitting_loses_nothing(text in ".*") {
            let again: String = split(&text)
                .into_iter()
                .map(|part| match part {
                    Err(plain) => plain.to_owned(),
                    Ok(Placeholder { word, name: None }) => format!("{{{word}}}"),
                    Ok(Placeholder { word, name: Some(name) }) => format!("{{{word}:{name}}}"),
                })
                .collect();
            proptest::prop_assert_eq!(again, text);
        }
    }
}
