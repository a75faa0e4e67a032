//! Requests that many tests send, and the few facts about a cluster and a topic that they need for it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    CreateTopicsRequest, FetchRequest, FindCoordinatorRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest,
    ListOffsetsRequest, MetadataRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::batch::Batch;
use crate::client::Connection;
use crate::wait;

/// Version of Produce in which topics have ids instead of names.
pub const PRODUCE_BY_ID: i16 = 13;
/// Version of Fetch in which topics have ids instead of names.
pub const FETCH_BY_ID: i16 = 13;

/// Versions that the helpers here use: the newest ones that still go by name.
const PRODUCE: i16 = 12;
const FETCH: i16 = 12;
const LIST_OFFSETS: i16 = 10;
const METADATA: i16 = 12;
const CREATE_TOPICS: i16 = 7;

/// ListOffsets: the end of what may be read.
pub const LATEST: i64 = -1;
/// ListOffsets: the start of the log.
pub const EARLIEST: i64 = -2;
/// ListOffsets: the record with the largest timestamp.
pub const MAX_TIMESTAMP: i64 = -3;

/// What a client learns about a one-node cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Id of the only node.
    pub node_id: i32,
    /// Host that it advertises.
    pub host: String,
    /// Port that it advertises.
    pub port: i32,
    /// The cluster's id.
    pub cluster_id: String,
}

/// A topic by both its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Name.
    pub name: String,
    /// Id.
    pub id: Uuid,
}

impl Topic {
    /// A topic that does not exist, under a name and an id that nobody has.
    #[must_use]
    pub fn unknown() -> Topic {
        Topic {
            name: unique("missing"),
            id: Uuid::new_v4(),
        }
    }

    /// The name as the codec wants it.
    #[must_use]
    pub fn topic_name(&self) -> TopicName {
        topic_name(&self.name)
    }
}

/// A string as the codec wants it.
#[must_use]
pub fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

/// A topic name as the codec wants it.
#[must_use]
pub fn topic_name(value: &str) -> TopicName {
    TopicName(text(value))
}

/// A name that no other test uses, nor an earlier run against the same broker.
#[must_use]
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{:x}-{number}", now_ms())
}

/// Milliseconds since the Unix epoch.
///
/// # Panics
/// When the clock stands before 1970.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    i64::try_from(since.as_millis()).expect("milliseconds fit")
}

/// Asks a broker who it is.
///
/// # Panics
/// When the cluster has more than one node.
pub fn cluster(connection: &mut Connection) -> Cluster {
    let request = MetadataRequest::default().with_topics(Some(Vec::new()));
    let response = connection.call(METADATA, &request);
    assert_eq!(response.brokers.len(), 1, "{response:?}");
    let broker = &response.brokers[0];
    Cluster {
        node_id: broker.node_id.0,
        host: broker.host.to_string(),
        port: broker.port,
        cluster_id: response.cluster_id.expect("a cluster has an id").to_string(),
    }
}

/// Creates a topic under a new name and waits until it can be used.
///
/// # Panics
/// When the broker refuses.
pub fn create_topic(connection: &mut Connection, prefix: &str, partitions: i32, configs: &[(&str, &str)]) -> Topic {
    let name = unique(prefix);
    let configs = configs
        .iter()
        .map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        })
        .collect();
    let topic = CreatableTopic::default()
        .with_name(topic_name(&name))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(configs);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(30_000);
    let response = connection.call(CREATE_TOPICS, &request);
    let result = &response.topics[0];
    assert_eq!(result.error_code, 0, "{result:?}");
    let topic = Topic {
        name,
        id: result.topic_id,
    };
    wait_for_leaders(connection, &topic, partitions);
    topic
}

/// Sets one key of a topic.
///
/// # Panics
/// When it is refused.
pub fn set_config(connection: &mut Connection, topic: &Topic, key: &str, value: &str) {
    let config = AlterableConfig::default()
        .with_name(text(key))
        .with_value(Some(text(value)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(&topic.name))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = connection.call(1, &request);
    assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
}

/// Waits until every partition of a topic has a leader: Kafka answers CreateTopics before that, and until it has heard
/// of the topic itself.
pub fn wait_for_leaders(connection: &mut Connection, topic: &Topic, partitions: i32) {
    wait::until("leaders of a new topic", || {
        let response = connection.call(METADATA, &metadata_request(&[&topic.name], false));
        let described = &response.topics[0];
        let leaders = described
            .partitions
            .iter()
            .filter(|partition| partition.error_code == 0)
            .count();
        described.error_code == 0 && leaders == usize::try_from(partitions).expect("a partition count")
    });
    wait::until("the leaders to serve", || {
        (0..partitions).all(|partition| list_offset(connection, topic, partition, LATEST).error_code == 0)
    });
}

/// Metadata of topics by name, for versions from 4 up.
#[must_use]
pub fn metadata_request(topics: &[&str], auto_create: bool) -> MetadataRequest {
    let topics = topics
        .iter()
        .map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
    MetadataRequest::default()
        .with_topics(Some(topics.collect()))
        .with_allow_auto_topic_creation(auto_create)
}

/// The leader epoch that Metadata gives for a partition.
#[must_use]
pub fn leader_epoch(connection: &mut Connection, topic: &Topic, partition: i32) -> i32 {
    let response = connection.call(METADATA, &metadata_request(&[&topic.name], false));
    let partitions = &response.topics[0].partitions;
    let found = partitions
        .iter()
        .find(|described| described.partition_index == partition);
    found
        .unwrap_or_else(|| panic!("no partition {partition} in {response:?}"))
        .leader_epoch
}

/// One batch for one partition, by name or by id as the version has it.
#[must_use]
pub fn produce_request(version: i16, topic: &Topic, partition: i32, acks: i16, batch: Vec<u8>) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(Bytes::from(batch)));
    let mut of_topic = TopicProduceData::default().with_partition_data(vec![data]);
    if version < PRODUCE_BY_ID {
        of_topic.name = topic.topic_name();
    } else {
        of_topic.topic_id = topic.id;
    }
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![of_topic])
}

