//! Appending.

use std::{
    io,
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering},
};

use protocol::{
    Offset, TimestampMs,
    records::{Batch, BatchHeader, HEADER_LEN},
};

use super::{
    Log, Writer,
    validate::{Prepared, prepare},
};
use crate::{
    config::{Durability, LogConfig},
    error::{AppendError, IoFailure, Poisoned},
    flush::{FlushTicket, Urgency},
    index::AbortedRange,
    producers::{BatchMeta, Verdict},
    segment::{Segment, name::FileKind},
};

/// Who appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A client's produce request: all rules apply.
    Client,
    /// The broker itself (coordinators, markers, metadata): control batches are allowed, sizes and timestamps are not
    /// bounded, and low space does not refuse it before the device does.
    Coordinator,
}

/// What an append did.
#[derive(Debug)]
pub struct Appended {
    /// Offset of the first record; of the original one for a duplicate.
    pub base_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// The time that the broker stamped, where the topic says so.
    pub log_append_time: Option<TimestampMs>,
    /// First offset of the log.
    pub log_start_offset: Offset,
    /// Whether the batch was appended before and nothing was written now.
    pub duplicate: bool,
    /// Resolves when the batch is durable; for a duplicate, when the original is. A reply under `acks=all` waits for it.
    pub ticket: FlushTicket,
}

/// Bytes of the base offset, the first field of a header.
const BASE_OFFSET_END: usize = 8;
/// Where the leader epoch lies.
const LEADER_EPOCH: std::ops::Range<usize> = 12..16;

impl Log {
    /// Appends one batch. It is in the log when this returns and durable when the ticket resolves; a flush is scheduled
    /// in any case.
    ///
    /// # Errors
    /// [`AppendError`]; the log is unchanged then. [`AppendError::Poisoned`] and [`AppendError::Closed`] are for good,
    /// [`AppendError::NoSpace`] and [`AppendError::Io`] may go away.
    pub fn append(
        self: &Arc<Self>,
        batch: &Batch,
        origin: AppendOrigin,
        now: TimestampMs,
    ) -> Result<Appended, AppendError> {
        let config = self.config();
        let prepared = prepare(&config, batch, origin, now)?;
        if origin == AppendOrigin::Client {
            self.node.space.check()?;
        }
        let mut writer = self.open_writer()?;
        let appended = self.append_prepared(&mut writer, prepared, &config, now)?;
        drop(writer);
        if !appended.duplicate {
            let urgency = if config.durability == Durability::Async {
                Urgency::Lazy
            } else {
                Urgency::Soon
            };
            self.schedule_flush(urgency);
        }
        Ok(appended)
    }

