//! The group coordinator: from a group id to the task that owns it, and back with an answer.
//!
//! ```text
//! handler -- Groups::call --> shard of the group's partition --> machine (crate `coordinator`)
//!                                   |                               |
//!                                   '-- replies once durable <-- records in __consumer_offsets
//! ```
//!
//! The machine decides, the shard ([`shard`]) does: one task per partition of `__consumer_offsets` that is in use.
//! Partitions with records are loaded when the broker starts; the others come into being at their first group. Groups
//! whose names begin with `tidemill.` belong to the broker's own queries: clients may look and not touch.

mod clock;
mod lag;
mod shard;
mod store;
mod topic;

#[cfg(test)]
mod service_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coordinator::group::{
    CommitOffsets, FetchOffsets, FetchedOffset, GroupCommand, GroupConfig, GroupReply, Groups as Machine,
    OffsetToCommit,
};
use coordinator::{RESERVED_PREFIX, ReplyTo, partition_of_key};
use protocol::ErrorCode;
use protocol::ids::PartitionId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::cluster::Controller;
use crate::cluster::names::CONSUMER_OFFSETS;
use crate::config::BrokerConfig;
use crate::coordinator_topic::CoordinatorTopic;
use crate::env::Env;
use crate::partitions::Partitions;
use clock::SteadyClock;
use shard::{Answer, Message, Shard, ShardParts};

pub use lag::GroupLag;

/// Commands that may wait for one shard; whoever comes later waits before the queue.
const QUEUE_LEN: usize = 1024;
/// Groups that one partition of `__consumer_offsets` may hold.
const GROUPS_PER_PARTITION_MAX: usize = 100_000;
/// How long a new member may wait for the end of a rebalance (Kafka's constant for the same).
const NEW_MEMBER_JOIN_TIMEOUT_MS: i32 = 300_000;
/// Largest group record; with its batch it stays below the default `max.message.bytes`.
const RECORD_BYTES_MAX: usize = 1_000_000;

/// The group coordinator of this node. Shared by all connections.
pub struct Groups {
    env: Arc<Env>,
    clock: SteadyClock,
    controller: Arc<Controller>,
    partitions: Arc<Partitions>,
    config: GroupConfig,
    topic: CoordinatorTopic,
    expiry_interval: Duration,
    shards: Mutex<BTreeMap<PartitionId, mpsc::Sender<Message>>>,
    next_reply: AtomicU64,
    lag_times: Mutex<lag::TimeCache>,
    stopping: CancellationToken,
}

impl Groups {
    /// A coordinator that serves until `stopping` fires. Call [`Groups::start`] once the first image is applied.
    pub fn new(
        config: &BrokerConfig,
        env: Arc<Env>,
        controller: Arc<Controller>,
        partitions: Arc<Partitions>,
        stopping: CancellationToken,
    ) -> Self {
        let topic = CoordinatorTopic::new(
            CONSUMER_OFFSETS,
            config.kafka.defaults.offsets_topic_partitions,
            Arc::clone(&env),
            Arc::clone(&controller),
            Arc::clone(&partitions),
        );
        Self {
            clock: SteadyClock::new(env.clone()),
            env,
            controller,
            partitions,
            config: group_config(config),
            topic,
            expiry_interval: config.kafka.defaults.offsets_retention_check_interval,
            shards: Mutex::default(),
            next_reply: AtomicU64::new(0),
            lag_times: Mutex::default(),
            stopping,
        }
    }

    /// Begins to load the groups that the disk holds, to follow the deletion of topics, and to expire offsets.
    pub fn start(self: &Arc<Self>) {
        self.open_stored_shards();
        self.env.spawn("group-topics", Self::follow_topics(Arc::clone(self)));
        self.env.spawn("group-expiry", Self::sweep(Arc::clone(self)));
    }

    /// Asks the coordinator of `group`. `command` gets the ticket under which its reply comes back.
    ///
    /// The error is the code for a coordinator that cannot answer; errors of the group itself stand inside the reply.
    /// When the future is dropped the shard is told that nobody waits any more.
    pub async fn call(
        &self,
        group: &str,
        command: impl FnOnce(ReplyTo) -> GroupCommand,
    ) -> Result<GroupReply, ErrorCode> {
        let shard = self.shard_of(group).await?;
        self.ask(shard, command).await
    }

    /// Asks every shard that has groups; shards that cannot answer are left out of the list but not of the errors.
    pub async fn call_all(&self, command: impl Fn(ReplyTo) -> GroupCommand) -> Vec<Result<GroupReply, ErrorCode>> {
        let shards: Vec<_> = self.lock_shards().values().cloned().collect();
        let asked = shards.into_iter().map(|shard| self.ask(shard, &command));
        futures::future::join_all(asked).await
    }

    /// Commits offsets for one of the broker's own groups, without membership. Returns when they are durable.
    pub async fn commit_offsets(&self, group: &str, offsets: Vec<OffsetToCommit>) -> Result<(), ErrorCode> {
        let reply = self
            .call(group, |to| {
                GroupCommand::CommitOffsets(CommitOffsets {
                    to,
                    group: group.into(),
                    member: "".into(),
                    instance: None,
                    generation: -1,
                    retention_time_ms: -1,
                    offsets,
                })
            })
            .await?;
        let GroupReply::CommitOffsets(partitions) = reply else {
            unreachable!("a commit is answered as one")
        };
        match partitions.into_iter().find(|partition| partition.error.is_error()) {
            Some(failed) => Err(failed.error),
            None => Ok(()),
        }
    }

