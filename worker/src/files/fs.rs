//! As much of `tokio::fs` as the agent uses, without its threads.

use std::fs::{self, Metadata};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinError;

/// As `spawn_blocking`; a panic goes on where it is awaited.
pub(crate) async fn blocking<T>(work: impl FnOnce() -> T) -> Result<T, JoinError> {
    Ok(work())
}

pub(crate) async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    fs::create_dir_all(path)
}

pub(crate) async fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    fs::remove_dir_all(path)
}

pub(crate) async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    fs::remove_file(path)
}

pub(crate) async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    fs::rename(from, to)
}

pub(crate) async fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    fs::copy(from, to)
}

pub(crate) async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    fs::read(path)
}

pub(crate) async fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    fs::write(path, bytes)
}

pub(crate) async fn symlink(to: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    std::os::unix::fs::symlink(to, link)
}

pub(crate) async fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    fs::symlink_metadata(path)
}

/// The entries of a folder, by name: a file system gives them in any order.
pub(crate) async fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(ReadDir(entries.into_iter()))
}

pub(crate) struct ReadDir(std::vec::IntoIter<fs::DirEntry>);

impl ReadDir {
    pub(crate) async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        Ok(self.0.next().map(DirEntry))
    }
}

pub(crate) struct DirEntry(fs::DirEntry);

impl DirEntry {
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path()
    }

    pub(crate) async fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }
}

pub(crate) struct File(fs::File);

impl File {
    pub(crate) async fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        fs::File::open(path).map(Self)
    }

    pub(crate) async fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        fs::File::create(path).map(Self)
    }
}

impl AsyncRead for File {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.0.read(buffer.initialize_unfilled());
        Poll::Ready(read.map(|bytes| buffer.advance(bytes)))
    }
}

impl AsyncWrite for File {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.write(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.flush())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.flush())
    }
}
