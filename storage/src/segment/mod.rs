//! One segment of a log: a file of batches and its indexes.
//!
//! `<base offset in 20 digits>.log` holds batches back to back, exactly as they are served; there is no header and no
//! footer. The file may be longer than its batches (reserved space reads as zeros); the length that counts is in memory
//! while the log is open and is found again by recovery.

mod confirm;
mod map;
pub(crate) mod name;
mod read;
pub(crate) mod scan;

#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use protocol::{
    Offset, TimestampMs,
    records::{BatchHeader, HEADER_LEN},
};

use self::name::FileKind;
pub(crate) use self::read::SegmentReadError;
use crate::{
    fs::{File, Fs, OpenMode, write_pair_at},
    index::{AbortedRange, EntryFile, OffsetEntry, TimeEntry, TransactionIndex},
};

/// A segment. Appends come from one thread at a time (the log's critical section); everything else may be called from
/// any thread at any time.
#[derive(Debug)]
pub(crate) struct Segment {
    base_offset: Offset,
    dir: PathBuf,
    file: Arc<dyn File>,
    /// Bytes of whole batches.
    len: AtomicU64,
    next_offset: AtomicI64,
    pub(crate) offsets: EntryFile<OffsetEntry>,
    pub(crate) times: EntryFile<TimeEntry>,
    pub(crate) aborted: TransactionIndex,
    times_seen: Mutex<TimesSeen>,
    bytes_since_entry: AtomicU32,
    sealed: AtomicBool,
    /// Where the last sequential read ended, so that the next one needs no index.
    hint: Mutex<Option<(Offset, u64)>>,
    map: OnceLock<Option<Bytes>>,
    /// Whether the indexes were found damaged and written anew.
    mended: AtomicBool,
}

/// The times that a segment has seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimesSeen {
    /// Largest record timestamp, with the last offset of the first batch that brought it.
    pub(crate) largest: Option<TimeEntry>,
    /// By the broker's clock, when the first batch came; where that is not known any more, a time not after it.
    pub(crate) first_append: Option<TimestampMs>,
    /// By the broker's clock, when the last batch came.
    pub(crate) last_append: TimestampMs,
}

/// What recovery or loading found out about a segment.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) len: u64,
    pub(crate) next_offset: Offset,
    pub(crate) times: TimesSeen,
    pub(crate) bytes_since_entry: u32,
    pub(crate) sealed: bool,
}

impl Segment {
    /// Creates an empty segment that takes appends. Leftovers under its names are emptied.
    pub(crate) fn create(
        fs: &Arc<dyn Fs>,
        dir: &Path,
        base_offset: Offset,
        reserve: u64,
        now: TimestampMs,
    ) -> io::Result<Self> {
        let file = fs.open(&name::path(dir, base_offset, FileKind::Log), OpenMode::CreateEmpty)?;
        if 0 < reserve {
            file.allocate(0, reserve)?;
        }
        let offsets = EntryFile::create(fs, &name::path(dir, base_offset, FileKind::OffsetIndex), base_offset)?;
        let times = EntryFile::create(fs, &name::path(dir, base_offset, FileKind::TimeIndex), base_offset)?;
        let aborted = TransactionIndex::create(fs, &name::path(dir, base_offset, FileKind::TransactionIndex))?;
        let times_seen = TimesSeen {
            largest: None,
            first_append: None,
            last_append: now,
        };
        let loaded = Loaded {
            len: 0,
            next_offset: base_offset,
            times: times_seen,
            bytes_since_entry: 0,
            sealed: false,
        };
        Ok(Self::from_parts(
            dir,
            base_offset,
            file,
            (offsets, times, aborted),
            loaded,
        ))
    }

    /// Puts a segment together from files that were checked.
    pub(crate) fn from_parts(
        dir: &Path,
        base_offset: Offset,
        file: Arc<dyn File>,
        (offsets, times, aborted): (EntryFile<OffsetEntry>, EntryFile<TimeEntry>, TransactionIndex),
        loaded: Loaded,
    ) -> Self {
        Self {
            base_offset,
            dir: dir.to_owned(),
            file,
            len: AtomicU64::new(loaded.len),
            next_offset: AtomicI64::new(loaded.next_offset),
            offsets,
            times,
            aborted,
            times_seen: Mutex::new(loaded.times),
            bytes_since_entry: AtomicU32::new(loaded.bytes_since_entry),
            sealed: AtomicBool::new(loaded.sealed),
            hint: Mutex::new(None),
            map: OnceLock::new(),
            mended: AtomicBool::new(false),
        }
    }

    /// The same segment with the length and times that a walk over its batches found.
    pub(crate) fn reload(self, loaded: Loaded) -> Self {
        Self {
            len: AtomicU64::new(loaded.len),
            next_offset: AtomicI64::new(loaded.next_offset),
            times_seen: Mutex::new(loaded.times),
            sealed: AtomicBool::new(loaded.sealed),
            ..self
        }
    }

    pub(crate) fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// Offset behind the last batch.
    pub(crate) fn next_offset(&self) -> Offset {
        self.next_offset.load(Ordering::Acquire)
    }

    /// Bytes of whole batches.
    pub(crate) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    pub(crate) fn times_seen(&self) -> TimesSeen {
        *self.lock_times()
    }

