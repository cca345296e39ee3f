//! One file of a download on disk: whole under its own name, or partial beside it.
//!
//! Nothing of a name comes from a server: a session's id has passed [`Lsid::parse`], the rest is
//! numbers and words of ours. What is known of a file stands in `.<key>.state` beside it, and is
//! written before the bytes that it speaks of.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use debrief_domain::{Lsid, Recording, RecordingKind};
use serde::{Deserialize, Serialize};

use crate::http::{hash, hex};
use crate::recording::media::{HEAD_BYTES, Media};

/// Bytes of an entity tag that is remembered; a longer one counts as none.
const TAG_BYTES_MAX: usize = 256;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum What {
    /// The transcript.
    Chat,
    /// A recording.
    Recording(Recording),
    /// When each piece of a command shell's typescript was written.
    Timing(u32),
}

impl What {
    /// The file's name up to the extension.
    fn key(self) -> String {
        match self {
            What::Chat => "chat".into(),
            What::Recording(Recording { kind, instance }) => match kind {
                RecordingKind::Session => "session".into(),
                RecordingKind::ShowMyScreen => format!("show_my_screen-{instance}"),
                RecordingKind::CommandShell => format!("command_shell-{instance}"),
            },
            What::Timing(instance) => format!("command_shell-{instance}.timing"),
        }
    }

    fn file(self, media: Media) -> String {
        match self {
            What::Chat => "chat.txt".into(),
            What::Recording(_) => format!("{}.{}", self.key(), media.extension()),
            What::Timing(_) => self.key(),
        }
    }
}

/// What is known of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// The entity tag that the server gave it.
    tag: Option<String>,
    /// Its length, where that is known.
    bytes: Option<u64>,
    /// The form of a whole file, as its extension.
    extension: Option<String>,
}

/// The place of one file.
pub(crate) struct Slot {
    directory: PathBuf,
    what: What,
    state: State,
}

/// Why what came is not the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("its bytes do not have the SHA-256 that they should have")]
    Digest,
    #[error("{found} bytes came instead of {expected}")]
    Length { found: u64, expected: u64 },
    #[error("cannot write")]
    Io(#[from] io::Error),
}

impl Slot {
    pub(crate) fn open(root: &Path, lsid: &Lsid, what: What) -> Slot {
        let directory = root.join(lsid.as_str());
        // What cannot be read is as good as nothing: the file is fetched again.
        let text = fs::read(directory.join(state_name(what))).unwrap_or_default();
        let state = serde_json::from_slice(&text).unwrap_or_default();
        Slot {
            directory,
            what,
            state,
        }
    }

    /// The entity tag of what is there, whole or partial.
    pub(crate) fn tag(&self) -> Option<&str> {
        self.state.tag.as_deref()
    }

    /// The length of the file, if it is there and whole.
    pub(crate) fn whole(&self) -> Option<u64> {
        let file = self.directory.join(self.known_file()?);
        let len = fs::symlink_metadata(file).ok()?.len();
        (Some(len) == self.state.bytes).then_some(len)
    }

    /// The form of the whole file.
    pub(crate) fn media(&self) -> Option<Media> {
        let known = self.state.extension.as_deref()?;
        Media::all().find(|media| media.extension() == known)
    }

    /// Where the whole file is.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        Some(self.directory.join(self.known_file()?))
    }

    /// Deletes the file and what is known of it.
    pub(crate) fn forget(&self) -> io::Result<()> {
        for gone in [
            self.path(),
            Some(self.directory.join(state_name(self.what))),
        ] {
            match gone.map_or(Ok(()), fs::remove_file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The name that was given to the whole file; never one that the state's file makes up.
    fn known_file(&self) -> Option<String> {
        Some(self.what.file(self.media()?))
    }

    /// How far the file has come, if it can be gone on with: it needs a strong tag.
    pub(crate) fn received(&self) -> Option<u64> {
        let is_strong = self.tag().is_some_and(|tag| tag.starts_with('"'));
        let len = fs::metadata(self.partial()).ok()?.len();
        (is_strong && 0 < len).then_some(len)
    }

    /// Whether every byte has arrived, and only the end of the work is missing.
    pub(crate) fn is_all_received(&self) -> bool {
        self.received().is_some() && self.received() == self.state.bytes
    }

    /// Begins the file anew. The bytes before go before what is known of them does.
    pub(crate) fn begin(&mut self, tag: Option<&str>, bytes: Option<u64>) -> io::Result<File> {
        fs::create_dir_all(&self.directory)?;
        let file = File::create(self.partial())?;
        let state = State {
            tag: tag
                .filter(|tag| tag.len() <= TAG_BYTES_MAX)
                .map(str::to_owned),
            bytes,
            extension: None,
        };
        self.save(state)?;
        Ok(file)
    }

    /// Goes on where it stopped.
    pub(crate) fn resume(&self) -> io::Result<File> {
        OpenOptions::new().append(true).open(self.partial())
    }

    /// Forgets what has come.
    pub(crate) fn discard(&self) -> io::Result<()> {
        match fs::remove_file(self.partial()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes the partial file the whole one, once it is what it should be.
    pub(crate) fn finish(&mut self, media_type: &str) -> Result<Media, Wrong> {
        let partial = self.partial();
        let mut file = File::open(&partial)?;
        let found = file.metadata()?.len();
        if let Some(expected) = self.state.bytes.filter(|expected| *expected != found) {
            self.discard()?;
            return Err(Wrong::Length { found, expected });
        }
        let (head, sha256) = hash(&mut file, HEAD_BYTES, |_| {})?;
        if self
            .tag()
            .and_then(sha256_of)
            .is_some_and(|told| told != hex(&sha256))
        {
            self.discard()?;
            return Err(Wrong::Digest);
        }
        file.sync_all()?;
        let media = match (self.what, Media::detect(&head)) {
            (What::Recording(_), Media::Unknown) => Media::of(media_type),
            (What::Recording(_), media) => media,
            (What::Chat | What::Timing(_), _) => Media::Unknown,
        };
        let before = self.known_file();
        let name = self.what.file(media);
        self.save(State {
            tag: self.state.tag.clone(),
            bytes: Some(found),
            extension: Some(media.extension().into()),
        })?;
        fs::rename(&partial, self.directory.join(&name))?;
        if let Some(before) = before.filter(|before| *before != name) {
            let _ = fs::remove_file(self.directory.join(before));
        }
        File::open(&self.directory)?.sync_all()?;
        Ok(media)
    }

    fn partial(&self) -> PathBuf {
        self.directory.join(format!("{}.partial", self.what.key()))
    }

    fn save(&mut self, state: State) -> io::Result<()> {
        let path = self.directory.join(state_name(self.what));
        let new = path.with_extension("new");
        fs::write(&new, serde_json::to_vec(&state)?)?;
        fs::rename(new, path)?;
        self.state = state;
        Ok(())
    }
}

fn state_name(what: What) -> String {
    format!(".{}.state", what.key())
}

/// The SHA-256 that an entity tag is, as Debrief's are.
fn sha256_of(tag: &str) -> Option<&str> {
    let hex = tag.strip_prefix('"')?.strip_suffix('"')?;
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (hex.len() == 64 && hex.bytes().all(is_hex)).then_some(hex)
}
