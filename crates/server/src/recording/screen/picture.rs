//! How large a picture is, told from its first bytes. Forms that no browser draws have no size.

/// Bytes of the beginning that are enough to tell, of the pictures that agents send.
pub(super) const HEAD_BYTES: usize = 4_096;

/// Width and height of a JPEG, PNG or WebP.
pub(super) fn size(head: &[u8]) -> Option<(u32, u32)> {
    let (width, height) = jpeg(head).or_else(|| png(head)).or_else(|| webp(head))?;
    (0 < width && 0 < height).then_some((width, height))
}

/// The frame header (ITU-T T.81, B.2.2): the first one, behind whatever segments.
fn jpeg(head: &[u8]) -> Option<(u32, u32)> {
    let mut rest = head.strip_prefix(b"\xff\xd8")?;
    loop {
        let [0xff, marker, ..] = *rest else {
            return None;
        };
        // A marker may be preceded by any number of fill bytes.
        if marker == 0xff {
            rest = &rest[1..];
            continue;
        }
        let n_bytes = usize::from(u16::from_be_bytes(*rest.get(2..)?.first_chunk()?));
        let is_frame = matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
        if is_frame {
            let [h1, h0, w1, w0] = *rest.get(5..)?.first_chunk()?;
            let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
            return Some((side(w1, w0), side(h1, h0)));
        }
        // A length counts itself; less than that would not move on.
        if n_bytes < 2 {
            return None;
        }
        rest = rest.get(2 + n_bytes..)?;
    }
}

/// The first chunk (PNG, third edition, 11.2.1).
fn png(head: &[u8]) -> Option<(u32, u32)> {
    let rest = head.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let rest = rest.get(4..)?.strip_prefix(b"IHDR")?;
    let (width, rest) = rest.split_first_chunk()?;
    let height = rest.first_chunk()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*height)))
}

/// Lossy (RFC 6386, 9.1), lossless and extended WebP (RFC 9649, 2.7 and 3.4).
fn webp(head: &[u8]) -> Option<(u32, u32)> {
    let rest = head.strip_prefix(b"RIFF")?.get(4..)?;
    let rest = rest.strip_prefix(b"WEBP")?;
    let (name, rest) = rest.split_first_chunk::<4>()?;
    let rest = rest.get(4..)?;
    match name {
        b"VP8 " => {
            let [w0, w1, h0, h1] = *rest
                .get(3..)?
                .strip_prefix(b"\x9d\x01\x2a")?
                .first_chunk()?;
            let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
            Some((side(w0, w1), side(h0, h1)))
        }
        b"VP8L" => {
            let bits = u32::from_le_bytes(*rest.strip_prefix(b"\x2f")?.first_chunk()?);
            Some((1 + (bits & 0x3fff), 1 + (bits >> 14 & 0x3fff)))
        }
        b"VP8X" => {
            let [w0, w1, w2, h0, h1, h2] = *rest.get(4..)?.first_chunk()?;
            let side = |bytes: [u8; 3]| {
                let [low, middle, high] = bytes.map(u32::from);
                1 + (high << 16 | middle << 8 | low)
            };
            Some((side([w0, w1, w2]), side([h0, h1, h2])))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc2\x00\x0b\x08\x01\x02\x03\x04\x01";
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x03\x20\0\0\x02\x58\x08\x02";
    const LOSSY: &[u8] = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\x30\x01\0\x9d\x01\x2a\x20\x03\x58\x42";
    const LOSSLESS: &[u8] = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x1f\xc3\x95\x00";
    const EXTENDED: &[u8] = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0\x1f\x03\0\x57\x02\0";

    #[test]
    fn the_size_of_a_picture_stands_in_its_first_bytes() {
        for (head, expected) in [
            (JPEG, (0x0304, 0x0102)),
            (PNG, (800, 600)),
            (LOSSY, (800, 600)),
            (LOSSLESS, (800, 600)),
            (EXTENDED, (800, 600)),
        ] {
            assert_eq!(size(head), Some(expected), "{head:?}");
        }
    }

    #[test]
    fn what_no_browser_draws_has_no_size() {
        for head in [
            &b""[..],
            b"\xff\xd8",
            b"\xff\xd8\xff\xe0\x00\x00\xff\xc0\x00\x0b\x08\x01\x02\x03\x04",
            b"\xff\xd8\x00\x00",
            b"II*\0\0\0\0\0",
            b"<svg width='1' height='1'>",
            b"GIF89a\x01\0\x01\0",
            // A side of nothing.
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\0\0\0\x02\x58",
        ] {
            assert_eq!(size(head), None, "{head:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_turn_for_ever(
            head in proptest::sample::select(vec![JPEG, PNG, LOSSY, LOSSLESS, EXTENDED]),
            place in 0..30_usize,
            bytes in proptest::collection::vec(any::<u8>(), 0..HEAD_BYTES),
        ) {
            let mut head = head.to_vec();
            head.truncate(place);
            head.extend(bytes);
            size(&head);
        }
    }
}