    pub(crate) fn path(&self, kind: FileKind) -> PathBuf {
        name::path(&self.dir, self.base_offset, kind)
    }

    pub(crate) fn file(&self) -> &dyn File {
        &*self.file
    }

    /// Writes a placed batch and advances the segment. `head` replaces the first bytes of `batch`.
    ///
    /// An error leaves the segment as it was, except that bytes beyond [`Segment::len`] may have changed.
    pub(crate) fn append(
        &self,
        header: &BatchHeader,
        head: &[u8; HEADER_LEN],
        batch: &[u8],
        now: TimestampMs,
        index_interval: u32,
    ) -> io::Result<()> {
        let position = self.len.load(Ordering::Relaxed);
        write_pair_at(&*self.file, head, &batch[HEADER_LEN..], position)?;
        self.note(header, position, index_interval);
        let mut times = self.lock_times();
        times.first_append.get_or_insert(now);
        times.last_append = now;
        drop(times);
        self.next_offset.store(header.next_offset(), Ordering::Release);
        self.len.store(position + header.total_len() as u64, Ordering::Release);
        Ok(())
    }

    /// Enters a batch into the indexes: part of an append, and of rebuilding them.
    pub(crate) fn note(&self, header: &BatchHeader, position: u64, index_interval: u32) {
        let last_offset = header.last_offset();
        let mut times = self.lock_times();
        if times
            .largest
            .is_none_or(|largest| largest.timestamp < header.max_timestamp)
            && 0 <= header.max_timestamp
        {
            times.largest = Some(TimeEntry {
                timestamp: header.max_timestamp,
                offset: last_offset,
            });
        }
        let largest = times.largest;
        drop(times);
        let since = self.bytes_since_entry.load(Ordering::Relaxed);
        let size = u32::try_from(header.total_len()).unwrap_or(u32::MAX);
        if since <= index_interval {
            self.bytes_since_entry
                .store(since.saturating_add(size), Ordering::Relaxed);
            return;
        }
        self.bytes_since_entry.store(size, Ordering::Relaxed);
        let position = u32::try_from(position).expect("a segment rolls before a position needs more than 31 bits");
        // The entries are in memory even when their block cannot be written now; the seal writes all of them.
        if let Err(error) = self.offsets.push(OffsetEntry {
            offset: last_offset,
            position,
        }) {
            tracing::warn!(path = %self.path(FileKind::OffsetIndex).display(), %error, "index block not written yet");
        }
        if let Some(largest) = largest {
            self.push_time(largest);
        }
    }

    /// Notes an aborted transaction whose marker this segment holds.
    pub(crate) fn note_aborted(&self, range: AbortedRange) {
        if let Err(error) = self.aborted.push(range) {
            tracing::warn!(path = %self.path(FileKind::TransactionIndex).display(), %error, "index entry not written yet");
        }
    }

    /// Gives back reserved space and what a failed append may have left behind the last batch.
    pub(crate) fn trim(&self) -> io::Result<()> {
        self.file.truncate(self.len())
    }

    /// Ends appends: trims the file and writes the indexes. May be repeated when it fails.
    pub(crate) fn seal(&self) -> io::Result<()> {
        self.trim()?;
        self.seal_as_it_is()
    }

    /// Ends appends without touching the log file: recovery does not cut what it cannot read below the durable mark.
    pub(crate) fn seal_as_it_is(&self) -> io::Result<()> {
        self.write_indexes()?;
        self.offsets.trim()?;
        self.times.trim()?;
        // Nothing fails from here on: a segment with one sealed index could neither take appends nor be left.
        self.offsets.freeze();
        self.times.freeze();
        self.sealed.store(true, Ordering::Release);
        Ok(())
    }

    /// Writes the indexes as they are now, without ending appends: part of a clean stop.
    pub(crate) fn write_indexes(&self) -> io::Result<()> {
        if let Some(largest) = self.times_seen().largest {
            self.push_time(largest);
        }
        self.offsets.write_out()?;
        self.times.write_out()?;
        self.aborted.write_out()
    }

    /// Makes the batches durable.
    pub(crate) fn sync_log(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Makes the index files durable.
    pub(crate) fn sync_indexes(&self) -> io::Result<()> {
        self.offsets.sync()?;
        self.times.sync()?;
        self.aborted.sync()
    }

    /// The whole segment as one mapped buffer: only once sealed, only on a real file system.
    pub(crate) fn mapped(&self) -> Option<Bytes> {
        if !self.is_sealed() {
            return None;
        }
        let map = self.map.get_or_init(|| {
            map::map_sealed(&*self.file, self.len()).unwrap_or_else(|error| {
                tracing::warn!(path = %self.path(FileKind::Log).display(), %error, "segment cannot be mapped");
                None
            })
        });
        map.clone()
    }

    fn push_time(&self, largest: TimeEntry) {
        if self.times.last().is_some_and(|last| last == largest) {
            return;
        }
        if let Err(error) = self.times.push(largest) {
            tracing::warn!(path = %self.path(FileKind::TimeIndex).display(), %error, "index block not written yet");
        }
    }

    fn lock_times(&self) -> MutexGuard<'_, TimesSeen> {
        self.times_seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names of every file that goes away with this segment.
    pub(crate) fn all_paths(&self) -> Vec<PathBuf> {
        FileKind::OF_SEGMENT.into_iter().map(|kind| self.path(kind)).collect()
    }
}
