//! Letting go of old records: retention by time and size, and deleting on request.

use std::sync::{Arc, atomic::Ordering};

use protocol::{Offset, TimestampMs};

use super::{Log, Writer};
use crate::{
    checkpoint::{Sync, write_log_start},
    config::LogConfig,
    epochs,
    error::{AppendError, DeleteRecordsError, IoFailure, OffsetOutOfRange},
    flush::Urgency,
    segment::Segment,
};

/// What retention took from one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// Segments.
    pub segments: usize,
    /// Bytes of their batches.
    pub bytes: u64,
}

impl Log {
    /// Deletes the oldest segments that retention does not keep, and producers that were silent for long. Never what is
    /// not visible yet, what belongs to an open transaction, or, up to [`crate::StorageConfig::pinned_bytes_max`], what a
    /// pin holds.
    ///
    /// Blocks for the device.
    ///
    /// # Errors
    /// [`IoFailure`] when the new log start could not be made durable; nothing is deleted then.
    pub(crate) fn apply_retention(self: &Arc<Self>, now: TimestampMs) -> Result<Retained, IoFailure> {
        let config = self.config();
        let _moving = self.hold_start();
        // A stopped log keeps what it has; whoever looks after it decides.
        let Ok(mut writer) = self.open_writer() else {
            return Ok(Retained::default());
        };
        writer.producers.expire(now, self.node.config.producer_id_expiration_ms);
        let expired = self.count_deletable(&config, now);
        if expired == 0 {
            return self.drop_below_start(&mut writer, now);
        }
        let mut segments = self.segments();
        if expired == segments.len() {
            // The active segment has had its time too: a fresh one takes its place.
            if let Err(error) = self.roll(&mut writer, &config, now) {
                return Err(roll_failure(self, error));
            }
            segments = self.segments();
        }
        let log_start = segments[expired].base_offset().max(self.marks().log_start);
        drop(writer);
        write_log_start(&*self.node.fs, &self.dir, log_start)?;
        let mut writer = self.writer();
        self.show_start(&mut writer, log_start);
        let retained = self.drop_below_start(&mut writer, now);
        drop(writer);
        // A roll left files that the next start trusts, and there may be no append for long.
        self.schedule_flush(Urgency::Soon);
        retained
    }

    /// Deletes every record below `before` (DeleteRecords); -1 means the high watermark. Returns the new log start, which
    /// is durable. Pins do not hold it back.
    ///
    /// Blocks for the device.
    ///
    /// # Errors
    /// [`DeleteRecordsError`]; the log start is unchanged then.
    pub fn delete_records(self: &Arc<Self>, before: Offset, now: TimestampMs) -> Result<Offset, DeleteRecordsError> {
        let _moving = self.hold_start();
        if self.closed.load(Ordering::Acquire) {
            let gone = std::io::ErrorKind::NotFound.into();
            return Err(IoFailure::new("delete records of", &self.dir, gone).into());
        }
        if let Some(poisoned) = self.poisoned() {
            return Err(poisoned.clone().into());
        }
        let marks = self.marks();
        let target = if before == -1 { marks.high_watermark } else { before };
        if target < 0 || marks.high_watermark < target {
            let (log_start, log_end) = (marks.log_start, marks.high_watermark);
            return Err(OffsetOutOfRange {
                requested: before,
                log_start,
                log_end,
            }
            .into());
        }
        if marks.log_start < target {
            write_log_start(&*self.node.fs, &self.dir, target)?;
            let mut writer = self.writer();
            self.show_start(&mut writer, target);
            self.drop_below_start(&mut writer, now)?;
        }
        Ok(self.marks().log_start)
    }

