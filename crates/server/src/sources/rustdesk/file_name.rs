//! The names that clients give their recordings.

use jiff::civil::DateTime;

use super::message::is_device_id;

/// Characters of a name.
const NAME_CHARS_MAX: usize = 200;

/// What a name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileName {
    /// Which side recorded: both show the controlled device's screen.
    pub(crate) side: Side,
    /// The controlled device.
    pub(crate) device: String,
    /// When it began, on the clock of the side that recorded, whose zone is not told.
    pub(crate) began: DateTime,
}

/// Which side recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The controlled one.
    Incoming,
    /// The controlling one.
    Outgoing,
}

impl FileName {
    /// Reads `incoming|outgoing_<device>_<YYYYmmddHHMMSSmmm>_<display or camera>_<codec>.<webm|mp4>`;
    /// none for any other name, so that nothing of a path is ever taken for one.
    pub(crate) fn parse(name: &str) -> Option<FileName> {
        if NAME_CHARS_MAX < name.len() {
            return None;
        }
        let (stem, extension) = name.rsplit_once('.')?;
        if !matches!(extension, "webm" | "mp4") {
            return None;
        }
        // The device may have underscores in it.
        let mut parts = stem.rsplitn(4, '_');
        let (codec, display) = (parts.next()?, parts.next()?);
        let (began, rest) = (parts.next()?, parts.next()?);
        let (side, device) = rest.split_once('_')?;
        let side = match side {
            "incoming" => Side::Incoming,
            "outgoing" => Side::Outgoing,
            _ => return None,
        };
        let is_word =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if !is_word(codec) || !is_word(display) || !is_device_id(device) {
            return None;
        }
        Some(FileName {
            side,
            device: device.into(),
            began: time(began)?,
        })
    }
}

fn time(text: &str) -> Option<DateTime> {
    let is_number = text.len() == 17 && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i16>().ok();
    let small = |range| i8::try_from(number(range)?).ok();
    DateTime::new(
        number(0..4)?,
        small(4..6)?,
        small(6..8)?,
        small(8..10)?,
        small(10..12)?,
        small(12..14)?,
        i32::from(number(14..17)?) * 1_000_000,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clients_are_read_and_paths_are_none() {
        let name = FileName::parse("incoming_123456789_20261123101500123_display0_vp9.webm");
        let name = name.unwrap();
        assert_eq!(name.side, Side::Incoming);
        assert_eq!(name.device, "123456789");
        assert_eq!(name.began.to_string(), "2026-11-23T10:15:00.123");
        let name = FileName::parse("outgoing_my_desk_20261123101500123_camera1_h264.mp4").unwrap();
        assert_eq!((name.side, &*name.device), (Side::Outgoing, "my_desk"));
        for bad in [
            "",
            "incoming_1_20261123101500123_display0_vp9",
            "incoming_1_20261323101500123_display0_vp9.webm",
            "incoming_1_2026112310150012_display0_vp9.webm",
            "incoming_../../x_20261123101500123_display0_vp9.webm",
            "incoming_1_20261123101500123_display0_../x.webm",
            "../incoming_1_20261123101500123_display0_vp9.webm",
            "incoming__20261123101500123_display0_vp9.webm",
            "sideways_1_20261123101500123_display0_vp9.webm",
            "incoming_1_20261123101500123_display0_vp9.exe",
        ] {
            assert_eq!(FileName::parse(bad), None, "{bad}");
        }
    }
}
