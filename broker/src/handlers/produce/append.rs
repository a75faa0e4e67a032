//! From the batches of a request to logs: look up, check the shape, append.

use std::sync::Arc;

use bytes::Bytes;
use protocol::ErrorCode;
use protocol::ids::{Offset, PartitionId, TimestampMs, TopicId};
use protocol::messages::TopicName;
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::records::{Batch, Codec};
use storage::{AppendError, AppendOrigin, Appended};
use uuid::Uuid;

use crate::handlers::context::RequestContext;
use crate::kafka_error;
use crate::network::frames::SMALL_FRAME;
use crate::partitions::{Directory, Partition, Topic};
use crate::telemetry::Metrics;

/// First version that uses topic ids instead of names.
const TOPIC_IDS_FROM: i16 = 13;
/// First version whose clients know zstd.
const ZSTD_FROM: i16 = 7;

/// What became of the batches of one topic.
#[derive(Debug)]
pub(super) struct TopicOutcome {
    pub(super) name: TopicName,
    pub(super) topic_id: Uuid,
    pub(super) partitions: Vec<PartitionOutcome>,
}

/// What became of one batch.
#[derive(Debug)]
pub(super) struct PartitionOutcome {
    pub(super) index: PartitionId,
    pub(super) result: Result<Appended, Refusal>,
}

/// Why a batch was not written, in the words of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    /// Shown to the user by clients of version 8 and above.
    pub(super) message: Option<String>,
    /// Position of the record that is at fault, where one is.
    pub(super) record: Option<i32>,
}

impl Refusal {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: Some(message.into()),
            record: None,
        }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self {
            code,
            message: None,
            record: None,
        }
    }
}

/// Appends every batch of the request, in its order. Does not wait for anything.
pub(super) fn append_all(ctx: &RequestContext, request: ProduceRequest) -> Vec<TopicOutcome> {
    let directory = ctx.services.partitions.directory();
    let now = ctx.now();
    // Kafka refuses a request of a transactional id that it does not accept as a whole.
    let transactional = request.transactional_id.is_some();
    let mut cached = Vec::new();
    let outcomes = request
        .topic_data
        .into_iter()
        .map(|data| append_topic(ctx, &directory, transactional, data, now, &mut cached))
        .collect();
    part_from_frame(ctx.frame_bytes, &cached);
    outcomes
}

/// A batch that a log's cache may hold.
struct Cached {
    partition: Arc<Partition>,
    base_offset: Offset,
    bytes: usize,
}

/// Copies what was appended where it is the smaller part of its frame. The cache counts the bytes of batches alone, but
/// all of the frame, and for a small one all of the read buffer, stays in memory until the last of them is evicted.
fn part_from_frame(frame_bytes: usize, cached: &[Cached]) {
    let kept: usize = cached.iter().map(|batch| batch.bytes).sum();
    if frame_bytes.max(SMALL_FRAME) / 2 <= kept {
        return;
    }
    for batch in cached {
        batch.partition.log.detach_cached(batch.base_offset);
    }
}

fn append_topic(
    ctx: &RequestContext,
    directory: &Directory,
    transactional: bool,
    data: TopicProduceData,
    now: TimestampMs,
    cached: &mut Vec<Cached>,
) -> TopicOutcome {
    let topic = find_topic(ctx.api_version, directory, &data).and_then(|topic| match transactional {
        true => Err(transactions_refused()),
        false => Ok(topic),
    });
    let partitions = data
        .partition_data
        .into_iter()
        .map(|partition| PartitionOutcome {
            index: partition.index,
            result: topic
                .as_ref()
                .map_err(Refusal::clone)
                .and_then(|topic| append_one(ctx, topic, partition, now, cached)),
        })
        .collect();
    TopicOutcome {
        name: data.name,
        topic_id: data.topic_id,
        partitions,
    }
}

fn find_topic<'a>(version: i16, directory: &'a Directory, data: &TopicProduceData) -> Result<&'a Topic, Refusal> {
    let topic = if version < TOPIC_IDS_FROM {
        directory.topic(&data.name).ok_or(ErrorCode::UnknownTopicOrPartition)
    } else {
        directory
            .topic_by_id(TopicId(data.topic_id))
            .ok_or(ErrorCode::UnknownTopicId)
    };
    Ok(topic?)
}

fn append_one(
    ctx: &RequestContext,
    topic: &Topic,
    data: PartitionProduceData,
    now: TimestampMs,
    cached: &mut Vec<Cached>,
) -> Result<Appended, Refusal> {
    refuse_protected(topic)?;
    let partition = ctx
        .services
        .partitions
        .partition(topic, data.index, now)
        .map_err(|error| Refusal::new(kafka_error::lookup(&error), error.to_string()))?;
    let batch = only_batch(ctx.api_version, data.records)?;
    let appended = partition
        .log
        .append(&batch, AppendOrigin::Client, now)
        .map_err(|error| refusal_of_append(&error))?;
    if !appended.duplicate {
        count(&ctx.services.metrics, topic, &batch);
        cached.push(Cached {
            partition,
            base_offset: appended.base_offset,
            bytes: batch.bytes.len(),
        });
    }
    Ok(appended)
}

/// Refuses topics that the broker itself writes: a foreign record would contradict the state behind them.
fn refuse_protected(topic: &Topic) -> Result<(), Refusal> {
    if topic.internal {
        return Err(Refusal::new(
            ErrorCode::InvalidTopicException,
            format!("topic {} is internal; clients may read it and not write it", topic.name),
        ));
    }
    match &topic.owner {
        None => Ok(()),
        Some(query) => Err(Refusal::new(
            ErrorCode::TopicAuthorizationFailed,
            format!(
                "topic {} is written by query {query} alone; clients may read it",
                topic.name
            ),
        )),
    }
}

/// The one batch that a partition's records must be.
///
/// Only what needs no log is checked here; the log checks the rest under its own configuration.
pub(super) fn only_batch(version: i16, records: Option<Bytes>) -> Result<Batch, Refusal> {
    let records = records.unwrap_or_default();
    if records.is_empty() {
        return Err(Refusal::new(
            ErrorCode::InvalidRecord,
            "a partition's records must be exactly one record batch",
        ));
    }
    let batch = Batch::parse(records).map_err(|error| Refusal::new(kafka_error::batch(&error), error.to_string()))?;
    if batch.header.codec() == Codec::Zstd && version < ZSTD_FROM {
        return Err(Refusal::new(
            ErrorCode::UnsupportedCompressionType,
            format!("produce requests of version {version} may not hold zstd; {ZSTD_FROM} is the first that may"),
        ));
    }
    match batch.header.is_transactional() {
        true => Err(transactions_refused()),
        false => Ok(batch),
    }
}

fn transactions_refused() -> Refusal {
    Refusal::new(
        ErrorCode::TransactionalIdAuthorizationFailed,
        "transactions of clients are not served by this version",
    )
}

/// What the log said, as the client shall hear it.
pub(super) fn refusal_of_append(error: &AppendError) -> Refusal {
    let record = match error {
        AppendError::InvalidRecord(record) => record.index().and_then(|index| i32::try_from(index).ok()),
        _ => None,
    };
    Refusal {
        code: kafka_error::append(error),
        message: Some(error.to_string()),
        record,
    }
}

fn count(metrics: &Metrics, topic: &Topic, batch: &Batch) {
    let records = u64::try_from(batch.header.record_count).unwrap_or(0);
    metrics.topic_produced(&topic.name, batch.bytes.len() as u64, records);
}
