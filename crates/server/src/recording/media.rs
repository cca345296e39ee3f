//! The form of a recording, told from its first bytes: never from what a sender says of it.

use crate::recording::cast::FRAME_BYTES_MAX;

/// Bytes of the beginning that are enough to tell.
pub const HEAD_BYTES: usize = 4_096;

/// The form of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Media {
    /// WebM: Matroska with what browsers play.
    WebM,
    /// MPEG-4 part 14, and what is built on it.
    Mp4,
    /// asciicast version 1: one JSON document.
    AsciicastV1,
    /// asciicast version 2: a line for each event, times from the beginning.
    AsciicastV2,
    /// asciicast version 3: a line for each event, times from the event before.
    AsciicastV3,
    /// ttyrec: frames of a terminal's output with their times.
    Ttyrec,
    /// The output of `script`, whose times stand in another file.
    Typescript,
    /// Flash video, as older appliances keep it.
    Flv,
    /// MeshCentral's own recording of a relayed session.
    Mcrec,
    /// Anything else.
    Unknown,
}

/// A form, its media type, and the extension of its files.
const TABLE: &[(Media, &str, &str)] = &[
    (Media::WebM, "video/webm", "webm"),
    (Media::Mp4, "video/mp4", "mp4"),
    (Media::AsciicastV1, "application/x-asciicast", "json"),
    (Media::AsciicastV2, "application/x-asciicast", "cast"),
    (Media::AsciicastV3, "application/x-asciicast", "cast"),
    (Media::Ttyrec, "application/x-ttyrec", "ttyrec"),
    (Media::Typescript, "application/x-typescript", "typescript"),
    (Media::Flv, "video/x-flv", "flv"),
    (Media::Mcrec, "application/x-mcrec", "mcrec"),
    (Media::Unknown, "application/octet-stream", "bin"),
];

impl Media {
    /// The form of a recording that begins with these bytes: the first [`HEAD_BYTES`], or all.
    pub fn detect(head: &[u8]) -> Media {
        let head = &head[..head.len().min(HEAD_BYTES)];
        let known = [
            (is_webm(head), Media::WebM),
            (is_mp4(head), Media::Mp4),
            (head.starts_with(b"FLV\x01"), Media::Flv),
            (is_mcrec(head), Media::Mcrec),
            (is_typescript(head), Media::Typescript),
            // Last, because nothing but its plausible frames tells it.
            (is_ttyrec(head), Media::Ttyrec),
        ];
        match known.iter().find(|(is_it, _)| *is_it) {
            Some((_, media)) => *media,
            None => asciicast(head).unwrap_or(Media::Unknown),
        }
    }

    /// The form that is sent with this media type. Of an asciicast the version does not matter
    /// here: a player reads it.
    pub fn of(media_type: &str) -> Media {
        let mut rows = TABLE.iter().rev();
        let known = rows.find(|(_, known, _)| *known == media_type);
        known.map_or(Media::Unknown, |(media, ..)| *media)
    }

    /// Every form.
    pub fn all() -> impl Iterator<Item = Media> {
        TABLE.iter().map(|(media, ..)| *media)
    }

    /// The media type to send it with.
    pub fn media_type(self) -> &'static str {
        self.row().1
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Media::WebM => "WebM video",
            Media::Mp4 => "MP4 video",
            Media::AsciicastV1 | Media::AsciicastV2 | Media::AsciicastV3 => "an asciicast",
            Media::Ttyrec => "a ttyrec",
            Media::Typescript => "a typescript",
            Media::Flv => "Flash video",
            Media::Mcrec => "MeshCentral's own recordings",
            Media::Unknown => "this kind of file",
        }
    }

    /// The extension of its files, without a full stop.
    pub fn extension(self) -> &'static str {
        self.row().2
    }

    /// Whether a browser plays it as a video.
    pub fn is_video(self) -> bool {
        matches!(self, Media::WebM | Media::Mp4)
    }

    /// Whether it records a terminal and can be shown as one.
    pub fn is_terminal(self) -> bool {
        match self {
            Media::AsciicastV1 | Media::AsciicastV2 | Media::AsciicastV3 => true,
            Media::Ttyrec | Media::Typescript => true,
            Media::WebM | Media::Mp4 | Media::Flv | Media::Mcrec | Media::Unknown => false,
        }
    }

    fn row(self) -> &'static (Media, &'static str, &'static str) {
        let mut rows = TABLE.iter();
        rows.find(|(media, ..)| *media == self)
            .expect("every form has a row, as a test shows")
    }
}

/// EBML with the document type `webm` (RFC 8794 section 11.2.4: id 4282, a length, the name).
fn is_webm(head: &[u8]) -> bool {
    let Some(rest) = head.strip_prefix(b"\x1a\x45\xdf\xa3") else {
        return false;
    };
    let rest = &rest[..rest.len().min(128)];
    let id = rest.windows(2).position(|id| id == b"\x42\x82");
    let value = id.map_or(&[][..], |at| &rest[at + 2..]);
    // The length takes one byte up to eight.
    let value = &value[..value.len().min(12)];
    value.windows(4).any(|name| name == b"webm")
}

/// A file type box (ISO/IEC 14496-12 section 4.3) with the brand of a film.
fn is_mp4(head: &[u8]) -> bool {
    let brand = head.get(8..12).unwrap_or_default();
    let brands: [&[u8]; 8] = [
        b"iso", b"mp4", b"avc", b"M4V", b"dash", b"MSNV", b"3gp", b"cmf",
    ];
    head.get(4..8) == Some(b"ftyp") && brands.iter().any(|known| brand.starts_with(known))
}

/// A block of type 1 whose text names the format.
fn is_mcrec(head: &[u8]) -> bool {
    let text = head.get(16..).unwrap_or_default();
    head.starts_with(&[0, 1]) && text.starts_with(b"{\"magic\":\"MeshCentralRelaySession\"")
}

