//! Reads the log of a coordinator from its start to its end.

use protocol::ids::Offset;
use protocol::records::{Batch, BatchError, BatchIter, MarkerError, Record, RecordError};
use storage::{Isolation, Log, ReadError};

/// Bytes asked for by one read.
const READ_BYTES: usize = 1024 * 1024;
/// Most bytes that a batch may decompress to; a Kafka broker may have written compressed ones.
const DECOMPRESSED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why records could not be read back; `E` says what is wrong with the content of one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError<E: std::error::Error + 'static> {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("offset {offset}: {source}")]
    Batch { offset: Offset, source: BatchError },
    #[error("offset {offset}: {source}")]
    Records { offset: Offset, source: RecordError },
    #[error("offset {offset}: {source}")]
    Marker { offset: Offset, source: MarkerError },
    #[error("offset {offset}: {source}")]
    Record { offset: Offset, source: E },
    #[error("the load was broken off")]
    Aborted,
}

/// Hands every batch of the log to `apply`, in order. Blocks.
pub(crate) fn for_each_batch<E: std::error::Error>(
    log: &Log,
    mut apply: impl FnMut(&Batch) -> Result<(), LoadError<E>>,
) -> Result<(), LoadError<E>> {
    let marks = log.marks();
    let mut next = marks.log_start;
    while next < marks.log_end {
        let slice = log.read(next, Isolation::LogEnd, READ_BYTES, true)?;
        for batch in BatchIter::new(slice.bytes) {
            apply(&batch.map_err(|source| LoadError::Batch { offset: next, source })?)?;
        }
        assert!(next < slice.next_offset, "a read below the log end makes progress");
        next = slice.next_offset;
    }
    Ok(())
}

/// Hands every record of a batch to `apply`, in order.
pub(crate) fn for_each_record<E: std::error::Error>(
    batch: &Batch,
    mut apply: impl FnMut(&Record<'_>) -> Result<(), E>,
) -> Result<(), LoadError<E>> {
    let offset = batch.header.base_offset;
    let damaged = |source| LoadError::Records { offset, source };
    for record in batch.records(DECOMPRESSED_BYTES_MAX).map_err(damaged)?.iter() {
        let record = record.map_err(damaged)?;
        apply(&record).map_err(|source| LoadError::Record {
            offset: record.offset,
            source,
        })?;
    }
    Ok(())
}
