//! Records of transactional ids in one partition of `__transaction_state`: written as batches, read back at start.

use std::sync::Arc;

use coordinator::transaction::record::{EncodedRecord, TransactionRecordError};
use coordinator::transaction::{TransactionRecord, Transactions as Machine};
use protocol::ids::TimestampMs;
use protocol::records::{BatchBuilder, BatchStamp, Codec};
use storage::{AppendError, AppendOrigin, FlushTicket, Log};

use crate::coordinator_topic::{self, for_each_batch, for_each_record};

/// Why the state of a partition could not be read back.
pub(super) type LoadError = coordinator_topic::LoadError<TransactionRecordError>;

/// Appends records as one batch: a completion and the beginning after it are there both or not at all.
pub(super) fn append(
    log: &Arc<Log>,
    records: &[TransactionRecord],
    now: TimestampMs,
) -> Result<FlushTicket, AppendError> {
    let mut builder = BatchBuilder::new(Codec::None, None, now);
    for record in records {
        let EncodedRecord { key, value } = record.encode();
        builder.append(now, Some(&key), value.as_deref(), &[]);
    }
    let batch = builder.finish(BatchStamp::NONE);
    Ok(log.append(&batch, AppendOrigin::Coordinator, now)?.ticket)
}

/// Reads a whole partition into a machine that is ready for use. Blocks.
pub(super) fn load(log: &Log) -> Result<Machine, LoadError> {
    let mut machine = Machine::new();
    for_each_batch(log, |batch| {
        for_each_record(batch, |record| {
            machine.apply(&TransactionRecord::decode(
                record.key.unwrap_or_default(),
                record.value,
            )?);
            Ok(())
        })
    })?;
    machine.loaded();
    Ok(machine)
}
