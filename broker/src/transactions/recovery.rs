//! Ends, at start and before anything is served, every transaction that the run before left open.

use std::collections::BTreeSet;
use std::sync::Arc;

use coordinator::transaction::{
    Decision, Marker, OpenTransaction, Producer, Recovery, TransactionalId, Transactions as Machine,
};
use futures::future::try_join_all;
use protocol::ids::{ProducerId, TopicPartition};
use protocol::records::{ControlType, marker_batch};
use storage::{AppendOrigin, Appended, Durability, FlushTicket, Log};

use super::shard::{Durable, Shard};
use super::{TransactionError, Transactions};
use crate::partitions::LookupError;

/// The coordinator of a single node never changes hands, so its epoch is always the first.
const COORDINATOR_EPOCH: i32 = 0;

impl Transactions {
    /// Carries out decisions and aborts what was not decided, in all logs of this node.
    pub(crate) async fn recover(&self) -> Result<(), TransactionError> {
        let mut open = self.open_transactions();
        let (shards, mut all_known) = self.stored_shards();
        for shard in shards {
            match take_own(&shard, &mut open, self.env.now_ms()) {
                Ok(ours) => self.recover_shard(&shard, &ours).await?,
                Err(error) => {
                    all_known = false;
                    tracing::error!(%error, "transactions cannot be read back");
                }
            }
        }
        if !all_known {
            // One that no readable partition knows may be decided in one that cannot be read.
            let open = open.len();
            tracing::error!(
                open,
                "transactions of nobody stay open until all partitions of their state are readable"
            );
            return Ok(());
        }
        let mut nobody = Machine::new();
        nobody.loaded();
        let Recovery { markers, .. } = nobody.recover(self.env.now_ms(), &open);
        self.write_due_markers(markers).await
    }

    async fn recover_shard(&self, shard: &Shard, open: &[OpenTransaction]) -> Result<(), TransactionError> {
        let now = self.env.now_ms();
        let (recovery, decided) = shard.transact(now, |machine| {
            let recovery = machine.recover(now, open);
            Ok((recovery.records.clone(), recovery))
        })?;
        decided.wait().await?;
        self.write_due_markers(recovery.markers).await?;
        for (id, _) in recovery.unfinished {
            match self.offline_partition(shard, &id)? {
                // The decision stands until the partition is back, and its marker can be written.
                Some(partition) => tracing::warn!(id = &*id, %partition, "a decided transaction waits for a partition"),
                None => self.complete(shard, &id)?.wait().await?,
            }
        }
        Ok(())
    }

    /// A partition of a transaction whose log is there and cannot be opened.
    fn offline_partition(
        &self,
        shard: &Shard,
        id: &TransactionalId,
    ) -> Result<Option<TopicPartition>, TransactionError> {
        let (partitions, _unchanged) = shard.transact(self.env.now_ms(), |machine| {
            let value = machine.ids().get(id);
            let partitions = value.iter().flat_map(|value| &value.partitions);
            Ok((
                Vec::new(),
                partitions.map(|mine| mine.partition.clone()).collect::<Vec<_>>(),
            ))
        })?;
        let is_offline = |partition: &TopicPartition| {
            let found = self.partitions.get(partition, self.env.now_ms());
            matches!(found, Err(LookupError::Offline(_)))
        };
        Ok(partitions.into_iter().find(is_offline))
    }

    /// Writes markers where an open transaction still waits for them, and waits until all of them are durable, also
    /// those that were written before.
    pub(super) async fn write_due_markers(&self, markers: Vec<Marker>) -> Result<(), TransactionError> {
        let mut tickets = Vec::new();
        for marker in markers {
            let log = match self.log(&marker.partition) {
                // A topic that was deleted meanwhile needs no marker.
                Err(TransactionError::Partition(_)) => continue,
                log => log?,
            };
            let first = log
                .producer_state(marker.producer.id)
                .and_then(|state| state.txn_first_offset);
            // An abort by a new incarnation goes everywhere: its epoch keeps out what the one before still had under way.
            let fences = marker.decision == Decision::Abort && marker.end.is_none();
            tickets.push(match fences || marker.is_due(first) {
                true => self.append_marker(&log, &marker)?,
                false => log.flush_through(log.marks().log_end),
            });
        }
        let durable = try_join_all(tickets).await;
        durable
            .map(|_| ())
            .map_err(|error| TransactionError::Storage(error.to_string()))
    }

