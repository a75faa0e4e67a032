//! From a request to the logs that it reads, in the request's order.

use std::sync::Arc;

use protocol::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset, TimestampMs, TopicId};
use protocol::messages::FetchRequest;
use protocol::messages::fetch_request::FetchPartition;
use storage::Isolation;

use crate::kafka_error;
use crate::partitions::{LookupError, Partition, Partitions, Topic};

/// First version that uses topic ids instead of names.
pub(super) const TOPIC_IDS_FROM: i16 = 13;
/// First version in which the replica id stands in a tagged structure.
const REPLICA_STATE_FROM: i16 = 15;

/// What one request reads.
pub(super) struct Plan {
    /// One entry per partition of the request, in its order.
    pub(super) targets: Vec<Target>,
}

/// One partition of the request.
pub(super) struct Target {
    /// What is asked for.
    pub(super) wanted: Wanted,
    /// Where it is, or why it cannot be read; `None` for an internal log that nobody has made yet.
    pub(super) partition: Result<Option<Arc<Partition>>, Rejected>,
}

/// What a request wants of one partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) from: Offset,
    pub(super) max_bytes: usize,
    /// The leader epoch the client believes in, negative when it does not say.
    pub(super) leader_epoch: LeaderEpoch,
    /// Epoch of the last record that the client has, negative when it does not say.
    pub(super) last_fetched_epoch: LeaderEpoch,
}

/// Why a partition cannot be read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) code: ErrorCode,
    /// Kafka answers a request at once when a partition has an error; a partition that metadata does not know is the
    /// exception, or a client that still asks for a deleted topic would spin.
    pub(super) ends_wait: bool,
}

impl Rejected {
    pub(super) fn at_once(code: ErrorCode) -> Self {
        Self { code, ends_wait: true }
    }
}

/// Looks up every partition of the request.
pub(super) fn plan(partitions: &Partitions, version: i16, request: &FetchRequest, now: TimestampMs) -> Plan {
    let directory = partitions.directory();
    let replica = is_replica(version, request);
    let mut targets = Vec::with_capacity(request.topics.iter().map(|topic| topic.partitions.len()).sum());
    for wanted_topic in &request.topics {
        let topic = if version < TOPIC_IDS_FROM {
            directory.topic(&wanted_topic.topic).ok_or(LookupError::UnknownTopic)
        } else {
            directory
                .topic_by_id(TopicId(wanted_topic.topic_id))
                .ok_or(LookupError::UnknownTopicId)
        };
        for wanted in &wanted_topic.partitions {
            let partition = match replica {
                // One node has no replicas: whoever claims to be one is not assigned to any partition.
                true => Err(Rejected::at_once(ErrorCode::NotLeaderOrFollower)),
                false => locate(partitions, topic.clone().map(Arc::as_ref), wanted, now),
            };
            targets.push(Target {
                wanted: Wanted::from(wanted),
                partition,
            });
        }
    }
    Plan { targets }
}

fn locate(
    partitions: &Partitions,
    topic: Result<&Topic, LookupError>,
    wanted: &FetchPartition,
    now: TimestampMs,
) -> Result<Option<Arc<Partition>>, Rejected> {
    topic
        .and_then(|topic| partitions.readable(topic, wanted.partition, now))
        .map_err(|error| Rejected {
            code: kafka_error::lookup(&error),
            ends_wait: matches!(error, LookupError::Offline(_)),
        })
}

fn is_replica(version: i16, request: &FetchRequest) -> bool {
    let replica_id = match version < REPLICA_STATE_FROM {
        true => request.replica_id,
        false => request.replica_state.replica_id,
    };
    0 <= replica_id.0
}

impl From<&FetchPartition> for Wanted {
    fn from(wanted: &FetchPartition) -> Self {
        Self {
            from: wanted.fetch_offset,
            // A negative limit asks for nothing; the first batch comes all the same where it may.
            max_bytes: usize::try_from(wanted.partition_max_bytes).unwrap_or(0),
            leader_epoch: wanted.current_leader_epoch,
            last_fetched_epoch: wanted.last_fetched_epoch,
        }
    }
}

/// The isolation level of a request: 0 is read_uncommitted, everything else read_committed, as in Kafka.
pub(super) fn isolation(request: &FetchRequest) -> Isolation {
    match request.isolation_level {
        0 => Isolation::Uncommitted,
        _ => Isolation::Committed,
    }
}
