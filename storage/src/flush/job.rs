//! One log's part of a flush round.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use protocol::Offset;

use crate::{
    error::IoFailure,
    fs::{Fs, OpenMode},
    log::Log,
    segment::{Segment, name::FileKind},
};

/// Everything that must reach the device before a log is durable up to `target`.
#[derive(Debug)]
pub(crate) struct FlushJob {
    pub(crate) log: Arc<Log>,
    /// Log end when the job was made.
    pub(crate) target: Offset,
    /// Bytes of batches that wait.
    pub(crate) bytes: u64,
    /// Segments that were rolled since the last flush.
    pub(crate) sealed: Vec<Arc<Segment>>,
    /// Small files that were replaced since: snapshots, the epoch file.
    pub(crate) files: Vec<PathBuf>,
    /// The active segment, when it has bytes that wait.
    pub(crate) active: Option<Arc<Segment>>,
    /// Whether names in the folder changed.
    pub(crate) names_changed: bool,
}

impl FlushJob {
    /// Puts it all on the device.
    pub(crate) fn sync(&self, fs: &dyn Fs, dir: &Path) -> Result<(), IoFailure> {
        for segment in &self.sealed {
            segment.sync_log().map_err(|error| failed(segment, error))?;
            segment.sync_indexes().map_err(|error| failed(segment, error))?;
        }
        for path in &self.files {
            sync_file(fs, path).map_err(|error| IoFailure::new("sync", path, error))?;
        }
        if let Some(active) = &self.active {
            active.sync_log().map_err(|error| failed(active, error))?;
        }
        if self.names_changed {
            fs.sync_dir(dir).map_err(|error| IoFailure::new("sync", dir, error))?;
        }
        Ok(())
    }
}

/// A file that retention took away meanwhile has nothing to lose.
pub(crate) fn sync_file(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    match fs.open(path, OpenMode::ReadWrite) {
        Ok(file) => file.sync_data(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn failed(segment: &Segment, error: io::Error) -> IoFailure {
    IoFailure::new("sync", segment.path(FileKind::Log), error)
}
