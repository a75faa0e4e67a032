//! An index is a hint: before anybody follows an entry, the batch that it names confirms it.
//!
//! Index files carry no checksum (they are Kafka's), and only their ends are looked at when a log is opened. An entry that
//! its batch does not confirm is passed over, for the one before it, so a damaged index makes a search longer and never
//! wrong; that of a sealed segment is then written anew.

use std::{io, sync::atomic::Ordering};

use protocol::{
    Offset, TimestampMs,
    records::{BatchHeader, HEADER_LEN},
};

use super::{
    Segment, SegmentReadError,
    name::FileKind,
    scan::{Depth, Scanner, Step, check_header},
};
use crate::{
    fs::read_full_at,
    index::{OffsetEntry, TimeEntry},
};

/// Bytes of log between two entries of an index that is written anew: Kafka's default of `index.interval.bytes`.
const MENDED_INTERVAL_BYTES: usize = 4096;

impl Segment {
    /// The last indexed batch that ends at or below `from`: where it begins, and its base offset.
    pub(super) fn indexed_batch(&self, from: Offset) -> io::Result<Option<(u64, Offset)>> {
        let mut at_most = from;
        loop {
            let Some(found) = self.offsets.last_where(|entry| entry.offset <= at_most)? else {
                return Ok(None);
            };
            let position = u64::from(found.entry.position);
            let confirming = |header: &BatchHeader| header.last_offset() == found.entry.offset;
            if let Some(header) = self.header_at(position)?.filter(confirming) {
                return Ok(Some((position, header.base_offset)));
            }
            at_most = match self.mend_indexes() {
                true => from,
                false => found.entry.offset - 1,
            };
        }
    }

    /// An offset below which no record is as late as `timestamp`, the largest that the time index knows.
    pub(crate) fn all_earlier_below(&self, timestamp: TimestampMs) -> io::Result<Offset> {
        let mut before = timestamp;
        loop {
            let Some(found) = self.times.last_where(|entry| entry.timestamp < before)? else {
                return Ok(self.base_offset());
            };
            if found.in_order && self.confirms_time(&found.entry)? {
                return Ok(found.entry.offset + 1);
            }
            before = match self.mend_indexes() {
                true => timestamp,
                false => found.entry.timestamp,
            };
        }
    }

    /// Whether the batch that an entry of the time index names is there and has that timestamp.
    pub(crate) fn confirms_time(&self, entry: &TimeEntry) -> io::Result<bool> {
        if entry.offset < self.base_offset() || self.next_offset() <= entry.offset {
            return Ok(false);
        }
        let position = match self.position_of(entry.offset) {
            Ok(position) => position,
            Err(SegmentReadError::Corrupt(_)) => return Ok(false),
            Err(SegmentReadError::Io(error)) => return Err(error),
        };
        let header = self.header_at(position)?;
        Ok(header.is_some_and(|header| {
            // Some versions of Kafka name the record, not the end of its batch.
            header.base_offset <= entry.offset && header.max_timestamp == entry.timestamp
        }))
    }

    /// The header at a place, if a batch of this segment may begin there.
    fn header_at(&self, position: u64) -> io::Result<Option<BatchHeader>> {
        let room = self.len().saturating_sub(position);
        let mut bytes = [0; HEADER_LEN];
        let filled = read_full_at(self.file(), &mut bytes, position)?;
        let allowed = self.base_offset()..self.next_offset();
        Ok(check_header(&bytes[..filled], &allowed, room).ok())
    }

    /// Writes the indexes of a sealed segment anew, once while it is open. Whether this call has done it.
    fn mend_indexes(&self) -> bool {
        if !self.is_sealed() || self.mended.swap(true, Ordering::Relaxed) {
            return false;
        }
        let path = self.path(FileKind::Log);
        tracing::warn!(path = %path.display(), "an index does not fit its batches; both are written anew");
        if let Err(error) = self.rewrite_indexes() {
            tracing::warn!(path = %path.display(), %error, "indexes not written anew");
        }
        true
    }

    fn rewrite_indexes(&self) -> io::Result<()> {
        let allowed = self.base_offset()..self.next_offset();
        let mut scanner = Scanner::new(self.file(), 0, self.len(), allowed);
        let (mut offsets, mut times) = (Vec::new(), Vec::new());
        let (mut largest, mut since): (Option<TimeEntry>, usize) = (None, 0);
        loop {
            let (position, header) = match scanner.step(Depth::Headers)? {
                Step::Batch { position, header } => (position, header),
                Step::Bad { .. } if scanner.resync()?.is_some() => continue,
                Step::Bad { .. } | Step::End => break,
            };
            let offset = header.last_offset();
            let timestamp = header.max_timestamp;
            if 0 <= timestamp && largest.is_none_or(|largest| largest.timestamp < timestamp) {
                largest = Some(TimeEntry { timestamp, offset });
            }
            if MENDED_INTERVAL_BYTES < since {
                let position = u32::try_from(position).map_err(|_| io::ErrorKind::FileTooLarge)?;
                offsets.push(OffsetEntry { offset, position });
                times.extend(largest.filter(|largest| times.last() != Some(largest)));
                since = 0;
            }
            since += header.total_len();
        }
        times.extend(largest.filter(|largest| times.last() != Some(largest)));
        self.offsets.restore(&offsets)?;
        self.times.restore(&times)
    }
}
