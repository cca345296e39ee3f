//! The one place that makes fresh ids and secrets.

use sha2::{Digest, Sha256};

/// Characters of ids and secrets: none that a URL, a form or a shell would change.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A word of `len` random letters and digits, 5.95 bits each.
pub(crate) fn word(len: usize) -> anyhow::Result<String> {
    let mut word = String::with_capacity(len);
    while word.len() < len {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes)?;
        // The top bytes are thrown away so that every letter is as likely as every other.
        let letters = bytes.iter().filter(|&&byte| byte < 248);
        word.extend(
            letters
                .take(len - word.len())
                .map(|byte| char::from(ALPHABET[usize::from(byte % 62)])),
        );
    }
    Ok(word)
}

/// A client secret or a token: more than 256 random bits.
pub(crate) fn secret() -> anyhow::Result<String> {
    word(44)
}

/// 32 random bytes.
pub(crate) fn bytes() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// What is kept of a secret.
pub(crate) fn sha256(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_have_only_letters_and_digits() {
        let (one, two) = (secret().unwrap(), secret().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 44);
        assert!(one.bytes().all(|b| b.is_ascii_alphanumeric()));
    }
}
