//! Records of groups in one partition of `__consumer_offsets`: written as batches, read back at start.

use std::sync::Arc;

use bytes::Bytes;
use coordinator::group::record::{EncodedRecord, GroupRecordError};
use coordinator::group::{GroupConfig, GroupRecord, Groups as Machine};
use protocol::ids::{Offset, TimestampMs};
use protocol::records::{
    Batch, BatchBuilder, BatchError, BatchIter, BatchStamp, Codec, ControlType, MarkerError, RecordError, parse_marker,
};
use storage::{AppendError, AppendOrigin, FlushTicket, Isolation, Log, ReadError};
use thiserror::Error;

/// Bytes asked for by one read during a load.
const LOAD_READ_BYTES: usize = 1024 * 1024;
/// A batch is closed when it has grown to this size; what one command writes may take several.
const BATCH_BYTES: usize = 256 * 1024;
/// Most bytes that a batch of this topic may decompress to; a Kafka broker may have written compressed ones.
const DECOMPRESSED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why the state of a partition could not be read back.
#[derive(Debug, Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("offset {offset}: {source}")]
    Batch { offset: Offset, source: BatchError },
    #[error("offset {offset}: {source}")]
    Records { offset: Offset, source: RecordError },
    #[error("offset {offset}: {source}")]
    Marker { offset: Offset, source: MarkerError },
    #[error("offset {offset}: {source}")]
    Record { offset: Offset, source: GroupRecordError },
    #[error("the load was broken off")]
    Aborted,
}

/// Records that did not get into the log, or not all of them.
#[derive(Debug)]
pub(super) struct NotAppended {
    /// What the log said.
    pub(super) error: AppendError,
    /// The ticket of the last batch before it, if there was one: the log then holds records that the machine has not
    /// applied, and has to be read back.
    pub(super) part: Option<FlushTicket>,
}

/// Appends records, in order, as few batches. Returns the ticket of the last one.
pub(super) fn append(
    log: &Arc<Log>,
    records: &[GroupRecord],
    now: TimestampMs,
) -> Result<Option<FlushTicket>, NotAppended> {
    append_with(records, now, |batch| {
        Ok(log.append(batch, AppendOrigin::Coordinator, now)?.ticket)
    })
}

/// [`append`] into anything that takes batches.
pub(super) fn append_with(
    records: &[GroupRecord],
    now: TimestampMs,
    mut append: impl FnMut(&Batch) -> Result<FlushTicket, AppendError>,
) -> Result<Option<FlushTicket>, NotAppended> {
    let mut ticket = None;
    let mut close = |builder: BatchBuilder, ticket: &mut Option<FlushTicket>| {
        let appended = append(&builder.finish(BatchStamp::NONE));
        *ticket = Some(appended.map_err(|error| NotAppended {
            error,
            part: ticket.take(),
        })?);
        Ok(())
    };
    let mut builder = BatchBuilder::new(Codec::None, None, now);
    for record in records {
        let EncodedRecord { key, value } = record.encode();
        let grown = builder.size_bytes() + key.len() + value.as_ref().map_or(0, Bytes::len) + RECORD_OVERHEAD;
        if !builder.is_empty() && BATCH_BYTES < grown {
            let full = std::mem::replace(&mut builder, BatchBuilder::new(Codec::None, None, now));
            close(full, &mut ticket)?;
        }
        builder.append(now, Some(&key), value.as_deref(), &[]);
    }
    if !builder.is_empty() {
        close(builder, &mut ticket)?;
    }
    Ok(ticket)
}

/// More than the lengths and deltas around a record's key and value can take.
const RECORD_OVERHEAD: usize = 32;

/// Reads a whole partition into a fresh machine, which still has to be told that it is loaded. Blocks.
pub(super) fn load(log: &Log, config: GroupConfig) -> Result<Machine, LoadError> {
    let mut machine = Machine::new(config);
    let marks = log.marks();
    let mut next = marks.log_start;
    while next < marks.log_end {
        let slice = log.read(next, Isolation::LogEnd, LOAD_READ_BYTES, true)?;
        for batch in BatchIter::new(slice.bytes) {
            let batch = batch.map_err(|source| LoadError::Batch { offset: next, source })?;
            apply_batch(&mut machine, &batch)?;
        }
        assert!(next < slice.next_offset, "a read below the log end makes progress");
        next = slice.next_offset;
    }
    Ok(machine)
}

fn apply_batch(machine: &mut Machine, batch: &Batch) -> Result<(), LoadError> {
    let offset = batch.header.base_offset;
    if batch.header.is_control() {
        return apply_marker(machine, batch, offset);
    }
    let records = batch
        .records(DECOMPRESSED_BYTES_MAX)
        .map_err(|source| LoadError::Records { offset, source })?;
    for record in records.iter() {
        let record = record.map_err(|source| LoadError::Records { offset, source })?;
        let decoded =
            GroupRecord::decode(record.key.unwrap_or_default(), record.value).map_err(|source| LoadError::Record {
                offset: record.offset,
                source,
            })?;
        match batch.header.is_transactional() {
            true => machine.apply_transactional(batch.header.producer_id, &decoded),
            false => machine.apply(&decoded),
        }
    }
    Ok(())
}

fn apply_marker(machine: &mut Machine, batch: &Batch, offset: Offset) -> Result<(), LoadError> {
    match parse_marker(batch) {
        Ok(marker) => machine.apply_marker(marker.producer_id, marker.kind == ControlType::Commit),
        // Control records of other kinds say nothing about groups.
        Err(MarkerError::OtherType { .. }) => {}
        Err(source) => return Err(LoadError::Marker { offset, source }),
    }
    Ok(())
}