    /// Enters the critical section, unless the log takes no appends.
    pub(super) fn open_writer(&self) -> Result<MutexGuard<'_, Writer>, AppendError> {
        let writer = self.writer();
        if let Some(poisoned) = self.poisoned.get() {
            return Err(poisoned.clone().into());
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(AppendError::Closed(self.partition.clone()));
        }
        Ok(writer)
    }

    fn append_prepared(
        self: &Arc<Self>,
        writer: &mut Writer,
        prepared: Prepared,
        config: &LogConfig,
        now: TimestampMs,
    ) -> Result<Appended, AppendError> {
        match &prepared.marker {
            Some(marker) => writer.producers.check_marker(marker)?,
            None => {
                if let Verdict::Duplicate(original) = writer.producers.check_data(&prepared.header)? {
                    return Ok(self.duplicate(&original, config));
                }
            }
        }
        self.roll_if_needed(writer, &prepared.header, config, now)?;
        let (header, head) = self.place(&prepared, writer.next_offset);
        let written = writer
            .active
            .append(&header, &head, &prepared.bytes, now, config.index_interval_bytes);
        written.map_err(|error| self.append_failed(&writer.active, error))?;
        writer.next_offset = header.next_offset();
        writer.unflushed_bytes += header.total_len() as u64;
        self.tail.push(&header, &head, &prepared.bytes);
        let marks = self.take_note(writer, &prepared, &header);
        let ticket = match config.durability {
            Durability::Fsync => FlushTicket::new(Arc::clone(self), header.next_offset()),
            Durability::Async => FlushTicket::done(Arc::clone(self)),
        };
        Ok(Appended {
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            log_append_time: prepared.log_append_time,
            log_start_offset: marks.log_start,
            duplicate: false,
            ticket,
        })
    }

    /// Gives a batch its offset and epoch. Both lie outside the checksum.
    fn place(&self, prepared: &Prepared, base_offset: Offset) -> (BatchHeader, [u8; HEADER_LEN]) {
        let mut header = prepared.header;
        header.base_offset = base_offset;
        header.partition_leader_epoch = self.leader_epoch;
        let mut head = prepared.head;
        head[..BASE_OFFSET_END].copy_from_slice(&base_offset.to_be_bytes());
        head[LEADER_EPOCH].copy_from_slice(&self.leader_epoch.to_be_bytes());
        (header, head)
    }

    /// Enters a written batch into producers, transactions and marks.
    fn take_note(&self, writer: &mut Writer, prepared: &Prepared, header: &BatchHeader) -> super::Marks {
        let log_end = header.next_offset();
        let Some(marker) = &prepared.marker else {
            let opens = if header.is_control() {
                None
            } else {
                writer.producers.apply_data(header)
            };
            return self
                .board
                .appended(log_end, opens.map(|offset| (offset, header.producer_id)));
        };
        let completed = writer.producers.apply_marker(marker, header.base_offset);
        self.board.ended(log_end, completed, |last_stable_offset| {
            if let Some(ended) = completed.filter(|completed| completed.aborted) {
                writer.active.note_aborted(AbortedRange {
                    producer_id: ended.producer_id,
                    first_offset: ended.first_offset,
                    last_offset: ended.last_offset,
                    last_stable_offset,
                });
            }
        })
    }

    fn duplicate(self: &Arc<Self>, original: &BatchMeta, config: &LogConfig) -> Appended {
        let dated_by_us = config.timestamp_type == crate::config::TimestampType::LogAppendTime;
        let ticket = match config.durability {
            Durability::Fsync => FlushTicket::new(Arc::clone(self), original.last_offset + 1),
            Durability::Async => FlushTicket::done(Arc::clone(self)),
        };
        Appended {
            base_offset: original.base_offset(),
            last_offset: original.last_offset,
            log_append_time: dated_by_us.then_some(original.timestamp),
            log_start_offset: self.marks().log_start,
            duplicate: true,
            ticket,
        }
    }

    /// A full device leaves the log usable, once what was half written is cut off; anything else ends it.
    fn append_failed(&self, segment: &Segment, error: io::Error) -> AppendError {
        let failure = IoFailure::new("append to", segment.path(FileKind::Log), error);
        if failure.is_out_of_space() {
            match segment.trim() {
                Ok(()) => {
                    self.node.space.refresh();
                    return self.node.space.refusal().into();
                }
                Err(error) => {
                    let failure = IoFailure::new("cut", segment.path(FileKind::Log), error);
                    return self.poison(&failure).into();
                }
            }
        }
        self.poison(&failure).into()
    }

    /// Stops the log for good: no retry, no more writes.
    pub(super) fn poison(&self, failure: &IoFailure) -> Poisoned {
        let poisoned = Poisoned {
            log: self.partition.clone(),
            cause: failure.to_string().into(),
        };
        if self.poisoned.set(poisoned.clone()).is_ok() {
            tracing::error!(log = %self.partition, cause = %poisoned.cause, "log stopped");
        }
        let poisoned = self.poisoned.get().cloned().unwrap_or(poisoned);
        self.gate.fail(poisoned.clone().into());
        poisoned
    }

    pub(super) fn epochs_mut(&self) -> std::sync::RwLockWriteGuard<'_, crate::epochs::EpochHistory> {
        self.epochs.write().unwrap_or_else(PoisonError::into_inner)
    }
}
