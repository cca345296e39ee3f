//! Recordings of a desktop as a list of what was drawn when, which the player in a browser reads.
//!
//! A recording by MeshCentral is traffic of its agent: pictures of parts of the screen, each a JPEG
//! as a rule, and the size of the screen. Nothing is decoded here. The list names the place of each
//! picture in the file, so that a player fetches those it needs as ranges of the file itself, and
//! can begin anywhere. Lines of JSON:
//!
//! ```text
//! {"form":"debrief-screen","version":1,"began":1795399273392,"device":"vm","user":"Probe"}
//! [166,"size",800,600]
//! [169,"tile",0,0,800,600,670,17110]     x, y, width, height, first byte, number of bytes
//! [700,"pointer",120,80,1]               x, y, 1 while a button is pressed
//! {"millis":8965,"ending":"whole","left_out":0,"sentence":null}
//! ```
//!
//! Times are milliseconds from the beginning and never run backwards. Recordings are foreign bytes:
//! one is shown as far as it can be, and the last line says what is missing. A list without its
//! last line was broken off on the way.

mod picture;

use std::io::{self, Read, Write};

use serde_json::{Value, json};

use super::mcrec::{From, HEADER_BYTES, Header, Role};

/// Lines of a list; what was drawn after them is left out.
pub const DRAWN_MAX: u32 = 1_000_000;
/// Pixels of a screen or of one picture: 7680 by 4320. Larger ones are left out.
pub const PIXELS_MAX: u32 = 33_177_600;
/// Pixels of one side, likewise.
pub const SIDE_MAX: u32 = 16_384;
/// How long a recording may be: a week. What was drawn later is left out.
pub const MILLIS_MAX: u64 = 7 * 24 * 3_600 * 1_000;
/// The last millisecond of the year 9999. A recording that began later tells no time.
pub const BEGAN_MAX: u64 = 253_402_300_799_999;
/// The pointer is told at most this often, unless a button changes.
pub const POINTER_MILLIS: u64 = 40;
/// Characters of a name that is shown.
pub const NAME_CHARS_MAX: usize = 200;

// Commands of MeshCentral's agent (meshcore's `kvm`, and `agent-desktop-0.0.2.js`). Command 4,
// the copy of a part of the screen, is sent by no agent and drawn by no player of MeshCentral's.
const MOUSE: u16 = 2;
const TILE: u16 = 3;
const SIZE: u16 = 7;
/// Wraps a command whose length does not fit into 16 bits.
const JUMBO: u16 = 27;
/// Buttons that are pressed: left, right, middle, and left twice.
const PRESSED: &[u8] = &[0x02, 0x08, 0x20, 0x88];

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// The recording could not be read.
    #[error("cannot read the recording")]
    Read(#[source] io::Error),
    /// The list could not be written.
    #[error("cannot write the list of what was drawn")]
    Write(#[source] io::Error),
}

/// How far a recording could be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// To its end.
    Whole,
    /// It breaks off here.
    BrokenOff {
        /// How many bytes there are.
        byte: u64,
    },
    /// It goes on with something else.
    Damaged {
        /// Where.
        byte: u64,
        /// With what.
        message: String,
    },
    /// It goes on beyond [`DRAWN_MAX`] or [`MILLIS_MAX`].
    TooLong,
}

/// Writes the list of a recording by MeshCentral.
pub fn from_mcrec(reader: impl Read, writer: impl Write) -> Result<Ending, ScreenError> {
    let mut source = Source { reader, byte: 0 };
    let mut list = List::new(writer);
    let mut began = None;
    let mut head = [0; picture::HEAD_BYTES];
    let ending = loop {
        let byte = source.byte;
        let mut header = [0; HEADER_BYTES];
        if source.fill(&mut header)? < HEADER_BYTES {
            break Ending::BrokenOff { byte: source.byte };
        }
        let header = match Header::parse(&header) {
            Ok(header) => header,
            Err(message) => break Ending::Damaged { byte, message },
        };
        let began = *began.get_or_insert(header.millis);
        let millis = header.millis.saturating_sub(began);
        if header.role == Role::End {
            // Of a file with an index, it has a place in the file for its time.
            if millis <= MILLIS_MAX {
                list.millis = list.millis.max(millis);
            }
            break Ending::Whole;
        }
        if MILLIS_MAX < millis || DRAWN_MAX <= list.n_drawn {
            break Ending::TooLong;
        }
        list.millis = list.millis.max(millis);
        let end = source.byte + u64::from(header.n_bytes);
        match (header.role, header.is_binary) {
            (Role::About, _) => {
                let n_read = source.fill_until(end, &mut head)?;
                list.begin(began, &head[..n_read])?;
            }
            (Role::Traffic, true) => commands(&mut source, end, header.from, &mut list)?,
            (Role::Traffic, false) | (Role::Index | Role::End, _) => {}
        }
        source.skip_to(end)?;
        if source.byte < end {
            break Ending::BrokenOff { byte: source.byte };
        }
    };
    list.end(began.unwrap_or(0), ending)
}

