//! Recovery: brings RocksDB to the last committed epoch of the changelog.
//!
//! The changelog is read up to its last stable offset, so only decided transactions are seen and the last epoch record
//! found is that of the last committed epoch. Reading begins where RocksDB stands, and at the log's start when RocksDB
//! is new, stands at no epoch, belongs to another topic, is ahead of the log, or is so old that the log may have lost
//! the tombstones that it would need.

use std::sync::Arc;
use std::time::Duration;

use protocol::ids::{Offset, TimestampMs};
use protocol::records::{Batch, RecordError};
use storage::{Isolation, Log, ReadError, VisibleReader};

use super::changelog::{Entry, EntryError, parse};
use super::changes::Changes;
use super::epoch::EpochRecord;
use super::rocks::{CommittedEpoch, Rocks, StateError};

/// Bytes of batches read from the changelog at once.
const READ_BYTES: usize = 1 << 20;
/// Bytes of changes that a rebuild gathers before it writes them.
const REBUILD_BYTES: usize = 16 << 20;
/// A store older than this against the last epoch is rebuilt: half of the shortest time that tombstones are kept
/// (`delete.retention.ms`, 24 hours).
const AGE_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// What recovery found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The last committed epoch; `None` when the query has never committed one.
    pub committed: Option<CommittedEpoch>,
    /// Changelog records that were applied.
    pub applied: u64,
    /// True when RocksDB was filled from the changelog alone.
    pub rebuilt: bool,
}

/// Why a query's state could not be recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// RocksDB failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The changelog could not be read.
    #[error("changelog {topic}: {source}")]
    Read {
        /// The topic.
        topic: String,
        /// What the log says.
        source: ReadError,
    },
    /// A batch of the changelog lies.
    #[error("changelog {topic}: {source}")]
    Record {
        /// The topic.
        topic: String,
        /// What is wrong.
        source: RecordError,
    },
    /// A record that this version does not know, or a damaged one.
    #[error("changelog {topic} at offset {offset}: {source}")]
    Entry {
        /// The topic.
        topic: String,
        /// Where.
        offset: Offset,
        /// What is wrong.
        source: EntryError,
    },
}

/// Brings `rocks` to the last committed epoch of `changelog`. `batch_bytes_max` caps a decompressed batch.
pub fn recover(rocks: &Rocks, changelog: &Arc<Log>, batch_bytes_max: usize) -> Result<Recovered, RecoverError> {
    if let Some(standing) = usable(rocks, changelog)? {
        let mut replay = Replay::new(rocks, changelog, batch_bytes_max, Some(standing.clone()));
        replay.run(standing.next_offset)?;
        if !is_too_old(&standing, replay.last.as_ref()) {
            return Ok(replay.finished(false));
        }
        tracing::info!(changelog = %changelog.topic_partition(), "state is older than tombstones are kept, rebuilding");
    }
    rocks.begin_rebuild()?;
    let mut replay = Replay::new(rocks, changelog, batch_bytes_max, None);
    replay.run(changelog.marks().log_start)?;
    Ok(replay.finished(true))
}

/// Where RocksDB stands, if the changelog can carry on from there.
fn usable(rocks: &Rocks, changelog: &Log) -> Result<Option<CommittedEpoch>, StateError> {
    let marks = changelog.marks();
    Ok(rocks.committed()?.filter(|standing| {
        standing.changelog == changelog.topic_id()
            && marks.log_start <= standing.next_offset
            && standing.next_offset <= marks.last_stable
    }))
}

fn is_too_old(standing: &CommittedEpoch, last: Option<&CommittedEpoch>) -> bool {
    let Some(last) = last else { return false };
    let age: TimestampMs = last.record.committed_at - standing.record.committed_at;
    i64::try_from(AGE_MAX.as_millis()).is_ok_and(|max| max < age)
}

struct Replay<'a> {
    rocks: &'a Rocks,
    log: &'a Arc<Log>,
    batch_bytes_max: usize,
    /// False while the store stands at no epoch and parts of epochs may be written.
    at_epoch: bool,
    changes: Changes,
    last: Option<CommittedEpoch>,
    applied: u64,
}

impl<'a> Replay<'a> {
    fn new(rocks: &'a Rocks, log: &'a Arc<Log>, batch_bytes_max: usize, standing: Option<CommittedEpoch>) -> Self {
        Self {
            rocks,
            log,
            batch_bytes_max,
            at_epoch: standing.is_some(),
            changes: Changes::default(),
            last: standing,
            applied: 0,
        }
    }

    fn run(&mut self, from: Offset) -> Result<(), RecoverError> {
        let mut reader = VisibleReader::new(Arc::clone(self.log), from, None, Isolation::Committed);
        let read_failed = |source| RecoverError::Read {
            topic: self.log.topic_partition().topic.to_string(),
            source,
        };
        while let Some(batches) = reader.next_batches(READ_BYTES).map_err(read_failed)? {
            for batch in &batches {
                self.apply(batch, from)?;
            }
        }
        self.complete()
    }

    fn apply(&mut self, batch: &Batch, from: Offset) -> Result<(), RecoverError> {
        let topic = || self.log.topic_partition().topic.to_string();
        let record_failed = |source| RecoverError::Record { topic: topic(), source };
        let records = batch.records(self.batch_bytes_max).map_err(record_failed)?;
        for record in &records {
            let record = record.map_err(record_failed)?;
            if record.offset < from {
                continue;
            }
            let entry = parse(record.key, record.value).map_err(|source| RecoverError::Entry {
                topic: topic(),
                offset: record.offset,
                source,
            })?;
            self.applied += 1;
            match entry {
                Entry::Change { key, value } => self.changes.set(key, value),
                Entry::Epoch(epoch) => self.close(epoch, record.offset + 1)?,
            }
        }
        Ok(())
    }

    /// Takes note of a whole epoch. A store at an epoch moves to the next one at once; a rebuild gathers.
    fn close(&mut self, record: EpochRecord, next_offset: Offset) -> Result<(), StateError> {
        let committed = CommittedEpoch {
            changelog: self.log.topic_id(),
            next_offset,
            record,
        };
        if self.at_epoch {
            self.rocks.write_epoch(&self.changes, &committed)?;
            self.changes = Changes::default();
        } else if REBUILD_BYTES < self.changes.bytes() {
            self.rocks.write_rebuilt(&self.changes)?;
            self.changes = Changes::default();
        }
        self.last = Some(committed);
        Ok(())
    }

    /// Ends a rebuild: the store stands at the last epoch from now on.
    fn complete(&mut self) -> Result<(), RecoverError> {
        if let Some(last) = self.last.as_ref().filter(|_| !self.at_epoch) {
            self.rocks.write_epoch(&self.changes, last)?;
        }
        Ok(())
    }

    fn finished(self, rebuilt: bool) -> Recovered {
        Recovered {
            committed: self.last,
            applied: self.applied,
            rebuilt: rebuilt && 0 < self.applied,
        }
    }
}
