//! The real file system.

use std::{
    fs,
    io::{self, IoSlice},
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    sync::Arc,
    time::UNIX_EPOCH,
};

use protocol::TimestampMs;
use rustix::{
    buffer::spare_capacity,
    fs::{FallocateFlags, FlockOperation},
};

use super::{DirEntry, File, Fs, Lock, Metadata, OpenMode};

/// The operating system's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskFs;

impl Fs for DiskFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true);
            }
            OpenMode::Create => {
                options.write(true).create(true).truncate(false);
            }
            OpenMode::CreateEmpty => {
                options.write(true).create(true).truncate(true);
            }
        }
        Ok(Arc::new(DiskFile {
            file: options.open(path)?,
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let is_dir = entry.file_type()?.is_dir();
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(DirEntry { name, is_dir });
            }
        }
        Ok(entries)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        fs::metadata(path).map(|metadata| convert(&metadata))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        // A folder has no "data" apart from its entries, so the full fsync is the documented call.
        Ok(rustix::fs::fsync(fs::File::open(path)?)?)
    }

    fn sync_fs(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(fs::File::open(path)?)?)
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(DiskLock { _file: file }))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// An open file.
#[derive(Debug)]
struct DiskFile {
    file: fs::File,
}

impl File for DiskFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        Ok(rustix::io::pread(&self.file, buf, position)?)
    }

    fn read_into(&self, buf: &mut Vec<u8>, position: u64) -> io::Result<usize> {
        if buf.capacity() == buf.len() {
            return Ok(0);
        }
        Ok(rustix::io::pread(&self.file, spare_capacity(buf), position)?)
    }

    fn write_vectored_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(&self.file, bufs, position)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.file)?)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        Ok(rustix::fs::ftruncate(&self.file, len)?)
    }

    fn allocate(&self, position: u64, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, position, len) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata().map(|metadata| convert(&metadata))
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

/// An `flock`, which the kernel releases with the last descriptor, also when the process is killed.
#[derive(Debug)]
struct DiskLock {
    _file: fs::File,
}

impl Lock for DiskLock {}

fn convert(metadata: &fs::Metadata) -> Metadata {
    Metadata {
        len: metadata.len(),
        modified: modified(metadata),
        is_dir: metadata.is_dir(),
    }
}

fn modified(metadata: &fs::Metadata) -> TimestampMs {
    let Ok(time) = metadata.modified() else { return 0 };
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs::try_from(since.as_millis()).unwrap_or(TimestampMs::MAX)
}
