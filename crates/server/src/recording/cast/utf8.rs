//! Bytes that arrive in pieces, as text: no character is ever split between two pieces.

/// Holds the beginning of a character until the rest of it comes.
#[derive(Default)]
pub(super) struct Decoder {
    /// At most three bytes.
    waiting: Vec<u8>,
}

impl Decoder {
    /// The text of what waited and of these bytes; what is no UTF-8 becomes U+FFFD.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        let mut whole = std::mem::take(&mut self.waiting);
        whole.extend_from_slice(bytes);
        let mut text = String::with_capacity(whole.len());
        let mut rest = &whole[..];
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return text;
                }
                Err(error) => {
                    let (valid, behind) = rest.split_at(error.valid_up_to());
                    text.push_str(std::str::from_utf8(valid).expect("it was just found valid"));
                    let Some(n_bad) = error.error_len() else {
                        self.waiting = behind.to_vec();
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &behind[n_bad..];
                }
            }
        }
    }

    /// What stands for a character that never became whole.
    pub(super) fn finish(&mut self) -> &'static str {
        match std::mem::take(&mut self.waiting).is_empty() {
            true => "",
            false => "\u{fffd}",
        }
    }
}
