//! The blocks of MeshCentral's own recordings (its `meshrelay.js`, `recordingEntry`).
//!
//! A block is a header of 16 bytes, big endian, and its bytes: type (1 what it is of, 2 traffic,
//! 3 the end, 4 an index), flags (1 binary, 2 from the user), length in 32 bits, and milliseconds
//! in 64 bits. A server that died leaves no block of type 3.

use serde_json::Value;

use super::cast::FRAME_BYTES_MAX;

/// Bytes before those of a block.
pub(super) const HEADER_BYTES: usize = 16;

const BINARY: u16 = 1;
const FROM_USER: u16 = 2;

/// What a block is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It says what was recorded.
    About,
    /// It went from one side to the other.
    Traffic,
    /// Nothing follows.
    End,
    /// Where the pictures of some times stand; not needed to show them.
    Index,
}

/// Which way traffic went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Device,
    User,
}

/// The header of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) role: Role,
    /// Text is talk between the two programs.
    pub(super) is_binary: bool,
    pub(super) from: From,
    pub(super) n_bytes: u32,
    /// UNIX time; of [`Role::End`] it may be a place in the file instead.
    pub(super) millis: u64,
}

impl Header {
    /// Reads a header, or says why it is none.
    pub(super) fn parse(header: &[u8; HEADER_BYTES]) -> Result<Header, String> {
        let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let role = match half(0) {
            1 => Role::About,
            2 => Role::Traffic,
            3 => Role::End,
            4 => Role::Index,
            other => return Err(format!("a block of the type {other}")),
        };
        let n_bytes = u32::from(half(4)) << 16 | u32::from(half(6));
        if FRAME_BYTES_MAX < n_bytes {
            return Err(format!(
                "a block of {n_bytes} bytes; at most {FRAME_BYTES_MAX}"
            ));
        }
        let millis = &header[8..];
        Ok(Header {
            role,
            is_binary: half(2) & BINARY != 0,
            from: match half(2) & FROM_USER {
                0 => From::Device,
                _ => From::User,
            },
            n_bytes,
            millis: millis
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        })
    }
}

/// What was relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// A terminal, of whichever shell.
    Terminal,
    /// A desktop, as MeshCentral's agent sends it.
    Desktop,
    /// Files, Intel AMT, or something newer.
    Other,
}

impl Protocol {
    /// What a recording that begins with these bytes is of.
    pub(crate) fn of(head: &[u8]) -> Protocol {
        let Some((header, rest)) = head.split_first_chunk() else {
            return Protocol::Other;
        };
        let Ok(header) = Header::parse(header) else {
            return Protocol::Other;
        };
        let about = rest.get(..header.n_bytes as usize).unwrap_or_default();
        let about: Value = serde_json::from_slice(about).unwrap_or_default();
        // Some of its versions write a number as text.
        let number = match &about["protocol"] {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        };
        match number {
            Some(1 | 6 | 8 | 9) => Protocol::Terminal,
            Some(2) => Protocol::Desktop,
            Some(_) | None => Protocol::Other,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A block as MeshCentral writes it.
    pub(in crate::recording) fn block(kind: u16, flags: u16, millis: u64, bytes: &[u8]) -> Vec<u8> {
        let mut block = [kind.to_be_bytes(), flags.to_be_bytes()].concat();
        block.extend((bytes.len() as u32).to_be_bytes());
        block.extend(millis.to_be_bytes());
        block.extend(bytes);
        block
    }

    #[test]
    fn what_was_relayed_is_told_by_the_first_block() {
        for (about, protocol) in [
            (r#"{"protocol":1}"#, Protocol::Terminal),
            (r#"{"protocol":"9"}"#, Protocol::Terminal),
            (r#"{"protocol":2}"#, Protocol::Desktop),
            (r#"{"protocol":5}"#, Protocol::Other),
            (r#"{"protocol":-2}"#, Protocol::Other),
            (r#"{"magic":"x"}"#, Protocol::Other),
            ("[2]", Protocol::Other),
            ("", Protocol::Other),
        ] {
            let head = block(1, 0, 5_000, about.as_bytes());
            assert_eq!(Protocol::of(&head), protocol, "{about}");
            assert_eq!(Protocol::of(&head[..head.len() / 2]), Protocol::Other);
        }
        let desktop = include_bytes!("../../tests/fixtures/meshcentral/desktop.mcrec");
        let files = include_bytes!("../../tests/fixtures/meshcentral/relay.mcrec");
        assert_eq!(Protocol::of(desktop), Protocol::Desktop);
        assert_eq!(Protocol::of(files), Protocol::Other);
    }

    #[test]
    fn a_block_of_the_limit_is_taken_and_one_more_byte_is_not() {
        let header = |n_bytes: u32| {
            let mut header = [0; HEADER_BYTES];
            header[1] = 2;
            header[4..8].copy_from_slice(&n_bytes.to_be_bytes());
            Header::parse(&header)
        };
        assert!(header(FRAME_BYTES_MAX).is_ok());
        assert!(header(FRAME_BYTES_MAX + 1).is_err());
        assert!(Header::parse(&[0; HEADER_BYTES]).is_err());
    }
}
