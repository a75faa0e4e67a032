//! Loading segments that are known to be durable: their bytes are trusted, their indexes checked and rebuilt when they
//! cannot be right.

use std::{io, path::Path, sync::Arc};

use protocol::{Offset, records::BatchHeader};

use super::{
    files::Files,
    replay::{apply_batch, producers_at},
};
use crate::{
    config::LogConfig,
    error::{CorruptRange, IoFailure},
    fs::{File, Fs, OpenMode},
    index::{AbortedRange, EntryFile, OffsetEntry, TimeEntry, TransactionIndex},
    producers::Producers,
    segment::{
        Loaded, Segment, TimesSeen,
        name::{self, FileKind},
        scan::{Depth, Scanner, Step},
    },
};

/// A loaded segment and what is wrong with it.
#[derive(Debug)]
pub(super) struct LoadedSegment {
    pub(super) segment: Segment,
    pub(super) damaged: Vec<CorruptRange>,
    /// Epoch of the last batch that was looked at.
    pub(super) last_epoch: Option<i32>,
}

/// Where loading happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folder<'a> {
    pub(super) fs: &'a Arc<dyn Fs>,
    pub(super) dir: &'a Path,
    pub(super) files: &'a Files,
    pub(super) config: &'a LogConfig,
    /// Most producers that the log remembers.
    pub(super) producer_ids_max: usize,
}

/// What the end of a segment's file looks like.
struct Tail {
    next_offset: Offset,
    /// Where whole batches end.
    end: u64,
    bytes_since_entry: u32,
    damaged: Vec<CorruptRange>,
    last_epoch: Option<i32>,
    /// The first of its batches with the largest timestamp.
    latest: Option<TimeEntry>,
    /// The walk has just passed bytes that are no batch.
    behind_damage: bool,
}

impl Tail {
    fn new(next_offset: Offset, end: u64) -> Self {
        Self {
            next_offset,
            end,
            bytes_since_entry: 0,
            damaged: Vec::new(),
            last_epoch: None,
            latest: None,
            behind_damage: false,
        }
    }

    /// The next batch of the walk, which ends at `end`.
    fn take(&mut self, header: &BatchHeader, end: u64) {
        if std::mem::take(&mut self.behind_damage) && self.next_offset < header.base_offset {
            self.damaged.push(CorruptRange {
                first_offset: self.next_offset,
                next_offset: header.base_offset,
            });
        }
        (self.next_offset, self.end) = (header.next_offset(), end);
        self.last_epoch = Some(header.partition_leader_epoch);
        let (timestamp, offset) = (header.max_timestamp, header.last_offset());
        if 0 <= timestamp && self.latest.is_none_or(|latest| latest.timestamp < timestamp) {
            self.latest = Some(TimeEntry { timestamp, offset });
        }
    }

    /// Whether the time index ends with what the batches say. It holds the largest timestamp of its segment, by which
    /// retention and searches go.
    fn confirms_times(&self, segment: &Segment) -> io::Result<bool> {
        let Some(last) = segment.times.last() else {
            return Ok(self.latest.is_none());
        };
        if self.latest == Some(last) {
            return Ok(true);
        }
        let is_exceeded = self.latest.is_some_and(|latest| last.timestamp < latest.timestamp);
        Ok(!is_exceeded && segment.confirms_time(&last)?)
    }

    /// Moves the walk behind bytes that are no batch; false when no batch follows them.
    fn skips_damage(&mut self, scanner: &mut Scanner<'_>) -> io::Result<bool> {
        self.behind_damage = scanner.resync()?.is_some();
        Ok(self.behind_damage)
    }

    fn loaded(&self, times: TimesSeen, sealed: bool) -> Loaded {
        let (len, next_offset, bytes_since_entry) = (self.end, self.next_offset, self.bytes_since_entry);
        Loaded {
            len,
            next_offset,
            times,
            bytes_since_entry,
            sealed,
        }
    }
}

