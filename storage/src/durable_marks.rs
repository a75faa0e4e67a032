//! What each flush round made durable, for the whole node: the file `durable-marks`.
//!
//! A header of 8 bytes (magic `TMDM`, version u32 = 1) and then entries of 32 bytes, big-endian: topic id (16 bytes),
//! partition (i32), durable offset (i64), CRC-32C of the 28 bytes before (u32). The last good entry of a log counts;
//! reading stops at the first bad one. Entries are appended after each round and synced together with the next round,
//! which costs nothing extra; so a mark may lag behind by a round, and a lagging mark is safe: it only means that more
//! of the tail is checked. A mark never leads, because it is written after its flush succeeded.
//!
//! When the file has grown it is rewritten with one entry a log, aside, and renamed into place.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use protocol::{Offset, PartitionId, TopicId};
use uuid::Uuid;

use crate::{
    checkpoint::{Sync, read_small, replace},
    error::{IoFailure, OpenError},
    fs::{File, Fs, OpenMode, write_all_at},
};

const FILE_NAME: &str = "durable-marks";
const MAGIC: [u8; 4] = *b"TMDM";
const VERSION: u32 = 1;
const HEADER_SIZE: usize = 8;
const ENTRY_SIZE: usize = 32;
/// Entries after which the file is rewritten, when most of them are outdated.
const ROTATE_ENTRIES: usize = 32 * 1024;

/// One log as the marks know it.
pub(crate) type MarkKey = (TopicId, PartitionId);

/// The marks of a node. Every method may be called from any thread.
#[derive(Debug)]
pub(crate) struct DurableMarks {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    marks: HashMap<MarkKey, Offset>,
    /// `None` after a failure: the marks then stay where they are on disk, which is safe, until a rewrite succeeds.
    file: Option<Arc<dyn File>>,
    entries: usize,
    unsynced: bool,
}

impl DurableMarks {
    /// Reads the file. After a clean stop it goes on in it; after any other it rewrites it with what was good, because
    /// what reads well may still not be on the device.
    pub(crate) fn open(fs: &Arc<dyn Fs>, data_dir: &Path, clean: bool) -> Result<Self, OpenError> {
        let path = data_dir.join(FILE_NAME);
        let bytes = read_small(&**fs, &path)?.unwrap_or_default();
        let (marks, entries) = decode(&bytes).map_err(|found| OpenError::NewerVersion {
            path: path.clone(),
            found: i64::from(found),
            supported: i64::from(VERSION),
        })?;
        let inner = Inner {
            marks,
            file: None,
            entries,
            unsynced: false,
        };
        let marks = Self {
            fs: Arc::clone(fs),
            path,
            inner: Mutex::new(inner),
        };
        if clean && bytes.len() == HEADER_SIZE + entries * ENTRY_SIZE {
            let file = fs.open(&marks.path, OpenMode::ReadWrite);
            marks.lock().file = Some(file.map_err(|error| IoFailure::new("open", &marks.path, error))?);
        } else {
            marks.rotate()?;
        }
        Ok(marks)
    }

    /// The offset up to which a log is known to be durable.
    pub(crate) fn mark(&self, key: MarkKey) -> Option<Offset> {
        self.lock().marks.get(&key).copied()
    }

    /// Forgets a deleted log.
    pub(crate) fn forget(&self, key: MarkKey) {
        self.lock().marks.remove(&key);
    }

    /// Notes what a round made durable. Errors are reported and otherwise without consequence: the old marks hold.
    pub(crate) fn note(&self, round: &[(MarkKey, Offset)]) {
        let mut inner = self.lock();
        let mut bytes = Vec::with_capacity(round.len() * ENTRY_SIZE);
        for (key, offset) in round {
            let mark = inner.marks.entry(*key).or_insert(*offset);
            *mark = (*mark).max(*offset);
            encode(*key, *mark, &mut bytes);
        }
        let position = (HEADER_SIZE + inner.entries * ENTRY_SIZE) as u64;
        if let Some(file) = &inner.file {
            match write_all_at(&**file, &bytes, position) {
                Ok(()) => {
                    inner.entries += round.len();
                    inner.unsynced = true;
                }
                Err(error) => self.give_up(&mut inner, &error),
            }
        }
        let outdated = inner.file.is_none() || inner.marks.len() * 4 < inner.entries;
        if outdated && (inner.file.is_none() || ROTATE_ENTRIES <= inner.entries) {
            drop(inner);
            if let Err(error) = self.rotate() {
                tracing::warn!(%error, "durable marks not rewritten, the next round tries again");
            }
        }
    }

    /// Whether there are entries that were not synced yet.
    pub(crate) fn has_unsynced(&self) -> bool {
        self.lock().unsynced
    }