/// The first line that `script` or guacd writes.
fn is_typescript(head: &[u8]) -> bool {
    let beginnings = super::cast::TYPESCRIPT_BEGINNINGS;
    beginnings.iter().any(|begin| head.starts_with(begin))
}

/// Frames whose times and lengths are possible, and of which the first has something in it.
fn is_ttyrec(head: &[u8]) -> bool {
    let mut rest = head;
    let mut last = 0;
    let mut n_frames = 0;
    while let Some((header, behind)) = rest.split_first_chunk::<12>() {
        let word = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_le_bytes(bytes)
        };
        let (secs, micros, bytes) = (word(0), word(4), word(8));
        if 1_000_000 <= micros || FRAME_BYTES_MAX < bytes || secs < last {
            return false;
        }
        if n_frames == 0 && bytes == 0 {
            return false;
        }
        n_frames += 1;
        last = secs;
        rest = behind.get(bytes as usize..).unwrap_or_default();
    }
    0 < n_frames
}

/// The version that an asciicast's first line, or the beginning of its only one, tells.
fn asciicast(head: &[u8]) -> Option<Media> {
    let begin = head.trim_ascii_start();
    if !begin.starts_with(b"{") {
        return None;
    }
    let line = begin.split(|&byte| byte == b'\n').next().unwrap_or(begin);
    let header: Option<serde_json::Value> = serde_json::from_slice(line).ok();
    if let Some(header) = header {
        let has = |name: &str| header.get(name).is_some();
        match header.get("version").and_then(serde_json::Value::as_u64) {
            Some(1) if has("stdout") => return Some(Media::AsciicastV1),
            Some(2) if has("width") && has("height") => return Some(Media::AsciicastV2),
            Some(3) if has("term") => return Some(Media::AsciicastV3),
            Some(_) | None => return None,
        }
    }
    // Version 1 is one document of any size: its end, and so its form, is not seen here.
    let text = String::from_utf8_lossy(begin);
    let version = text.split_once("\"version\"")?.1.trim_start();
    let value = version.strip_prefix(':')?.trim_start();
    let is_one = value
        .strip_prefix('1')?
        .starts_with([',', '}', ' ', '\r', '\n']);
    is_one.then_some(Media::AsciicastV1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WEBM: &[u8] = include_bytes!("../../tests/fixtures/meshcentral/desk.webm");
    const CAST: &[u8] = include_bytes!("../../tests/fixtures/meshcentral/t.cast");
    const MCREC: &[u8] = include_bytes!("../../tests/fixtures/meshcentral/relay.mcrec");
    const TYPESCRIPT: &[u8] = include_bytes!("../../tests/fixtures/guacamole/sess1.typescript");

    fn frame(secs: u32, micros: u32, text: &[u8]) -> Vec<u8> {
        let header = [secs, micros, text.len() as u32].map(u32::to_le_bytes);
        [&header.concat(), text].concat()
    }

    #[test]
    fn real_recordings_are_known_by_their_first_bytes() {
        let ttyrec = [frame(5, 0, b"a"), frame(5, 999_999, b""), frame(6, 0, b"b")].concat();
        for (bytes, media) in [
            (WEBM, Media::WebM),
            (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2", Media::Mp4),
            (
                b"{\"version\": 1, \"width\": 80, \"stdout\": []}",
                Media::AsciicastV1,
            ),
            (
                b"{\n  \"version\": 1,\n  \"width\": 80,",
                Media::AsciicastV1,
            ),
            (CAST, Media::AsciicastV2),
            (
                b"{\"version\":3,\"term\":{\"cols\":80,\"rows\":24}}\n[0.1, \"o\", \"x\"]",
                Media::AsciicastV3,
            ),
            (&ttyrec, Media::Ttyrec),
            (TYPESCRIPT, Media::Typescript),
            (
                b"Script started on 2026-11-23 10:00:00+00:00\n$ ",
                Media::Typescript,
            ),
            (b"FLV\x01\x05", Media::Flv),
            (MCREC, Media::Mcrec),
        ] {
            assert_eq!(Media::detect(bytes), media);
        }
    }

    #[test]
    fn what_only_looks_like_a_recording_is_unknown() {
        let back = [frame(5, 0, b"a"), frame(4, 0, b"b")].concat();
        let no_time = frame(5, 1_000_000, b"a");
        for bytes in [
            &b""[..],
            b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska",
            b"\0\0\0\x20ftypqt  \0\0\0\0",
            b"\0\0\0\x20ftypheic\0\0\0\0",
            b"{\"version\":2}",
            b"{\"version\":10,\n\"width\":80",
            b"[1]",
            b"<!doctype html><script>",
            &[0; 600],
            &back,
            &no_time,
            &CAST[1..],
        ] {
            assert_eq!(Media::detect(bytes), Media::Unknown, "{bytes:?}");
        }
    }

    #[test]
    fn every_form_has_one_row() {
        for (media, media_type, extension) in TABLE {
            assert_eq!(media.media_type(), *media_type);
            assert_eq!(media.extension(), *extension);
            assert!(!(media.is_video() && media.is_terminal()));
        }
        assert_eq!(TABLE.len(), 10);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            Media::detect(&bytes);
        }

        #[test]
        fn a_cut_recording_is_never_taken_for_another(
            (whole, len) in proptest::sample::select(vec![WEBM, CAST, MCREC, TYPESCRIPT])
                .prop_flat_map(|whole| (Just(whole), 0..whole.len().min(600))),
        ) {
            let told = Media::detect(&whole[..len]);
            prop_assert!(told == Media::Unknown || told == Media::detect(whole), "{told:?}");
        }
    }
}
