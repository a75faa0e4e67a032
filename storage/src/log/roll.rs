//! Beginning a new segment.

use std::{io, sync::Arc};

use protocol::{Offset, TimestampMs, records::BatchHeader};

use super::{Log, Writer};
use crate::{
    checkpoint::{Sync, replace},
    config::LogConfig,
    error::{AppendError, IoFailure},
    index::{Entry, OffsetEntry, TimeEntry},
    producers::{encode_snapshot, encode_windows},
    segment::{
        Segment,
        name::{self, FileKind},
    },
};

/// Positions of the offset index are signed 32-bit numbers in Kafka's format.
const SEGMENT_BYTES_MAX: u64 = i32::MAX as u64;

impl Log {
    /// Rolls when the next batch does not belong into the active segment any more.
    pub(super) fn roll_if_needed(
        &self,
        writer: &mut Writer,
        next: &BatchHeader,
        config: &LogConfig,
        now: TimestampMs,
    ) -> Result<(), AppendError> {
        let segment = &writer.active;
        let len = segment.len();
        if len == 0 {
            return Ok(());
        }
        let size = next.total_len() as u64;
        let too_large = u64::from(config.segment_bytes).min(SEGMENT_BYTES_MAX) < len + size;
        let first_append = segment.times_seen().first_append;
        let too_old = first_append.is_some_and(|first| config.segment_ms <= now.saturating_sub(first));
        let last_offset = writer.next_offset + Offset::from(next.last_offset_delta);
        let too_far = i32::try_from(last_offset - segment.base_offset()).is_err();
        let index_full = is_an_index_full(segment, config.segment_index_bytes as usize);
        if too_large || too_old || too_far || index_full {
            self.roll(writer, config, now)?;
        }
        Ok(())
    }

    /// Seals the active segment and begins a new one at the log end. Nothing in the new one counts as durable before the
    /// old one and the folder are synced: the next flush does that first.
    ///
    /// An error leaves the log as it was.
    pub(super) fn roll(&self, writer: &mut Writer, config: &LogConfig, now: TimestampMs) -> Result<(), AppendError> {
        let base_offset = writer.next_offset;
        let rolled = self.begin_segment(writer, config, now);
        let fresh = rolled.map_err(|error| {
            self.discard_segment(base_offset);
            let failure = IoFailure::new("roll", name::path(&self.dir, base_offset, FileKind::Log), error);
            match failure.is_out_of_space() {
                true => AppendError::NoSpace(self.node.space.refusal()),
                false => AppendError::Io(failure),
            }
        })?;
        let fresh = Arc::new(fresh);
        let old = std::mem::replace(&mut writer.active, Arc::clone(&fresh));
        let mut segments = Vec::clone(&self.segments());
        segments.push(fresh);
        self.replace_segments(segments);
        writer.rolled.push(old);
        writer.names_changed = true;
        self.write_snapshot(writer);
        Ok(())
    }

    fn begin_segment(&self, writer: &Writer, config: &LogConfig, now: TimestampMs) -> io::Result<Segment> {
        let reserve = if config.preallocate {
            u64::from(config.segment_bytes)
        } else {
            0
        };
        let fresh = Segment::create(&self.node.fs, &self.dir, writer.next_offset, reserve, now)?;
        writer.active.seal()?;
        Ok(fresh)
    }

    /// Removes what a failed roll left, so that a start does not find a segment inside another one. (It would drop an
    /// empty one; this is for tidiness.)
    fn discard_segment(&self, base_offset: Offset) {
        for kind in [
            FileKind::Log,
            FileKind::OffsetIndex,
            FileKind::TimeIndex,
            FileKind::TransactionIndex,
        ] {
            let _ = self.node.fs.remove_file(&name::path(&self.dir, base_offset, kind));
        }
    }

    /// Writes the producers' state as it is at the log end. Without it a start replays more, so errors only warn.
    pub(super) fn write_snapshot(&self, writer: &mut Writer) {
        let offset = writer.next_offset;
        let files = [
            (FileKind::ProducerWindows, encode_windows(&writer.producers)),
            (FileKind::Snapshot, encode_snapshot(&writer.producers)),
        ];
        for (kind, bytes) in files {
            let path = name::path(&self.dir, offset, kind);
            match replace(&*self.node.fs, &path, &bytes, Sync::Later) {
                Ok(()) => writer.replaced.push(path),
                Err(error) => tracing::warn!(log = %self.partition, %error, "producer state not written"),
            }
        }
        writer.names_changed = true;
    }
}

/// Whether an index of the segment holds as many entries as `bytes_max` allow. The time index keeps room for one more,
/// because sealing the segment may add it.
fn is_an_index_full(segment: &Segment, bytes_max: usize) -> bool {
    bytes_max / OffsetEntry::SIZE <= segment.offsets.len() || bytes_max / TimeEntry::SIZE <= segment.times.len() + 1
}
