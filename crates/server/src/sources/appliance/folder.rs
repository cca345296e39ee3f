//! Where a copy keeps what is on its way: the last answer, and recordings that are not whole.
//!
//! It lies in the data directory, is locked for one round, and may be deleted at any time.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 64 << 30;

/// The directory of one source.
pub(crate) struct Folder {
    root: PathBuf,
    answer: File,
    _lock: File,
}

impl Folder {
    pub(crate) fn open(data: &Path, source: &str) -> anyhow::Result<Folder> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        // Whatever is no plain letter becomes its number, so that two names stay two.
        let name = source.chars().fold(String::from("appliance-"), |name, c| {
            if plain(c) {
                format!("{name}{c}")
            } else {
                format!("{name}_{:x}_", u32::from(c))
            }
        });
        let root = data.join("pull").join(name);
        let cannot = || format!("cannot write into `{}`", root.display());
        fs::create_dir_all(&root).with_context(cannot)?;
        let lock = File::create(root.join("lock")).with_context(cannot)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!("another debrief is copying from `{source}`")
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(true);
        let answer = options.open(root.join("answer")).with_context(cannot)?;
        Ok(Folder {
            root,
            answer,
            _lock: lock,
        })
    }

    /// Where the files of recordings grow.
    pub(crate) fn files(&self) -> PathBuf {
        self.root.join("recordings")
    }

    /// Forgets the last answer, for the next one.
    pub(crate) fn empty(&mut self) -> io::Result<impl Write> {
        self.answer.set_len(0)?;
        self.answer.rewind()?;
        Ok(Bounded {
            file: &self.answer,
            n_left: ANSWER_BYTES_MAX,
        })
    }

    /// The last answer, from its beginning, apart from every other reader.
    pub(crate) fn answer(&self) -> io::Result<BufReader<File>> {
        File::open(self.root.join("answer")).map(BufReader::new)
    }

    /// The beginning of the last answer.
    pub(crate) fn head(&self, n_bytes: usize) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        let mut answer = self.answer()?.into_inner();
        answer.seek(SeekFrom::Start(0))?;
        answer.take(n_bytes as u64).read_to_end(&mut head)?;
        Ok(head)
    }
}

/// Writes up to a limit.
struct Bounded<'a> {
    file: &'a File,
    n_left: u64,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(n_left) = self.n_left.checked_sub(bytes.len() as u64) else {
            let why = format!("the answer is longer than {ANSWER_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        };
        self.n_left = n_left;
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
