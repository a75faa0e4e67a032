//! Records of groups in one partition of `__consumer_offsets`: written as batches, read back at start.

use std::sync::Arc;

use bytes::Bytes;
use coordinator::group::record::{EncodedRecord, GroupRecordError};
use coordinator::group::{GroupConfig, GroupRecord, Groups as Machine};
use protocol::ids::TimestampMs;
use protocol::records::{Batch, BatchBuilder, BatchStamp, Codec, ControlType, MarkerError, parse_marker};
use storage::{AppendError, AppendOrigin, FlushTicket, Log};

use crate::coordinator_topic::{self, for_each_batch, for_each_record};

/// A batch is closed when it has grown to this size; what one command writes may take several.
const BATCH_BYTES: usize = 256 * 1024;

/// Why the state of a partition could not be read back.
pub(super) type LoadError = coordinator_topic::LoadError<GroupRecordError>;

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
    for_each_batch(log, |batch| apply_batch(&mut machine, batch))?;
    Ok(machine)
}

fn apply_batch(machine: &mut Machine, batch: &Batch) -> Result<(), LoadError> {
    if batch.header.is_control() {
        return apply_marker(machine, batch);
    }
    for_each_record(batch, |record| {
        let decoded = GroupRecord::decode(record.key.unwrap_or_default(), record.value)?;
        match batch.header.is_transactional() {
            true => machine.apply_transactional(batch.header.producer_id, &decoded),
            false => machine.apply(&decoded),
        }
        Ok(())
    })
}

fn apply_marker(machine: &mut Machine, batch: &Batch) -> Result<(), LoadError> {
    let offset = batch.header.base_offset;
    match parse_marker(batch) {
        Ok(marker) => machine.apply_marker(marker.producer_id, marker.kind == ControlType::Commit),
        // Control records of other kinds say nothing about groups.
        Err(MarkerError::OtherType { .. }) => {}
        Err(source) => return Err(LoadError::Marker { offset, source }),
    }
    Ok(())
}