    /// How many segments, from the oldest on, retention lets go: those that are expired, but for what a pin may hold.
    fn count_deletable(&self, config: &LogConfig, now: TimestampMs) -> usize {
        let pinned = self.lowest_pin().unwrap_or(Offset::MAX);
        let expired = self.expired(config, now);
        let free = expired.partition_point(|segment| segment.next_offset() <= pinned);
        let (free, held) = expired.split_at(free);
        let mut held_bytes: u64 = held.iter().map(|segment| segment.len()).sum();
        let beyond = held.iter().take_while(|segment| {
            let is_beyond = self.node.config.pinned_bytes_max < held_bytes;
            held_bytes -= segment.len();
            is_beyond
        });
        let beyond = beyond.count();
        if 0 < beyond {
            let bound = self.node.config.pinned_bytes_max;
            tracing::warn!(log = %self.partition, bound, "retention takes records that a query has not read");
        }
        free.len() + beyond
    }

    /// The segments, from the oldest on, that are too old or too much.
    fn expired(&self, config: &LogConfig, now: TimestampMs) -> Vec<Arc<Segment>> {
        let limit = self.marks().last_stable;
        let segments = self.segments();
        let mut size: u64 = segments.iter().map(|segment| segment.len()).sum();
        let mut count = 0;
        for (slot, segment) in segments.iter().enumerate() {
            let is_last = slot + 1 == segments.len();
            let end = if is_last {
                segment.next_offset()
            } else {
                segments[slot + 1].base_offset()
            };
            if limit < end || (is_last && segment.len() == 0) {
                break;
            }
            let too_old = config
                .retention_ms
                .is_some_and(|keep| keep < now.saturating_sub(age_mark(segment)));
            let left = size.saturating_sub(segment.len());
            let too_much = config.retention_bytes.is_some_and(|keep| keep <= left);
            if !too_old && !too_much {
                break;
            }
            size = left;
            count += 1;
        }
        segments[..count].to_vec()
    }

    /// Moves the log start, which is durable by now: that takes two syncs, during which appends go on.
    fn show_start(&self, writer: &mut Writer, log_start: Offset) {
        self.board.start_at(log_start);
        let mut epochs = self.epochs_mut();
        if epochs.truncate_from_start(log_start) {
            match epochs.write(&*self.node.fs, &self.dir, Sync::Later) {
                Ok(()) => writer.replaced.push(self.dir.join(epochs::FILE_NAME)),
                Err(error) => tracing::warn!(log = %self.partition, %error, "leader epochs not written"),
            }
        }
    }

    /// Takes segments out of service that lie wholly below the log start.
    fn drop_below_start(&self, writer: &mut Writer, now: TimestampMs) -> Result<Retained, IoFailure> {
        let log_start = self.marks().log_start;
        let segments = self.segments();
        let below = segments
            .windows(2)
            .take_while(|pair| pair[1].base_offset() <= log_start)
            .count();
        if below == 0 {
            return Ok(Retained::default());
        }
        let (gone, kept) = segments.split_at(below);
        self.replace_segments(kept.to_vec());
        writer.rolled.retain(|segment| log_start < segment.next_offset());
        writer.names_changed = true;
        let due = now.saturating_add(self.config().file_delete_delay_ms);
        let paths = gone.iter().flat_map(|segment| segment.all_paths());
        paths.for_each(|path| self.node.trash.put_file(&path, due));
        Ok(Retained {
            segments: below,
            bytes: gone.iter().map(|segment| segment.len()).sum(),
        })
    }
}

/// The time that a segment's age counts from: its largest timestamp, or when it was written where clients' time lies
/// ahead of that (a wrong clock must not keep data for ever) or where there is none.
fn age_mark(segment: &Segment) -> TimestampMs {
    let times = segment.times_seen();
    match times.largest {
        Some(largest) if largest.timestamp <= times.last_append => largest.timestamp,
        _ => times.last_append,
    }
}

fn roll_failure(log: &Log, error: AppendError) -> IoFailure {
    match error {
        AppendError::Io(failure) => failure,
        other => IoFailure::new("roll", log.dir(), std::io::Error::other(other)),
    }
}
