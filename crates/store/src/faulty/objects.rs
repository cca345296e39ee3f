//! The object store in trouble: it is down, silent, full, or has lost what it was given.

use std::fmt;
use std::ops::Range;
use std::path::Path as FilePath;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};

use crate::Objects;

/// What is wrong with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// Every request fails.
    Down,
    /// No request is ever answered.
    Silent,
    /// Nothing can be written.
    Full,
    /// Whatever is read is not there.
    Losing,
    /// Whatever is read lacks its last byte.
    Short,
}

/// Sets what is wrong. Clones set the same store.
#[derive(Debug, Clone)]
pub struct Switch(Arc<Mutex<Trouble>>);

impl Switch {
    /// From now on this is wrong.
    pub fn set(&self, trouble: Trouble) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn now(&self) -> Trouble {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Objects {
    /// A store over a directory, which must be there, that has no trouble yet.
    pub fn troubled(directory: &FilePath) -> Result<(Objects, Switch)> {
        let inner = LocalFileSystem::new_with_prefix(directory)?;
        let switch = Switch(Arc::new(Mutex::new(Trouble::None)));
        let troubled = Troubled {
            inner: Arc::new(inner),
            switch: switch.clone(),
        };
        Ok((Objects::over(Arc::new(troubled)), switch))
    }
}

#[derive(Debug)]
struct Troubled {
    inner: Arc<LocalFileSystem>,
    switch: Switch,
}

impl fmt::Display for Troubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store in trouble")
    }
}

fn fails(sentence: &str) -> Error {
    Error::Generic {
        store: "troubled",
        source: sentence.into(),
    }
}

/// What a request that needs no more than an answer comes to.
async fn answer(trouble: Trouble) -> Result<()> {
    match trouble {
        Trouble::None | Trouble::Full | Trouble::Losing | Trouble::Short => Ok(()),
        Trouble::Down => Err(fails("it is down")),
        Trouble::Silent => std::future::pending().await,
    }
}

async fn write(trouble: Trouble) -> Result<()> {
    answer(trouble).await?;
    if trouble == Trouble::Full {
        return Err(fails("it is full"));
    }
    Ok(())
}

/// A future as the trait's macro has it.
type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

impl ObjectStore for Troubled {
    fn put_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Answer<'c, PutResult>
    where
        'a: 'c,
        'b: 'c,
    {
        Box::pin(async move {
            write(self.switch.now()).await?;
            self.inner.put_opts(location, payload, options).await
        })
    }

    fn put_multipart_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        options: PutMultipartOptions,
    ) -> Answer<'c, Box<dyn MultipartUpload>>
    where
        'a: 'c,
        'b: 'c,
    {
        Box::pin(async move {
            answer(self.switch.now()).await?;
            let upload = self.inner.put_multipart_opts(location, options).await?;
            let switch = self.switch.clone();
            let upload: Box<dyn MultipartUpload> = Box::new(Parts { upload, switch });
            Ok(upload)
        })
    }

    fn get_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        options: GetOptions,
    ) -> Answer<'c, GetResult>
    where
        'a: 'c,
        'b: 'c,
    {
        Box::pin(async move {
            let trouble = self.switch.now();
            answer(trouble).await?;
            if trouble == Trouble::Losing {
                return Err(Error::NotFound {
                    path: location.to_string(),
                    source: "it is lost".into(),
                });
            }
            let is_head = options.head;
            let result = self.inner.get_opts(location, options).await?;
            if is_head || trouble != Trouble::Short {
                return Ok(result);
            }
            let (meta, range) = (result.meta.clone(), result.range.clone());
            let (attributes, extensions) = (result.attributes.clone(), result.extensions.clone());
            let bytes = result.bytes().await?;
            let bytes = bytes.slice(..bytes.len().saturating_sub(1));
            let payload = stream::once(std::future::ready(Ok(bytes))).boxed();
            Ok(GetResult {
                payload: GetResultPayload::Stream(payload),
                meta,
                range,
                attributes,
                extensions,
            })
        })
    }

    fn get_ranges<'a, 'b, 'c, 'd>(
        &'a self,
        location: &'b Path,
        ranges: &'c [Range<u64>],
    ) -> Answer<'d, Vec<bytes::Bytes>>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
    {
        Box::pin(async move {
            answer(self.switch.now()).await?;
            self.inner.get_ranges(location, ranges).await
        })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, trouble) = (Arc::clone(&self.inner), self.switch.now());
        let begun =
            answer(trouble).map(move |answered| answered.map(|()| inner.delete_stream(locations)));
        flatten(begun)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (inner, trouble) = (Arc::clone(&self.inner), self.switch.now());
        let prefix = prefix.cloned();
        let begun =
            answer(trouble).map(move |answered| answered.map(|()| inner.list(prefix.as_ref())));
        flatten(begun)
    }

    fn list_with_delimiter<'a, 'b, 'c>(&'a self, prefix: Option<&'b Path>) -> Answer<'c, ListResult>
    where
        'a: 'c,
        'b: 'c,
    {
        Box::pin(async move {
            answer(self.switch.now()).await?;
            self.inner.list_with_delimiter(prefix).await
        })
    }

    fn copy_opts<'a, 'b, 'c, 'd>(
        &'a self,
        from: &'b Path,
        to: &'c Path,
        options: CopyOptions,
    ) -> Answer<'d, ()>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
    {
        Box::pin(async move {
            write(self.switch.now()).await?;
            self.inner.copy_opts(from, to, options).await
        })
    }
}

/// A stream that begins with an answer.
fn flatten<T: Send + 'static>(
    begun: impl Future<Output = Result<BoxStream<'static, Result<T>>>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    let begun = stream::once(begun);
    begun
        .flat_map(|begun| match begun {
            Ok(stream) => stream,
            Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
        })
        .boxed()
}

#[derive(Debug)]
struct Parts {
    upload: Box<dyn MultipartUpload>,
    switch: Switch,
}

impl MultipartUpload for Parts {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let (written, part) = (write(self.switch.now()), self.upload.put_part(payload));
        Box::pin(async move {
            written.await?;
            part.await
        })
    }

    fn complete<'a, 'b>(&'a mut self) -> Answer<'b, PutResult>
    where
        'a: 'b,
    {
        Box::pin(async move {
            write(self.switch.now()).await?;
            self.upload.complete().await
        })
    }

    fn abort<'a, 'b>(&'a mut self) -> Answer<'b, ()>
    where
        'a: 'b,
    {
        Box::pin(async move {
            answer(self.switch.now()).await?;
            self.upload.abort().await
        })
    }
}