impl Folder<'_> {
    /// The producers' state below `offset`.
    pub(super) fn producers_at(&self, offset: Offset) -> Result<Producers, IoFailure> {
        producers_at(&**self.fs, self.dir, self.files, offset, self.producer_ids_max)
    }

    /// Loads a sealed segment.
    pub(super) fn load_sealed(&self, slot: usize) -> Result<LoadedSegment, IoFailure> {
        let base = self.files.bases[slot];
        let next_base = self.files.next_base(slot).expect("a sealed segment has one behind it");
        let path = name::path(self.dir, base, FileKind::Log);
        self.try_sealed(base, next_base)
            .map_err(|error| IoFailure::new("load", path, error))?
    }

    /// Loads the active segment after a clean stop; `None` when its files are not what a clean stop leaves.
    pub(super) fn load_active(&self) -> Result<Option<LoadedSegment>, IoFailure> {
        let base = *self.files.bases.last().expect("there is a segment");
        let path = name::path(self.dir, base, FileKind::Log);
        self.try_active(base)
            .map_err(|error| IoFailure::new("load", path, error))
    }

    fn try_sealed(&self, base: Offset, next_base: Offset) -> io::Result<Result<LoadedSegment, IoFailure>> {
        let file = self
            .fs
            .open(&name::path(self.dir, base, FileKind::Log), OpenMode::ReadWrite)?;
        let metadata = file.metadata()?;
        let offsets =
            EntryFile::<OffsetEntry>::open_sealed(self.fs, &self.path(base, FileKind::OffsetIndex), base, next_base)?;
        let times =
            EntryFile::<TimeEntry>::open_sealed(self.fs, &self.path(base, FileKind::TimeIndex), base, next_base)?;
        let aborted = TransactionIndex::open(self.fs, &self.path(base, FileKind::TransactionIndex), base, next_base)?;
        if let (Some(offsets), Some(times), Some(aborted)) = (offsets, times, aborted) {
            let entry = offsets.last();
            if let Some(tail) = walk_tail(&*file, metadata.len, base, entry, Some(next_base))? {
                let times_seen = TimesSeen {
                    largest: times.last(),
                    first_append: None,
                    last_append: metadata.modified,
                };
                let loaded = tail.loaded(times_seen, true);
                let segment = Segment::from_parts(self.dir, base, file, (offsets, times, aborted), loaded);
                if tail.confirms_times(&segment)? {
                    return Ok(Ok(LoadedSegment {
                        segment,
                        damaged: self.with_gap(tail, next_base),
                        last_epoch: None,
                    }));
                }
            }
        }
        tracing::warn!(path = %self.path(base, FileKind::Log).display(), "indexes are missing or damaged and are rebuilt");
        Ok(self.rebuild_sealed(base, next_base))
    }

    /// Offsets between a segment's last batch and the next segment: what compaction may leave, and nothing else.
    fn with_gap(&self, tail: Tail, next_base: Offset) -> Vec<CorruptRange> {
        let mut damaged = tail.damaged;
        if tail.next_offset < next_base && !self.config.compacted {
            damaged.push(CorruptRange {
                first_offset: tail.next_offset,
                next_offset: next_base,
            });
        }
        damaged
    }

    fn try_active(&self, base: Offset) -> io::Result<Option<LoadedSegment>> {
        let file = self
            .fs
            .open(&name::path(self.dir, base, FileKind::Log), OpenMode::ReadWrite)?;
        let metadata = file.metadata()?;
        let offsets = EntryFile::<OffsetEntry>::open_growing(
            self.fs,
            &self.path(base, FileKind::OffsetIndex),
            base,
            Offset::MAX,
        )?;
        let times =
            EntryFile::<TimeEntry>::open_growing(self.fs, &self.path(base, FileKind::TimeIndex), base, Offset::MAX)?;
        let Some((offsets, times)) = offsets.zip(times) else {
            return Ok(None);
        };
        let Some(tail) = walk_tail(&*file, metadata.len, base, offsets.last(), None)? else {
            return Ok(None);
        };
        let path = self.path(base, FileKind::TransactionIndex);
        let Some(aborted) = TransactionIndex::open(self.fs, &path, base, tail.next_offset)? else {
            return Ok(None);
        };
        let beyond = times.last().is_some_and(|last| tail.next_offset <= last.offset);
        if !tail.damaged.is_empty() || tail.end != metadata.len || beyond {
            return Ok(None);
        }
        let first_append = (0 < metadata.len)
            .then(|| first_time(&*file, metadata.len, base, metadata.modified))
            .transpose()?;
        let times_seen = TimesSeen {
            largest: times.last(),
            first_append,
            last_append: metadata.modified,
        };
        let loaded = tail.loaded(times_seen, false);
        let segment = Segment::from_parts(self.dir, base, file, (offsets, times, aborted), loaded);
        if !tail.confirms_times(&segment)? {
            return Ok(None);
        }
        Ok(Some(LoadedSegment {
            segment,
            damaged: Vec::new(),
            last_epoch: tail.last_epoch,
        }))
    }

    /// Walks a whole sealed segment and writes its indexes anew.
    fn rebuild_sealed(&self, base: Offset, next_base: Offset) -> Result<LoadedSegment, IoFailure> {
        let mut producers = self.producers_at(base)?;
        let path = self.path(base, FileKind::Log);
        let rebuilt = self.walk_whole(base, next_base, &mut producers);
        rebuilt.map_err(|error| IoFailure::new("rebuild the indexes of", path, error))
    }

    fn walk_whole(&self, base: Offset, next_base: Offset, producers: &mut Producers) -> io::Result<LoadedSegment> {
        let file = self.fs.open(&self.path(base, FileKind::Log), OpenMode::ReadWrite)?;
        let metadata = file.metadata()?;
        let fresh = Rebuild::begin(self, base, Arc::clone(&file))?;
        let mut scanner = Scanner::new(&*file, 0, metadata.len, base..next_base);
        let mut tail = Tail::new(base, 0);
        while tail.next_offset < next_base {
            match scanner.step(Depth::Headers)? {
                Step::Batch { position, header } => {
                    let bytes = if header.is_control() {
                        scanner.batch_bytes(position, &header)?.to_vec()
                    } else {
                        Vec::new()
                    };
                    fresh.note(self.config, producers, &header, position, &bytes);
                    tail.take(&header, scanner.position());
                }
                Step::Bad { .. } if tail.skips_damage(&mut scanner)? => {}
                Step::Bad { .. } | Step::End => break,
            }
        }
        let times = TimesSeen {
            last_append: metadata.modified,
            ..fresh.segment.times_seen()
        };
        let loaded = tail.loaded(times, true);
        fresh.segment.write_indexes()?;
        fresh.segment.offsets.seal()?;
        fresh.segment.times.seal()?;
        fresh.segment.sync_indexes()?;
        let last_epoch = tail.last_epoch;
        let segment = fresh.finish(loaded);
        Ok(LoadedSegment {
            segment,
            damaged: self.with_gap(tail, next_base),
            last_epoch,
        })
    }

    pub(super) fn path(&self, base: Offset, kind: FileKind) -> std::path::PathBuf {
        name::path(self.dir, base, kind)
    }
}

