//! The metadata log: metadata records in an ordinary log under `<data>/metadata`.
//!
//! One change is one batch, so that it is there whole or not at all; it counts once it is flushed. The image is built
//! by reading the log from its start. There are no snapshots yet: replay grows with the number of changes ever made
//! (one record per setting, one per thousand producer ids, one per start), some microseconds each.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use protocol::ids::{Offset, TimestampMs, TopicId, TopicPartition};
use protocol::records::{Batch, BatchBuilder, BatchError, BatchIter, BatchStamp, Codec};
use storage::{
    AppendError, AppendOrigin, FlushError, FlushTicket, Isolation, Log, LogConfig, LogManager, OpenError, ReadError,
};
use uuid::Uuid;

use super::identity::{Identity, METADATA_FOLDER};
use super::image::Image;
use super::record::{MetadataRecord, RecordError};

/// Kafka's name and id of the metadata log.
const METADATA_TOPIC: &str = "__cluster_metadata";
const METADATA_TOPIC_ID: u128 = 1;
/// Bytes read at a time during replay.
const READ_BYTES: usize = 1024 * 1024;
/// Most bytes that a metadata batch may decompress to; they are written uncompressed.
const BATCH_BYTES: usize = 64 * 1024 * 1024;

/// Writes the metadata log.
#[derive(Debug)]
pub struct MetadataStore {
    log: Arc<Log>,
    failed: bool,
}

/// Why the metadata log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A batch of it is none.
    #[error("batch at offset {offset}: {reason}")]
    Batch {
        /// Where.
        offset: Offset,
        /// What is wrong.
        reason: String,
    },
    /// A record of it is none, or of a newer program.
    #[error("record at offset {offset}: {reason}")]
    Record {
        /// Where.
        offset: Offset,
        /// What is wrong.
        reason: RecordError,
    },
    /// It cannot be appended to.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// It cannot be flushed.
    #[error(transparent)]
    Flush(#[from] FlushError),
    /// An earlier change failed half way; only a restart tells whether it happened.
    #[error("an earlier change could not be completed; restart the broker")]
    Failed,
}

impl MetadataStore {
    /// Opens the log, builds the image, and notes this start in both. Blocks.
    pub fn open(
        manager: &LogManager,
        data_dir: &Path,
        identity: &Identity,
        now: TimestampMs,
    ) -> Result<(Self, Image), StoreError> {
        let partition = TopicPartition::new(METADATA_TOPIC, 0);
        let config = LogConfig {
            retention_ms: None,
            retention_bytes: None,
            ..LogConfig::default()
        };
        let id = TopicId(Uuid::from_u128(METADATA_TOPIC_ID));
        let log = manager.open_log_in(&data_dir.join(METADATA_FOLDER), partition, id, Arc::new(config), now)?;
        let mut image = Image::empty(Arc::clone(&identity.cluster_id), identity.node_id);
        replay(&log, &mut image)?;
        let store = Self { log, failed: false };
        let started = MetadataRecord::NodeStarted {
            node: identity.node_id,
            at: now,
        };
        store.write(std::slice::from_ref(&started), now)?.wait()?;
        image.apply(&started);
        Ok((store, image))
    }

    /// Appends records as one batch and waits until they are durable.
    ///
    /// After an error of the disk the store takes nothing more: what was appended may be there after a restart, and
    /// a later change must not build on an image that does not know.
    pub async fn append(&mut self, records: &[MetadataRecord], now: TimestampMs) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Failed);
        }
        let ticket = self.write(records, now)?;
        // Until the flush has answered, a caller that is dropped here leaves the store in doubt.
        self.failed = true;
        ticket.await?;
        self.failed = false;
        Ok(())
    }

    fn write(&self, records: &[MetadataRecord], now: TimestampMs) -> Result<FlushTicket, StoreError> {
        let batch = batch(records, now);
        let appended = self.log.append(&batch, AppendOrigin::Coordinator, now)?;
        let _soon = self.log.flush_through(appended.last_offset + 1);
        Ok(appended.ticket)
    }
}

fn batch(records: &[MetadataRecord], now: TimestampMs) -> Batch {
    let mut builder = BatchBuilder::new(Codec::None, None, now);
    for record in records {
        builder.append(now, None, Some(&record.encode()), &[]);
    }
    builder.finish(BatchStamp::NONE)
}

fn replay(log: &Log, image: &mut Image) -> Result<(), StoreError> {
    let mut offset = log.marks().log_start;
    loop {
        let slice = log.read(offset, Isolation::LogEnd, READ_BYTES, true)?;
        if slice.bytes.is_empty() {
            return Ok(());
        }
        apply_batches(slice.bytes, image)?;
        offset = slice.next_offset;
    }
}

fn apply_batches(bytes: Bytes, image: &mut Image) -> Result<(), StoreError> {
    for batch in BatchIter::new(bytes) {
        let batch = batch.map_err(|reason: BatchError| StoreError::Batch {
            offset: -1,
            reason: reason.to_string(),
        })?;
        let at_batch = |reason: String| StoreError::Batch {
            offset: batch.header.base_offset,
            reason,
        };
        let records = batch
            .records(BATCH_BYTES)
            .map_err(|error| at_batch(error.to_string()))?;
        for record in records.iter() {
            let record = record.map_err(|error| at_batch(error.to_string()))?;
            let decoded =
                MetadataRecord::decode(record.value.unwrap_or_default()).map_err(|reason| StoreError::Record {
                    offset: record.offset,
                    reason,
                })?;
            image.apply(&decoded);
        }
    }
    Ok(())
}