    /// Appends one marker.
    pub(super) fn append_marker(&self, log: &Arc<Log>, marker: &Marker) -> Result<FlushTicket, TransactionError> {
        let kind = match marker.decision {
            Decision::Commit => ControlType::Commit,
            Decision::Abort => ControlType::Abort,
        };
        let now = self.env.now_ms();
        let Producer { id, epoch } = marker.producer;
        let batch = marker_batch(id, epoch, kind, COORDINATOR_EPOCH, now);
        let appended = log.append(&batch, AppendOrigin::Coordinator, now);
        let appended = appended.map_err(|error| TransactionError::Storage(format!("{}: {error}", marker.partition)))?;
        Ok(on_disk(log, appended))
    }

    /// Notes that the markers of a decision are durable, and completes it.
    pub(super) fn complete(&self, shard: &Shard, id: &TransactionalId) -> Result<Durable, TransactionError> {
        let now = self.env.now_ms();
        let ((), durable) = shard.transact(now, |machine| {
            let Some(value) = machine.ids().get(id) else {
                return Ok((Vec::new(), ()));
            };
            let producer = value.producer();
            machine.markers_durable(id, producer)?;
            Ok((machine.complete(now, id, producer)?, ()))
        })?;
        Ok(durable)
    }

    /// The log of a partition.
    pub(super) fn log(&self, partition: &TopicPartition) -> Result<Arc<Log>, TransactionError> {
        let found = self.partitions.get(partition, self.env.now_ms());
        match found {
            Ok(found) => Ok(Arc::clone(&found.log)),
            Err(error @ LookupError::Offline(_)) => Err(TransactionError::Storage(format!("{partition}: {error}"))),
            Err(error) => Err(TransactionError::Partition(format!("{partition}: {error}"))),
        }
    }

    /// The shards whose records are on the disk, and whether they are all: a log that cannot be opened has none.
    fn stored_shards(&self) -> (Vec<Arc<Shard>>, bool) {
        let Some(topic) = self.topic.existing() else {
            return (Vec::new(), true);
        };
        let shards = topic.open_partitions().map(|partition| self.shard_of(partition));
        (shards.collect(), !topic.is_partly_offline())
    }

    fn open_transactions(&self) -> Vec<OpenTransaction> {
        let directory = self.partitions.directory();
        let partitions = directory.topics().flat_map(|topic| topic.open_partitions());
        let mut all = Vec::new();
        for partition in partitions {
            for state in partition.log.producer_states() {
                all.extend(state.txn_first_offset.map(|first_offset| OpenTransaction {
                    partition: partition.topic_partition.clone(),
                    producer: Producer {
                        id: state.producer_id,
                        epoch: state.epoch,
                    },
                    first_offset,
                }));
            }
        }
        all
    }
}

/// What waits until an append is on the disk, also in a log that acknowledges its clients earlier.
pub(super) fn on_disk(log: &Arc<Log>, appended: Appended) -> FlushTicket {
    match log.config().durability {
        Durability::Fsync => appended.ticket,
        Durability::Async => log.flush_through(appended.last_offset + 1),
    }
}

/// Splits off the open transactions of producers that the shard knows.
fn take_own(
    shard: &Shard,
    open: &mut Vec<OpenTransaction>,
    now: protocol::ids::TimestampMs,
) -> Result<Vec<OpenTransaction>, TransactionError> {
    let (known, _unchanged) = shard.transact(now, |machine| {
        let known: BTreeSet<ProducerId> = machine.ids().values().map(|value| value.producer_id).collect();
        Ok((Vec::new(), known))
    })?;
    let (ours, others) = std::mem::take(open)
        .into_iter()
        .partition(|open| known.contains(&open.producer.id));
    *open = others;
    Ok(ours)
}
