//! Reading.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use bytes::Bytes;
use protocol::{Offset, ProducerId};

use super::{Log, Marks};
use crate::{
    error::{CorruptRange, IoFailure, OffsetOutOfRange, ReadError},
    index::AbortedRange,
    segment::{Segment, SegmentReadError, name::FileKind},
};

/// How far a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the high watermark, undecided and aborted transactions included.
    Uncommitted,
    /// Up to the last stable offset, with the list of aborted transactions.
    Committed,
    /// Up to the log end: for replicas and for the broker's own start. What is above the high watermark may be lost.
    LogEnd,
}

/// A transaction whose records a reader of committed data drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AbortedTransaction {
    /// Who wrote it.
    pub producer_id: ProducerId,
    /// Offset of its first record.
    pub first_offset: Offset,
}

/// What a read found.
#[derive(Debug, Clone)]
pub struct ReadSlice {
    /// Whole batches, back to back, exactly as they lie on disk; the first holds the offset asked for, or is the first
    /// behind it.
    pub bytes: Bytes,
    /// Under [`Isolation::Committed`] every aborted transaction that overlaps the batches, by first offset.
    pub aborted: Vec<AbortedTransaction>,
    /// The marks that bounded the read.
    pub marks: Marks,
    /// Where to read on.
    pub next_offset: Offset,
}

impl Isolation {
    /// The first offset that is not visible.
    #[must_use]
    pub fn bound(self, marks: &Marks) -> Offset {
        match self {
            Self::Uncommitted => marks.high_watermark,
            Self::Committed => marks.last_stable,
            Self::LogEnd => marks.log_end,
        }
    }
}

impl Log {
    /// Reads whole batches from the one that holds `from`, up to `max_bytes`; with `at_least_one` the first batch comes
    /// whatever its size. Nothing visible at `from` gives an empty slice.
    ///
    /// Blocks for the disk where the tail cache does not hold `from` ([`Log::cached`]). Bytes from the disk are checked
    /// against their checksums first.
    ///
    /// # Errors
    /// [`ReadError`]. After [`ReadError::Corrupt`] other offsets stay readable.
    pub fn read(
        &self,
        from: Offset,
        isolation: Isolation,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<ReadSlice, ReadError> {
        let marks = self.marks();
        self.check_range(from, &marks)?;
        let bound = isolation.bound(&marks);
        if bound <= from {
            return Ok(ReadSlice {
                bytes: Bytes::new(),
                aborted: Vec::new(),
                marks,
                next_offset: from,
            });
        }
        let (bytes, next_offset) = match self.tail.read(from, bound, max_bytes, at_least_one) {
            Some(cached) => cached,
            None => self.read_segments(from, bound, max_bytes, at_least_one)?,
        };
        let aborted = match isolation {
            Isolation::Committed if !bytes.is_empty() => self.aborted_in(from, next_offset),
            _ => Vec::new(),
        };
        let aborted = aborted.iter().map(|range| AbortedTransaction {
            producer_id: range.producer_id,
            first_offset: range.first_offset,
        });
        Ok(ReadSlice {
            bytes,
            aborted: aborted.collect(),
            marks,
            next_offset,
        })
    }

    /// Whether a read at this offset needs no disk.
    #[must_use]
    pub fn cached(&self, from: Offset) -> bool {
        self.tail.holds(from)
    }

    /// Gives the batch just appended at `base_offset` memory of its own in the tail cache. For batches that are a small
    /// part of the bytes they were cut from: as long as one is cached, all of these stay in memory.
    pub fn detach_cached(&self, base_offset: Offset) {
        self.tail.detach(base_offset);
    }

    pub(crate) fn check_range(&self, from: Offset, marks: &Marks) -> Result<(), ReadError> {
        if from < marks.log_start || marks.log_end < from {
            let (log_start, log_end) = (marks.log_start, marks.log_end);
            return Err(OffsetOutOfRange {
                requested: from,
                log_start,
                log_end,
            }
            .into());
        }
        self.check_quarantine(from)
    }

    /// Every aborted transaction that overlaps `from..to`, by first offset.
    pub(crate) fn aborted_in(&self, from: Offset, to: Offset) -> Vec<AbortedRange> {
        let segments = self.segments();
        let mut ranges = Vec::new();
        for segment in &segments[segment_at(&segments, from)..] {
            if segment.aborted.collect(from, to, &mut ranges) {
                break;
            }
        }
        ranges.sort_unstable_by_key(|range| (range.first_offset, range.last_offset));
        ranges
    }

    /// The segment that holds an offset, or the first behind it that may.
    pub(crate) fn segment_for(&self, offset: Offset) -> Arc<Segment> {
        let segments = self.segments();
        let mut at = segment_at(&segments, offset);
        while at + 1 < segments.len() && segments[at].next_offset() <= offset {
            at += 1;
        }
        Arc::clone(&segments[at])
    }

    /// Turns what a segment says into what a reader of the log hears.
    pub(crate) fn read_failed(&self, segment: &Segment, error: SegmentReadError) -> ReadError {
        match error {
            SegmentReadError::Io(error) => IoFailure::new("read", segment.path(FileKind::Log), error).into(),
            SegmentReadError::Corrupt(range) => self.report_damage(segment, range).into(),
        }
    }

    fn read_segments(
        &self,
        from: Offset,
        bound: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<(Bytes, Offset), ReadError> {
        let segments = self.segments();
        for (slot, segment) in segments.iter().enumerate().skip(segment_at(&segments, from)) {
            let is_last = slot + 1 == segments.len();
            if segment.next_offset() <= from && !is_last {
                continue;
            }
            let slice = segment
                .read(from, bound, max_bytes, at_least_one)
                .map_err(|error| self.read_failed(segment, error))?;
            if is_last || !slice.bytes.is_empty() {
                return Ok((slice.bytes, slice.next_offset));
            }
            // The segment ends behind `from`, so it has a batch there: nothing fits the limits, or nothing is left of it.
            let position = segment.position_of(from);
            if position.map_err(|error| self.read_failed(segment, error))? < segment.len() {
                return Ok((slice.bytes, slice.next_offset));
            }
            let missing = CorruptRange {
                first_offset: from,
                next_offset: segment.next_offset(),
            };
            return Err(self.report_damage(segment, missing).into());
        }
        Ok((Bytes::new(), from))
    }

    fn check_quarantine(&self, from: Offset) -> Result<(), ReadError> {
        let quarantine = self.quarantine.read().unwrap_or_else(PoisonError::into_inner);
        match quarantine
            .iter()
            .find(|range| range.first_offset <= from && from < range.next_offset)
        {
            Some(range) => Err((*range).into()),
            None => Ok(()),
        }
    }

    fn report_damage(&self, segment: &Segment, range: CorruptRange) -> CorruptRange {
        self.node.corrupt_reads.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            log = %self.partition,
            path = %segment.path(FileKind::Log).display(),
            first_offset = range.first_offset,
            next_offset = range.next_offset,
            "damaged bytes are not served"
        );
        range
    }
}

/// Index of the last segment that begins at or below an offset.
pub(super) fn segment_at(segments: &[Arc<Segment>], offset: Offset) -> usize {
    segments
        .partition_point(|segment| segment.base_offset() <= offset)
        .saturating_sub(1)
}
