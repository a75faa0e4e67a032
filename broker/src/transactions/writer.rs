//! One run's writer: an epoch of a query becomes a transaction.
//!
//! The order is what makes it exactly once. The record that begins the transaction shares the flush with the data. The
//! decision is written when every partition of the epoch is durable through it, and every source through its next
//! offset; it notes where the epoch ends in each partition, so that recovery can tell this transaction from a newer one
//! of the same producer. When the decision is durable the epoch is committed. The markers follow at once and are flushed
//! within the bounded delay that every append has; the record of completion travels with the next epoch.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use coordinator::transaction::{Decision, Marker, Producer, TransactionalId};
use futures::future::try_join_all;
use processor::crash;
use processor::ports::{EpochReceipt, EpochWrite, EpochWriter, PartitionWrite, PortError};
use protocol::ids::{Offset, Sequence, TopicPartition};
use protocol::records::BatchStamp;
use storage::{AppendOrigin, FlushTicket, Log};

use super::mirror::ProgressSender;
use super::recovery::on_disk;
use super::shard::Shard;
use super::{TransactionError, Transactions};

/// The writer of one run of one query.
pub(super) struct Writer {
    transactions: Arc<Transactions>,
    shard: Arc<Shard>,
    id: TransactionalId,
    producer: Producer,
    /// Next sequence number per partition: a new incarnation starts at 0 everywhere.
    sequences: BTreeMap<TopicPartition, Sequence>,
    progress: ProgressSender,
    /// Markers of the epoch before that may not be durable yet.
    markers: Vec<FlushTicket>,
    /// Set while an epoch is being written: one that is left half done can only be ended by a new incarnation.
    broken: bool,
}

impl Writer {
    pub(super) fn new(
        transactions: Arc<Transactions>,
        shard: Arc<Shard>,
        id: TransactionalId,
        producer: Producer,
    ) -> Self {
        let progress = transactions.progress(&id);
        Self {
            transactions,
            shard,
            id,
            producer,
            sequences: BTreeMap::new(),
            progress,
            markers: Vec::new(),
            broken: false,
        }
    }

    async fn write(&mut self, mut epoch: EpochWrite) -> Result<EpochReceipt, TransactionError> {
        epoch.writes.retain(|write| !write.records.is_empty());
        if epoch.writes.is_empty() {
            return Ok(EpochReceipt::default());
        }
        self.settle_markers().await?;
        let logs = self.logs(&epoch)?;
        let now = self.transactions.env.now_ms();
        let partitions: Vec<TopicPartition> = logs.keys().cloned().collect();
        let ((), begun) = self.shard.transact(now, |machine| {
            Ok((machine.begin(now, &self.id, self.producer, partitions)?.records, ()))
        })?;

        let (ends, tickets) = self.append_data(epoch.writes, &logs)?;
        crash::pass(crash::AFTER_OUTPUT);
        let sources = self.source_tickets(&epoch.sources)?;
        begun.wait().await?;
        durable(tickets).await?;
        durable(sources).await?;

        crash::pass(crash::BEFORE_DECISION);
        let now = self.transactions.env.now_ms();
        let (markers, decided) = self.shard.transact(now, |machine| {
            let decided = machine.decide(now, &self.id, self.producer, Decision::Commit, &ends)?;
            Ok((decided.records, decided.markers))
        })?;
        decided.wait().await?;
        self.write_markers(&markers, &logs)?;
        if let Some(group) = epoch.group {
            self.progress.set(group, epoch.sources);
        }
        Ok(EpochReceipt {
            ends: ends.into_iter().collect(),
        })
    }

    /// The machine may complete the decision before only when its markers are durable.
    async fn settle_markers(&mut self) -> Result<(), TransactionError> {
        if self.markers.is_empty() {
            return Ok(());
        }
        durable(std::mem::take(&mut self.markers)).await?;
        let now = self.transactions.env.now_ms();
        let ((), _unchanged) = self.shard.transact(now, |machine| {
            machine.markers_durable(&self.id, self.producer)?;
            Ok((Vec::new(), ()))
        })?;
        Ok(())
    }

    fn logs(&self, epoch: &EpochWrite) -> Result<BTreeMap<TopicPartition, Arc<Log>>, TransactionError> {
        let written = epoch.writes.iter().map(|write| &write.partition);
        written
            .map(|partition| Ok((partition.clone(), self.transactions.log(partition)?)))
            .collect()
    }

    /// Appends every batch; nothing of it is visible to readers of committed data yet.
    fn append_data(
        &mut self,
        writes: Vec<PartitionWrite>,
        logs: &BTreeMap<TopicPartition, Arc<Log>>,
    ) -> Result<(BTreeMap<TopicPartition, Offset>, Vec<FlushTicket>), TransactionError> {
        let now = self.transactions.env.now_ms();
        let mut ends = BTreeMap::new();
        let mut tickets = Vec::with_capacity(writes.len());
        for PartitionWrite { partition, records } in writes {
            let sequence = self.sequences.entry(partition.clone()).or_insert(0);
            let stamp = BatchStamp {
                producer_id: self.producer.id,
                producer_epoch: self.producer.epoch,
                base_sequence: *sequence,
                transactional: true,
                control: false,
            };
            let batch = records.finish(stamp);
            let appended = logs[&partition]
                .append(&batch, AppendOrigin::Coordinator, now)
                .map_err(|error| TransactionError::Storage(format!("{partition}: {error}")))?;
            *sequence = next_sequence(batch.header.last_sequence());
            let end = appended.last_offset + 1;
            tickets.push(on_disk(&logs[&partition], appended));
            ends.insert(partition, end);
        }
        Ok((ends, tickets))
    }

    /// What was read must be on the disk before the result that it led to counts.
    fn source_tickets(&self, sources: &[(TopicPartition, Offset)]) -> Result<Vec<FlushTicket>, TransactionError> {
        let tickets = sources
            .iter()
            .map(|(partition, next)| Ok(self.transactions.log(partition)?.flush_through(*next)));
        tickets.collect()
    }

    fn write_markers(
        &mut self,
        markers: &[Marker],
        logs: &BTreeMap<TopicPartition, Arc<Log>>,
    ) -> Result<(), TransactionError> {
        for (number, marker) in markers.iter().enumerate() {
            if 0 < number {
                crash::pass(crash::BETWEEN_MARKERS);
            }
            let ticket = self.transactions.append_marker(&logs[&marker.partition], marker)?;
            self.markers.push(ticket);
        }
        Ok(())
    }
}

#[async_trait]
impl EpochWriter for Writer {
    fn publish_progress(&self, group: &str, sources: Vec<(TopicPartition, Offset)>) {
        self.progress.set(group.to_owned(), sources);
    }

    async fn commit(&mut self, epoch: EpochWrite) -> Result<EpochReceipt, PortError> {
        if self.broken {
            return Err(PortError::Fenced(self.id.to_string()));
        }
        self.broken = true;
        let receipt = self.write(epoch).await?;
        self.broken = false;
        Ok(receipt)
    }
}

async fn durable(tickets: Vec<FlushTicket>) -> Result<(), TransactionError> {
    try_join_all(tickets)
        .await
        .map(|_| ())
        .map_err(|error| TransactionError::Storage(error.to_string()))
}

/// Sequence numbers wrap from the largest 32-bit integer to 0.
fn next_sequence(last: Sequence) -> Sequence {
    if last == Sequence::MAX { 0 } else { last + 1 }
}
