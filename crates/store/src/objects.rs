//! The object store: the bytes of recordings, under names nobody can guess.
//!
//! An object is written once and never changed. It counts from the moment a row of the archive
//! names it; one that no row names is an orphan, and is swept after [`ORPHAN_AGE`]. Nothing here
//! relies on a conditional PUT: a popular server ignores the condition silently.

use std::fmt;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, WriteMultipart,
};
use tokio::io::AsyncReadExt as _;

/// Bytes asked of the store in one request while reading.
const READ_BYTES_MAX: u64 = 2 << 20;
/// Bytes of one part of an upload; the largest object is ten thousand of them.
const PART_BYTES: usize = 16 << 20;
/// Parts on their way at once.
const PARTS_AT_ONCE_MAX: usize = 2;
/// How long an object without a row is left alone: its upload may still be at work.
pub const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3_600);
/// How long one request to the store may take.
const REQUEST_WAIT: Duration = Duration::from_secs(60);
/// Objects looked at in one step of a sweep.
const SWEEP_OBJECTS_MAX: usize = 1_000;

/// Why the object store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// It does not have this object.
    #[error("the object store has no object `{name}`")]
    Missing {
        /// The object's name.
        name: String,
    },
    /// It failed, or did not answer in time; repeating may help.
    #[error("the object store failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ObjectError {
    fn of(error: object_store::Error) -> ObjectError {
        match error {
            object_store::Error::NotFound { path, .. } => ObjectError::Missing { name: path },
            other => ObjectError::Failed(Box::new(other)),
        }
    }

    fn slow() -> ObjectError {
        let secs = REQUEST_WAIT.as_secs();
        ObjectError::Failed(format!("no answer in {secs} seconds").into())
    }
}

/// Where the object store is not one.
#[derive(Debug, thiserror::Error)]
#[error("`{url}` is no object store that can be used")]
pub struct InvalidObjects {
    url: String,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// The object store. Clones share it.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// The directory, where it is one: a staged file is moved there.
    directory: Option<Arc<FilePath>>,
    about: Arc<str>,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({})", self.about)
    }
}

/// What a store was seen to do when it was tried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Whether a condition on a PUT was kept to. Nothing relies on it.
    pub conditional_put: ConditionalPut,
}

/// What a store makes of a PUT that must not overwrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionalPut {
    /// It refuses to overwrite.
    Honoured,
    /// It overwrites and says nothing.
    Ignored,
    /// It says that it cannot.
    Unsupported,
}

impl Objects {
    /// A directory, which is made.
    pub fn directory(directory: &FilePath) -> Result<Objects, InvalidObjects> {
        let about = directory.display().to_string();
        let invalid = |source: Box<dyn std::error::Error + Send + Sync>| InvalidObjects {
            url: about.clone(),
            source,
        };
        std::fs::create_dir_all(directory).map_err(|error| invalid(error.into()))?;
        let store = LocalFileSystem::new_with_prefix(directory)
            .map_err(|error| invalid(error.into()))?
            .with_fsync(true);
        Ok(Objects {
            store: Arc::new(store),
            prefix: Path::default(),
            directory: Some(directory.into()),
            about: about.into(),
        })
    }

    /// The store of a URL such as `s3://bucket/prefix`, with options such as
    /// `aws_access_key_id`; unknown ones are ignored.
    pub fn at(url: &str, options: &[(String, String)]) -> Result<Objects, InvalidObjects> {
        let invalid = |source: Box<dyn std::error::Error + Send + Sync>| InvalidObjects {
            url: url.into(),
            source,
        };
        let parsed = url::Url::parse(url).map_err(|error| invalid(error.into()))?;
        if parsed.scheme() == "file" {
            let path = parsed
                .to_file_path()
                .map_err(|()| invalid("no path of a directory".into()))?;
            return Objects::directory(&path);
        }
        let options = options.iter().map(|(name, value)| (name, value.as_str()));
        let (store, prefix) = object_store::parse_url_opts(&parsed, options)
            .map_err(|error| invalid(error.into()))?;
        Ok(Objects {
            store: Arc::from(store),
            prefix,
            directory: None,
            about: url.into(),
        })
    }

