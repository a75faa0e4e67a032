//! ListOffsets (key 2), versions 1-11.
//!
//! Versions: 2 isolation level · 4 leader epochs (KIP-320) · 6 flexible · 7 the record with the largest timestamp
//! (KIP-734) · 8 earliest local (KIP-405) · 9 latest tiered (KIP-1005) · 10 a timeout for lookups in remote storage ·
//! 11 earliest pending upload (KIP-1023).
//!
//! Stage: pipelined. The ends of a log are known in memory; a search by time may read segments and goes to a thread of
//! its own.
//!
//! Deliberate deviations from Kafka: none. OFFSET_NOT_AVAILABLE cannot happen here: a leadership begins only after
//! everything before it is durable, so the high watermark is never below the start of the current epoch. There is no
//! tiered storage: the local log is the whole log, and nothing is tiered or waits to be.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use protocol::ErrorCode;
use protocol::ids::{LeaderEpoch, NO_LEADER_EPOCH, Offset, PartitionId, TimestampMs};
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use storage::Isolation;

use super::context::RequestContext;
use crate::kafka_error;
use crate::partitions::{LookupError, Partition, Topic};

/// The special timestamps, each with the first version that may use it (Kafka's `ListOffsetsRequest`).
const SPECIALS: [(TimestampMs, Query, i16); 6] = [
    (-1, Query::Latest, 1),
    (-2, Query::Earliest, 1),
    (-3, Query::MaxTimestamp, 7),
    (-4, Query::Earliest, 8),
    (-5, Query::NothingTiered, 9),
    (-6, Query::NothingTiered, 11),
];

/// What a timestamp asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Query {
    /// The end of what a reader may see.
    Latest,
    /// The start of the log, which is all local.
    Earliest,
    /// The record with the largest timestamp.
    MaxTimestamp,
    /// An end of tiered storage, of which there is none.
    NothingTiered,
    /// The first record at or after this time.
    At(TimestampMs),
}

impl Query {
    fn from_wire(timestamp: TimestampMs, version: i16) -> Result<Self, ErrorCode> {
        if 0 <= timestamp {
            return Ok(Self::At(timestamp));
        }
        SPECIALS
            .into_iter()
            .find(|(special, _, from)| *special == timestamp && *from <= version)
            .map(|(_, query, _)| query)
            .ok_or(ErrorCode::UnsupportedVersion)
    }

    /// Whether the answer may need the disk.
    fn searches(self) -> bool {
        matches!(self, Self::At(_) | Self::MaxTimestamp)
    }
}

/// A position in a log as it goes to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    offset: Offset,
    timestamp: TimestampMs,
    leader_epoch: LeaderEpoch,
}

impl Found {
    /// Nothing there: -1 everywhere and no error.
    const NOTHING: Self = Self {
        offset: -1,
        timestamp: -1,
        leader_epoch: -1,
    };
}

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = match request.isolation_level {
        0 => Isolation::Uncommitted,
        _ => Isolation::Committed,
    };
    let directory = ctx.services.partitions.directory();
    let mut topics = Vec::with_capacity(request.topics.len());
    for wanted in request.topics {
        let topic = directory.topic(&wanted.name);
        let repeated = repeated(wanted.partitions.iter().map(|partition| partition.partition_index));
        let mut partitions = Vec::with_capacity(wanted.partitions.len());
        for partition in &wanted.partitions {
            let found = match repeated.contains(&partition.partition_index) {
                true => Err(ErrorCode::InvalidRequest),
                false => find(ctx, topic.map(Arc::as_ref), partition, isolation).await,
            };
            partitions.push(to_wire(partition.partition_index, ctx.api_version, found));
        }
        topics.push(
            ListOffsetsTopicResponse::default()
                .with_name(wanted.name)
                .with_partitions(partitions),
        );
    }
    ListOffsetsResponse::default().with_topics(topics)
}

async fn find(
    ctx: &RequestContext,
    topic: Option<&Topic>,
    wanted: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Found, ErrorCode> {
    let partition = topic
        .ok_or(LookupError::UnknownTopic)
        .and_then(|topic| {
            ctx.services
                .partitions
                .readable(topic, wanted.partition_index, ctx.now())
        })
        .map_err(|error| kafka_error::lookup(&error))?;
    let query = Query::from_wire(wanted.timestamp, ctx.api_version);
    let Some(partition) = partition else {
        return Ok(in_empty_log(query?));
    };
    partition
        .check_leader_epoch(wanted.current_leader_epoch)
        .map_err(kafka_error::leader_epoch)?;
    let query = query?;
    if !query.searches() {
        return look_up(&partition, query, isolation);
    }
    let permit = ctx.services.partitions.lookup_permit().await;
    let search = ctx.services.env.spawn_blocking(move || {
        // Held by the thread and not by the client, which may go away meanwhile.
        let _permit = permit;
        look_up(&partition, query, isolation)
    });
    // The thread fails only when the broker stops; the client then tries the next one.
    search.await.unwrap_or(Err(ErrorCode::NotLeaderOrFollower))
}

/// What is found in a log that nobody has made yet.
fn in_empty_log(query: Query) -> Found {
    let offset = match query {
        Query::Latest | Query::Earliest => 0,
        Query::MaxTimestamp | Query::NothingTiered | Query::At(_) => return Found::NOTHING,
    };
    Found {
        offset,
        ..Found::NOTHING
    }
}

fn look_up(partition: &Partition, query: Query, isolation: Isolation) -> Result<Found, ErrorCode> {
    let log = &partition.log;
    let found = match query {
        Query::Latest => {
            let offset = isolation.bound(&log.marks());
            return Ok(Found {
                offset,
                timestamp: -1,
                leader_epoch: partition.leader_epoch(),
            });
        }
        Query::Earliest => {
            let (offset, epoch) = log.earliest();
            return Ok(Found {
                offset,
                timestamp: -1,
                leader_epoch: epoch.unwrap_or(NO_LEADER_EPOCH),
            });
        }
        Query::NothingTiered => return Ok(Found::NOTHING),
        Query::MaxTimestamp => log.max_timestamp_offset(),
        Query::At(timestamp) => log.offset_for_timestamp(timestamp, isolation),
    };
    let found = found.map_err(|error| kafka_error::read(&error))?;
    let end = isolation.bound(&log.marks());
    Ok(found
        .filter(|found| found.offset < end)
        .map_or(Found::NOTHING, |found| Found {
            offset: found.offset,
            timestamp: found.timestamp,
            leader_epoch: found.leader_epoch,
        }))
}

/// The partitions that are named more than once: Kafka refuses them, because two answers could not be told apart.
fn repeated(partitions: impl Iterator<Item = PartitionId>) -> HashSet<PartitionId> {
    let mut seen = HashSet::new();
    partitions.filter(|partition| !seen.insert(*partition)).collect()
}

fn to_wire(index: PartitionId, version: i16, found: Result<Found, ErrorCode>) -> ListOffsetsPartitionResponse {
    let (found, code) = match found {
        Ok(found) => (found, ErrorCode::None),
        Err(code) => (Found::NOTHING, code),
    };
    ListOffsetsPartitionResponse::default()
        .with_partition_index(index)
        .with_error_code(code.code())
        .with_offset(found.offset)
        .with_timestamp(found.timestamp)
        // Versions before 4 have no place for an epoch.
        .with_leader_epoch(if version < 4 { -1 } else { found.leader_epoch })
}
