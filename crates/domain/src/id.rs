//! Names of things, checked once where they enter.

use std::fmt;

/// Why a text is no id: its length or one of its characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text is longer than the id's `LEN_MAX` characters.
    #[error("is longer than {max} characters")]
    Long {
        /// The limit in characters.
        max: usize,
    },
    /// The text has a character that this id does not take.
    #[error("has the character {found:?}; expected {expected}")]
    Character {
        /// The first offending character.
        found: char,
        /// The permitted ones, in words.
        expected: &'static str,
    },
}

fn check(
    text: &str,
    max: usize,
    expected: &'static str,
    takes: impl Fn(char) -> bool,
) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    // No text has more characters than bytes.
    if max < text.len() && text.chars().nth(max).is_some() {
        return Err(InvalidId::Long { max });
    }
    // Most are ASCII, and taken: without a way out the processor looks at many bytes at once.
    let takes_all = |all: bool, b: u8| all & b.is_ascii() & takes(char::from(b));
    if text.bytes().fold(true, takes_all) {
        return Ok(());
    }
    match text.chars().find(|&c| !takes(c)) {
        Some(found) => Err(InvalidId::Character { found, expected }),
        None => Ok(()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $max:literal, $expected:literal, $takes:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The most characters this id may have.
            pub const LEN_MAX: usize = $max;

            /// Checks the length and every character.
            pub fn parse(text: &str) -> Result<$name, InvalidId> {
                check(text, $name::LEN_MAX, $expected, $takes)?;
                Ok($name(text.into()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn is_graphic(c: char) -> bool {
    c.is_ascii_graphic() && c != ',' && c != ':'
}

id! {
    /// The id of a session: the vendor's `lsid`.
    Lsid, 64, "letters, digits, `_` and `-`", is_word
}
id! {
    /// The sender's own id of an event, unique per account.
    EventId, 128, "anything but control characters", |c: char| !c.is_control()
}
id! {
    /// The user id of a representative: `representative/@id`.
    RepId, 64, "printable ASCII without blank, comma and colon", is_graphic
}
id! {
    /// The id of a support team: `team/@id`.
    TeamId, 64, "printable ASCII without blank, comma and colon", is_graphic
}
id! {
    /// The id of a public site: `public_site/@id`.
    SiteId, 64, "printable ASCII without blank, comma and colon", is_graphic
}
id! {
    /// The code name of a custom field: `custom_attribute/@code_name`.
    CodeName, 64, "letters, digits, `_` and `-`", is_word
}

impl SiteId {
    /// The default public site always has the id 1.
    pub fn default_site() -> SiteId {
        SiteId("1".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_the_greatest_length_is_taken_and_one_more_is_not() {
        assert!(Lsid::parse(&"a".repeat(64)).is_ok());
        assert_eq!(
            Lsid::parse(&"a".repeat(65)),
            Err(InvalidId::Long { max: 64 })
        );
        assert_eq!(Lsid::parse(""), Err(InvalidId::Empty));
        assert!(EventId::parse(&"é".repeat(128)).is_ok());
        assert!(EventId::parse(&"é".repeat(129)).is_err());
    }

    #[test]
    fn a_character_is_taken_or_not_wherever_it_stands() {
        for c in (0..=0x9F)
            .filter_map(char::from_u32)
            .chain("é\u{2028}😀".chars())
        {
            for text in [
                format!("{c}"),
                format!("{c}a"),
                format!("ab{c}cd"),
                format!("é{c}"),
            ] {
                let all = |takes: fn(char) -> bool| text.chars().all(takes);
                assert_eq!(Lsid::parse(&text).is_ok(), all(is_word), "{text:?}");
                assert_eq!(RepId::parse(&text).is_ok(), all(is_graphic), "{text:?}");
                let is_plain = |c: char| !c.is_control();
                assert_eq!(EventId::parse(&text).is_ok(), all(is_plain), "{text:?}");
            }
        }
    }

    #[test]
    fn a_character_outside_the_alphabet_is_named() {
        let error = Lsid::parse("abc/../d").unwrap_err();
        assert_eq!(
            error.to_string(),
            "has the character '/'; expected letters, digits, `_` and `-`"
        );
        assert!(RepId::parse("a b").is_err());
        assert!(EventId::parse("a\nb").is_err());
    }
}