    /// Any store, without what is special to a directory.
    #[cfg(any(test, feature = "conformance"))]
    pub(crate) fn over(store: Arc<dyn ObjectStore>) -> Objects {
        Objects {
            about: store.to_string().into(),
            store,
            prefix: Path::default(),
            directory: None,
        }
    }

    /// Where this is, for people.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Tries the store out: writes, reads a range, lists and deletes.
    pub async fn probe(&self, name: &str) -> Result<Abilities, ObjectError> {
        let path = self.path(&format!("probe-{name}"));
        let put = |text: &'static str, mode| {
            let options = PutOptions::from(mode);
            self.store
                .put_opts(&path, PutPayload::from_static(text.as_bytes()), options)
        };
        in_time(put("0123456789", PutMode::Overwrite)).await?;
        let middle = in_time(self.store.get_range(&path, 3..6)).await?;
        let again = tokio::time::timeout(REQUEST_WAIT, put("again", PutMode::Create)).await;
        let conditional_put = match again {
            Err(_) => return Err(ObjectError::slow()),
            Ok(Ok(_)) => ConditionalPut::Ignored,
            Ok(Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            )) => ConditionalPut::Honoured,
            Ok(Err(_)) => ConditionalPut::Unsupported,
        };
        in_time(self.store.delete(&path)).await?;
        if &middle[..] != b"345" {
            return Err(ObjectError::Failed("it does not answer ranges".into()));
        }
        Ok(Abilities { conditional_put })
    }

    /// Writes a file as a new object. It is durable when this returns; the file may be gone.
    pub async fn put_file(&self, name: &str, file: &FilePath) -> Result<(), ObjectError> {
        if let Some(directory) = &self.directory {
            return take_file(directory, name, file).await;
        }
        let mut from = tokio::fs::File::open(file).await.map_err(failed)?;
        let upload = in_time(self.store.put_multipart(&self.path(name))).await?;
        let mut to = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let copied = async {
            let mut piece = vec![0; 1 << 20];
            loop {
                let n = from.read(&mut piece).await.map_err(failed)?;
                if n == 0 {
                    return Ok(());
                }
                to.write(&piece[..n]);
                in_time(to.wait_for_capacity(PARTS_AT_ONCE_MAX)).await?;
            }
        };
        match copied.await {
            Ok(()) => in_time(to.finish()).await.map(|_| ()),
            Err(error) => {
                // What is left of it is the store's to clean up.
                let _ = tokio::time::timeout(REQUEST_WAIT, to.abort()).await;
                Err(error)
            }
        }
    }

    /// The length of an object.
    pub async fn len(&self, name: &str) -> Result<u64, ObjectError> {
        Ok(in_time(self.store.head(&self.path(name))).await?.size)
    }

    /// The bytes of a range, in pieces; the first failure ends it. Asked for piece by piece, so
    /// that a slow reader holds no request open.
    pub fn read(
        &self,
        name: &str,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<bytes::Bytes, ObjectError>> {
        let objects = self.clone();
        let path = self.path(name);
        let pieces = stream::try_unfold(range, move |left| {
            let (objects, path) = (objects.clone(), path.clone());
            async move {
                if left.end <= left.start {
                    return Ok(None);
                }
                let end = left.end.min(left.start + READ_BYTES_MAX);
                let piece = left.start..end;
                let options = GetOptions::new().with_range(Some(piece.clone()));
                let bytes =
                    in_time(async { objects.store.get_opts(&path, options).await?.bytes().await });
                let bytes = bytes.await?;
                if bytes.len() as u64 != piece.end - piece.start {
                    return Err(ObjectError::Failed("it gave fewer bytes than asked".into()));
                }
                Ok(Some((bytes, end..left.end)))
            }
        });
        pieces.boxed()
    }

    /// Deletes an object; one that is not there is no error.
    pub async fn delete(&self, name: &str) -> Result<(), ObjectError> {
        match in_time(self.store.delete(&self.path(name))).await {
            Err(ObjectError::Missing { .. }) => Ok(()),
            other => other,
        }
    }

    /// Names of objects older than [`ORPHAN_AGE`] at `now`, in groups.
    pub fn old(&self, now: SystemTime) -> BoxStream<'static, Result<Vec<String>, ObjectError>> {
        let prefix = self.prefix.clone();
        let is_old = move |meta: &object_store::ObjectMeta| {
            let age = now.duration_since(meta.last_modified.into());
            age.is_ok_and(|age| ORPHAN_AGE <= age)
        };
        let list = self.store.list(Some(&self.prefix));
        let metas = stream::try_unfold(list, |mut list| async move {
            let meta = in_time(list.try_next()).await?;
            Ok::<_, ObjectError>(meta.map(|meta| (meta, list)))
        });
        let names = metas
            .try_filter(move |meta| std::future::ready(is_old(meta)))
            .map_ok(move |meta| {
                let parts = meta.location.prefix_match(&prefix);
                parts.map_or_else(String::new, |parts| {
                    parts
                        .map(|part| part.as_ref().to_owned())
                        .collect::<Vec<_>>()
                        .join("/")
                })
            });
        names
            .try_chunks(SWEEP_OBJECTS_MAX)
            .map_err(|error| error.1)
            .boxed()
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }
}