/// Produces bytes as they are with acks=all and gives the partition's answer, good or bad.
pub fn produce_bytes(
    connection: &mut Connection,
    topic: &Topic,
    partition: i32,
    batch: Vec<u8>,
) -> PartitionProduceResponse {
    let response = connection.call(PRODUCE, &produce_request(PRODUCE, topic, partition, -1, batch));
    response.responses[0].partition_responses[0].clone()
}

/// Produces a batch that has to be accepted and gives its base offset.
///
/// # Panics
/// When the broker refuses.
pub fn produce(connection: &mut Connection, topic: &Topic, partition: i32, batch: &Batch) -> i64 {
    let answer = produce_bytes(connection, topic, partition, batch.encode());
    assert_eq!(answer.error_code, 0, "{answer:?}");
    answer.base_offset
}

/// A full, sessionless fetch of one partition, by name or by id as the version has it.
#[must_use]
pub fn fetch_request(version: i16, topic: &Topic, partition: i32, offset: i64) -> FetchRequest {
    let wanted = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let mut of_topic = FetchTopic::default().with_partitions(vec![wanted]);
    if version < FETCH_BY_ID {
        of_topic.topic = topic.topic_name();
    } else {
        of_topic.topic_id = topic.id;
    }
    FetchRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_topics(vec![of_topic])
}

/// Fetches from one partition and gives its answer, good or bad.
pub fn fetch(connection: &mut Connection, topic: &Topic, partition: i32, offset: i64) -> PartitionData {
    let response = connection.call(FETCH, &fetch_request(FETCH, topic, partition, offset));
    response.responses[0].partitions[0].clone()
}

/// Reads a partition from its start to its high watermark, all batches.
///
/// # Panics
/// When the broker answers with an error.
pub fn read_all(connection: &mut Connection, topic: &Topic, partition: i32) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut offset = list_offset(connection, topic, partition, EARLIEST).offset;
    loop {
        let answer = fetch(connection, topic, partition, offset);
        assert_eq!(answer.error_code, 0, "{answer:?}");
        let more = Batch::decode_all(&answer.records.unwrap_or_default());
        let end = more.last().map_or(offset, |batch| batch.last_offset() + 1);
        batches.extend(more);
        if end >= answer.high_watermark {
            return batches;
        }
        assert!(end > offset, "a fetch below the high watermark gives a batch");
        offset = end;
    }
}

/// All values of a partition, in order.
pub fn read_values(connection: &mut Connection, topic: &Topic, partition: i32) -> Vec<Vec<u8>> {
    let batches = read_all(connection, topic, partition);
    let records = batches
        .into_iter()
        .filter(|batch| !batch.is_control())
        .flat_map(|batch| batch.records);
    records.map(|record| record.value.unwrap_or_default()).collect()
}

/// ListOffsets of one partition with read_uncommitted.
#[must_use]
pub fn list_offsets_request(topic: &Topic, partition: i32, timestamp: i64) -> ListOffsetsRequest {
    let wanted = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_timestamp(timestamp);
    let of_topic = ListOffsetsTopic::default()
        .with_name(topic.topic_name())
        .with_partitions(vec![wanted]);
    ListOffsetsRequest::default().with_topics(vec![of_topic])
}

/// The offset for a timestamp or for one of the special values, good or bad.
pub fn list_offset(
    connection: &mut Connection,
    topic: &Topic,
    partition: i32,
    timestamp: i64,
) -> ListOffsetsPartitionResponse {
    let response = connection.call(LIST_OFFSETS, &list_offsets_request(topic, partition, timestamp));
    response.topics[0].partitions[0].clone()
}

/// Asks who coordinates a group until somebody does, as clients do before anything else about it: Kafka creates the
/// offsets topic at the first such question.
pub fn find_coordinator(connection: &mut Connection, group: &str) {
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text(group)]);
    wait::until("a coordinator", || {
        connection.call(4, &request).coordinators[0].error_code == 0
    });
}

/// A producer id and epoch for an idempotent producer.
///
/// # Panics
/// When the broker gives none.
pub fn new_producer(connection: &mut Connection) -> (i64, i16) {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let response = wait::until_some("a producer id", || {
        let response = connection.call(4, &request);
        (response.error_code != COORDINATOR_LOAD_IN_PROGRESS).then_some(response)
    });
    assert_eq!(response.error_code, 0, "{response:?}");
    (response.producer_id.0, response.producer_epoch)
}

const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
