//! Fetch and the offsets of partitions.

use kafka_protocol::messages::{FetchRequest, ListOffsetsRequest, fetch_request, list_offsets_request};

use super::{INT8, INT32, INT32_ARRAY, INT64, Kind, Schema, Shape, UUID, field};
use crate::api_key::ApiKey;

pub(super) static FETCH: Schema = Schema::new(ApiKey::Fetch, (4, 18), &FETCH_BODY);

static FETCH_BODY: Shape = Shape::new::<FetchRequest>(&[
    field("replica_id", INT32).until(14),
    field("max_wait_ms", INT32),
    field("min_bytes", INT32),
    field("max_bytes", INT32),
    field("isolation_level", INT8),
    field("session_id", INT32).since(7),
    field("session_epoch", INT32).since(7),
    field("topics", Kind::Array(&Kind::Struct(&FETCH_TOPIC))),
    field("forgotten_topics_data", Kind::Array(&Kind::Struct(&FORGOTTEN_TOPIC))).since(7),
    field("rack_id", Kind::Text).since(11),
])
.with_tagged(&[
    field("cluster_id", Kind::Text).nullable().tag(0).since(12),
    field("replica_state", Kind::Struct(&REPLICA_STATE)).tag(1).since(15),
]);

static REPLICA_STATE: Shape = Shape::new::<fetch_request::ReplicaState>(&[
    field("replica_id", INT32).since(15),
    field("replica_epoch", INT64).since(15),
]);

static FETCH_TOPIC: Shape = Shape::new::<fetch_request::FetchTopic>(&[
    field("topic", Kind::Text).until(12),
    field("topic_id", UUID).since(13),
    field("partitions", Kind::Array(&Kind::Struct(&FETCH_PARTITION))),
]);

static FETCH_PARTITION: Shape = Shape::new::<fetch_request::FetchPartition>(&[
    field("partition", INT32),
    field("current_leader_epoch", INT32).since(9),
    field("fetch_offset", INT64),
    field("last_fetched_epoch", INT32).since(12),
    field("log_start_offset", INT64).since(5),
    field("partition_max_bytes", INT32),
])
.with_tagged(&[
    field("replica_directory_id", UUID).tag(0).since(17),
    field("high_watermark", INT64).tag(1).since(18),
]);

static FORGOTTEN_TOPIC: Shape = Shape::new::<fetch_request::ForgottenTopic>(&[
    field("topic", Kind::Text).until(12),
    field("topic_id", UUID).since(13),
    field("partitions", INT32_ARRAY),
]);

pub(super) static LIST_OFFSETS: Schema = Schema::new(ApiKey::ListOffsets, (1, 11), &LIST_OFFSETS_BODY);

static LIST_OFFSETS_BODY: Shape = Shape::new::<ListOffsetsRequest>(&[
    field("replica_id", INT32),
    field("isolation_level", INT8).since(2),
    field("topics", Kind::Array(&Kind::Struct(&LIST_OFFSETS_TOPIC))),
    field("timeout_ms", INT32).since(10),
]);

static LIST_OFFSETS_TOPIC: Shape = Shape::new::<list_offsets_request::ListOffsetsTopic>(&[
    field("name", Kind::Text),
    field("partitions", Kind::Array(&Kind::Struct(&LIST_OFFSETS_PARTITION))),
]);

static LIST_OFFSETS_PARTITION: Shape = Shape::new::<list_offsets_request::ListOffsetsPartition>(&[
    field("partition_index", INT32),
    field("current_leader_epoch", INT32).since(4),
    field("timestamp", INT64),
]);
