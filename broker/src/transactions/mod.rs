//! Transactions over topics: the shell around the pure machine in `coordinator::transaction`.
//!
//! ```text
//! epoch --> Writer::commit: begin -- data -- [durable] -- decision -- [durable] -- markers
//!                             |                              |
//!                             '------ __transaction_state ---'      one machine per partition in use ([`shard`])
//! ```
//!
//! Today the broker's own queries are the only users: each epoch of a query is one transaction ([`writer`]). At start,
//! before anything is served, [`recovery`] ends what the run before left open.

mod mirror;
mod recovery;
#[cfg(test)]
mod recovery_tests;
mod shard;
mod store;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use coordinator::partition_of_key;
use coordinator::transaction::{Decided, Opened, TransactionalId};
use processor::ports::{EpochLog, EpochWriter, PortError};
use protocol::ErrorCode;
use protocol::ids::PartitionId;

use self::mirror::{Mirror, ProgressSender};
use self::shard::{Shard, ShardError};
use self::writer::Writer;
use crate::cluster::Controller;
use crate::cluster::names::TRANSACTION_STATE;
use crate::coordinator_topic::{CoordinatorTopic, CoordinatorTopicError};
use crate::env::Env;
use crate::groups::Groups;
use crate::partitions::{Partition, Partitions};
use crate::producer_ids::ProducerIds;

/// The timeout that the records of a query's transactions state, as Kafka's schema wants one. Nothing goes by it: they
/// are open for milliseconds, and the next start or the query's next run ends what a crash left open.
const TIMEOUT_MS: i32 = 60_000;
/// Time between two looks at a group whose partition is being loaded.
const LOADING_PAUSE: Duration = Duration::from_millis(20);

/// The transaction coordinator of this node.
pub struct Transactions {
    env: Arc<Env>,
    topic: CoordinatorTopic,
    partitions: Arc<Partitions>,
    groups: Arc<Groups>,
    producer_ids: Arc<ProducerIds>,
    shards: Mutex<BTreeMap<PartitionId, Arc<Shard>>>,
    /// What writes the offsets of each query for lag tools, over all of its runs.
    mirrors: Mutex<BTreeMap<TransactionalId, Mirror>>,
}

impl Transactions {
    /// A coordinator without state; call [`Transactions::recover`] once the first image is applied.
    pub fn new(
        env: Arc<Env>,
        controller: Arc<Controller>,
        partitions: Arc<Partitions>,
        groups: Arc<Groups>,
        producer_ids: Arc<ProducerIds>,
        topic_partitions: PartitionId,
    ) -> Self {
        let topic = CoordinatorTopic::new(
            TRANSACTION_STATE,
            topic_partitions,
            Arc::clone(&env),
            controller,
            Arc::clone(&partitions),
        );
        Self {
            env,
            topic,
            partitions,
            groups,
            producer_ids,
            shards: Mutex::default(),
            mirrors: Mutex::default(),
        }
    }

    fn mirrors(&self) -> MutexGuard<'_, BTreeMap<TransactionalId, Mirror>> {
        self.mirrors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a run of a query: what it mirrors its progress by.
    fn progress(&self, id: &TransactionalId) -> ProgressSender {
        let mut mirrors = self.mirrors();
        let mirror = mirrors.entry(Arc::clone(id));
        mirror
            .or_insert_with(|| Mirror::start(&self.env, Arc::clone(&self.groups)))
            .sender()
    }

    /// The shard that owns a transactional id; the topic is created when it is first needed.
    async fn shard(&self, id: &TransactionalId) -> Result<Arc<Shard>, TransactionError> {
        let topic = self.topic.ensure().await?;
        let index = partition_of_key(id, topic.partition_count() as i32);
        Ok(self.shard_of(&*self.topic.open(topic, index).await?))
    }

    /// The shard of an open partition.
    fn shard_of(&self, partition: &Partition) -> Arc<Shard> {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let shard = shards
            .entry(partition.index())
            .or_insert_with(|| Arc::new(Shard::new(Arc::clone(&partition.log))));
        Arc::clone(shard)
    }