/// Moves a file into a directory of objects.
async fn take_file(
    directory: &Arc<FilePath>,
    name: &str,
    file: &FilePath,
) -> Result<(), ObjectError> {
    let (directory, target) = (Arc::clone(directory), directory.join(name));
    // A copy that breaks off is an object without a row, and is swept like one.
    let copy = directory.join(format!("{name}.part"));
    let file = file.to_owned();
    let moved = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
        match std::fs::rename(&file, &target) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                let copied = std::fs::copy(&file, &copy)
                    .and_then(|_| std::fs::File::open(&copy)?.sync_all())
                    .and_then(|()| std::fs::rename(&copy, &target));
                if let Err(error) = copied {
                    // The disk may be full: it is not left so.
                    let _ = std::fs::remove_file(&copy);
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        // The bytes were synced where they were staged or copied; the name is what is new.
        std::fs::File::open(&directory)?.sync_all()
    });
    moved.await.map_err(failed)?.map_err(failed)
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ObjectError {
    ObjectError::Failed(error.into())
}

async fn in_time<T>(
    request: impl Future<Output = Result<T, object_store::Error>>,
) -> Result<T, ObjectError> {
    match tokio::time::timeout(REQUEST_WAIT, request).await {
        Ok(answer) => answer.map_err(ObjectError::of),
        Err(_) => Err(ObjectError::slow()),
    }
}

/// Where files of a data directory are: the objects, and uploads that are not whole yet.
#[derive(Debug, Clone)]
pub struct Files {
    /// The object store.
    pub objects: Objects,
    /// Uploads on their way.
    pub staging: crate::Staging,
}

impl Files {
    /// Opens both. An empty `url` is the directory `recordings` of the data directory.
    pub fn open(
        data: &FilePath,
        url: &str,
        options: &[(String, String)],
    ) -> Result<Files, InvalidObjects> {
        let objects = if url.is_empty() {
            Objects::directory(&data.join("recordings"))?
        } else {
            Objects::at(url, options)?
        };
        let uploads: PathBuf = data.join("uploads");
        let staging = crate::Staging::open(&uploads).map_err(|source| InvalidObjects {
            url: uploads.display().to_string(),
            source: source.into(),
        })?;
        Ok(Files { objects, staging })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_becomes_an_object_also_across_file_systems() {
        let here = tempfile::tempdir().unwrap();
        // Memory is another file system than the disk, where there is such a directory.
        let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        for there in [tempfile::tempdir().unwrap(), memory.unwrap()] {
            let file = here.path().join("staged");
            std::fs::write(&file, b"whole").unwrap();
            let objects = Objects::directory(there.path()).unwrap();
            objects.put_file("name", &file).await.unwrap();
            let names = std::fs::read_dir(there.path()).unwrap();
            let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, ["name"]);
            assert_eq!(objects.len("name").await.unwrap(), 5);
            let read: Vec<bytes::Bytes> = objects.read("name", 1..4).try_collect().await.unwrap();
            assert_eq!(read.concat(), b"hol");
            // One that is not there is named, and a failure leaves nothing behind.
            let missing = objects.len("other").await.unwrap_err();
            assert!(
                matches!(missing, ObjectError::Missing { .. }),
                "{missing:?}"
            );
            let nowhere = here.path().join("nowhere");
            assert!(objects.put_file("other", &nowhere).await.is_err());
            assert_eq!(std::fs::read_dir(there.path()).unwrap().count(), 1);
        }
    }
}