/// Reads the commands of one block, which are one as a rule, and stops where none can be: what is
/// left of the block is passed over.
fn commands<W: Write>(
    source: &mut Source<impl Read>,
    end: u64,
    from: From,
    list: &mut List<W>,
) -> Result<(), ScreenError> {
    let mut head = [0; picture::HEAD_BYTES];
    while list.n_drawn < DRAWN_MAX {
        let begin = source.byte;
        let mut name = [0; 4];
        if source.fill_until(end, &mut name)? < name.len() {
            return Ok(());
        }
        let mut command = half(&name, 0);
        let mut command_end = begin + u64::from(half(&name, 2));
        if command == JUMBO && command_end == begin + 8 {
            // The length in 32 bits of the command that follows, whose own is too short for it.
            let mut wrapped = [0; 8];
            if source.fill_until(end, &mut wrapped)? < wrapped.len() {
                return Ok(());
            }
            let n_bytes = u64::from(half(&wrapped, 0)) << 16 | u64::from(half(&wrapped, 2));
            command = half(&wrapped, 4);
            command_end += n_bytes;
        }
        if command_end < source.byte || end < command_end {
            list.n_left_out += u32::from(command == TILE && from == From::Device);
            return Ok(());
        }
        let byte = source.byte;
        let n_read = source.fill_until(command_end, &mut head)?;
        let head = &head[..n_read];
        source.skip_to(command_end)?;
        if source.byte < command_end {
            return Ok(());
        }
        match (command, from) {
            (SIZE, From::Device) if 4 <= head.len() => list.size(half(head, 0), half(head, 2))?,
            (TILE, From::Device) if 4 < head.len() => list.tile(head, byte, command_end)?,
            (MOUSE, From::User) if 6 <= head.len() => {
                list.pointer(half(head, 2), half(head, 4), PRESSED.contains(&head[1]))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// A recording, and the place in it.
struct Source<R> {
    reader: R,
    byte: u64,
}

impl<R: Read> Source<R> {
    /// Reads until the buffer is full or the recording ends.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ScreenError> {
        let mut n_read = 0;
        while n_read < buffer.len() {
            match self.reader.read(&mut buffer[n_read..]) {
                Ok(0) => break,
                Ok(n) => n_read += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ScreenError::Read(error)),
            }
        }
        self.byte += n_read as u64;
        Ok(n_read)
    }

    /// The same, but not beyond a place.
    fn fill_until(&mut self, end: u64, buffer: &mut [u8]) -> Result<usize, ScreenError> {
        let room = end.saturating_sub(self.byte).min(buffer.len() as u64) as usize;
        self.fill(&mut buffer[..room])
    }

    /// Passes over what is before a place, or all that there is.
    fn skip_to(&mut self, end: u64) -> Result<(), ScreenError> {
        let mut left = (&mut self.reader).take(end.saturating_sub(self.byte));
        let n_skipped = io::copy(&mut left, &mut io::sink()).map_err(ScreenError::Read)?;
        self.byte += n_skipped;
        Ok(())
    }
}

/// Writes the lines, and knows what the next one depends on.
struct List<W> {
    writer: W,
    has_header: bool,
    /// Since the beginning.
    millis: u64,
    n_drawn: u32,
    n_left_out: u32,
    /// Width and height, once they were told.
    screen: Option<(u32, u32)>,
    /// When the pointer was told last, and whether a button was pressed.
    pointer: Option<(u64, bool)>,
}

impl<W: Write> List<W> {
    fn new(writer: W) -> List<W> {
        List {
            writer,
            has_header: false,
            millis: 0,
            n_drawn: 0,
            n_left_out: 0,
            screen: None,
            pointer: None,
        }
    }

    /// The first line, once: whose recording this is, if it says so in one piece.
    fn begin(&mut self, began: u64, about: &[u8]) -> Result<(), ScreenError> {
        if self.has_header {
            return Ok(());
        }
        self.has_header = true;
        let about: Value = serde_json::from_slice(about).unwrap_or_default();
        let name = |member: &str| {
            let name = about[member].as_str()?;
            Some(name.chars().take(NAME_CHARS_MAX).collect::<String>())
        };
        self.line(&json!({
            "form": "debrief-screen",
            "version": 1,
            "began": (1..=BEGAN_MAX).contains(&began).then_some(began),
            "device": name("devicename"),
            "user": name("username"),
        }))
    }

    fn size(&mut self, width: u16, height: u16) -> Result<(), ScreenError> {
        let size = (u32::from(width), u32::from(height));
        if self.screen == Some(size) {
            return Ok(());
        }
        if !is_shown(size) {
            self.n_left_out += 1;
            return Ok(());
        }
        self.screen = Some(size);
        self.drawn(&json!([self.millis, "size", width, height]))
    }

    /// A picture: its place on the screen and its bytes, of which these are the first.
    fn tile(&mut self, head: &[u8], byte: u64, end: u64) -> Result<(), ScreenError> {
        let (x, y, image) = (half(head, 0), half(head, 2), byte + 4);
        let size = picture::size(&head[4..]).filter(|size| is_shown(*size));
        let is_on_screen = self
            .screen
            .is_some_and(|(width, height)| u32::from(x) < width && u32::from(y) < height);
        let Some((width, height)) = size.filter(|_| is_on_screen) else {
            self.n_left_out += 1;
            return Ok(());
        };
        let millis = self.millis;
        self.drawn(&json!([
            millis,
            "tile",
            x,
            y,
            width,
            height,
            image,
            end - image
        ]))
    }

    fn pointer(&mut self, x: u16, y: u16, is_pressed: bool) -> Result<(), ScreenError> {
        let is_new = self.pointer.is_none_or(|(millis, was_pressed)| {
            was_pressed != is_pressed || millis + POINTER_MILLIS <= self.millis
        });
        if !is_new || self.screen.is_none() {
            return Ok(());
        }
        self.pointer = Some((self.millis, is_pressed));
        self.drawn(&json!([self.millis, "pointer", x, y, u8::from(is_pressed)]))
    }

    fn drawn(&mut self, line: &Value) -> Result<(), ScreenError> {
        self.n_drawn += 1;
        self.begin(0, b"")?;
        self.line(line)
    }

    fn end(mut self, began: u64, ending: Ending) -> Result<Ending, ScreenError> {
        self.begin(began, b"")?;
        let (millis, left_out) = (self.millis, self.n_left_out);
        self.line(&json!({
            "millis": millis,
            "ending": ending.name(),
            "left_out": left_out,
            "sentence": ending.sentence(left_out),
        }))?;
        self.writer.flush().map_err(ScreenError::Write)?;
        Ok(ending)
    }

    fn line(&mut self, line: &Value) -> Result<(), ScreenError> {
        writeln!(self.writer, "{line}").map_err(ScreenError::Write)
    }
}

/// Whether a screen or picture of this width and height is within the limits.
fn is_shown((width, height): (u32, u32)) -> bool {
    let pixels = u64::from(width) * u64::from(height);
    width <= SIDE_MAX && height <= SIDE_MAX && (1..=u64::from(PIXELS_MAX)).contains(&pixels)
}

impl Ending {
    fn name(&self) -> &'static str {
        match self {
            Ending::Whole => "whole",
            Ending::BrokenOff { .. } => "broken off",
            Ending::Damaged { .. } => "damaged",
            Ending::TooLong => "too long",
        }
    }

    /// What a person should know of it.
    fn sentence(&self, n_left_out: u32) -> Option<String> {
        let ending = match self {
            Ending::Whole => None,
            Ending::BrokenOff { .. } => Some("The recording breaks off before its end."),
            Ending::Damaged { .. } => {
                Some("The recording is damaged: it is shown as far as it can be read.")
            }
            Ending::TooLong => Some("The recording is too long to be shown to its end."),
        };
        let left_out = match n_left_out {
            0 => None,
            1 => Some("One picture in it cannot be shown.".to_owned()),
            n => Some(format!("{n} pictures in it cannot be shown.")),
        };
        let sentences: Vec<String> = ending
            .map(str::to_owned)
            .into_iter()
            .chain(left_out)
            .collect();
        (!sentences.is_empty()).then(|| sentences.join(" "))
    }
}

#[cfg(test)]
mod tests;
