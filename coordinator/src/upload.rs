//! Objects that are written row by row: no more than a few parts of one are in
//! memory.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use tokio::sync::mpsc;

/// The least that object stores take as a part.
const PART: usize = 5 << 20;

/// Parts that are written before the store has those before them; in
/// simulations, which write at once, all of them.
const WAITING: usize = if cfg!(feature = "simulation") { 64 } else { 1 };

/// Stores what `write` writes, on a thread of its own, as one object, which is
/// there when all of it is.
pub(crate) async fn rows(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    write: impl FnOnce(&mut Parts) -> io::Result<()> + Send + 'static,
) -> Result<(), Error> {
    let (sender, mut parts) = mpsc::channel(WAITING);
    let written = crate::blocking::run(move || {
        let mut out = Parts {
            part: Vec::new(),
            sender,
        };
        write(&mut out)?;
        out.send(0)
    });
    let written = async {
        match written.await {
            Ok(written) => written.map_err(failed),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    };
    let first = parts.recv().await.unwrap_or_default();
    let Some(second) = parts.recv().await else {
        written.await?;
        return store.put(path, first.into()).await.map(drop);
    };
    let mut upload = store.put_multipart(path).await?;
    let all = async {
        upload.put_part(first.into()).await?;
        upload.put_part(second.into()).await?;
        while let Some(part) = parts.recv().await {
            upload.put_part(part.into()).await?;
        }
        written.await
    };
    match all.await {
        Ok(()) => upload.complete().await.map(drop),
        Err(error) => {
            // What is left of it takes room and nothing else.
            let _ = upload.abort().await;
            Err(error)
        }
    }
}

fn failed(source: io::Error) -> Error {
    Error::Generic {
        store: "coordinator",
        source: source.into(),
    }
}

/// Takes bytes, and hands them on in parts.
pub(crate) struct Parts {
    part: Vec<u8>,
    sender: mpsc::Sender<Bytes>,
}

impl Parts {
    /// `more`: how much the next part may hold.
    fn send(&mut self, more: usize) -> io::Result<()> {
        if self.part.is_empty() {
            return Ok(());
        }
        let part = std::mem::replace(&mut self.part, Vec::with_capacity(more));
        let sent = match cfg!(feature = "simulation") {
            true => self.sender.try_send(part.into()).is_ok(),
            false => self.sender.blocking_send(part.into()).is_ok(),
        };
        sent.then_some(())
            .ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PART - self.part.len();
        let taken = bytes.len().min(room);
        self.part.extend_from_slice(&bytes[..taken]);
        if self.part.len() == PART {
            self.send(PART)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    async fn stored(bytes: usize, fails: bool) -> Result<Vec<u8>, Error> {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = Path::from("it");
        let written = rows(&store, &path, move |out| {
            for at in 0..bytes {
                out.write_all(&[u8::try_from(at % 251).unwrap()])?;
            }
            match fails {
                true => Err(io::ErrorKind::InvalidData.into()),
                false => Ok(()),
            }
        });
        let written = written.await;
        let found = store.get(&path).await;
        assert_eq!(found.is_ok(), written.is_ok(), "all of it or nothing");
        written?;
        Ok(found?.bytes().await?.to_vec())
    }

    #[tokio::test]
    async fn an_object_of_any_size_is_there_whole_or_not_at_all() {
        for bytes in [0, 1, PART - 1, PART, PART + 1, 2 * PART, 3 * PART + 7] {
            let found = stored(bytes, false).await.unwrap();
            assert_eq!(found.len(), bytes);
            let right = |(at, byte): (usize, &u8)| usize::from(*byte) == at % 251;
            assert!(found.iter().enumerate().all(right), "{bytes}");
            assert!(stored(bytes, true).await.is_err());
        }
    }
}
