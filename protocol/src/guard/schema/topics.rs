//! Topics: looking at them, creating, growing and deleting them.

use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest, create_partitions_request,
    create_topics_request, delete_topics_request, metadata_request,
};

use super::{BOOL, INT16, INT32, INT32_ARRAY, Kind, Schema, Shape, TEXT_ARRAY, UUID, field};
use crate::api_key::ApiKey;

pub(super) static METADATA: Schema = Schema::new(ApiKey::Metadata, (0, 13), &METADATA_BODY);

static METADATA_BODY: Shape = Shape::new::<MetadataRequest>(&[
    field("topics", Kind::Array(&Kind::Struct(&METADATA_TOPIC))).nullable_since(1),
    field("allow_auto_topic_creation", BOOL).since(4),
    field("include_cluster_authorized_operations", BOOL).since(8).until(10),
    field("include_topic_authorized_operations", BOOL).since(8),
]);

static METADATA_TOPIC: Shape = Shape::new::<metadata_request::MetadataRequestTopic>(&[
    field("topic_id", UUID).since(10),
    field("name", Kind::Text).nullable_since(10),
]);

pub(super) static CREATE_TOPICS: Schema = Schema::new(ApiKey::CreateTopics, (2, 7), &CREATE_TOPICS_BODY);

static CREATE_TOPICS_BODY: Shape = Shape::new::<CreateTopicsRequest>(&[
    field("topics", Kind::Array(&Kind::Struct(&CREATABLE_TOPIC))),
    field("timeout_ms", INT32),
    field("validate_only", BOOL),
]);

static CREATABLE_TOPIC: Shape = Shape::new::<create_topics_request::CreatableTopic>(&[
    field("name", Kind::Text),
    field("num_partitions", INT32),
    field("replication_factor", INT16),
    field("assignments", Kind::Array(&Kind::Struct(&CREATABLE_ASSIGNMENT))),
    field("configs", Kind::Array(&Kind::Struct(&CREATABLE_CONFIG))),
]);

static CREATABLE_ASSIGNMENT: Shape = Shape::new::<create_topics_request::CreatableReplicaAssignment>(&[
    field("partition_index", INT32),
    field("broker_ids", INT32_ARRAY),
]);

static CREATABLE_CONFIG: Shape = Shape::new::<create_topics_request::CreatableTopicConfig>(&[
    field("name", Kind::Text),
    field("value", Kind::Text).nullable(),
]);

pub(super) static DELETE_TOPICS: Schema = Schema::new(ApiKey::DeleteTopics, (1, 6), &DELETE_TOPICS_BODY);

static DELETE_TOPICS_BODY: Shape = Shape::new::<DeleteTopicsRequest>(&[
    field("topics", Kind::Array(&Kind::Struct(&DELETE_TOPIC))).since(6),
    field("topic_names", TEXT_ARRAY).until(5),
    field("timeout_ms", INT32),
]);

static DELETE_TOPIC: Shape = Shape::new::<delete_topics_request::DeleteTopicState>(&[
    field("name", Kind::Text).nullable(),
    field("topic_id", UUID),
]);

pub(super) static CREATE_PARTITIONS: Schema = Schema::new(ApiKey::CreatePartitions, (0, 3), &CREATE_PARTITIONS_BODY);

static CREATE_PARTITIONS_BODY: Shape = Shape::new::<CreatePartitionsRequest>(&[
    field("topics", Kind::Array(&Kind::Struct(&CREATE_PARTITIONS_TOPIC))),
    field("timeout_ms", INT32),
    field("validate_only", BOOL),
]);

static CREATE_PARTITIONS_TOPIC: Shape = Shape::new::<create_partitions_request::CreatePartitionsTopic>(&[
    field("name", Kind::Text),
    field("count", INT32),
    field("assignments", Kind::Array(&Kind::Struct(&CREATE_PARTITIONS_ASSIGNMENT))).nullable(),
]);

static CREATE_PARTITIONS_ASSIGNMENT: Shape =
    Shape::new::<create_partitions_request::CreatePartitionsAssignment>(&[field("broker_ids", INT32_ARRAY)]);
