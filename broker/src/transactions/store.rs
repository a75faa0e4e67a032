//! Records of transactional ids in one partition of `__transaction_state`: written as batches, read back at start.

use std::sync::Arc;

use coordinator::transaction::record::{EncodedRecord, TransactionRecordError};
use coordinator::transaction::{TransactionRecord, Transactions as Machine};
use protocol::ids::{Offset, TimestampMs};
use protocol::records::{BatchBuilder, BatchError, BatchIter, BatchStamp, Codec, RecordError};
use storage::{AppendError, ReadError};
use storage::{AppendOrigin, FlushTicket, Isolation, Log};

/// Bytes asked for by one read during a load.
const LOAD_READ_BYTES: usize = 1024 * 1024;
/// Most bytes that a batch of this topic may decompress to; a Kafka broker may have written compressed ones.
const DECOMPRESSED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why the state of a partition could not be read back.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("offset {offset}: {source}")]
    Batch { offset: Offset, source: BatchError },
    #[error("offset {offset}: {source}")]
    Records { offset: Offset, source: RecordError },
    #[error("offset {offset}: {source}")]
    Record {
        offset: Offset,
        source: TransactionRecordError,
    },
}

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
    let marks = log.marks();
    let mut next = marks.log_start;
    while next < marks.log_end {
        let slice = log.read(next, Isolation::LogEnd, LOAD_READ_BYTES, true)?;
        for batch in BatchIter::new(slice.bytes) {
            let batch = batch.map_err(|source| LoadError::Batch { offset: next, source })?;
            let offset = batch.header.base_offset;
            let records = batch
                .records(DECOMPRESSED_BYTES_MAX)
                .map_err(|source| LoadError::Records { offset, source })?;
            for record in records.iter() {
                let record = record.map_err(|source| LoadError::Records { offset, source })?;
                let decoded =
                    TransactionRecord::decode(record.key.unwrap_or_default(), record.value).map_err(|source| {
                        LoadError::Record {
                            offset: record.offset,
                            source,
                        }
                    })?;
                machine.apply(&decoded);
            }
        }
        assert!(next < slice.next_offset, "a read below the log end makes progress");
        next = slice.next_offset;
    }
    machine.loaded();
    Ok(machine)
}
