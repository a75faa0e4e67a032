//! The one door to the disk.
//!
//! Everything that storage does to a file goes through [`Fs`] and [`File`], so that a test can put a file system behind
//! it that forgets what was not synced, tears writes, runs out of space or fails an fsync.
//!
//! Crash rules that callers rely on, and that a double must keep:
//! - what was written is certain to survive only after [`File::sync_data`] (content and length of that file) or
//!   [`Fs::sync_fs`] (everything);
//! - a name (created, renamed, removed) is certain only after [`Fs::sync_dir`] of its folder or [`Fs::sync_fs`];
//! - what was not synced may survive whole, in part or not at all.

mod disk;

use std::{
    fmt::Debug,
    io::{self, IoSlice},
    os::fd::BorrowedFd,
    path::Path,
    sync::Arc,
};

pub use disk::DiskFs;
use protocol::TimestampMs;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Existing file, reads only.
    Read,
    /// Existing file, reads and writes.
    ReadWrite,
    /// Reads and writes; created empty when missing.
    Create,
    /// Reads and writes; emptied when it exists.
    CreateEmpty,
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Name within the folder. Names that are not UTF-8 are none of ours and are left out.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// What a file system knows about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Length in bytes.
    pub len: u64,
    /// When the content last changed.
    pub modified: TimestampMs,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// A held lock; dropping it releases the lock.
pub trait Lock: Send + Sync + Debug {}

/// A file system. Every method may be called from any thread; all of them may block.
pub trait Fs: Send + Sync + Debug {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Creates a folder and the folders above it; no error when it exists.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Renames a file or folder within one file system, replacing a file of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Unlinks a file. Handles that are open stay readable.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with everything in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Lists a folder in no particular order.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// Metadata of a file or folder.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes everything durable that the file system of `path` holds, errors of any file included.
    fn sync_fs(&self, path: &Path) -> io::Result<()>;
    /// Bytes that an ordinary user may still write.
    fn free_space(&self, path: &Path) -> io::Result<u64>;
    /// Takes an exclusive lock on a file, creating it when missing; `None` when somebody else holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;

    /// Whether a path exists.
    fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// An open file with positional reads and writes. Every method may be called from any thread.
pub trait File: Send + Sync + Debug {
    /// Reads up to `buf.len()` bytes at `position`; 0 at the end of the file.
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize>;
    /// Appends up to `len` bytes of the file from `position` on to `buf`, which must have that much spare capacity.
    /// Returns how many came; it may fill the whole spare capacity.
    fn read_into(&self, buf: &mut Vec<u8>, position: u64) -> io::Result<usize>;
    /// Writes the buffers one after the other at `position`; may write less than all of it.
    fn write_vectored_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<usize>;
    /// Makes content and length durable (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts or extends the file, and gives back space reserved beyond its length.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Reserves space without changing the length. A file system that cannot do it answers `Ok`.
    fn allocate(&self, position: u64, len: u64) -> io::Result<()>;
    /// Length and time of the last change.
    fn metadata(&self) -> io::Result<Metadata>;
    /// The descriptor, for memory maps; `None` where there is no real file.
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// Reads until `buf` is full or the file ends; returns how much came.
pub fn read_full_at(file: &dyn File, buf: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match file.read_at(&mut buf[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Reads `len` bytes at `position`, or as many as the file has.
pub fn read_vec_at(file: &dyn File, position: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut buf = Vec::with_capacity(len);
    while buf.len() < len {
        let at = position + buf.len() as u64;
        match file.read_into(&mut buf, at) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buf.truncate(len);
    Ok(buf)
}

/// Writes two buffers behind each other, continuing short writes. Two is what an append needs: the patched header and
/// the client's bytes.
pub fn write_pair_at(file: &dyn File, head: &[u8], body: &[u8], position: u64) -> io::Result<()> {
    let total = head.len() + body.len();
    let mut written = 0;
    while written < total {
        let head_left = head.get(written..).unwrap_or_default();
        let body_left = &body[written.saturating_sub(head.len())..];
        let result = match head_left.is_empty() {
            false => file.write_vectored_at(
                &[IoSlice::new(head_left), IoSlice::new(body_left)],
                position + written as u64,
            ),
            true => file.write_vectored_at(&[IoSlice::new(body_left)], position + written as u64),
        };
        match result {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes one buffer, continuing short writes.
pub fn write_all_at(file: &dyn File, bytes: &[u8], position: u64) -> io::Result<()> {
    write_pair_at(file, &[], bytes, position)
}
