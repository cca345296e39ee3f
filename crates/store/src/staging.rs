//! Uploads on their way: files that grow until they are whole.
//!
//! A file is known by who sends it, what it is of and how long it will be, so that a sender who
//! was cut off goes on where it stopped, also after a restart. What is told to have arrived is on
//! disk.

use std::collections::HashSet;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

use crate::{AccountId, RecordingKey};

/// The directory of uploads. Clones share it.
#[derive(Debug, Clone)]
pub struct Staging {
    directory: Arc<Path>,
    busy: Arc<Mutex<HashSet<String>>>,
}

/// Why an upload cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// The same recording is being uploaded by another request of this account.
    #[error("the same recording is being uploaded")]
    Busy,
    /// Bytes before the given offset are missing.
    #[error("only {received} bytes have arrived")]
    Gap {
        /// How many are there.
        received: u64,
    },
    /// The disk failed.
    #[error("the upload cannot be kept")]
    Failed(#[from] io::Error),
}

/// An upload that one request works on.
#[derive(Debug)]
pub struct Upload {
    file: File,
    path: PathBuf,
    len: u64,
    only: Only,
}

/// Says that nobody else works on an upload, until it is dropped.
#[derive(Debug)]
struct Only {
    name: String,
    busy: Arc<Mutex<HashSet<String>>>,
}

impl Drop for Only {
    fn drop(&mut self) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.remove(&self.name);
    }
}

impl Staging {
    pub(crate) fn open(directory: &Path) -> io::Result<Staging> {
        std::fs::create_dir_all(directory)?;
        Ok(Staging {
            directory: directory.into(),
            busy: Arc::default(),
        })
    }

    /// Goes on with an upload behind its first `offset` bytes; from 0 it begins anew. `total` is
    /// its whole length, where that is known.
    pub async fn resume(
        &self,
        account: AccountId,
        key: &RecordingKey,
        total: Option<u64>,
        offset: u64,
    ) -> Result<Upload, StagingError> {
        let (name, path) = self.place(account, key, total);
        let only = self.only(name)?;
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .await?;
        let received = file.metadata().await?.len();
        if received < offset {
            return Err(StagingError::Gap { received });
        }
        file.set_len(offset).await?;
        file.seek(SeekFrom::Start(offset)).await?;
        Ok(Upload {
            file,
            path,
            len: offset,
            only,
        })
    }

    /// The upload as far as it has come.
    pub async fn current(
        &self,
        account: AccountId,
        key: &RecordingKey,
        total: u64,
    ) -> Result<Upload, StagingError> {
        let (_, path) = self.place(account, key, Some(total));
        let received = match tokio::fs::metadata(&path).await {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error.into()),
        };
        self.resume(account, key, Some(total), received).await
    }

    /// The upload of unknown length as far as it has come.
    pub async fn grown(
        &self,
        account: AccountId,
        key: &RecordingKey,
    ) -> Result<Upload, StagingError> {
        let (_, path) = self.place(account, key, None);
        let received = match tokio::fs::metadata(&path).await {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error.into()),
        };
        self.resume(account, key, None, received).await
    }

    /// Deletes uploads that nobody has added to for `age` at `now`. Gives how many.
    pub fn sweep(&self, now: SystemTime, age: Duration) -> io::Result<u64> {
        let mut n_deleted = 0;
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            let modified = match entry.metadata() {
                Ok(metadata) => metadata.modified()?,
                // It was finished meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let is_old = now.duration_since(modified).is_ok_and(|idle| age <= idle);
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let stem = name.split('.').next().unwrap_or("");
            // One that a request works on is not old, whatever its file says.
            if !is_old {
                continue;
            }
            let Ok(_only) = self.only(stem.into()) else {
                continue;
            };
            match std::fs::remove_file(entry.path()) {
                Ok(()) => n_deleted += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(n_deleted)
    }

    fn only(&self, name: String) -> Result<Only, StagingError> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if !busy.insert(name.clone()) {
            return Err(StagingError::Busy);
        }
        Ok(Only {
            name,
            busy: Arc::clone(&self.busy),
        })
    }

    /// The name of an upload, and its file: nothing of a client's words is in either.
    fn place(
        &self,
        account: AccountId,
        key: &RecordingKey,
        total: Option<u64>,
    ) -> (String, PathBuf) {
        let digest = Sha256::digest(format!("{account:?} {key:?}"));
        let name: String = digest[..16].iter().map(|b| format!("{b:02x}")).collect();
        let path = self.directory.join(file_name(&name, total));
        (name, path)
    }
}

fn file_name(name: &str, total: Option<u64>) -> String {
    let total = total.map_or_else(|| "x".into(), |total| total.to_string());
    format!("{name}.{total}.part")
}

impl Upload {
    /// Bytes that have arrived.
    pub fn received(&self) -> u64 {
        self.len
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Writes other bytes over the first ones, of which there are at least as many.
    pub async fn overwrite(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.len < bytes.len() as u64 {
            return Err(io::Error::other("there is less to write over"));
        }
        self.file.flush().await?;
        self.file.seek(SeekFrom::Start(0)).await?;
        self.file.write_all(bytes).await?;
        self.file.flush().await?;
        self.file.seek(SeekFrom::Start(self.len)).await?;
        Ok(())
    }

    /// Forgets what came behind the first `len` bytes.
    pub async fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.flush().await?;
        self.file.set_len(len).await?;
        self.file.seek(SeekFrom::Start(len)).await?;
        self.len = len;
        Ok(())
    }

    /// Returns when everything is on disk.
    pub async fn sync(&mut self) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_all().await
    }

    /// Ends an upload whose length was not known: it can be gone on with as one of that length.
    pub async fn settle(&mut self) -> io::Result<()> {
        let path = self
            .path
            .with_file_name(file_name(&self.only.name, Some(self.len)));
        tokio::fs::rename(&self.path, &path).await?;
        self.path = path;
        Ok(())
    }

    /// Deletes the file.
    pub async fn discard(self) -> io::Result<()> {
        match tokio::fs::remove_file(&self.path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
