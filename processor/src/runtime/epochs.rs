//! What a barrier writes, and the one epoch in flight.

use std::sync::Arc;
use std::time::Duration;

use protocol::ids::{Offset, TopicId, TopicPartition};
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};

use super::error::RunError;
use crate::operators::epoch_buffer::{EpochBuffer, Port};
use crate::ports::{EpochReceipt, EpochWrite, EpochWriter, PortError};
use crate::state::changelog::{EPOCH_KEY, write_change_key};
use crate::state::{Changes, CommittedEpoch, EpochRecord};

/// Writes epochs, one at a time.
pub(super) struct Epochs {
    runtime: Handle,
    changelog: TopicPartition,
    changelog_id: TopicId,
    changelog_port: Port,
    group: String,
    writer: Option<Box<dyn EpochWriter>>,
    in_flight: Option<InFlight>,
    /// Number of the next epoch.
    next: i64,
}

type Commit = (Box<dyn EpochWriter>, Result<EpochReceipt, PortError>);

struct InFlight {
    commit: JoinHandle<Commit>,
    /// What the commit has ended with, once somebody has waited for it.
    outcome: Option<Result<Commit, JoinError>>,
    record: EpochRecord,
    closed_at: Duration,
}

/// An epoch whose decision is durable.
pub(super) struct Durable {
    /// The epoch as RocksDB has to hold it.
    pub(super) committed: CommittedEpoch,
    /// When its barrier was, on the monotonic clock.
    pub(super) closed_at: Duration,
}

impl Epochs {
    pub(super) fn new(
        runtime: Handle,
        changelog: TopicPartition,
        changelog_id: TopicId,
        group: String,
        writer: Box<dyn EpochWriter>,
        buffer: &mut EpochBuffer,
        last: Option<&EpochRecord>,
    ) -> Self {
        Self {
            runtime,
            changelog_port: buffer.topic(&changelog.topic, 1),
            changelog,
            changelog_id,
            group,
            writer: Some(writer),
            in_flight: None,
            next: last.map_or(1, |record| record.epoch + 1),
        }
    }

    /// Number of the next epoch.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// True when the epoch in flight has ended one way or the other.
    pub(super) fn is_ready(&self) -> bool {
        self.in_flight
            .as_ref()
            .is_some_and(|in_flight| in_flight.outcome.is_some() || in_flight.commit.is_finished())
    }

    /// Starts to commit an epoch: what the buffer holds, the changes of state, the record. None may be in flight.
    pub(super) fn begin(
        &mut self,
        buffer: &mut EpochBuffer,
        changes: &Changes,
        record: EpochRecord,
        source_topic: &str,
        closed_at: Duration,
    ) {
        let mut key = Vec::new();
        for (state_key, value) in changes.iter() {
            write_change_key(&mut key, state_key);
            buffer.append(self.changelog_port, 0, Some(&key), value, &[]);
        }
        buffer.append(self.changelog_port, 0, Some(EPOCH_KEY), Some(&record.encode()), &[]);
        let epoch = EpochWrite {
            writes: buffer.take(),
            sources: progress(&record, source_topic),
            group: Some(self.group.clone()),
        };
        let mut writer = self.writer.take().expect("one epoch is in flight at a time");
        let commit = self.runtime.spawn(async move {
            let result = writer.commit(epoch).await;
            (writer, result)
        });
        self.next = record.epoch + 1;
        self.in_flight = Some(InFlight {
            commit,
            outcome: None,
            record,
            closed_at,
        });
    }

    /// Waits until the epoch in flight has ended; `None` when there is none. Blocks.
    pub(super) fn wait(&mut self) -> Result<Option<Durable>, RunError> {
        let Some(in_flight) = self.in_flight.take() else {
            return Ok(None);
        };
        let outcome = match in_flight.outcome {
            Some(outcome) => outcome,
            None => self.runtime.block_on(in_flight.commit),
        };
        let (writer, receipt) = outcome.map_err(|error| RunError::Commit(error.to_string()))?;
        let receipt = receipt?;
        self.writer = Some(writer);
        Ok(Some(Durable {
            committed: CommittedEpoch {
                changelog: self.changelog_id,
                next_offset: self.end_of(&receipt)?,
                record: in_flight.record,
            },
            closed_at: in_flight.closed_at,
        }))
    }

    /// Completes when the epoch in flight has ended; never when there is none. May be dropped and called again.
    pub(super) async fn ended(&mut self) {
        match &mut self.in_flight {
            Some(in_flight) if in_flight.outcome.is_none() => {
                in_flight.outcome = Some((&mut in_flight.commit).await);
            }
            Some(_) => {}
            None => std::future::pending().await,
        }
    }

    fn end_of(&self, receipt: &EpochReceipt) -> Result<Offset, RunError> {
        let end = receipt.ends.iter().find(|(partition, _)| *partition == self.changelog);
        end.map(|(_, offset)| *offset)
            .ok_or_else(|| RunError::Commit(format!("no end of {} was told", self.changelog)))
    }
}

/// Where an epoch left each partition of the source.
pub(super) fn progress(record: &EpochRecord, source_topic: &str) -> Vec<(TopicPartition, Offset)> {
    let topic: Arc<str> = source_topic.into();
    let next = record.sources.iter().map(|source| {
        let partition = TopicPartition {
            topic: Arc::clone(&topic),
            partition: source.partition,
        };
        (partition, source.next_offset)
    });
    next.collect()
}