    /// Takes the id over from whoever held it, after carrying out what that one left undone.
    async fn open_writer(self: &Arc<Self>, id: TransactionalId) -> Result<Writer, TransactionError> {
        let shard = self.shard(&id).await?;
        let fresh_id = self.producer_ids.next().await;
        let fresh_id = fresh_id.map_err(|error| TransactionError::Unavailable(error.to_string()))?;
        loop {
            let now = self.env.now_ms();
            let (opened, ticket) = shard.transact(now, |machine| {
                let opened = machine.open(now, &id, TIMEOUT_MS, fresh_id)?;
                let records = match &opened {
                    Opened::Ready { records, .. } => records.clone(),
                    Opened::Unfinished(decided) => decided.records.clone(),
                };
                Ok((records, opened))
            })?;
            ticket.wait().await?;
            match opened {
                Opened::Ready { producer, .. } => return Ok(Writer::new(Arc::clone(self), shard, id, producer)),
                Opened::Unfinished(decided) => self.carry_out(&shard, &id, decided).await?,
            }
        }
    }

    /// Writes the markers of a durable decision where they are still due, and completes it.
    async fn carry_out(&self, shard: &Shard, id: &TransactionalId, decided: Decided) -> Result<(), TransactionError> {
        self.write_due_markers(decided.markers).await?;
        self.complete(shard, id)?.wait().await
    }
}

#[async_trait]
impl EpochLog for TransactionsPort {
    async fn open(&self, transactional_id: &str) -> Result<Box<dyn EpochWriter>, PortError> {
        let writer = self.0.open_writer(TransactionalId::from(transactional_id)).await?;
        Ok(Box::new(writer))
    }

    async fn delete_progress_group(&self, transactional_id: &str, group: &str) -> Result<(), PortError> {
        let mirror = self.0.mirrors().remove(transactional_id);
        if let Some(mirror) = mirror {
            // Its next commit would bring the group back.
            mirror.end().await;
        }
        loop {
            match self.0.groups.delete(group).await {
                Ok(()) => return Ok(()),
                Err(ErrorCode::CoordinatorLoadInProgress) => tokio::time::sleep(LOADING_PAUSE).await,
                Err(code) => return Err(PortError::Storage(format!("group {group} was not deleted: {code:?}"))),
            }
        }
    }

    async fn remove_transactional_id(&self, transactional_id: &str) -> Result<(), PortError> {
        let id = TransactionalId::from(transactional_id);
        // A new incarnation ends what the last one left open, and nobody can write under the old one any more.
        self.0.open_writer(Arc::clone(&id)).await?;
        let shard = self.0.shard(&id).await?;
        let removed = shard.transact(self.0.env.now_ms(), |machine| Ok((machine.remove(&id)?, ())));
        let ((), ticket) = removed.map_err(TransactionError::from)?;
        ticket.wait().await?;
        self.0.mirrors().remove(&id);
        Ok(())
    }
}

/// The port that the processor holds.
pub struct TransactionsPort(Arc<Transactions>);

impl TransactionsPort {
    /// A port to the coordinator.
    pub fn new(transactions: Arc<Transactions>) -> Self {
        Self(transactions)
    }
}

/// Why a transaction could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransactionError {
    /// The coordinator's own log or topic.
    #[error("the transaction coordinator is not available: {0}")]
    Unavailable(String),
    /// A newer incarnation holds the id.
    #[error("transactional id {0} was fenced by a newer run")]
    Fenced(TransactionalId),
    /// A partition of the transaction is gone.
    #[error("{0}")]
    Partition(String),
    /// The disk.
    #[error("{0}")]
    Storage(String),
}

impl From<TransactionError> for PortError {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Fenced(id) => Self::Fenced(id.to_string()),
            TransactionError::Partition(what) => Self::UnknownTopic(what),
            other => Self::Storage(other.to_string()),
        }
    }
}

impl From<CoordinatorTopicError> for TransactionError {
    fn from(error: CoordinatorTopicError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<ShardError> for TransactionError {
    fn from(error: ShardError) -> Self {
        match error {
            ShardError::Fenced(id) => Self::Fenced(id),
            other => Self::Unavailable(other.to_string()),
        }
    }
}
