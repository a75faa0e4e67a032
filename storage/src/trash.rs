//! Files and folders that were taken out of service and wait to be unlinked.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use protocol::TimestampMs;

use crate::{directory::deleted_file, fs::Fs};

/// What waits to be unlinked on a node. Readers that hold a file open keep it readable in any case; the delay
/// (`file.delete.delay.ms`) is for people who want to undo a mistake.
#[derive(Debug)]
pub(crate) struct Trash {
    fs: Arc<dyn Fs>,
    waiting: Mutex<Vec<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    path: PathBuf,
    is_dir: bool,
    due: TimestampMs,
}

impl Trash {
    pub(crate) fn new(fs: &Arc<dyn Fs>) -> Self {
        Self {
            fs: Arc::clone(fs),
            waiting: Mutex::default(),
        }
    }

    /// Renames a file out of service. One that does not exist is fine.
    pub(crate) fn put_file(&self, path: &Path, due: TimestampMs) {
        let doomed = deleted_file(path);
        match self.fs.rename(path, &doomed) {
            Ok(()) => self.put(doomed, false, due),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // It lies below the log start, so the next start removes it.
            Err(error) => tracing::warn!(path = %path.display(), %error, "file not taken away"),
        }
    }

    /// Takes a folder that was renamed already.
    pub(crate) fn put_folder(&self, path: PathBuf, due: TimestampMs) {
        self.put(path, true, due);
    }

    /// Unlinks what is due; everything when `all`. Returns how many entries went.
    pub(crate) fn empty(&self, now: TimestampMs, all: bool) -> usize {
        let due: Vec<Waiting> = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.extract_if(.., |entry| all || entry.due <= now).collect()
        };
        let count = due.len();
        for entry in due {
            let removed = if entry.is_dir {
                self.fs.remove_dir_all(&entry.path)
            } else {
                self.fs.remove_file(&entry.path)
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %entry.path.display(), %error, "not removed, the next start tries again");
                }
                _ => {}
            }
        }
        count
    }

    fn put(&self, path: PathBuf, is_dir: bool, due: TimestampMs) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Waiting { path, is_dir, due });
    }
}
