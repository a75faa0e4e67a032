//! Finding offsets by time.

use std::sync::Arc;

use protocol::{
    LeaderEpoch, Offset, TimestampMs,
    records::{Batch, BatchHeader, TimestampType},
};

use super::{Isolation, Log};
use crate::{
    error::ReadError,
    segment::{
        Segment, SegmentReadError,
        scan::{Depth, Scanner, Step},
    },
};

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: TimestampMs,
    /// The epoch that it was written in.
    pub leader_epoch: LeaderEpoch,
}

impl Log {
    /// The first visible record whose timestamp is not below `timestamp`, in the order of offsets; `None` when there is
    /// none (ListOffsets). Blocks for the disk.
    ///
    /// # Errors
    /// [`ReadError`] when the place where it should be is damaged.
    pub fn offset_for_timestamp(
        &self,
        timestamp: TimestampMs,
        isolation: Isolation,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        self.first_not_before(timestamp, isolation, Grain::Record)
    }

    /// Where to begin for all visible records whose timestamp is not below `timestamp`; `None` when there is none. The
    /// place is a batch, by its header alone: what it begins with may be older. Who reads on from there decompresses it
    /// anyway, so it is not decompressed to find it. Blocks for the disk.
    ///
    /// # Errors
    /// [`ReadError`] when the place where it should be is damaged.
    pub fn batch_for_timestamp(
        &self,
        timestamp: TimestampMs,
        isolation: Isolation,
    ) -> Result<Option<Offset>, ReadError> {
        let found = self.first_not_before(timestamp, isolation, Grain::Batch)?;
        Ok(found.map(|found| found.offset))
    }

    fn first_not_before(
        &self,
        timestamp: TimestampMs,
        isolation: Isolation,
        grain: Grain,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let marks = self.marks();
        let (log_start, bound) = (marks.log_start, isolation.bound(&marks));
        for segment in self.segments().iter() {
            let reaches = segment
                .times_seen()
                .largest
                .is_some_and(|largest| timestamp <= largest.timestamp);
            if !reaches || segment.next_offset() <= log_start {
                continue;
            }
            let search = Search {
                timestamp,
                grain,
                log_start,
                bound,
                decompressed_bytes_max: self.config().decompressed_bytes_max,
            };
            if let Some(found) = self.search_segment(segment, &search)? {
                return Ok(Some(found).filter(|found| found.offset < bound));
            }
        }
        Ok(None)
    }

    /// The visible record with the largest timestamp, the first of them when several have it (KIP-734). Blocks for the
    /// disk.
    ///
    /// # Errors
    /// [`ReadError`] when the place where it should be is damaged.
    pub fn max_timestamp_offset(&self) -> Result<Option<TimestampOffset>, ReadError> {
        let marks = self.marks();
        let (log_start, bound) = (marks.log_start, marks.high_watermark);
        let mut best: Option<TimestampOffset> = None;
        for segment in self.segments().iter() {
            let Some(largest) = segment.times_seen().largest else {
                continue;
            };
            let beaten = best.is_some_and(|best| largest.timestamp <= best.timestamp);
            if beaten || segment.next_offset() <= log_start {
                continue;
            }
            // The segment's own largest may lie beyond what is visible; then the visible batches are walked.
            let timestamp = match log_start <= largest.offset && largest.offset < bound {
                true => Some(largest.timestamp),
                false => self.largest_between(segment, log_start, bound)?,
            };
            let Some(timestamp) = timestamp else { continue };
            let search = Search {
                timestamp,
                grain: Grain::Record,
                log_start,
                bound,
                decompressed_bytes_max: self.config().decompressed_bytes_max,
            };
            let found = self
                .search_segment(segment, &search)?
                .filter(|found| found.offset < bound);
            if let Some(found) = found.filter(|found| best.is_none_or(|best| best.timestamp < found.timestamp)) {
                best = Some(found);
            }
        }
        Ok(best)
    }