/// A segment whose indexes are being rebuilt from its batches.
#[derive(Debug)]
pub(super) struct Rebuild {
    pub(super) segment: Segment,
}

impl Rebuild {
    /// Empties the indexes; the log file is not touched.
    pub(super) fn begin(folder: &Folder<'_>, base: Offset, file: Arc<dyn File>) -> io::Result<Self> {
        let indexes = (
            EntryFile::create(folder.fs, &folder.path(base, FileKind::OffsetIndex), base)?,
            EntryFile::create(folder.fs, &folder.path(base, FileKind::TimeIndex), base)?,
            TransactionIndex::create(folder.fs, &folder.path(base, FileKind::TransactionIndex))?,
        );
        let times = TimesSeen {
            largest: None,
            first_append: None,
            last_append: 0,
        };
        let loaded = Loaded {
            len: 0,
            next_offset: base,
            times,
            bytes_since_entry: 0,
            sealed: false,
        };
        Ok(Self {
            segment: Segment::from_parts(folder.dir, base, file, indexes, loaded),
        })
    }

    /// Enters a batch into indexes and producers.
    pub(super) fn note(
        &self,
        config: &LogConfig,
        producers: &mut Producers,
        header: &BatchHeader,
        position: u64,
        bytes: &[u8],
    ) {
        self.segment.note(header, position, config.index_interval_bytes);
        let Some(ended) = apply_batch(producers, header, bytes).filter(|ended| ended.aborted) else {
            return;
        };
        let first_open = producers.open_transactions().map(|(_, offset)| offset).min();
        self.segment.note_aborted(AbortedRange {
            producer_id: ended.producer_id,
            first_offset: ended.first_offset,
            last_offset: ended.last_offset,
            last_stable_offset: first_open.unwrap_or(header.next_offset()),
        });
    }

    /// Gives the segment its length and times.
    pub(super) fn finish(self, loaded: Loaded) -> Segment {
        self.segment.reload(loaded)
    }
}

/// Walks from the last index entry to the end of a file. `None` when the entry does not point at its batch: the index
/// belongs to other bytes.
fn walk_tail(
    file: &dyn File,
    len: u64,
    base: Offset,
    entry: Option<OffsetEntry>,
    next_base: Option<Offset>,
) -> io::Result<Option<Tail>> {
    let start = entry.map_or(0, |entry| u64::from(entry.position));
    let mut tail = Tail::new(base, start.min(len));
    if entry.is_some() && len <= start {
        return Ok(None);
    }
    let mut scanner = Scanner::new(file, start, len, base..next_base.unwrap_or(Offset::MAX));
    let mut first = entry;
    while next_base.is_none_or(|next_base| tail.next_offset < next_base) {
        match scanner.step(Depth::Headers)? {
            Step::Batch { header, .. } => {
                if first.take().is_some_and(|entry| entry.offset != header.last_offset()) {
                    return Ok(None);
                }
                tail.take(&header, scanner.position());
            }
            Step::Bad { .. } if first.is_some() => return Ok(None),
            Step::Bad { .. } if tail.skips_damage(&mut scanner)? => {}
            Step::Bad { .. } | Step::End => break,
        }
    }
    tail.bytes_since_entry = u32::try_from(tail.end - start.min(tail.end)).unwrap_or(u32::MAX);
    Ok(Some(tail))
}

/// A time not after the first append: the first batch's own, unless it lies ahead of the file's.
fn first_time(file: &dyn File, len: u64, base: Offset, modified: i64) -> io::Result<i64> {
    match Scanner::new(file, 0, len, base..Offset::MAX).step(Depth::Headers)? {
        Step::Batch { header, .. } if 0 <= header.max_timestamp => Ok(header.max_timestamp.min(modified)),
        _ => Ok(modified),
    }
}
