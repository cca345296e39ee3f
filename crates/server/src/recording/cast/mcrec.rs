//! MeshCentral's own recording of a terminal.

use std::io::{Read, Write};

use serde_json::Value;

use super::{BLOCK_BYTES, Cast, CastError, Ending, LINE_BYTES_MAX, Stream, read_full};
use crate::recording::mcrec::{From, HEADER_BYTES, Header, Role};

/// Converts a terminal's recording. What is not binary is talk between the two programs; of it
/// only the size of the terminal is wanted.
pub fn from_mcrec(mut reader: impl Read, writer: impl Write) -> Result<Ending, CastError> {
    let mut cast = Cast::new(writer);
    let mut block = vec![0; BLOCK_BYTES];
    let mut byte = 0;
    let mut first = None;
    loop {
        let mut header = [0; HEADER_BYTES];
        let n = read_full(&mut reader, &mut header)?;
        if n < header.len() {
            let byte = byte + n as u64;
            return cast.end(Ending::BrokenOff { byte });
        }
        let header = match Header::parse(&header) {
            Ok(header) => header,
            Err(message) => return Err(CastError::Frame { byte, message }),
        };
        if header.role == Role::End {
            return cast.end(Ending::Whole);
        }
        let (n_bytes, millis) = (header.n_bytes, header.millis);
        let began = *first.get_or_insert(millis);
        cast.began
            .get_or_insert(u32::try_from(millis / 1_000).unwrap_or(0));
        cast.advance_to(millis.saturating_sub(began).saturating_mul(1_000));
        byte += HEADER_BYTES as u64;
        let is_traffic = header.role == Role::Traffic;
        let copied = match (is_traffic && header.is_binary, header.from) {
            (true, From::User) => {
                cast.copy(&mut reader, n_bytes.into(), &mut block, Stream::Input)?
            }
            (true, From::Device) => {
                cast.copy(&mut reader, n_bytes.into(), &mut block, Stream::Output)?
            }
            (false, _) => {
                let talk = skip(&mut reader, n_bytes.into(), &mut block)?;
                if is_traffic && u64::from(n_bytes) == talk && n_bytes as usize <= LINE_BYTES_MAX {
                    size(&mut cast, &block[..n_bytes as usize])?;
                }
                talk
            }
        };
        byte += copied;
        if copied < u64::from(n_bytes) {
            return cast.end(Ending::BrokenOff { byte });
        }
    }
}

/// Passes over bytes; a short run of them stands in `block` afterwards.
fn skip(reader: &mut impl Read, n_bytes: u64, block: &mut [u8]) -> Result<u64, CastError> {
    let mut left = n_bytes;
    while 0 < left {
        let room = left.min(block.len() as u64) as usize;
        let n = read_full(reader, &mut block[..room])?;
        left -= n as u64;
        if n < room {
            break;
        }
    }
    Ok(n_bytes - left)
}

/// Takes the terminal's size from what the programs say to each other.
fn size<W: Write>(cast: &mut Cast<W>, talk: &[u8]) -> Result<(), CastError> {
    let Ok(talk) = serde_json::from_slice::<Value>(talk) else {
        return Ok(());
    };
    let kind = talk.get("type").and_then(Value::as_str);
    if !matches!(kind, Some("options" | "termsize")) {
        return Ok(());
    }
    let side = |name: &str| {
        let side = talk.get(name).and_then(Value::as_u64)?;
        u32::try_from(side).ok()
    };
    let (Some(columns), Some(rows)) = (side("cols"), side("rows")) else {
        return Ok(());
    };
    if cast.has_header {
        return cast.resize(columns, rows);
    }
    (cast.columns, cast.rows) = (columns, rows);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recording::cast::FRAME_BYTES_MAX;
    use crate::recording::mcrec::tests::block;

    const TERMINAL: &[u8] = include_bytes!("../../../tests/fixtures/meshcentral/terminal.mcrec");
    const CAST: &str = include_str!("../../../tests/fixtures/meshcentral/t.cast");

    fn convert(mcrec: &[u8]) -> (Result<Ending, CastError>, String) {
        let mut out = Vec::new();
        let ending = from_mcrec(mcrec, &mut out);
        (ending, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_real_terminal_becomes_what_another_converter_made_of_it() {
        let (ending, cast) = convert(TERMINAL);
        assert_eq!(ending.unwrap(), Ending::Whole);
        let events = |cast: &str| -> Vec<(u64, Value, Value)> {
            let lines = cast.lines().skip(1);
            let parsed = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
            let event = |event: Value| {
                let millis = (event[0].as_f64().unwrap() * 1_000.0).round() as u64;
                (millis, event[1].clone(), event[2].clone())
            };
            parsed.map(event).collect()
        };
        assert_eq!(events(&cast), events(CAST));
        let header = r#"{"version":2,"width":80,"height":24,"timestamp":1795399110}"#;
        assert_eq!(cast.lines().next(), Some(header));
    }

    #[test]
    fn a_character_in_two_blocks_is_whole_and_a_resize_is_told() {
        let mcrec = [
            block(1, 0, 5_000, b"{\"magic\":\"MeshCentralRelaySession\"}"),
            block(
                2,
                2,
                5_000,
                b"{\"type\":\"options\",\"cols\":100,\"rows\":30}",
            ),
            block(2, 1, 5_100, b"a\xc3"),
            block(2, 1, 5_200, b"\xa4"),
            block(
                2,
                2,
                5_300,
                b"{\"type\":\"termsize\",\"cols\":90,\"rows\":20}",
            ),
            block(4, 0, 5_300, b"index"),
            block(3, 0, 5_400, b"MeshCentralMCREC"),
        ];
        let expected = "{\"version\":2,\"width\":100,\"height\":30,\"timestamp\":5}\n\
                        [0.100000,\"o\",\"a\"]\n[0.200000,\"o\",\"ä\"]\n[0.300000,\"r\",\"90x20\"]\n";
        assert_eq!(convert(&mcrec.concat()).1, expected);
    }

    #[test]
    fn a_block_of_the_limit_is_taken_and_one_more_byte_is_not() {
        let at_limit = block(2, 1, 0, &vec![b'x'; FRAME_BYTES_MAX as usize]);
        assert!(convert(&at_limit).0.is_ok());
        let mut beyond = block(2, 1, 0, b"");
        beyond[4..8].copy_from_slice(&(FRAME_BYTES_MAX + 1).to_be_bytes());
        assert!(matches!(
            convert(&beyond).0,
            Err(CastError::Frame { byte: 0, .. })
        ));
    }

    proptest! {
        #[test]
        fn a_cut_recording_is_converted_as_far_as_it_goes(len in 0..TERMINAL.len() - 16) {
            let (ending, cast) = convert(&TERMINAL[..len]);
            prop_assert_eq!(ending.unwrap(), Ending::BrokenOff { byte: len as u64 });
            let whole = convert(TERMINAL).1;
            // A block that is cut is an event that is cut.
            let n_whole = cast.lines().count().saturating_sub(1);
            for (cut, line) in cast.lines().zip(whole.lines()).take(n_whole).skip(1) {
                prop_assert_eq!(cut, line);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            place in 0..TERMINAL.len(),
        ) {
            let mut mcrec = TERMINAL.to_vec();
            let end = (place + bytes.len()).min(mcrec.len());
            mcrec.splice(place..end, bytes);
            let (_, cast) = convert(&mcrec);
            for line in cast.lines() {
                serde_json::from_str::<Value>(line).unwrap();
            }
        }
    }
}