    /// The first offset of the log, with the epoch of its record.
    #[must_use]
    pub fn earliest(&self) -> (Offset, Option<LeaderEpoch>) {
        let log_start = self.marks().log_start;
        (
            log_start,
            self.epochs
                .read()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .epoch_of(log_start),
        )
    }

    fn search_segment(&self, segment: &Arc<Segment>, search: &Search) -> Result<Option<TimestampOffset>, ReadError> {
        let failed = |error: std::io::Error| self.read_failed(segment, SegmentReadError::Io(error));
        let from = segment
            .all_earlier_below(search.timestamp)
            .map_err(failed)?
            .max(search.log_start);
        let start = segment
            .position_of(from)
            .map_err(|error| self.read_failed(segment, error))?;
        let mut scanner = Scanner::new(
            segment.file(),
            start,
            segment.len(),
            segment.base_offset()..segment.next_offset(),
        );
        loop {
            let (position, header) = match scanner.step(Depth::Headers).map_err(failed)? {
                Step::End => return Ok(None),
                Step::Batch { position, header } => (position, header),
                Step::Bad { .. } => match scanner.resync().map_err(failed)? {
                    Some(_) => continue,
                    None => return Ok(None),
                },
            };
            if search.bound <= header.base_offset {
                return Ok(None);
            }
            if header.max_timestamp < search.timestamp || header.is_control() && header.record_count == 0 {
                continue;
            }
            let bytes = scanner.batch_bytes(position, &header).map_err(failed)?;
            if let Some(found) = search.in_batch(&header, bytes) {
                return Ok(Some(found));
            }
        }
    }

    fn largest_between(
        &self,
        segment: &Segment,
        log_start: Offset,
        bound: Offset,
    ) -> Result<Option<TimestampMs>, ReadError> {
        let failed = |error: std::io::Error| self.read_failed(segment, SegmentReadError::Io(error));
        let mut scanner = Scanner::new(
            segment.file(),
            0,
            segment.len(),
            segment.base_offset()..segment.next_offset(),
        );
        let mut largest = None;
        loop {
            match scanner.step(Depth::Headers).map_err(failed)? {
                Step::Batch { header, .. } if bound <= header.base_offset => return Ok(largest),
                Step::Batch { header, .. } if header.next_offset() <= log_start => {}
                Step::Batch { header, .. } => largest = largest.max(Some(header.max_timestamp)),
                Step::End => return Ok(largest),
                Step::Bad { .. } => {
                    if scanner.resync().map_err(failed)?.is_none() {
                        return Ok(largest);
                    }
                }
            }
        }
    }
}

/// How exact a search is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grain {
    Record,
    Batch,
}

struct Search {
    timestamp: TimestampMs,
    grain: Grain,
    log_start: Offset,
    bound: Offset,
    decompressed_bytes_max: usize,
}

impl Search {
    /// The first fitting record of a batch, or the batch. A batch whose records are not what its header says has none.
    fn in_batch(&self, header: &BatchHeader, bytes: &[u8]) -> Option<TimestampOffset> {
        let leader_epoch = header.partition_leader_epoch;
        if self.grain == Grain::Batch || header.timestamp_type() == TimestampType::LogAppendTime {
            let offset = header.base_offset.max(self.log_start);
            return Some(TimestampOffset {
                offset,
                timestamp: header.max_timestamp,
                leader_epoch,
            });
        }
        let batch = Batch::parse(bytes.to_vec().into()).ok()?;
        let records = batch.records(self.decompressed_bytes_max).ok()?;
        let spans = records.spans().map_while(Result::ok);
        let mut fitting = spans.filter(|span| self.timestamp <= span.timestamp && self.log_start <= span.offset);
        fitting.next().map(|span| TimestampOffset {
            offset: span.offset,
            timestamp: span.timestamp,
            leader_epoch,
        })
    }
}