    /// All committed offsets of a group.
    pub async fn fetch_offsets(&self, group: &str) -> Result<Vec<FetchedOffset>, ErrorCode> {
        let reply = self
            .call(group, |to| {
                GroupCommand::FetchOffsets(FetchOffsets {
                    to,
                    group: group.into(),
                    topics: None,
                    require_stable: false,
                })
            })
            .await?;
        let GroupReply::FetchOffsets(fetched) = reply else {
            unreachable!("a fetch is answered as one")
        };
        match fetched.error {
            ErrorCode::None => Ok(fetched.offsets),
            error => Err(error),
        }
    }

    /// Deletes a group with its offsets; one that does not exist is no error.
    pub async fn delete(&self, group: &str) -> Result<(), ErrorCode> {
        let reply = self
            .call(group, |to| GroupCommand::Delete {
                to,
                group: group.into(),
            })
            .await?;
        let GroupReply::Delete(error) = reply else {
            unreachable!("a deletion is answered as one")
        };
        match error {
            ErrorCode::None | ErrorCode::GroupIdNotFound => Ok(()),
            error => Err(error),
        }
    }

    /// How far every group is behind, per partition. Reads the disk where a time is not known yet.
    pub async fn lag(&self) -> Vec<GroupLag> {
        lag::snapshot(self).await
    }

    async fn ask(&self, shard: mpsc::Sender<Message>, command: impl FnOnce(ReplyTo) -> GroupCommand) -> Answer {
        let to = ReplyTo(self.next_reply.fetch_add(1, Ordering::Relaxed));
        let (answer, reply) = oneshot::channel();
        let message = Message::Request {
            to,
            command: command(to),
            answer,
        };
        shard
            .send(message)
            .await
            .map_err(|_| ErrorCode::CoordinatorNotAvailable)?;
        let mut wanted = Wanted { to, shard: Some(shard) };
        let answer = reply.await;
        wanted.shard = None;
        answer.unwrap_or(Err(ErrorCode::CoordinatorNotAvailable))
    }

    async fn shard_of(&self, group: &str) -> Result<mpsc::Sender<Message>, ErrorCode> {
        let topic = self.ensure_topic().await?;
        let count = PartitionId::try_from(topic.partition_count()).unwrap_or(PartitionId::MAX);
        self.shard(topic, partition_of_key(group, count)).await
    }

    fn lock_shards(&self) -> std::sync::MutexGuard<'_, BTreeMap<PartitionId, mpsc::Sender<Message>>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the task of a partition.
    fn spawn_shard(&self, partition: Arc<crate::partitions::Partition>) -> mpsc::Sender<Message> {
        let (sender, inbox) = mpsc::channel(QUEUE_LEN);
        let controller = self.controller.clone();
        let parts = ShardParts {
            partition,
            config: self.config.clone(),
            env: self.env.clone(),
            clock: self.clock.clone(),
            stopping: self.stopping.clone(),
            gone_topics: Box::new(move |machine: &Machine| {
                let image = controller.image();
                machine
                    .topics()
                    .into_iter()
                    .filter(|topic| image.topic(topic).is_none())
                    .collect()
            }),
        };
        self.env.spawn("group-shard", Shard::new(parts, inbox).run());
        sender
    }

    async fn sweep(self: Arc<Self>) {
        let mut ticks = interval(self.expiry_interval.max(Duration::from_millis(1)));
        // The first tick comes at once, when nothing can have expired that was not expired by the run before.
        ticks.tick().await;
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                _ = ticks.tick() => self.tell_all(|| GroupCommand::Expire).await,
            }
        }
    }

    async fn tell_all(&self, command: impl Fn() -> GroupCommand) {
        let shards: Vec<_> = self.lock_shards().values().cloned().collect();
        for shard in shards {
            // A shard that is gone has nothing to be told.
            let _gone = shard.send(Message::Command(command())).await;
        }
    }
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Groups")
            .field("shards", &self.lock_shards().len())
            .finish_non_exhaustive()
    }
}

/// Tells the shard, when dropped, that a reply is not wanted any more.
struct Wanted {
    to: ReplyTo,
    shard: Option<mpsc::Sender<Message>>,
}

impl Drop for Wanted {
    fn drop(&mut self) {
        if let Some(shard) = self.shard.take() {
            // With a full queue the reply is made for nobody, which costs nothing.
            let _full = shard.try_send(Message::Forget(self.to));
        }
    }
}

/// Refuses what clients may not do to the groups of the broker's own queries.
pub fn check_client_may_change(group: &str) -> Result<(), ErrorCode> {
    match group.starts_with(RESERVED_PREFIX) {
        true => Err(ErrorCode::GroupAuthorizationFailed),
        false => Ok(()),
    }
}

fn group_config(config: &BrokerConfig) -> GroupConfig {
    let keys = &config.kafka.defaults;
    GroupConfig {
        session_timeout_min_ms: to_ms(keys.group_min_session_timeout),
        session_timeout_max_ms: to_ms(keys.group_max_session_timeout),
        initial_rebalance_delay_ms: to_ms(keys.group_initial_rebalance_delay),
        members_max: keys.group_max_size,
        new_member_join_timeout_ms: NEW_MEMBER_JOIN_TIMEOUT_MS,
        offset_metadata_max: keys.offset_metadata_max_bytes,
        commit_bytes_max: GroupConfig::KAFKA_DEFAULTS.commit_bytes_max,
        offsets_retention_ms: i64::try_from(keys.offsets_retention.as_millis()).unwrap_or(i64::MAX),
        groups_max: GROUPS_PER_PARTITION_MAX,
        invited_bytes_max: GroupConfig::KAFKA_DEFAULTS.invited_bytes_max,
        record_bytes_max: RECORD_BYTES_MAX,
    }
}

fn to_ms(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