    /// The file when it holds entries that were not synced yet.
    pub(crate) fn unsynced(&self) -> Option<Arc<dyn File>> {
        let mut inner = self.lock();
        if !std::mem::take(&mut inner.unsynced) {
            return None;
        }
        inner.file.clone()
    }

    /// Makes the notes so far durable. An error is reported and otherwise without consequence.
    pub(crate) fn sync(&self) {
        if let Some(Err(error)) = self.unsynced().map(|file| file.sync_data()) {
            self.sync_failed(&error);
        }
    }

    /// Takes note that a sync of the file failed: it is not used again, a new one is written.
    pub(crate) fn sync_failed(&self, error: &io::Error) {
        self.give_up(&mut self.lock(), error);
    }

    /// Rewrites the file with one entry a log, durably.
    pub(crate) fn rotate(&self) -> Result<(), IoFailure> {
        let mut inner = self.lock();
        inner.file = None;
        let mut bytes = Vec::with_capacity(HEADER_SIZE + inner.marks.len() * ENTRY_SIZE);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        for (key, offset) in &inner.marks {
            encode(*key, *offset, &mut bytes);
        }
        replace(&*self.fs, &self.path, &bytes, Sync::Now)?;
        let file = self
            .fs
            .open(&self.path, OpenMode::ReadWrite)
            .map_err(|error| IoFailure::new("open", &self.path, error))?;
        inner.file = Some(file);
        inner.entries = inner.marks.len();
        inner.unsynced = false;
        Ok(())
    }

    fn give_up(&self, inner: &mut Inner, error: &io::Error) {
        tracing::error!(path = %self.path.display(), %error, "durable marks cannot be written");
        inner.file = None;
        inner.unsynced = false;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn encode((topic_id, partition): MarkKey, offset: Offset, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(topic_id.0.as_bytes());
    out.extend_from_slice(&partition.to_be_bytes());
    out.extend_from_slice(&offset.to_be_bytes());
    let crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&crc.to_be_bytes());
}

/// The good entries and how many they are; `Err` with a version that is not known. A damaged header means that nothing
/// is known.
fn decode(bytes: &[u8]) -> Result<(HashMap<MarkKey, Offset>, usize), u32> {
    let (mut marks, mut count) = (HashMap::new(), 0);
    let Some((header, entries)) = bytes.split_first_chunk::<HEADER_SIZE>() else {
        return Ok((marks, count));
    };
    let (magic, version) = header.split_at(4);
    if magic != MAGIC {
        return Ok((marks, count));
    }
    let version = u32::from_be_bytes(version.try_into().expect("four bytes"));
    if version != VERSION {
        return Err(version);
    }
    for entry in entries.chunks_exact(ENTRY_SIZE) {
        let (content, crc) = entry.split_at(ENTRY_SIZE - 4);
        if crc32c::crc32c(content).to_be_bytes() != crc {
            break;
        }
        let topic_id = TopicId(Uuid::from_bytes(content[..16].try_into().expect("16 bytes")));
        let partition = PartitionId::from_be_bytes(content[16..20].try_into().expect("four bytes"));
        let offset = Offset::from_be_bytes(content[20..].try_into().expect("eight bytes"));
        marks.insert((topic_id, partition), offset);
        count += 1;
    }
    Ok((marks, count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::DiskFs;

    fn key(id: u128) -> MarkKey {
        (TopicId(Uuid::from_u128(id)), 3)
    }

    #[test]
    fn marks_survive_and_a_torn_entry_ends_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let fs: Arc<dyn Fs> = Arc::new(DiskFs);
        let marks = DurableMarks::open(&fs, folder.path(), true).expect("opens");
        marks.note(&[(key(1), 10), (key(2), 20)]);
        marks.note(&[(key(1), 30)]);
        assert!(marks.unsynced().is_some());
        assert!(marks.unsynced().is_none());
        drop(marks);
        let path = folder.path().join(FILE_NAME);
        let mut bytes = std::fs::read(&path).expect("reads");
        assert_eq!(bytes.len(), HEADER_SIZE + 3 * ENTRY_SIZE);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).expect("writes");
        let marks = DurableMarks::open(&fs, folder.path(), true).expect("opens");
        assert_eq!(marks.mark(key(1)), Some(10));
        assert_eq!(marks.mark(key(2)), Some(20));
        assert_eq!(marks.mark(key(3)), None);
        marks.forget(key(2));
        marks.rotate().expect("rewrites");
        assert_eq!(
            DurableMarks::open(&fs, folder.path(), true)
                .expect("opens")
                .mark(key(2)),
            None
        );
    }

    #[test]
    fn a_newer_version_is_refused() {
        assert_eq!(decode(b"TMDM\0\0\0\x02").expect_err("refused"), 2);
        assert!(decode(b"garbage").expect("nothing is known").0.is_empty());
    }
}
