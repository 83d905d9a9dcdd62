//! Random ids and tokens.

use rand::RngExt;

const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A random id of lowercase letters and digits, valid in Kubernetes names. The generator is a cryptographic one, since
/// a run's token keeps others from writing into its evidence.
pub fn random_id(length: usize) -> String {
    let mut random = rand::rng();
    let letter = |_| char::from(LETTERS[random.random_range(0..LETTERS.len())]);
    (0..length).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::random_id;

    #[test]
    fn ids_are_valid_in_kubernetes_names() {
        let id = random_id(200);
        assert_eq!(id.len(), 200);
        assert!(
            id.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        );
        assert_ne!(id, random_id(200));
    }
}
